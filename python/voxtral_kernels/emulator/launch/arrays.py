"""Between MLX or NumPy arrays and the bytes of a buffer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import mlx.core as mx
import numpy as np

from ..._check import is_traced

# What kernels take: arrays and numbers; buffers of a library may be bytes too.
Value: TypeAlias = mx.array | np.ndarray[Any, Any] | np.generic | bool | int | float | list[Any]
Buffer: TypeAlias = Value | bytes | bytearray | memoryview

# MLX's dtypes that the C name of a Metal type differs from, and the NumPy type that carries the bytes.
_CARRIERS = {
    mx.bool_: np.uint8, mx.uint8: np.uint8, mx.uint16: np.uint16, mx.uint32: np.uint32, mx.uint64: np.uint64,
    mx.int8: np.int8, mx.int16: np.int16, mx.int32: np.int32, mx.int64: np.int64,
    mx.float16: np.float16, mx.float32: np.float32, mx.bfloat16: np.uint16, mx.complex64: np.complex64,
}  # fmt: skip


def granule(itemsize: int) -> int:
    """Bytes that the access checks treat as one."""
    return min(itemsize, 4)


def require_values(*values: Any) -> None:
    """Refuses the placeholders of a function transformation, in which a run would be invisible.

    Raises:
        ValueError: one of ``values`` is traced by ``mx.compile``, ``mx.grad`` or ``mx.vmap``.
    """
    arrays = [v for v in values if isinstance(v, mx.array)]
    if arrays and is_traced(*arrays):
        traced = "arrays traced by mx.compile, mx.grad or mx.vmap"
        raise ValueError(f"[emulator] inputs: expected arrays with values, got {traced}.")


def view(array: mx.array) -> memoryview:
    """An evaluated array's memory, with its strides."""
    return memoryview(array)  # type: ignore[arg-type]  # MLX's stubs do not say that it is a buffer


def data_of(value: Any) -> tuple[Any, int, int]:
    """What holds a value's bytes, how many there are, and the bytes of one item; copies only what is scattered."""
    if isinstance(value, mx.array):
        contiguous = mx.contiguous(value)
        mx.eval(contiguous)
        return contiguous, contiguous.nbytes, contiguous.itemsize
    if isinstance(value, (bytes, bytearray, memoryview)):
        return value, len(bytes(value)), 1
    array = np.ascontiguousarray(value)
    return array, array.nbytes, array.itemsize


def to_array(data: bytes, shape: Sequence[int], dtype: mx.Dtype) -> mx.array:
    """An array of MLX over a copy of ``data``."""
    carrier = mx.array(np.frombuffer(data, dtype=_CARRIERS[dtype]).reshape(tuple(shape)))
    return carrier if carrier.dtype == dtype else carrier.view(dtype)


def like(data: bytes, value: Any) -> mx.array:
    """``data`` in shape and dtype of ``value``."""
    if isinstance(value, mx.array):
        return to_array(data, value.shape, value.dtype)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return mx.array(np.frombuffer(data, dtype=np.uint8))
    array = np.asarray(value)
    return mx.array(np.frombuffer(data, dtype=array.dtype).reshape(array.shape))
