"""Safetensors checkpoints: headers are read and checked in full before any tensor is loaded.

Source: the safetensors format description (8 bytes of header length, JSON header, one contiguous data section).
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import mlx.core as mx

from .. import _check
from .section import OP, Section

_MAX_HEADER = 100 << 20
_BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8}
_BITS |= {"U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8}
FLOATS = {"F32": mx.float32, "F16": mx.float16, "BF16": mx.bfloat16}


@dataclass(frozen=True)
class Tensor:
    """What a header says of one tensor."""

    dtype: str
    shape: tuple[int, ...]
    file: Path


class Checkpoint:
    """The tensors of one or more safetensors files by name.

    Args:
        files: The files, or the shards of one checkpoint.

    Raises:
        ValueError: a file is missing, truncated or no safetensors file; a tensor stands in two files.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self.tensors: dict[str, Tensor] = {}
        for file in files:
            for name, tensor in _read_header(file).items():
                if name in self.tensors:
                    raise _check.fail(OP, file.name, f"no second {name}", f"one as in {self.tensors[name].file.name}")
                self.tensors[name] = tensor

    def require(self, shapes: Mapping[str, tuple[int, ...]], ignored: Iterable[str] = ()) -> None:
        """Every tensor of ``shapes`` is here with that shape, and nothing else but what is ``ignored``.

        Raises:
            ValueError: one error that names what is missing, unexpected or wrongly shaped.
        """
        shapes_differ = [
            f"{name} {list(self.tensors[name].shape)} for {list(shape)}"
            for name, shape in shapes.items()
            if name in self.tensors and self.tensors[name].shape != tuple(shape)
        ]
        problems = {
            "missing": [name for name in shapes if name not in self.tensors],
            "unexpected": [name for name in self.tensors if name not in shapes and name not in set(ignored)],
            "wrongly shaped": shapes_differ,
        }
        found = "; ".join(f"{kind}: {_some(names)}" for kind, names in problems.items() if names)
        if found:
            raise _check.fail(OP, "weights", f"the {len(shapes)} tensors of this configuration", found)

    def load(self) -> dict[str, mx.array]:
        """Every tensor, lazily: a tensor is read from its file when it is evaluated."""
        arrays: dict[str, mx.array] = {}
        for file in dict.fromkeys(t.file for t in self.tensors.values()):
            arrays |= cast(dict[str, mx.array], mx.load(str(file), format="safetensors"))
        return arrays


def weight_files(folder: Path, single: str) -> list[Path]:
    """The safetensors files of a folder: ``single``, or the shards that ``<single>.index.json`` names.

    Raises:
        ValueError: there is none, or the index names a file that is not there.
    """
    index = folder / f"{single}.index.json"
    if (folder / single).is_file():
        return [folder / single]
    if not index.is_file():
        raise _check.fail(OP, "model", f"{single} or {index.name} in the folder", f"neither in {folder}")
    named = Section.read(index).section("weight_map").values.values()
    names = sorted({str(name) for name in named})
    missing = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
    if missing or not names:
        raise _check.fail(OP, index.name, "the names of the shards beside it", _some(missing) or "none")
    return [folder / name for name in names]


def _some(names: list[str], limit: int = 4) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _read_header(file: Path) -> dict[str, Tensor]:
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            start = stream.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= length <= min(size - 8, _MAX_HEADER):
                raise _check.fail(OP, file.name, "a whole safetensors file", f"{size} bytes with a header of {length}")
            header = json.loads(stream.read(length))
            entries = {name: _tensor(file, name, e) for name, e in header.items() if name != "__metadata__"}
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError, AttributeError) as error:
        expected = "a readable safetensors file"
        raise _check.fail(OP, file.name, expected, f"{type(error).__name__}: {error}") from None
    end = 0
    for name, (_, begin, stop) in sorted(entries.items(), key=lambda item: item[1][1:]):
        if begin != end:
            raise _check.fail(OP, f"{file.name} {name}", f"data at byte {end}", begin)
        end = stop
    if 8 + length + end != size:
        raise _check.fail(
            OP, file.name, f"{8 + length + end} bytes as its header says", f"{size}: truncated or damaged"
        )
    return {name: tensor for name, (tensor, _, _) in entries.items()}


def _tensor(file: Path, name: str, entry: Any) -> tuple[Tensor, int, int]:
    """The tensor and its first and last byte in the data section."""
    fields: dict[str, Any] = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = str(fields.get("dtype")), _counts(fields.get("shape")), _counts(fields.get("data_offsets"))
    if dtype in _BITS and shape is not None and offsets is not None and len(offsets) == 2:
        first, last = offsets
        if last - first == math.prod(shape) * _BITS[dtype] // 8:
            return Tensor(dtype, tuple(shape), file), first, last
    expected = "a known dtype, a shape and the bytes they need"
    raise _check.fail(OP, f"{file.name} {name}", expected, json.dumps(entry))


def _counts(value: Any) -> list[int] | None:
    return value if isinstance(value, list) and all(type(n) is int and n >= 0 for n in value) else None
