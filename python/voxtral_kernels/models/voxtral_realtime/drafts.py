"""Drafts: the tokens that probably come next, to be verified together in one pass over the weights.

Most tokens of a realtime model are [STREAMING_PAD]. A pass verifies a run of them, as long as pauses usually are, and
the [STREAMING_WORD] behind it; what the model itself would have said of it is kept, and one token more. How long a
draft is, and whether there is one at all, depends on what passes of so many rows take on this machine and on what
would have been accepted lately. The tokens are the same in any case.
"""

from __future__ import annotations

from collections.abc import Callable

from ..passes import MOST, PLAIN, Costs

# How fast what a stream is like is forgotten, a token.
_KEPT = 0.98
# How fast what passes would have saved is forgotten, a pass.
_RECENT = 0.95
# Pads behind the last other token from which on a pause is only long.
_LONG = 32
# Steps between two looks at whether drafts pay again.
STRETCH = 16
# Tokens from which on what drafts save is judged.
_JUDGED = 6
# Drafts stop when they take this share of plain decoding's time, and start again at the other.
_STOP, _START = 1.0, 0.93
# A draft goes on while it is likelier than this to be right so far.
_HOPE = 0.04
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

    def draft(self, most: int, worth: Callable[[int, float], float]) -> list[int]:
        """The likeliest next tokens, as many as are worth most.

        Args:
            most: At most so many.
            worth: Of a draft's length and the tokens expected of its pass.
        """
        pad, word = self._ids
        last, pads, certain, expected = self._last, self._pads, 1.0, 1.0
        best, chosen = worth(0, 1.0), 0
        tokens: list[int] = []
        while len(tokens) < most and last != word and certain > _HOPE:
            of_pad, of_word = self._chances(last, pads)
            last, chance = (pad, of_pad) if of_pad >= of_word else (word, of_word)
            pads += 1
            certain *= chance
            expected += certain
            tokens.append(last)
            if (value := worth(len(tokens), expected)) > best:
                best, chosen = value, len(tokens)
        return tokens[:chosen]

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
        self._trial: list[int] = []
        self._right = 0
        self._room = MOST - 1

    def push(self, token: int) -> None:
        """The next token became known: what would a draft have saved?"""
        trial, right = self._trial, self._right
        self._guess.push(token)
        if right < len(trial) and trial[right] == token:
            self._right += 1
            return
        self._spent = self._spent * _RECENT + self.costs(len(trial) + 1) / self.costs(PLAIN)
        self._gained = self._gained * _RECENT + right + 1
        self._trial, self._right = self._best(self._room), 0

    def plain(self, rows: int) -> int:
        """How many steps to make without drafts; 0: none.

        Args:
            rows: Steps whose audio is there.
        """
        if rows < 2:
            return rows
        self._room = min(rows, MOST) - 1
        if self.costs.wanted(rows) == PLAIN:
            return min(rows, STRETCH)
        if self._gained >= _JUDGED:
            self._on = self._spent / self._gained < (_STOP if self._on else _START)
        return 0 if self._on else min(rows, STRETCH)

    def next(self, rows: int) -> list[int]:
        """The draft to verify behind the token that is known; all tokens so far were pushed.

        Args:
            rows: Steps whose audio is there.
        """
        size = self.costs.wanted(rows)
        if size:
            # Passes of so many rows were not timed yet: this one is.
            tokens = self._guess.draft(size - 1, lambda n, _: float(n))
            return (tokens + [self._pad] * size)[: size - 1]
        return self._best(min(rows, MOST) - 1)

    def _best(self, most: int) -> list[int]:
        costs = self.costs
        return self._guess.draft(most, lambda n, expected: expected / costs(n + 1))
