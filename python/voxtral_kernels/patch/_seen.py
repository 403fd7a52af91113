"""Notices that what a host's modules held was replaced or changed in place."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import chain
from typing import Any

import mlx.core as mx

from ..backends import transforms


class Seen:
    """Everything that some modules hold themselves.

    Args:
        modules: The modules; not those below them.
        watched: Arrays whose content counts as well.
    """

    def __init__(self, modules: Sequence[dict[str, Any]], watched: Sequence[mx.array]) -> None:
        self.modules, self.watched = list(modules), list(watched)
        self._values = [value for module in modules for value in dict.values(module)]
        self.look()

    def look(self) -> None:
        """Take the present content for what was seen."""
        # Other objects of the same content, which stays theirs when the watched ones are changed in place.
        self._content = [array.astype(array.dtype) for array in self.watched]

    @classmethod
    def together(cls, several: Sequence[Seen]) -> Seen:
        """What all of them saw, while none has changed: one look is cheaper than many."""
        return cls([m for seen in several for m in seen.modules], [a for seen in several for a in seen.watched])

    def replaced(self) -> bool:
        """Whether a module holds another object than it did."""
        modules, values = self.modules, self._values
        same = all(map(operator.is_, chain.from_iterable(map(dict.values, modules)), values))
        return not same or sum(map(len, modules)) != len(values)

    def changed(self) -> bool:
        """Whether anything may have changed. Without the extension a change in place (``a += b``) goes unseen."""
        return self.replaced() or not transforms.same_content(self.watched, self._content)

    def differs(self) -> bool:
        """Whether a watched value is another; reads them all."""
        return not all(map(mx.array_equal, self.watched, self._content))
