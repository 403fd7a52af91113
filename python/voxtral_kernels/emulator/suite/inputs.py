"""Buffers of a run, as its TOML describes them."""

from __future__ import annotations

import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_KEYS = {"dtype", "shape", "value", "random", "file", "output", "same", "offset"}
_KEYS_OF_SAME = {"same", "offset", "output"}
_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
_DTYPES = ("float32", "float16", "bfloat16", *_INTEGERS, "bool")
_LARGEST = {"float32": 3.4028234e38, "float16": 65504.0, "bfloat16": 3.3895313e38}
_MOST = 1 << 30
_MOST_BYTES = 1 << 30  # of a buffer


@dataclass(frozen=True)
class SameAs:
    """The buffer of another name once more, from byte ``offset`` on."""

    name: str
    offset: int


@dataclass(frozen=True)
class Input:
    """``data`` are the bytes that the buffer starts with, in NumPy's dtype (bfloat16 as uint16), or whose they are."""

    data: np.ndarray[Any, Any] | SameAs
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
    if "same" in table or "offset" in table:
        return Input(_same(require, table), is_output, True)
    given = [key for key in ("value", "random", "file") if key in table]
    require(len(given) < 2, "", "one of value, random and file", given)
    if given == ["file"] and str(table["file"]).endswith(".npy"):
        return Input(_loaded(require, table, _path(require, table["file"], folder)), is_output, True)
    dtype, shape = table.get("dtype", "float32"), table.get("shape", [])
    require(dtype in _DTYPES, ".dtype", f"one of {', '.join(_DTYPES)}", dtype)
    right = isinstance(shape, list) and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in shape)
    require(right, ".shape", "a list of positive sizes", shape)
    require(math.prod(shape) <= _MOST, ".shape", f"at most {_MOST} elements", shape)
    carrier = np.dtype("uint16" if dtype == "bfloat16" else dtype)
    size = math.prod(shape) * carrier.itemsize
    require(size <= _MOST_BYTES, ".shape", f"at most {_MOST_BYTES} bytes", shape)
    if given == ["file"]:
        file = _path(require, table["file"], folder)
        there = file.stat().st_size
        require(there == size, ".file", f"{size} bytes for shape {shape} of {dtype}", f"{there} bytes")
        return Input(np.fromfile(file, carrier).reshape(shape), is_output, True)
    if is_output and not given:
        return Input(np.zeros(shape, carrier), True, False)
    return Input(_typed(_values(require, at, table, dtype, shape), dtype), is_output, True)


def _same(require: Any, table: dict[str, Any]) -> SameAs:
    for key in table:
        require(key in _KEYS_OF_SAME, f".{key}", f"one of {', '.join(sorted(_KEYS_OF_SAME))} beside same", key)
    name, offset = table.get("same"), table.get("offset", 0)
    require(isinstance(name, str), ".same", "the name of another buffer", name)
    require(isinstance(offset, int) and not isinstance(offset, bool), ".offset", "a number of bytes", offset)
    return SameAs(str(name), offset)


def _loaded(require: Any, table: dict[str, Any], file: Path) -> np.ndarray[Any, Any]:
    """The array of a ``.npy``, which has the dtype and the shape that the table names, if it names them."""
    try:
        data = np.load(file, mmap_mode="r", allow_pickle=False)  # its size is looked at before it takes memory
    except (ValueError, EOFError, OSError, OverflowError) as error:
        require(False, ".file", "an array of NumPy", f"{table['file']} ({str(error).splitlines()[0]})")
    found = "bfloat16" if data.dtype == "V2" and table.get("dtype") == "bfloat16" else data.dtype.name
    named = table.get("dtype", found)
    same = found == named or (found, named) == ("uint16", "bfloat16")
    require(found in _DTYPES, ".file", f"an array of {', '.join(_DTYPES)}", found)
    require(same, ".dtype", f"{found}, which {table['file']} has", named)
    shape = list(data.shape)
    require(table.get("shape", shape) == shape, ".shape", f"{shape}, which {table['file']} has", table.get("shape"))
    require(0 < data.nbytes <= _MOST_BYTES, ".file", f"1 to {_MOST_BYTES} bytes", data.nbytes)
    return np.array(data, data.dtype.newbyteorder("="), order="C")


def _values(require: Any, at: str, table: dict[str, Any], dtype: str, shape: list[int]) -> np.ndarray[Any, Any]:
    if "value" in table:
        try:
            value = np.asarray(table["value"])
        except ValueError:  # lists in it that differ in length, or too many in each other
            value = np.asarray("")
        require(
            value.dtype.kind in "biuf" and value.size > 0, ".value", "a number, or a list of numbers", table["value"]
        )
        finite = value[np.isfinite(value)] if "float" in dtype else value
        require(_has(dtype, finite), ".value", f"numbers that {dtype} has", table["value"])
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
    whole = isinstance(low, int) and isinstance(high, int)
    require(whole or dtype in _LARGEST, ".random", f"whole numbers for {dtype}", bounds)
    ends = np.asarray([low, high if "float" in dtype else high - 1])
    require(_has(dtype, ends), ".random", f"numbers that {dtype} has", bounds)
    if "float" in dtype:
        return generator.uniform(low, high, shape)
    return generator.integers(low, high, shape, np.uint64 if high > 1 << 63 else np.int64)


def _has(dtype: str, values: np.ndarray[Any, Any]) -> bool:
    """Whether ``dtype`` has these numbers: none wraps, is cut or becomes infinite."""
    if dtype in _LARGEST:
        return bool(np.all(np.abs(values) <= _LARGEST[dtype]))
    least, most = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return values.dtype.kind in "biu" and least <= values.min().item() and values.max().item() <= most


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
