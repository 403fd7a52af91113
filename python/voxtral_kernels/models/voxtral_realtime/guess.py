"""What comes next in a stream, by what came so far: a pad, the mark of a word, or neither.

A draft is made while nothing runs, so that what it takes is part of what a pass costs: chances are made once for each
token that becomes known, and looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .jacobi import Likely

# How fast what a stream is like is forgotten, a token.
_KEPT = 0.98
# Pads behind the last other token from which on a pause is only long.
_LONG = 32
# Lengths of drafts are worth about the same from this share of the best on.
_ALIKE = 0.97
# Any token of a text.
_TEXT = -1
# What a pad and a word's mark weigh before anything was heard: behind a pad, and behind text.
_FIRST_PAD, _FIRST_TEXT = (0.85, 0.14), (0.7, 0.2)


class Guess:
    """What comes next.

    Args:
        pad, word: Ids of [STREAMING_PAD] and [STREAMING_WORD].
    """

    def __init__(self, pad: int, word: int) -> None:
        self._ids = pad, word
        # By the pads up to the last token, at the end behind another one: pads, words' marks and others that followed,
        # and the chances of a pad and of a word's mark.
        self._followed = [[0.0, 0.0, 0.0] for _ in range(_LONG + 2)]
        self._chances = [*[_FIRST_PAD] * (_LONG + 1), _FIRST_TEXT]
        self._last, self._pads = pad, 0

    @property
    def state(self) -> tuple[int, int]:
        """The last token, and the pads up to it."""
        return self._last, self._pads

    def push(self, token: int) -> None:
        """The next token became known."""
        pad, word = self._ids
        if self._last != word:
            state, (first_pad, first_word) = self._state(self._last, self._pads), _FIRST_PAD
            if state < 0:
                first_pad, first_word = _FIRST_TEXT
            counts = self._followed[state]
            pads, words, others = counts
            pads, words, others = pads * _KEPT, words * _KEPT, others * _KEPT
            if token == pad:
                pads += 1
            elif token == word:
                words += 1
            else:
                others += 1
            counts[:] = pads, words, others
            total = pads + words + others + 1
            self._chances[state] = (pads + first_pad) / total, (words + first_word) / total
        self._pads = self._pads + 1 if token == pad else 0
        self._last = token

    def draft(
        self,
        most: int,
        worth: Callable[[int, float, float], float],
        coming: Sequence[Likely] = (),
        behind: tuple[int, int] | None = None,
    ) -> list[int]:
        """The likeliest next tokens, as many as are worth most.

        Args:
            most: At most so many.
            worth: Of a draft's length, the tokens expected of its pass, and how likely all of the draft is right.
            coming: What else may come, with its chances.
            behind: The last token and the pads up to it; None: as they are.
        """
        pad, word = self._ids
        certain, expected = 1.0, 1.0
        last, pads = behind or (self._last, self._pads)
        best, chosen = worth(0, 1.0, 1.0), 0
        tokens: list[int] = []
        known = len(coming)
        for n in range(most):
            # Behind its mark comes some word: what is said behind that is worth hearing all the same.
            token, chance = (pad, 0.0) if last == word else self._likeliest(last, pads)
            last, chance = coming[n] if n < known and coming[n][1] >= chance else (token, chance)
            pads = pads + 1 if last == pad else 0
            certain *= chance
            expected += certain
            tokens.append(last)
            value = worth(n + 1, expected, certain)
            # Of lengths worth about the same the longer one: it reads the weights less often.
            if value > best or (chosen and certain and value > _ALIKE * best):
                best, chosen = max(best, value), n + 1
        return tokens[:chosen]

    def along(self, draft: Sequence[int], coming: Sequence[Likely] = ()) -> tuple[float, tuple[int, int]]:
        """How likely a draft is, and the last token and its pads behind it and what follows it then, probably.

        Args:
            draft: Made by `draft`.
            coming: As for that.
        """
        pad, word = self._ids
        certain, last, pads = 1.0, self._last, self._pads
        for i, token in enumerate(draft):
            known = i < len(coming) and coming[i][0] == token
            certain *= coming[i][1] if known else self._chances[self._state(last, pads)][token != pad]
            last, pads = token, pads + 1 if token == pad else 0
        if len(draft) < len(coming):
            token = coming[len(draft)][0]
            return certain, (token, pads + 1 if token == pad else 0)
        of_pad, of_word = (0.0, 0.0) if last == word else self._chances[self._state(last, pads)]
        if of_pad >= max(of_word, 1 - of_pad - of_word):
            return certain, (pad, pads + 1)
        return certain, (word if of_word >= 1 - of_pad - of_word else _TEXT, 0)

    def _likeliest(self, last: int, pads: int) -> Likely:
        """Of a pad and a word's mark."""
        of_pad, of_word = self._chances[self._state(last, pads)]
        return (self._ids[0], of_pad) if of_pad >= of_word else (self._ids[1], of_word)

    def _state(self, last: int, pads: int) -> int:
        """A place of the lists."""
        return -1 if last != self._ids[0] else pads if pads < _LONG else _LONG
