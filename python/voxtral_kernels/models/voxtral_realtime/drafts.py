"""Drafts: the tokens that probably come next, to be verified together in one pass over the weights.

Most tokens of a realtime model are [STREAMING_PAD]. A pass verifies a run of them, as long as pauses usually are, and
the [STREAMING_WORD] behind it; what the model itself would have said of it is kept, and one token more. How long a
draft is, and whether there is one at all, depends on what passes of so many rows take on this machine and on what
would have been accepted lately. The tokens are the same in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..passes import LEAST, MOST, PLAIN, STRETCH, Costs

# How fast what a stream is like is forgotten, a token.
_KEPT = 0.98
# How fast what passes would have saved is forgotten, a pass.
_RECENT = 0.95
# Pads behind the last other token from which on a pause is only long.
_LONG = 32
# Rows of a pass that are still timed where they do not.
_SHORT = 4
# Tokens from which on what drafts save is judged.
_JUDGED = 6
# Drafts stop when they take this share of plain decoding's time, and start again at the other.
_STOP, _START = 1.0, 0.93
# Lengths of drafts are worth about the same from this share of the best on.
_ALIKE = 0.985
# A draft goes on while it is likelier than this to be right so far.
_HOPE = 0.04
# Behind a draft that is likelier than this to be right, the next pass is made at once.
_AHEAD = 0.4
# Any token of a text.
_TEXT = -1
# What a pad and a word's mark weigh before anything was heard: behind a pad, and behind text.
_FIRST = {True: (0.85, 0.14), False: (0.7, 0.2)}


class Guess:
    """What comes next, by what came so far: a pad, the mark of a word, or neither.

    Args:
        pad, word: Ids of [STREAMING_PAD] and [STREAMING_WORD].
    """

    def __init__(self, pad: int, word: int) -> None:
        self._ids = pad, word
        # By whether the last token was a pad, and the pads up to it: pads, words' marks and others that followed.
        self._followed: dict[tuple[bool, int], list[float]] = {}
        self._last, self._pads = pad, 0

    def push(self, token: int) -> None:
        """The next token became known."""
        pad, word = self._ids
        if self._last != word:
            counts = self._followed.setdefault(self._state(self._last, self._pads), [0.0, 0.0, 0.0])
            for i in range(3):
                counts[i] *= _KEPT
            counts[0 if token == pad else 1 if token == word else 2] += 1
        self._pads = self._pads + 1 if token == pad else 0
        self._last = token

    def draft(
        self, most: int, worth: Callable[[int, float], float], behind: tuple[int, int] | None = None
    ) -> list[int]:
        """The likeliest next tokens, as many as are worth most.

        Args:
            most: At most so many.
            worth: Of a draft's length and the tokens expected of its pass.
            behind: The last token and the pads up to it; None: as they are.
        """
        pad, word = self._ids
        certain, expected = 1.0, 1.0
        last, pads = behind or (self._last, self._pads)
        best, chosen = worth(0, 1.0), 0
        tokens: list[int] = []
        while len(tokens) < most and last != word and certain > _HOPE:
            of_pad, of_word = self._chances(last, pads)
            last, chance = (pad, of_pad) if of_pad >= of_word else (word, of_word)
            pads += 1
            certain *= chance
            expected += certain
            tokens.append(last)
            value = worth(len(tokens), expected)
            # Of lengths worth about the same the longer one: it reads the weights less often.
            if value > best or (chosen and value > _ALIKE * best):
                best, chosen = max(best, value), len(tokens)
        return tokens[:chosen]

    def along(self, draft: Sequence[int]) -> tuple[float, tuple[int, int]]:
        """How likely a draft is, and the last token and its pads behind it and what follows it then, probably."""
        pad, word = self._ids
        certain, last, pads = 1.0, self._last, self._pads
        for token in draft:
            certain *= self._chances(last, pads)[token != pad]
            last, pads = token, pads + 1 if token == pad else 0
        of_pad, of_word = (0.0, 0.0) if last == word else self._chances(last, pads)
        if of_pad >= max(of_word, 1 - of_pad - of_word):
            return certain, (pad, pads + 1)
        return certain, (word if of_word >= 1 - of_pad - of_word else _TEXT, 0)

    def _state(self, last: int, pads: int) -> tuple[bool, int]:
        return last == self._ids[0], min(pads, _LONG)

    def _chances(self, last: int, pads: int) -> tuple[float, float]:
        """Of a pad and of a word's mark."""
        state = self._state(last, pads)
        first, counts = _FIRST[state[0]], self._followed.get(state, (0.0, 0.0, 0.0))
        total = sum(counts) + 1
        return (counts[0] + first[0]) / total, (counts[1] + first[1]) / total


