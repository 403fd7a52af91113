"""What a pass says behind a wrong token, as a draft of what comes next: Jacobi iteration over positions.

A pass hears several positions on a draft. Where the draft was wrong, what it says behind that place rests on a wrong
token, and counts for nothing; but the audio is as it is, and mostly decides. So it is the next draft: nearly every pad
is right, other tokens in most cases.

Source: Santilli et al. 2023, "Accelerating Transformer Inference for Translation via Parallel Decoding".
"""

from __future__ import annotations

from collections.abc import Sequence

# A token that may come, and how likely it is to, where all before it came.
Likely = tuple[int, float]

_PAD, _WORD, _TEXT = range(3)
# Places behind a wrong token whose chances are counted together: the first, the second, all others.
_PLACES = 3
# Chances before anything was heard, by place and kind: as in the recordings of examples/. A word whose mark was not
# drafted is begun anew by the place behind it.
_FIRST = ((0.97, 0.9, 0.65), (0.97, 0.5, 0.8), (0.97, 0.85, 0.7))
# Tokens that these chances weigh like, and how fast the share of all is forgotten, a token.
_WEIGHT, _RECENT = 3.0, 0.1


class Jacobi:
    """The tokens that probably come next, by the last pass whose draft was wrong.

    Args:
        pad, word: Ids of [STREAMING_PAD] and [STREAMING_WORD].
        n_special: Ids from here on are text.
    """

    def __init__(self, pad: int, word: int, n_special: int) -> None:
        self._pad, self._word, self._n_special = pad, word, n_special
        self._tokens: Sequence[int] = ()
        self._place = 0  # of the first of them; below 0 stands what the pass said up to its wrong token
        self._counts = [[[chance * _WEIGHT, _WEIGHT] for chance in chances] for chances in _FIRST]
        self.right = 1.0  # share of what was proposed lately that came

    def push(self, token: int) -> None:
        """The next token became known."""
        if self._tokens:
            self._tokens = self._tokens[1:] if self._tokens[0] == token else ()
            self._place += 1

    def ahead(self) -> list[Likely]:
        """The tokens that probably come next."""
        return [(token, self._chance(i, token)) for i, token in enumerate(self._tokens, start=self._place)]

    def hear(self, made: Sequence[int], said: Sequence[int], text: Sequence[int]) -> None:
        """A pass was read; nothing of it was pushed yet.

        Args:
            made: What the model says: the part of the draft that it agrees with, and one more.
            said: What it says behind that, where the draft was wrong.
            text: The likeliest text there, whatever else is likelier, counted from the first id of text.
        """
        for place, (token, proposed) in enumerate(zip(made, self._tokens, strict=False), start=self._place):
            counts, came = self._count(place, proposed), token == proposed
            counts[0] += came
            counts[1] += 1
            self.right += _RECENT * (came - self.right)
            if not came:
                break
        if said:
            last, coming = made[-1], list[int]()
            for token, words in zip(said, text, strict=True):
                # Behind its mark a word begins: which one, the pass did not ask where it had not said the mark.
                last = self._n_special + words if last == self._word else token
                coming.append(last)
            self._tokens, self._place = [*made, *coming], -len(made)

    def _chance(self, place: int, token: int) -> float:
        came, all_ = self._count(place, token)
        return came / all_

    def _count(self, place: int, token: int) -> list[float]:
        """Tokens of this kind at this place that came where all before them did, and all."""
        kind = _PAD if token == self._pad else _WORD if token == self._word else _TEXT
        return self._counts[min(max(0, place), _PLACES - 1)][kind]
