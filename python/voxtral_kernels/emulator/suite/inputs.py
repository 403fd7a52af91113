"""Buffers of a run, as its TOML describes them."""

from __future__ import annotations

import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_KEYS = {"dtype", "shape", "value", "random", "file", "output"}
_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
_DTYPES = ("float32", "float16", "bfloat16", *_INTEGERS, "bool")
_MOST = 1 << 30


@dataclass(frozen=True)
class Input:
    """``data`` are the bytes that the buffer starts with, in NumPy's dtype (bfloat16 as uint16)."""

    data: np.ndarray[Any, Any]
    is_output: bool
    is_set: bool  # an output without a value of its own starts as NaN, and reading it is a finding


def read_input(at: str, table: Any, folder: Path) -> Input:
    """A buffer from its table; ``at`` begins errors.

    Raises:
        ValueError: a key has not what it should have, or the file is none in ``folder``.
    """

    def require(holds: bool, key: str, expected: str, got: object) -> None:
        if not holds:
            shown = "none" if got is None else repr(got)
            raise ValueError(f"[emulate] {at}{key}: expected {expected}, got {shown}.")

    require(isinstance(table, dict), "", "a table such as { dtype = 'float32', shape = [8] }", table)
    for name in table:
        require(name in _KEYS, f".{name}", f"one of {', '.join(sorted(_KEYS))}", name)
    is_output = table.get("output", False)
    require(isinstance(is_output, bool), ".output", "true or false", is_output)
    given = [key for key in ("value", "random", "file") if key in table]
    require(len(given) < 2, "", "one of value, random and file", given)
    if given == ["file"] and str(table["file"]).endswith(".npy"):
        data = np.load(_path(require, table["file"], folder), allow_pickle=False)
        return Input(np.ascontiguousarray(data), is_output, True)
    dtype, shape = table.get("dtype", "float32"), table.get("shape", [])
    require(dtype in _DTYPES, ".dtype", f"one of {', '.join(_DTYPES)}", dtype)
    right = isinstance(shape, list) and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in shape)
    require(right, ".shape", "a list of positive sizes", shape)
    require(math.prod(shape) <= _MOST, ".shape", f"at most {_MOST} elements", shape)
    if given == ["file"]:
        raw = _path(require, table["file"], folder).read_bytes()
        carrier = np.dtype("uint16" if dtype == "bfloat16" else dtype)
        size = math.prod(shape) * carrier.itemsize
        require(len(raw) == size, ".file", f"{size} bytes for shape {shape} of {dtype}", f"{len(raw)} bytes")
        return Input(np.frombuffer(raw, carrier).reshape(shape), is_output, True)
    if is_output and not given:
        return Input(np.zeros(shape, "uint16" if dtype == "bfloat16" else dtype), True, False)
    return Input(_typed(_values(require, at, table, dtype, shape), dtype), is_output, True)


def _values(require: Any, at: str, table: dict[str, Any], dtype: str, shape: list[int]) -> np.ndarray[Any, Any]:
    if "value" in table:
        value = np.asarray(table["value"])
        require(value.dtype.kind in "biuf", ".value", "a number, or a list of numbers", table["value"])
        require(not shape or value.size in (1, math.prod(shape)), ".value", f"{shape} or one number", table["value"])
        if value.size == 1 and shape:
            return np.full(shape, value.reshape(()))
        return value.reshape(shape) if shape else value
    generator = np.random.default_rng(zlib.crc32(at.rpartition(": ")[2].encode()))  # its own numbers for each name
    if "random" not in table and dtype in ("float16", "bfloat16", "float32"):
        return generator.standard_normal(shape)
    bounds = table.get("random")
    right = isinstance(bounds, list) and len(bounds) == 2 and all(isinstance(n, (int, float)) for n in bounds)
    require(right, ".random", "[low, high], or value or file", bounds)
    low, high = bounds or (0, 1)
    require(low < high, ".random", "[low, high] with low below high", bounds)
    if "float" in dtype:
        return generator.uniform(low, high, shape)
    return generator.integers(int(low), int(high), shape)


def _typed(values: np.ndarray[Any, Any], dtype: str) -> np.ndarray[Any, Any]:
    if dtype != "bfloat16":
        return np.ascontiguousarray(values.astype(dtype))
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)  # to the nearest, ties to even


def _path(require: Any, name: object, folder: Path) -> Path:
    require(isinstance(name, str), ".file", "the name of a file", name)
    path = Path(os.path.realpath(folder / str(name)))
    require(path.is_relative_to(folder), ".file", "a file in the TOML's own folder or below", name)
    require(path.is_file(), ".file", "a file that is there", name)
    return path
