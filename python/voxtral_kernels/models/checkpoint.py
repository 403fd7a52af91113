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
from .._model_files import exists, refuse_pointer
from .section import OP, Section

_MAX_HEADER = 100 << 20
_MAX_COUNT = 1 << 48
_BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8}
_BITS |= {"U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8}
FLOATS = {"F32": mx.float32, "F16": mx.float16, "BF16": mx.bfloat16}


@dataclass(frozen=True)
class Tensor:
    """What a header says of one tensor; ``at``: where in the file its data begins."""

    dtype: str
    shape: tuple[int, ...]
    file: Path
    at: int

    @property
    def nbytes(self) -> int:
        """Of its data."""
        return math.prod(self.shape) * _BITS[self.dtype] // 8


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
        found = "; ".join(f"{kind}: {some(names)}" for kind, names in problems.items() if names)
        if found:
            raise _check.fail(OP, "weights", f"the {len(shapes)} tensors of this configuration", found)

    def load(self) -> dict[str, mx.array]:
        """Every tensor, lazily: a tensor is read from its file when it is evaluated."""
        arrays: dict[str, mx.array] = {}
        for file in dict.fromkeys(t.file for t in self.tensors.values()):
            try:
                arrays |= cast(dict[str, mx.array], mx.load(str(file), format="safetensors"))
            except (OSError, RuntimeError, ValueError) as error:
                raise _check.fail(OP, file.name, "a file that MLX can read", f"{error}") from None
        return arrays


def weight_files(folder: Path, single: str) -> list[Path]:
    """The safetensors files of a folder: ``single``, or the shards that ``<single>.index.json`` names.

    Raises:
        ValueError: there is none, or the index names a file that is not there.
    """
    index = folder / f"{single}.index.json"
    if exists(OP, folder / single):
        return [folder / single]
    if not exists(OP, index):
        raise _check.fail(OP, "model", f"{single} or {index.name} in the folder", f"neither in {folder}")
    named = Section.read(index).section("weight_map").values.values()
    names = sorted({str(name) for name in named})
    if not names or any(Path(name).name != name for name in names):
        wrong = [name for name in names if Path(name).name != name]
        raise _check.fail(OP, index.name, "the names of the shards beside it", some(wrong) or "none")
    missing = [name for name in names if not exists(OP, folder / name)]
    if missing:
        got = f"{some(missing)} missing: the download is not whole, download it again"
        raise _check.fail(OP, "model", f"the {len(names)} shards that {index.name} names", got)
    return [folder / name for name in names]


def some(names: list[str], limit: int = 4) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _read_header(file: Path) -> dict[str, Tensor]:
    refuse_pointer(OP, file)
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            start = stream.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            text = stream.read(length) if 2 <= length <= min(size - 8, _MAX_HEADER) else None
    except OSError as error:
        raise _check.fail(OP, file.name, "a readable safetensors file", f"{type(error).__name__}: {error}") from None
    if text is None:
        raise _check.fail(OP, file.name, "a whole safetensors file", f"{size} bytes with a header of {length}")
    header = _object(file.name, text)
    notes = header.pop("__metadata__", None) or {}  # MLX writes null for none
    if not isinstance(notes, dict) or not all(isinstance(value, str) for value in notes.values()):
        raise _check.fail(OP, f"{file.name} __metadata__", "an object of texts", _check.shown(notes))
    entries = {name: _tensor(file, name, entry, 8 + length) for name, entry in header.items()}
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


def _object(name: str, text: bytes) -> dict[str, Any]:
    """A header's JSON, as strictly as MLX reads it."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        header = json.loads(text.decode("utf-8"), parse_constant=refuse)
        str(header.keys() if isinstance(header, dict) else "").encode("utf-8")  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        expected = "a readable safetensors file"
        raise _check.fail(OP, name, expected, f"{type(error).__name__}: {error}") from None
    if not isinstance(header, dict):
        raise _check.fail(OP, name, "a readable safetensors file", f"a header that is {type(header).__name__}")
    return header


def _tensor(file: Path, name: str, entry: Any, data: int) -> tuple[Tensor, int, int]:
    """The tensor and its first and last byte in the data section, which begins at byte ``data``."""
    fields: dict[str, Any] = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = str(fields.get("dtype")), _counts(fields.get("shape")), _counts(fields.get("data_offsets"))
    if dtype in _BITS and shape is not None and offsets is not None and len(offsets) == 2:
        first, last = offsets
        if last - first == math.prod(shape) * _BITS[dtype] // 8:
            return Tensor(dtype, tuple(shape), file, data + first), first, last
    expected = "a known dtype, a shape and the bytes they need"
    raise _check.fail(OP, f"{file.name} {name}", expected, _check.shown(entry))


def _counts(value: Any) -> list[int] | None:
    return value if isinstance(value, list) and all(type(n) is int and 0 <= n < _MAX_COUNT for n in value) else None
