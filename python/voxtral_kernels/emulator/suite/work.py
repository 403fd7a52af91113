"""A file checked, or run as its TOML says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import dialect
from ..errors import KernelError, UnavailableError
from ..launch.metal_library import Library, library, read_text
from ..launch.order import check_order
from ..launch.same import SameBuffer
from ..launch.settings import Mode
from ..report import Finding, Place, Sources
from ..report.refusals import refusals
from .inputs import SameAs
from .spec import Run, Spec


@dataclass(frozen=True)
class Outcome:
    """What came of a file, or of one run of an entry point in it (empty: of the file as a whole)."""

    file: str
    entry: str
    findings: list[Finding] = field(default_factory=list)
    counters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Given:
    """What the user asks for beside the file: ``entries`` (none: all), and how to compile and launch."""

    entries: Sequence[str] = ()
    include_dirs: Sequence[str] = ()
    language_version: str | None = None
    isolate: bool = True
    seed: int | None = None
    time_limit: float = 120.0
    step_limit: int = 0


def require_file(file: str | os.PathLike[str], given: Given) -> None:
    """Refuses what is no Metal file, before anything runs.

    Raises:
        ValueError: it is no file, no UTF-8 text, or a link out of its folder, whose lines findings would quote.
        OSError: it cannot be read.
    """
    path = Path(file)
    if not path.is_file() or path.suffix == ".toml" or not os.fspath(file).isprintable():
        raise ValueError(f"[emulate] FILE: expected a Metal file, got {os.fspath(file)!r}, which is none.")
    folders = [os.path.realpath(folder) for folder in (str(path.parent), *given.include_dirs)]
    if given.isolate and not any(Path(os.path.realpath(path)).is_relative_to(folder) for folder in folders):
        what = "a file in its own folder or below; -I names others"
        raise ValueError(f"[emulate] {os.fspath(file)}: expected {what}, got a link to one elsewhere.")
    read_text(path)


def check(file: str | os.PathLike[str], given: Given | None = None) -> list[Outcome]:
    """Compiles a file and looks for what Apple's compiler refuses; runs nothing.

    Raises:
        ValueError: an entry point is none of the file's.
        OSError: the file cannot be read.
        UnavailableError: the emulator is not installed whole.
    """
    given = given or Given()
    name = os.fspath(file)
    try:
        kernels = _library(file, Spec(""), given)
        _require_entries(kernels, given.entries)
        kernels.check(given.entries or None)
    except KernelError as error:
        return [Outcome(name, "", _refused(error, name))]
    return [Outcome(name, entry) for entry in given.entries or kernels.entries] or [Outcome(name, "")]


def run(file: str | os.PathLike[str], spec: Spec, given: Given | None = None, mode: Mode = "checked") -> list[Outcome]:
    """Runs what ``spec`` names; several seeds of a run are compared.

    Raises:
        ValueError: a run names what the file has not, or no run is left.
        OSError: the file cannot be read.
        UnavailableError: the emulator is not installed whole.
    """
    given = given or Given()
    name = os.fspath(file)
    try:
        kernels = _library(file, spec, given)
    except KernelError as error:
        return [Outcome(name, "", _refused(error, name))]
    runs = [(r, r.entry or _only(kernels, spec.path)) for r in spec.runs]
    _require_entries(kernels, [entry for _, entry in runs])
    chosen = [(r, entry) for r, entry in runs if not given.entries or entry in given.entries]
    if missing := sorted(set(given.entries) - {entry for _, entry in chosen}):
        raise ValueError(f"[emulate] entry: expected entries that {spec.path} runs, got {', '.join(missing)}.")
    return [_run(kernels, name, r, entry, given, mode) for r, entry in chosen]


def counters(file: str | os.PathLike[str], spec: Spec, given: Given | None = None) -> list[Outcome]:
    """As ``run``, and counts what moves."""
    return run(file, spec, given, "counted")


def _library(file: str | os.PathLike[str], spec: Spec, given: Given) -> Library:
    require_file(file, given)
    return library(
        Path(file),
        [*given.include_dirs, *spec.include_dirs],
        raise_findings=False,
        path=os.fspath(file),
        step_limit=given.step_limit,
        time_limit=given.time_limit,
        isolate=given.isolate,
        language_version=given.language_version or spec.language_version or dialect.DEFAULT_VERSION,
    )


def _refused(error: KernelError, file: str) -> list[Finding]:
    """What a text that does not compile is told as; what is asked for wrongly is no finding."""
    if isinstance(error, UnavailableError):
        raise error
    if str(error).startswith("["):
        raise ValueError(str(error)) from None
    found = refusals(str(error), Sources(file, Path(file).read_text(errors="replace")).line)
    return [f if f.where else replace(f, kernel=Place(file, 1)) for f in found]


def _require_entries(kernels: Library, entries: Sequence[str]) -> None:
    for entry in entries:
        try:
            kernels.parameters(entry)
        except KernelError as error:
            raise ValueError(str(error)) from None


def _only(kernels: Library, path: str) -> str:
    if len(kernels.entries) != 1:
        known = ", ".join(kernels.entries) or "none"
        raise ValueError(f"[emulate] {path}: entry: expected one of the kernels {known}, got none.")
    return kernels.entries[0]


def _run(kernels: Library, file: str, run: Run, entry: str, given: Given, mode: Mode) -> Outcome:
    seeds = run.seeds if given.seed is None else [given.seed]
    by_name = kernels.parameters(entry)
    buffers: dict[int, Any] = {}
    outputs, unset = [], []

    def index_of(name: str) -> int:
        index = by_name.get(name, int(name) if name.isdecimal() else -1)
        if index < 0:
            known = ", ".join(by_name) or "none"
            raise ValueError(f"[emulate] {entry}: buffers: expected a parameter of {known}, got {name}.")
        return index

    for name, value in run.buffers.items():
        index, data = index_of(name), value.data
        if index in buffers:
            raise ValueError(f"[emulate] {entry}: buffers: expected one buffer at index {index}, got {name}.")
        buffers[index] = SameBuffer(index_of(data.name), data.offset) if isinstance(data, SameAs) else data
        outputs += [index] if value.is_output else []
        unset += [] if value.is_set else [index]
    sizes = (run.grid, run.threadgroup, run.constants, run.threadgroup_memory)

    def call(seed: int) -> list[bytes]:
        done = kernels.launch(entry, buffers, *sizes, outputs, unset, mode=mode, seed=seed)
        return list(done.values())

    try:
        call(seeds[0])
        report = kernels.report
        found = list(report.findings)
        if len(seeds) > 1 and not found:
            found = check_order(call, seeds[1:], first=seeds[0], raise_findings=False)
            found = [replace(f, kernel=kernels.declared(entry)) for f in found]
    except KernelError as error:
        return Outcome(file, entry, _refused(error, file))
    return Outcome(file, entry, found, report.counters)
