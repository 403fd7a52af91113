"""Damaged model files: fixed seeds, each mutation one that files meet on disks, in editors and in converters."""

from __future__ import annotations

import json
import random
import re
import struct
from collections.abc import Callable
from typing import Any

ODD = (
    None, True, False, 0, 1, -1, 2, 3, 7, 255, 1 << 16, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 64, 10**30, 10**400,
    -(10**400), 0.0, 0.5, -2.5, 1e-320, 1e308, float("inf"), float("nan"), "", "0", "64", "tiny", "\x1b[2J\x07",
    "\ud800", "é" * 300, [], [0], [1, 2, 3], {}, {"a": {"b": [1]}},
)  # fmt: skip


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the parts of a JSON value are; of long lists only the first and last entries."""
    children: list[Any] = []
    if isinstance(value, dict):
        children = list(value)
    elif isinstance(value, list):
        children = sorted({*range(min(4, len(value))), *range(max(0, len(value) - 2), len(value))})
    return [path, *(p for key in children for p in paths(value[key], (*path, key)))]


def change(value: Any, rng: random.Random) -> Any:
    """A JSON value with one part changed, taken away, doubled or moved."""
    *parents, key = rng.choice(paths(value)[1:] or [("x",)])
    section = value
    for parent in parents:
        section = section[parent]
    kind = rng.choice(("odd", "odd", "odd", "scale", "gone", "key", "deep", "swap"))
    old = section[key] if isinstance(section, list) or key in section else None
    if kind == "scale" and isinstance(old, (int, float)) and not isinstance(old, bool):
        section[key] = rng.choice((-old, old + 1, old - 1, old * 2, old * 1000, old / 3, old * 10**12, str(old)))
    elif kind == "gone":
        del section[key]
    elif kind == "key" and isinstance(section, dict):
        section[rng.choice((f"{key}x", "", "__metadata__", "a\nb", "dim"))] = section.pop(key)
    elif kind == "deep":
        section[key] = f"@{rng.choice((10, 300, 900, 100_000))}@"
    elif kind == "swap":
        other = rng.choice(list(section if isinstance(section, dict) else range(len(section))))
        section[key], section[other] = section[other], section[key]
    else:
        section[key] = rng.choice(ODD)
    return value


def expanded(text: str) -> bytes:
    """A JSON text with ``"@N@"`` replaced by N lists in one another."""
    return re.sub(r'"@(\d+)@"', lambda found: "[" * int(found[1]) + "]" * int(found[1]), text).encode()


def scribble(data: bytes, rng: random.Random) -> bytes:
    """Bytes with some of them wrong, missing, or too many."""
    at = rng.randrange(max(1, len(data)))
    kind = rng.choice(("flip", "cut", "insert", "zero", "empty", "digits", "brackets", "bom", "utf16"))
    if kind == "flip":
        return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
    if kind == "insert":
        return data[:at] + rng.randbytes(rng.choice((1, 3, 100))) + data[at:]
    if kind == "zero":
        return data[:at] + bytes(min(8, len(data) - at)) + data[at + 8 :]
    if kind == "digits":
        return data[:at] + b"9" * rng.choice((20, 400, 5000)) + data[at:]
    if kind == "brackets":
        return data[:at] + b"[" * rng.choice((1, 1000, 100_000)) + data[at:]
    if kind in ("bom", "utf16"):
        return b"\xef\xbb\xbf" + data if kind == "bom" else data.decode("latin-1").encode("utf-16")
    return data[:at] if kind == "cut" else b""


def text(original: bytes, rng: random.Random) -> bytes:
    """A JSON file, damaged in its values or in its bytes."""
    if rng.random() < 0.3:
        return scribble(original, rng)
    value = json.loads(original)
    for _ in range(rng.choice((1, 1, 2, 4))):
        value = change(value, rng)
        if not isinstance(value, dict) or not value:
            break
    return expanded(json.dumps(value))


def safetensors(original: bytes, rng: random.Random) -> bytes:
    """A safetensors file with its header damaged, or its length, or its data cut."""
    (length,) = struct.unpack("<Q", original[:8])
    header, data = original[8 : 8 + length], original[8 + length :]
    kind = rng.random()
    if kind < 0.1:
        odd = rng.choice((0, 1, length - 1, length + 1, len(original), 1 << 40, (1 << 64) - 1))
        return struct.pack("<Q", odd) + header + data
    if kind < 0.2:
        return original[: rng.randrange(len(original))] if kind < 0.15 else original + rng.randbytes(5)
    damaged = text(header, rng)
    if rng.random() < 0.3:
        damaged += b" " * (-len(damaged) % 8)
    return struct.pack("<Q", len(damaged)) + damaged + data


KINDS: dict[str, tuple[str, Callable[[bytes, random.Random], bytes]]] = {
    "params": ("params.json", text),
    "safetensors": ("consolidated.safetensors", safetensors),
    "tekken": ("tekken.json", text),
}


def mutation(kind: str, original: bytes, seed: int) -> bytes:
    """The same bytes for the same seed."""
    return KINDS[kind][1](original, random.Random(f"{kind} {seed}"))
