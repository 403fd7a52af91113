"""Drafts: the tokens that probably come next, to be verified together in one pass over the weights.

Most tokens of a realtime model are [STREAMING_PAD]. A pass verifies what the last one said behind its wrong token
(`jacobi`), and behind that a run of pads, as long as pauses usually are, and the [STREAMING_WORD] behind it; what the
model itself would have said of it is kept, and one token more. How long a draft is, and whether there is one at all,
depends on what passes of so many rows take on this machine and on what was accepted lately. The tokens are the same in
any case.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..passes import LEAST, MOST, PLAIN, STRETCH, Costs
from .guess import Guess
from .jacobi import Jacobi, Likely

# How fast what passes would have saved is forgotten, a pass.
_RECENT = 0.98
# Rows of a pass that are still timed, or thought of, where drafts do not pay.
_SHORT = 4
# Tokens from which on what drafts save is judged, and those that a trial, or a stream, begins with: two passes that
# bring nothing end it. Then the tokens before drafts are tried again, at first and at most.
_JUDGED, _TRIED, _REST, _LONGEST_REST = 3.0, 2.0, 256, 2048
# Drafts that are only thought of are made again when they would take this share of plain decoding's time.
_START = 0.97
# What hearing a further row is worth for the draft behind it, in tokens, where all that was proposed so came.
_ROW = 0.12
# Behind a draft that is likelier than this to be right, the next pass is made at once.
_AHEAD = 0.4


class Drafts:
    """What to verify next, in one stream.

    Args:
        pad, word: Ids of [STREAMING_PAD] and [STREAMING_WORD].
        n_special: Ids from here on are text.
    """

    def __init__(self, pad: int, word: int, n_special: int) -> None:
        self.n_special = n_special
        self._pad, self._guess, self._jacobi = pad, Guess(pad, word), Jacobi(pad, word, n_special)
        self.costs = Costs()  # what passes take here
        self._on = True
        # What passes took lately, in plain steps, and tokens that came of them; without drafts, what they would have.
        self._spent = self._gained = _TRIED
        self._thought: list[int] = []  # without drafts: tokens since they were thought of
        self._state = pad, 0  # the last token before those, and the pads up to it
        self._rest, self._rested = _REST, 0  # tokens without drafts before they are tried again, and those since
        self._room = MOST - 1  # at most so many tokens of a draft
        self._found: list[int] | None = None  # the best draft, until more is known

    def push(self, token: int) -> None:
        """The next token became known."""
        self._guess.push(token)
        self._jacobi.push(token)
        self._found = None
        if not self._on:
            self._thought.append(token)

    def hear(
        self,
        draft: Sequence[int],
        made: Sequence[int],
        said: Sequence[int],
        text: Sequence[int],
        *,
        timed: bool,
        chained: bool = False,
    ) -> None:
        """A pass was read; nothing of it was pushed yet.

        Args:
            draft: What it verified.
            made, said, text: As for `Jacobi.hear`.
            timed: How long the draft is was not chosen.
            chained: It was made while the one before it ran.
        """
        self._jacobi.hear(made, said, text)
        self._found = None
        if self._on and not timed:
            self._note(len(draft), len(made), float(chained))

    def plain(self, rows: int) -> int:
        """How many steps to make without drafts; 0: none.

        Args:
            rows: Steps whose audio is there.
        """
        if rows < 2:
            return rows
        self._room = min(rows, MOST) - 1
        if not self._on:
            self._think()
        elif self._gained >= _JUDGED and self._spent >= self._gained:
            self._on, self._rested, self._state = False, 0, self._guess.state
            self._spent = self._gained = 0.0
        elif self._gained > 2 * _JUDGED:
            self._rest = _REST
        size = self._wanted(rows)
        if size is not None:
            return LEAST if size == PLAIN else 0
        if not self._on:
            return min(rows, STRETCH)
        if self._draft(rows):
            return 0
        # A pass without a draft is a plain step whose token is waited for.
        steps = min(rows, _SHORT)
        self._spent, self._gained = self._spent + steps, self._gained + steps
        return steps

    def _think(self) -> None:
        """Would drafts have paid lately? Or have they not been made for long?"""
        tokens, at, (last, pads) = self._thought, 0, self._state
        self._rested += len(tokens)
        if self._pad in tokens:  # otherwise nothing would have been proposed
            while at < len(tokens):
                draft = self._best(min(self._room, _SHORT - 1), behind=(last, pads))
                right = 0
                while right < len(draft) and tokens[at + right : at + right + 1] == draft[right : right + 1]:
                    right += 1
                for last in tokens[at : at + right + 1]:
                    pads = pads + 1 if last == self._pad else 0
                self._note(len(draft), right + 1, 0.0 if draft else 1.0)
                at += right + 1
        elif tokens:
            last, pads = tokens[-1], 0
        tokens.clear()
        self._state = last, pads
        if self._gained >= _JUDGED and self._spent < _START * self._gained:
            self._on, self._spent, self._gained = True, _TRIED, _TRIED
        elif self._rested >= self._rest:
            # What is said behind a wrong token cannot be thought of.
            self._on, self._rest = True, min(2 * self._rest, _LONGEST_REST)
            self._spent = self._gained = _TRIED

    def _note(self, drafted: int, made: int, chained: float) -> None:
        self._spent = self._spent * _RECENT + self._cost(drafted, chained)
        self._gained = self._gained * _RECENT + made

    def _wanted(self, rows: int) -> int | None:
        """As `Costs.wanted`; where drafts do not pay, or are only tried, long ones are not timed."""
        return self.costs.wanted(min(rows, _SHORT) if self._tried or not self._on else rows)

    @property
    def _tried(self) -> bool:
        """Drafts are on trial."""
        return self._on and self._gained <= _JUDGED

    def next(self, rows: int) -> tuple[list[int], bool]:
        """The draft to verify behind the token that is known, and whether its pass is timed; all tokens were pushed.

        Args:
            rows: Steps whose audio is there.
        """
        if size := self._wanted(rows):
            # Passes of so many rows were not timed yet: this one is.
            return self._guess.draft(size - 1, _length, self._jacobi.ahead()), True
        return self._draft(rows), False

    def behind(self, draft: list[int], rows: int) -> list[int] | None:
        """What to verify behind a draft and the token that the model adds to it.

        None: nothing, it is too unlikely, or plain steps do.

        Args:
            draft: It is being verified; nothing of it was pushed.
            rows: Steps behind it whose audio is there.
        """
        coming = self._jacobi.ahead()
        certain, state = self._guess.along(draft, coming)
        if rows < 1 or certain <= _AHEAD:
            return None
        following = self._best(self._most(rows), coming[len(draft) + 1 :], state)
        return following if draft or following else None

    def _draft(self, rows: int) -> list[int]:
        if self._found is None:
            coming, most = self._jacobi.ahead(), self._most(rows)
            # A trial hears what is said behind its draft, whatever that is worth.
            self._found = self._guess.draft(most, _length, coming) if self._tried else self._best(most, coming)
        return self._found

    def _most(self, rows: int) -> int:
        """Tokens of a draft; a trial is short."""
        return min(rows, _SHORT if self._tried else MOST) - 1

    def _best(self, most: int, coming: Sequence[Likely] = (), behind: tuple[int, int] | None = None) -> list[int]:
        costs, row = self.costs, _ROW * self._jacobi.right
        hidden = self._hidden()

        def worth(n: int, expected: float, certain: float) -> float:
            cost = costs(n + 1)
            return (expected + row * n) / (cost - certain * hidden if certain > _AHEAD else cost)

        return self._guess.draft(most, worth, coming, behind)

    def _cost(self, drafted: int, chained: float) -> float:
        """Of a pass, if it is so likely that the next one is made while it runs: as plain steps are."""
        return self.costs(drafted + 1) - chained * self._hidden()

    def _hidden(self) -> float:
        """What a pass takes less where it is made while another one runs."""
        return max(0.0, self.costs(1) - self.costs(PLAIN))


def _length(n: int, *_: float) -> float:
    """A draft is worth its length."""
    return float(n)
