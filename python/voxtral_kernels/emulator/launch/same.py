"""One buffer at several indices, as a host binds one ``MTLBuffer`` to work in place or for what it leaves out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import KernelError
from . import arrays


@dataclass(frozen=True)
class SameBuffer:
    """In place of a value: the buffer at ``index``, from byte ``offset`` on. The kernel sees one memory."""

    index: int
    offset: int = 0


def shared(
    entry: str, buffers: Mapping[int, Any], outputs: Sequence[int], uninitialised: Sequence[int] = ()
) -> dict[int, SameBuffer]:
    """Indices that have no memory of their own, and whose they have.

    These are the indices of a ``SameBuffer``, and of an array that stands at an earlier index too and that no output
    shares: hosts bind one buffer twice, and kernels compare the pointers.

    Raises:
        KernelError: a ``SameBuffer`` names what is no buffer of its own, or a byte outside of it.
    """
    found: dict[int, SameBuffer] = {}
    for index, value in buffers.items():
        if isinstance(value, SameBuffer):
            _require(entry, index, value, buffers, uninitialised)
            found[index] = value
    written = {*outputs, *uninitialised, *(s.index for i, s in found.items() if i in outputs)}
    first: dict[int, int] = {}
    for index, value in sorted((i, v) for i, v in buffers.items() if i not in found):
        if index not in written and _is_array(value) and value.size:
            earlier = first.setdefault(id(value), index)
            if earlier != index:
                found[index] = SameBuffer(earlier)
    return {i: _last(s, found) for i, s in found.items()}


def _is_array(value: object) -> bool:
    return isinstance(value, np.ndarray) or arrays.is_mlx(value)


def _last(same: SameBuffer, found: Mapping[int, SameBuffer]) -> SameBuffer:
    """An explicit one may name an array that stands at an earlier index too."""
    return SameBuffer(found[same.index].index, same.offset) if same.index in found else same


def _require(
    entry: str, index: int, same: SameBuffer, buffers: Mapping[int, Any], uninitialised: Sequence[int]
) -> None:
    other = buffers.get(same.index)
    if other is None or isinstance(other, SameBuffer):
        what = f"SameBuffer({same.index})"
        raise KernelError(f"[{entry}] buffers: expected at {index} the index of another buffer's value, got {what}.")
    size = arrays.data_of(other)[1]
    if not 0 <= same.offset <= size:
        raise KernelError(f"[{entry}] buffers: expected at {index} an offset of 0 to {size} bytes, got {same.offset}.")
    if index in uninitialised:
        raise KernelError(f"[{entry}] uninitialised: expected buffers with values of their own, got {index}.")
