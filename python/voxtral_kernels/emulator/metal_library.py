"""``emulator.library``: whole ``.metal`` texts with ``[[kernel]]`` functions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx

from . import arrays, dialect
from .errors import KernelError
from .program import MODES, Entry, Program, launch, make_options
from .report import Report
from .runtime import runtime


class Library:
    """A compiled text. ``report`` belongs to the last run."""

    def __init__(self, program: Program, mode: str, seed: int, raise_findings: bool, limits: tuple[int, float]):
        self._program = program
        self._defaults = (mode, seed, raise_findings)
        self._limits = limits
        self.report = Report()

    @property
    def entries(self) -> list[str]:
        """What ``run`` takes: instances by ``host_name``, kernels by name (templates as template ids)."""
        return [*self._program.unit.instances, *self._program.unit.kernels]

    def run(
        self,
        entry: str,
        buffers: Mapping[int, Any],
        grid: Sequence[int],
        threadgroup: Sequence[int],
        constants: Mapping[int, Any] | None = None,
        threadgroup_memory: Mapping[int, int] | None = None,
        outputs: Sequence[int] = (),
        *,
        mode: str | None = None,
        seed: int | None = None,
        raise_findings: bool | None = None,
        step_limit: int | None = None,
        uninitialised: Sequence[int] = (),
    ) -> list[mx.array]:
        """Runs one kernel.

        Args:
            entry: A kernel's name, an instance's ``host_name``, or a template id such as ``"softmax<float>"``.
            buffers: Index to mx.array, NumPy array or bytes; none is modified.
            grid: Threads in each direction. Threadgroups at the edges are smaller where it does not divide.
            threadgroup: Threads of a threadgroup.
            constants: Values of function constants, by index.
            threadgroup_memory: Bytes of each ``[[threadgroup(n)]]`` argument.
            outputs: Indices of the buffers that the kernel may write, to return in shape and dtype as given. A write to
                another one is a finding.
            mode, seed, raise_findings, step_limit: As in ``library``, for this run.
            uninitialised: Outputs whose given values do not count: they start as NaN, and reading them before a write,
                or never writing them, is a finding.

        Raises:
            KernelError: the text does not compile, a buffer is missing, or a finding was made.
        """
        arrays.require_values(*buffers.values())
        mode = self._defaults[0] if mode is None else mode
        options = make_options(mode, self._defaults[1] if seed is None else seed, grid, threadgroup)
        options.step_limit, options.seconds_limit = self._limits
        if step_limit is not None:
            options.step_limit = step_limit
        options.threadgroup_arguments = sorted((threadgroup_memory or {}).items())
        options.variables = self._program.unit.variables
        compiled = self._program.entry(entry, mode, constants or {})
        self._require(compiled, entry, buffers, threadgroup_memory or {}, constants or {})
        if missing := sorted(set(outputs) - set(buffers)):
            raise KernelError(f"[{entry}] outputs: expected indices of buffers, got {missing}.")
        result, more = launch(compiled, self._buffers(compiled, buffers, outputs, uninitialised), options)
        self.report = self._program.report(result, compiled, mode, more)
        raises = self._defaults[2] if raise_findings is None else raise_findings
        if self.report.findings and raises:
            raise KernelError(str(self.report), self.report.findings)
        return [arrays.like(result.outputs[i], buffers[i]) for i in outputs]

    def _require(
        self,
        compiled: Entry,
        entry: str,
        buffers: Mapping[int, Any],
        memory: Mapping[int, int],
        constants: Mapping[int, Any],
    ) -> None:
        for p in compiled.kernel.parameters:
            if p.condition:
                continue  # the constant decides; without it the kernel must not touch the argument
            if p.kind == "buffer" and p.index not in buffers:
                raise KernelError(f"[{entry}] buffers: expected {p.name} at index {p.index}, got none.")
            if p.kind == "threadgroup" and p.index not in memory:
                raise KernelError(f"[{entry}] threadgroup_memory: expected bytes for {p.name} at {p.index}, got none.")

    def _buffers(
        self, compiled: Entry, buffers: Mapping[int, Any], outputs: Sequence[int], uninitialised: Sequence[int]
    ) -> list[Any]:
        native = runtime()
        parameters = {p.index: p for p in compiled.kernel.parameters if p.kind == "buffer"}
        specs = []
        for index, value in sorted(buffers.items()):
            p = parameters.get(index)
            name = p.name if p else f"buffer({index})"
            data, size, itemsize = arrays.data_of(value)
            space = native.Space.output if index in outputs else native.Space.input
            if p and p.is_constant:
                space = native.Space.constant
            fresh = index in uninitialised
            granule = min(arrays.granule(itemsize), p.granule if p else 4)
            args = (index, name, space, size, granule, not fresh)
            specs.append(native.Buffer(*args, None if fresh else data))
        return specs


def library(
    source: str | os.PathLike[str],
    include_dirs: Sequence[str | os.PathLike[str]] = (),
    mode: str = "checked",
    seed: int = 0,
    raise_findings: bool = True,
    *,
    path: str | None = None,
    step_limit: int = 0,
    time_limit: float = 120.0,
    language_version: str = dialect.DEFAULT_VERSION,
    trusted: Sequence[str] = (),
    entries: Sequence[str] = (),
) -> Library:
    """A whole Metal text, or the file at a path, made runnable.

    Args:
        source: The text; or a ``Path`` to a file.
        include_dirs: Where ``#include "..."`` looks; MLX's own headers are found without.
        mode, seed, raise_findings, step_limit, time_limit, language_version: As in ``metal_kernel``.
        path: What findings call the text.
        entries: Instances or template ids to compile in one go with the first that runs; saves time.
        trusted: Folders whose files the dialect check passes over; MLX's headers always are.
    """
    if mode not in MODES:
        raise ValueError(f"[emulator] mode: expected one of {', '.join(MODES)}, got {mode!r}.")
    folders = list(include_dirs)
    if isinstance(source, os.PathLike):
        file = Path(source)
        text, name = file.read_text(), path or str(file)
        folders.insert(0, file.parent)
    else:
        text, name = source, path or "kernel.metal"
    mlx = str(Path(mx.__file__).parent / "include")
    program = Program(text, name, [*folders, mlx], language_version, [*trusted, mlx])
    program.together = entries
    return Library(program, mode, seed, raise_findings, (step_limit, time_limit))
