"""``emulator.library``: whole ``.metal`` texts with ``[[kernel]]`` functions."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import dialect
from ..errors import KernelError
from ..report import Place, Report
from . import arrays
from . import buffers as launched
from .arrays import Buffer
from .entry import Entry, launch
from .program import Program
from .same import SameBuffer, shared
from .settings import Mode, Settings, by_index, sizes_of

if TYPE_CHECKING:
    import mlx.core as mx


class Library:
    """A compiled text. ``report`` belongs to the last run."""

    def __init__(self, program: Program, settings: Settings):
        self._program = program
        self._settings = settings
        self.report = Report()

    @property
    def entries(self) -> list[str]:
        """What ``run`` takes: instances by ``host_name``, kernels by name (templates as template ids)."""
        return [*self._program.unit.instances, *self._program.unit.kernels]

    def parameters(self, entry: str) -> dict[str, int]:
        """The buffers that an entry point takes: index by name."""
        kernel = self._program.kernel(entry)
        return {p.name: p.index for p in kernel.parameters if p.kind == "buffer"}

    def declared(self, entry: str) -> Place:
        """Where the kernel of an entry point is declared."""
        return self._program.declared(self._program.kernel(entry))

    @property
    def instances(self) -> list[str]:
        """The ``host_name`` of each instance of a template."""
        return list(self._program.unit.instances)

    @property
    def plain_kernels(self) -> int:
        """How many kernels are no templates."""
        return sum(not kernel.is_template for kernel in self._program.unit.kernels.values())

    def check(
        self,
        entries: Sequence[str] | None = None,
        constants: Mapping[int, Any] | None = None,
        *,
        types: bool = True,
    ) -> None:
        """Raises KernelError if Apple's compiler would refuse the text, as far as the emulator can tell; runs nothing.

        Args:
            entries: Instances or template ids to look at beside the kernels that are no templates; None: all instances.
            constants: Values of function constants, by index.
            types: Whether to look at conversions too that the host's compiler takes and Apple's does not: slow.
        """
        names = list(self._program.unit.instances) if entries is None else entries
        self._program.check(names, constants or {}, types)

    def run(
        self,
        entry: str,
        buffers: Mapping[int, Buffer | SameBuffer],
        grid: Sequence[int],
        threadgroup: Sequence[int],
        constants: Mapping[int, bool | int | float] | None = None,
        threadgroup_memory: Mapping[int, int] | None = None,
        outputs: Sequence[int] = (),
        *,
        mode: Mode | None = None,
        seed: int | None = None,
        raise_findings: bool | None = None,
        step_limit: int | None = None,
        threads: int | None = None,
        uninitialised: Sequence[int] = (),
    ) -> list[mx.array]:
        """Runs one kernel.

        Args:
            entry: A kernel's name, an instance's ``host_name``, or a template id such as ``"softmax<float>"``.
            buffers: Index to mx.array, NumPy array or bytes; none is modified. ``SameBuffer(0)`` is the buffer of
                index 0 once more, and so is an array that stands at two indices, where neither is an output; ``b""``
                stands for a buffer that the host leaves out.
            grid: Threads in each direction. Threadgroups at the edges are smaller where it does not divide.
            threadgroup: Threads of a threadgroup.
            constants: Values of function constants, by index.
            threadgroup_memory: Bytes of each ``[[threadgroup(n)]]`` argument.
            outputs: Indices of the buffers that the kernel may write, to return in shape and dtype as given (from an
                offset of a ``SameBuffer`` on, as bytes). A write to another one is a finding.
            mode, seed, raise_findings, step_limit, threads: As in ``library``, for this run.
            uninitialised: Outputs whose given values do not count: they start as NaN, and reading them before a write,
                or never writing them, is a finding.

        Raises:
            KernelError: the text does not compile, a buffer is missing, or a finding was made.
        """
        options: dict[str, Any] = {
            "mode": mode,
            "seed": seed,
            "raise_findings": raise_findings,
            "step_limit": step_limit,
            "threads": threads,
        }
        args = (entry, buffers, grid, threadgroup, constants, threadgroup_memory, outputs, uninitialised)
        data = self.launch(*args, **options)
        return [arrays.like(data[i], _shape_of(buffers, i)) for i in outputs]

    def launch(
        self,
        entry: str,
        buffers: Mapping[int, Buffer | SameBuffer],
        grid: Sequence[int],
        threadgroup: Sequence[int],
        constants: Mapping[int, bool | int | float] | None = None,
        threadgroup_memory: Mapping[int, int] | None = None,
        outputs: Sequence[int] = (),
        uninitialised: Sequence[int] = (),
        **changes: Any,
    ) -> dict[int, bytes]:
        """As ``run``, with the bytes of the outputs by their indices: no MLX is needed."""
        by_index("buffers", buffers)
        by_index("constants", constants or {}, 65536)
        memory = by_index("threadgroup_memory", threadgroup_memory or {})
        arrays.require_values(*buffers.values())
        settings = self._settings.with_changes(**changes)
        options = settings.options(grid, threadgroup)
        options.threadgroup_arguments = sorted(sizes_of(memory).items())
        options.variables = self._program.unit.variables
        compiled = self._program.entry(entry, settings.mode, constants or {})
        self._require(compiled, entry, buffers, threadgroup_memory or {}, constants or {})
        if not isinstance(outputs, Iterable):
            raise ValueError(f"[emulator] outputs: expected a list of indices of buffers, got {outputs!r}.")
        if missing := sorted(set(outputs) - set(buffers)):
            raise KernelError(f"[{entry}] outputs: expected indices of buffers, got {missing}.")
        same = shared(entry, buffers, outputs, uninitialised)
        specs = self._buffers(compiled, buffers, outputs, uninitialised, same)
        result, more, ran = launch(compiled, specs, options)
        self.report = self._program.report(result, ran, settings.mode, more)
        if self.report.findings and settings.raise_findings:
            raise KernelError(str(self.report), self.report.findings)
        found = {i: same.get(i, SameBuffer(i)) for i in outputs}
        return {i: result.outputs[at.index][at.offset :] for i, at in found.items()}

    def _require(
        self,
        compiled: Entry,
        entry: str,
        buffers: Mapping[int, Buffer | SameBuffer],
        memory: Mapping[int, int],
        constants: Mapping[int, Any],
    ) -> None:
        for p in compiled.kernel.parameters:
            if p.condition:
                continue  # the constant decides; without it the kernel must not touch the argument
            if p.kind == "buffer" and p.index not in buffers:
                what = f"expected {p.name} at index {p.index}, got none; b'' stands for what the host leaves out"
                raise KernelError(f"[{entry}] buffers: {what}.")
            if p.kind == "threadgroup" and p.index not in memory:
                raise KernelError(f"[{entry}] threadgroup_memory: expected bytes for {p.name} at {p.index}, got none.")

    def _buffers(
        self,
        compiled: Entry,
        buffers: Mapping[int, Any],
        outputs: Sequence[int],
        uninitialised: Sequence[int],
        same: Mapping[int, SameBuffer],
    ) -> list[launched.Buffer]:
        parameters = {p.index: p for p in compiled.kernel.parameters if p.kind == "buffer"}
        specs = []
        for index, value in sorted(buffers.items()):
            if index in same:
                at = same[index]
                specs.append(launched.Buffer(index, "", "input", 0, 4, shares=at.index, shares_from=at.offset))
                continue
            together = [index, *(i for i in sorted(same) if same[i].index == index)]
            found = [parameters[i] for i in together if i in parameters]
            name = " and ".join(p.name for p in found) or f"buffer({index})"
            data, size, itemsize = arrays.data_of(value)
            space = "constant" if any(p.is_constant for p in found) else "input"
            if not set(together).isdisjoint(outputs):
                space = "output"
            fresh = index in uninitialised
            granule = min([arrays.granule(itemsize), *(p.granule for p in found)])
            args = (index, name, space, size, granule, not fresh)
            specs.append(launched.Buffer(*args, None if fresh else data))
        return specs


def library(
    source: str | os.PathLike[str],
    include_dirs: Sequence[str | os.PathLike[str]] = (),
    mode: Mode = "checked",
    seed: int = 0,
    raise_findings: bool = True,
    *,
    path: str | None = None,
    step_limit: int = 0,
    time_limit: float = 120.0,
    isolate: bool = False,
    threads: int = 1,
    language_version: str = dialect.DEFAULT_VERSION,
    trusted: Sequence[str] = (),
    entries: Sequence[str] = (),
) -> Library:
    """A whole Metal text, or the file at a path, made runnable.

    Args:
        source: The text; or a ``Path`` to a file.
        include_dirs: Where ``#include "..."`` and ``#include <...>`` look; MLX's own headers are found without.
        mode, seed, raise_findings, step_limit, time_limit, isolate, threads, language_version: As in ``metal_kernel``.
        path: What findings call the text.
        entries: Instances or template ids to compile in one go with the first that runs; saves time.
        trusted: Folders whose files the dialect check passes over; MLX's headers always are.

    Raises:
        KernelError: the text is refused.
        ValueError: the name of a file as a text, an option out of its range, a folder that is not there, or a file that
            is no UTF-8 text.
        OSError: the file cannot be read.
    """
    settings = Settings(mode, seed, raise_findings, step_limit, time_limit, isolate, threads)
    dialect.require_version(language_version)
    folders = _folders(include_dirs)
    if isinstance(source, os.PathLike):
        file = Path(source)
        text, name = read_text(file), path or str(file)
        folders.insert(0, file.parent)
    else:
        if re.fullmatch(r"[\w./-]+", source):
            raise ValueError(f"[emulator] source: expected a text, or a Path to a file, got {source!r}.")
        text, name = source, path or "kernel.metal"
    mlx = _mlx_include()
    program = Program(text, name, [*folders, *mlx], language_version, [*trusted, *mlx], isolate)
    program.together = entries
    return Library(program, settings)


def _shape_of(buffers: Mapping[int, Any], index: int) -> Any:
    value = buffers[index]
    if not isinstance(value, SameBuffer):
        return value
    return b"" if value.offset else buffers[value.index]


def _folders(given: Sequence[str | os.PathLike[str]]) -> list[str | os.PathLike[str]]:
    if isinstance(given, (str, bytes, os.PathLike)):
        raise ValueError(f"[emulator] include_dirs: expected a list of folders, got {os.fspath(given)!r}.")
    for folder in given:
        if not os.path.isdir(folder):
            raise ValueError(f"[emulator] include_dirs: expected folders, got {os.fspath(folder)!r}, which is none.")
    return list(given)


def read_text(file: Path) -> str:
    """The text of a Metal file.

    Raises:
        ValueError: it is no UTF-8 text.
        OSError: it cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"expected UTF-8 text, got {file}, whose byte {error.start} is none"
        raise ValueError(f"[emulator] source: {what}.") from None


def _mlx_include() -> list[str]:
    """The folder of MLX's headers; none where it is not installed."""
    try:
        found = find_spec("mlx.core")
    except ModuleNotFoundError:
        return []
    return [str(Path(found.origin).parent / "include")] if found and found.origin else []