class Drafts:
    """What to verify next, in one stream.

    Args:
        pad, word: Ids of [STREAMING_PAD] and [STREAMING_WORD].
    """

    def __init__(self, pad: int, word: int) -> None:
        self._pad, self._guess = pad, Guess(pad, word)
        self.costs = Costs()  # what passes take here
        self._on = True
        # What passes would have taken lately, in plain steps, and tokens that would have come of them.
        self._spent, self._gained = 0.0, 0.0
        self._trial: list[int] = []  # what would be verified now, as long as none of it was said
        self._right = 0
        self._room, self._tried = MOST - 1, 0  # at most so many tokens, now and when the trial was made

    def push(self, token: int) -> None:
        """The next token became known: what would a draft have saved?"""
        trial, right = self._trial, self._right
        self._guess.push(token)
        if right < len(trial) and trial[right] == token:
            self._right += 1
            return
        self._spent = self._spent * _RECENT + self.costs(len(trial) + 1)
        self._gained = self._gained * _RECENT + right + 1
        self._tried = self._room if self._on else min(self._room, _SHORT - 1)
        self._trial, self._right = self._best(self._tried), 0

    def plain(self, rows: int) -> int:
        """How many steps to make without drafts; 0: none.

        Args:
            rows: Steps whose audio is there.
        """
        if rows < 2:
            return rows
        self._room = min(rows, MOST) - 1
        size = self._wanted(rows)
        if size is not None:
            return LEAST if size == PLAIN else 0
        if self._gained >= _JUDGED:
            self._on = self._spent / self._gained < (_STOP if self._on else _START)
        return 0 if self._on else min(rows, STRETCH)

    def _wanted(self, rows: int) -> int | None:
        """As `Costs.wanted`; where drafts do not pay, long ones are not timed."""
        return self.costs.wanted(rows if self._on else min(rows, _SHORT))

    def next(self, rows: int) -> tuple[list[int], bool]:
        """The draft to verify behind the token that is known, and whether its pass is timed; all tokens were pushed.

        Args:
            rows: Steps whose audio is there.
        """
        size = self._wanted(rows)
        if size:
            # Passes of so many rows were not timed yet: this one is.
            tokens = self._guess.draft(size - 1, lambda n, _: float(n))
            return (tokens + [self._pad] * size)[: size - 1], True
        most = min(rows, MOST) - 1
        fits = self._right == 0 and len(self._trial) <= most <= self._tried
        return self._trial if fits else self._best(most), False

    def behind(self, draft: list[int], rows: int) -> list[int] | None:
        """What to verify behind a draft and the token that the model adds to it; None: nothing, it is too unlikely.

        Args:
            draft: It is being verified; nothing of it was pushed.
            rows: Steps behind it whose audio is there.
        """
        certain, state = self._guess.along(draft)
        return self._best(min(rows, MOST) - 1, state) if rows > 0 and certain > _AHEAD else None

    def _best(self, most: int, behind: tuple[int, int] | None = None) -> list[int]:
        costs = self.costs
        return self._guess.draft(most, lambda n, expected: expected / costs(n + 1), behind)
