"""What `accelerate` returns, and the swaps behind it: applied in order, undone exactly in reverse."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol

from .. import _check
from ._stand_in import give_back

# The attribute of an accelerated object that holds its `Patched`.
MARK = "_voxtral_kernels"
_ABSENT = object()


class Undoable(Protocol):
    """A change of a model."""

    def apply(self) -> None:
        """Make it."""

    def check(self) -> None:
        """Raise ValueError where it cannot be undone any more."""

    def undo(self) -> None:
        """Put back what was there."""


@dataclass
class Swap:
    """One slot of one instance: an item of a list, a child of a module, or an attribute that shadows a method."""

    holder: Any
    key: Any
    new: Any
    path: str
    _old: Any = field(default=_ABSENT, repr=False)

    def _slots(self) -> Any:
        """Where the slot lives; a module's children live in the module itself, which is a dict."""
        in_itself = isinstance(self.holder, list) or (isinstance(self.holder, dict) and self.key in self.holder)
        return self.holder if in_itself else vars(self.holder)

    def apply(self) -> None:
        slots = self._slots()
        if not isinstance(slots, dict):
            self._old = slots[self.key]
        elif self.key in slots:
            self._old = dict.__getitem__(slots, self.key)
        self._put(slots, self.new)

    def check(self) -> None:
        """The slot still holds what `apply` put there."""
        slots = self._slots()
        held = slots[self.key] if isinstance(slots, list) else dict.get(slots, self.key, _ABSENT)
        if held is not self.new:
            got = f"{type(held).__name__}, put there since"
            raise _check.fail("undo", self.path, f"the {type(self.new).__name__} that accelerate() put there", got)

    def undo(self) -> None:
        slots = self._slots()
        if self._old is _ABSENT:
            dict.__delitem__(slots, self.key)
        else:
            give_back(self.new, self._old)
            self._put(slots, self._old)

    def _put(self, slots: Any, value: Any) -> None:
        if isinstance(slots, list):
            slots[self.key] = value
        else:
            dict.__setitem__(slots, self.key, value)


@dataclass(frozen=True)
class Change:
    """One line of a report: where, and what."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


@dataclass(frozen=True)
class Report:
    """What acceleration did to a model.

    Args:
        host: Package and version, as ``"voxmlx 0.0.2"``; with acceleration disabled, the reason.
        semantics: ``"right"`` or ``"host"``.
        replaced: Each module or method replaced, and by what.
        left_alone: Each part that stays the host's, and why.
        changes: Each change of meaning against the host; empty with ``semantics="host"``.
    """

    host: str
    semantics: str
    replaced: Sequence[Change]
    left_alone: Sequence[Change]
    changes: Sequence[str]

    def __str__(self) -> str:
        lines = [f"{self.host}, semantics={self.semantics!r}", "replaced:", *_grouped(self.replaced)]
        lines += ["left alone:", *(f"  {change}" for change in self.left_alone)]
        return "\n".join([*lines, "changes of meaning:", *(f"  {c}" for c in self.changes or ("none",))])


def _grouped(changes: Sequence[Change]) -> list[str]:
    """One line for a run of layers that share what replaced them."""
    groups: dict[tuple[str, str], list[str]] = {}
    for change in changes:
        groups.setdefault((re.sub(r"\.\d+\.?", ".*.", change.path).rstrip("."), change.what), []).append(change.path)
    return [
        f"  {pattern}{f' ({len(paths)} layers)' if len(paths) > 1 else ''}: {what}"
        for (pattern, what), paths in groups.items()
    ] or ["  nothing"]


@dataclass
class Plan:
    """What a host's file wants to do, complete before anything is changed."""

    host: str
    semantics: str
    marked: list[Any]
    cache_bits: int = 16
    swaps: list[Undoable] = field(default_factory=list)
    replaced: list[Change] = field(default_factory=list)
    left_alone: list[Change] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)

    def swap(self, holder: Any, key: Any, new: Any, path: str, what: str) -> None:
        """Put ``new`` into ``holder``'s slot ``key``."""
        self.swaps.append(Swap(holder, key, new, path))
        self.replaced.append(Change(path, what))

    def note(self, path: str, what: str) -> None:
        """Say what else a swap replaces."""
        self.replaced.append(Change(path, what))

    def leave(self, path: str, why: str) -> None:
        """Say that a part stays the host's own."""
        self.left_alone.append(Change(path, why))

    def report(self) -> Report:
        return Report(self.host, self.semantics, tuple(self.replaced), tuple(self.left_alone), tuple(self.changes))


class Patched:
    """An accelerated model; also a context manager that undoes on exit.

    Args:
        model: The object that was given to `accelerate`.
        plan: What to do.
    """

    def __init__(self, model: Any, plan: Plan) -> None:
        self.model = model
        self._report = plan.report()
        self._swaps, self._marked = plan.swaps, plan.marked
        for swap in self._swaps:
            swap.apply()
        for marked in self._marked:
            vars(marked)[MARK] = self

    def report(self) -> Report:
        """What was replaced, what was left alone and why, and what means something else than in the host."""
        return self._report

    def undo(self) -> None:
        """Put back the host's own objects. A second call does nothing.

        Sessions that were started on the accelerated model cannot go on after it: their caches say so.

        Raises:
            ValueError: something else was put in a place that `accelerate` had changed. Nothing is undone then.
        """
        for swap in self._swaps:
            swap.check()
        for swap in reversed(self._swaps):
            swap.undo()
        for marked in self._marked:
            vars(marked).pop(MARK, None)
        self._swaps, self._marked = [], []

    def __enter__(self) -> Patched:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.undo()
