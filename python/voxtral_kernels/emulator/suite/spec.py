"""The TOML beside a kernel: which entry points to run, in what shapes, on what inputs. docs/emulator.md shows one."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import dialect
from .inputs import Input, read_input

_SPEC = {"include_dirs", "language_version", "run"}
_RUN = {"entry", "grid", "threadgroup", "constants", "threadgroup_memory", "seeds", "buffers"}


class SpecError(ValueError):
    """The TOML is not as it should be; names the file and the key."""


@dataclass(frozen=True)
class Run:
    """One launch. ``entry`` is empty where the file has one kernel; ``seeds`` are the schedules to compare."""

    entry: str
    grid: tuple[int, int, int]
    threadgroup: tuple[int, int, int]
    constants: Mapping[int, bool | int | float]
    threadgroup_memory: Mapping[int, int]
    seeds: Sequence[int]
    buffers: Mapping[str, Input]


@dataclass(frozen=True)
class Spec:
    """A whole TOML."""

    path: str
    include_dirs: Sequence[str] = ()
    language_version: str | None = None
    runs: Sequence[Run] = field(default_factory=list)


def read_spec(path: str | os.PathLike[str]) -> Spec:
    """Reads a TOML; files and folders that it names lie in its folder or below, whatever links say.

    Raises:
        SpecError: it is no TOML, or a key has not what it should have.
        OSError: it cannot be read.
    """
    name = os.fspath(path)
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"[emulate] {name}: expected TOML, got {error}.") from None
    except RecursionError:
        raise SpecError(f"[emulate] {name}: expected TOML, got brackets in brackets without end.") from None
    folder = Path(path).resolve().parent
    reader = _Reader(name)
    reader.only(content, _SPEC, "")
    runs = content.get("run")
    reader.require(isinstance(runs, list) and bool(runs), "run", "one [[run]] or more", runs)
    folders = reader.folders(content, "include_dirs", folder)
    version = content.get("language_version")
    if version is not None:
        dialect.require_version(version, f"[emulate] {name}: language_version")
    read = [_read_run(_Reader(f"{name}: run {i}"), run, folder) for i, run in enumerate(runs or [], 1)]
    return Spec(name, folders, version, read)


class _Reader:
    """Checks values of a TOML; ``at`` begins its errors."""

    def __init__(self, at: str):
        self.at = at

    def require(self, holds: bool, key: str, expected: str, got: object) -> None:
        if not holds:
            shown = "none" if got is None else repr(got)
            raise SpecError(f"[emulate] {self.at}: {key}: expected {expected}, got {shown}.")

    def only(self, table: Mapping[str, Any], keys: set[str], key: str) -> None:
        for name in table:
            self.require(name in keys, f"{key}{name}", f"one of {', '.join(sorted(keys))}", name)

    def of(self, table: Mapping[str, Any], key: str, kind: type, default: Any, expected: str) -> Any:
        value = table.get(key, default)
        self.require(value is default or isinstance(value, kind), key, expected, value)
        return value

    def integers(self, table: Mapping[str, Any], key: str, expected: str, length: int | None = None) -> list[int]:
        value = table.get(key)
        right = isinstance(value, list) and all(isinstance(n, int) and not isinstance(n, bool) for n in value)
        self.require(right and (length is None or len(value or []) == length), key, expected, value)
        return list(value or [])

    def folders(self, table: Mapping[str, Any], key: str, own: Path) -> list[str]:
        """Real paths: the TOML comes with the kernel, which may not name what else is on the machine."""
        names = self.of(table, key, list, [], "a list of folders")
        self.require(all(isinstance(n, str) and "\0" not in n for n in names), key, "a list of folders", names)
        real = [Path(os.path.realpath(own / name)) for name in names]
        outside = [name for name, path in zip(names, real, strict=True) if not path.is_relative_to(own)]
        self.require(not outside, key, "folders in the TOML's own or below; -I names others", outside)
        absent = [name for name, path in zip(names, real, strict=True) if not path.is_dir()]
        self.require(not absent, key, "folders that are there", absent)
        return [str(path) for path in real]

    def by_index(self, table: Mapping[str, Any], key: str, kinds: tuple[type, ...], expected: str) -> dict[int, Any]:
        value = self.of(table, key, dict, {}, expected)
        right = all(index.isdecimal() and isinstance(v, kinds) for index, v in value.items())
        self.require(right, key, expected, value)
        return {int(index): v for index, v in value.items()}


def _read_run(reader: _Reader, run: Any, folder: Path) -> Run:
    reader.require(isinstance(run, dict), "run", "a table", run)
    reader.only(run, _RUN, "")
    sizes = [reader.integers(run, key, "three sizes in threads", 3) for key in ("grid", "threadgroup")]
    for key, size in zip(("grid", "threadgroup"), sizes, strict=True):
        reader.require(min(size) > 0, key, "three positive sizes in threads", size)
    seeds = reader.integers(run, "seeds", "a list of integers") if "seeds" in run else [0]
    reader.require(bool(seeds), "seeds", "one integer or more", seeds)
    entry = reader.of(run, "entry", str, None, "a name")
    reader.require(entry != "", "entry", "a name", entry)
    memory = reader.by_index(run, "threadgroup_memory", (int,), "bytes by index, { 0 = 128 }")
    reader.require(all(n >= 0 for n in memory.values()), "threadgroup_memory", "bytes by index, { 0 = 128 }", memory)
    constants = "function constants by index, { 0 = true }"
    buffers = reader.of(run, "buffers", dict, {}, "a table of buffers")
    return Run(
        entry or "",
        (sizes[0][0], sizes[0][1], sizes[0][2]),
        (sizes[1][0], sizes[1][1], sizes[1][2]),
        reader.by_index(run, "constants", (bool, int, float), constants),
        memory,
        seeds,
        {name: read_input(f"{reader.at}: buffers.{name}", value, folder) for name, value in buffers.items()},
    )
