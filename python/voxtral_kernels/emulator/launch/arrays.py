"""Between MLX or NumPy arrays and the bytes of a buffer. MLX is imported by what makes arrays of it, not before."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np

if TYPE_CHECKING:
    import mlx.core as mx

# What kernels take: arrays and numbers; buffers of a library may be bytes too.
Value: TypeAlias = "mx.array | np.ndarray[Any, Any] | np.generic | bool | int | float | list[Any]"
Buffer: TypeAlias = "Value | bytes | bytearray | memoryview"

_NOT_OF_METAL = {("f", 8), ("f", 16), ("c", 16), ("c", 32)}

# Dtypes of MLX that NumPy has by another name or not at all, and the type that carries the bytes.
_CARRIERS = {"bool": np.uint8, "bfloat16": np.uint16}


def is_mlx(value: object) -> TypeGuard[mx.array]:
    """Whether it is an array of MLX, which only a process that has imported it can have."""
    core = sys.modules.get("mlx.core")
    return core is not None and isinstance(value, core.array)


def granule(itemsize: int) -> int:
    """Bytes that the access checks treat as one, until an access touches less."""
    return math.gcd(itemsize, 4)


def require_values(*values: Any) -> None:
    """Refuses the placeholders of a function transformation, in which a run would be invisible.

    Raises:
        ValueError: one of ``values`` is traced by ``mx.compile``, ``mx.grad`` or ``mx.vmap``.
    """
    arrays = [v for v in values if is_mlx(v)]
    if not arrays:
        return
    from ..._check import is_traced

    if is_traced(*arrays):
        traced = "arrays traced by mx.compile, mx.grad or mx.vmap"
        raise ValueError(f"[emulator] inputs: expected arrays with values, got {traced}.")


def view(array: mx.array) -> memoryview:
    """An array's memory, with its strides, evaluated first."""
    import mlx.core as mx

    mx.eval(array)
    return memoryview(array)  # type: ignore[arg-type]  # MLX's stubs do not say that it is a buffer


def data_of(value: Any) -> tuple[Any, int, int]:
    """What holds a value's bytes, how many there are, and the bytes of one item; copies only what is scattered."""
    if is_mlx(value):
        import mlx.core as mx

        contiguous = mx.contiguous(value)
        mx.eval(contiguous)
        return contiguous, contiguous.nbytes, contiguous.itemsize
    if isinstance(value, (bytes, bytearray, memoryview)):
        return value, len(bytes(value)), 1
    array = np.ascontiguousarray(_of_metal(value))
    return array, array.nbytes, array.itemsize


def differing_bytes(want: bytes, got: bytes) -> tuple[int, int]:
    """How many bytes differ, and the first that does; all of ``want`` where the lengths do."""
    if want == got:
        return 0, 0
    if len(want) != len(got):
        return len(want), 0
    differs = np.flatnonzero(np.frombuffer(want, np.uint8) != np.frombuffer(got, np.uint8))
    return differs.size, int(differs[0])


def _of_metal(value: Any) -> np.ndarray[Any, Any] | np.generic:
    """``value``, whose numbers Metal has as they are; NumPy's own default, float64, it has not."""
    expected = "expected arrays of MLX or NumPy, NumPy scalars or bytes"
    if not isinstance(value, (np.ndarray, np.generic)):
        raise ValueError(f"[emulator] buffers: {expected}, got {type(value).__name__}.")
    dtype = value.dtype
    if dtype.kind not in "biufcV" or (dtype.kind, dtype.itemsize) in _NOT_OF_METAL or not dtype.isnative:
        raise ValueError(f"[emulator] buffers: expected a dtype that Metal has, got {dtype}.")
    return value


def to_array(data: bytes, shape: Sequence[int], dtype: mx.Dtype) -> mx.array:
    """An array of MLX over a copy of ``data``."""
    import mlx.core as mx

    name = str(dtype).rpartition(".")[2]
    carrier = mx.array(np.frombuffer(data, dtype=_CARRIERS.get(name, name)).reshape(tuple(shape)))
    return carrier if carrier.dtype == dtype else carrier.view(dtype)


def like(data: bytes, value: Any) -> mx.array:
    """``data`` in shape and dtype of ``value``."""
    import mlx.core as mx

    if is_mlx(value):
        return to_array(data, value.shape, value.dtype)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return mx.array(np.frombuffer(data, dtype=np.uint8))
    array = np.asarray(value)
    return mx.array(np.frombuffer(data, dtype=array.dtype).reshape(array.shape))
