"""Prompt lookup: what followed the newest tokens when they stood in the question or the text before, as a draft.

Source: prompt lookup decoding, Saxena 2023; exact here, for the model verifies every token.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..result import Passes

# Tokens that must agree, the longest first, and the most that are proposed.
GRAMS, MOST = (4, 3, 2), 8


class Lookup:
    """The text so far.

    Args:
        question: Ids of the prompt's text.
    """

    def __init__(self, question: Sequence[int]) -> None:
        self._ids: list[int] = []
        self._ends: dict[tuple[int, ...], int] = {}  # n tokens, and the place behind where they stood last
        self.passes = Passes()
        for token in question:
            self.push(token)

    def push(self, token: int) -> list[int]:
        """One more token; what is likely behind it, perhaps nothing."""
        ids = self._ids
        ids.append(token)
        found = 0
        for n in GRAMS:
            if len(ids) >= n:
                key = tuple(ids[-n:])
                found = found or self._ends.get(key, 0)
                self._ends[key] = len(ids)
        return ids[found : found + MOST] if found else []

    def note(self, tokens: int, drafted: int = 0) -> None:
        """A pass gave so many tokens, for a draft of so many."""
        p = self.passes
        self.passes = Passes(p.made + 1, p.tokens + tokens, p.drafted + drafted, p.accepted + tokens - 1)
