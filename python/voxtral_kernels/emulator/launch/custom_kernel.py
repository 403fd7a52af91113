"""``emulator.metal_kernel``: the signature of ``mx.fast.metal_kernel``, run on the CPU and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .. import dialect
from ..errors import KernelError
from ..report import Report
from . import arrays
from .buffers import Buffer
from .entry import Entry, launch
from .program import Program
from .settings import Mode, Settings

if TYPE_CHECKING:
    import mlx.core as mx

# What MLX puts before the text of every custom kernel.
_PREAMBLE = '#include "mlx/backend/metal/kernels/utils.h"\n'


def _mlx_include() -> str:
    import mlx.core as mx

    return str(Path(mx.__file__).parent / "include")


@dataclass(frozen=True)
class Call:
    """A call as MLX would make it: its own text, name and launch size."""

    name: str
    text: str
    grid: tuple[int, int, int]
    threadgroup: tuple[int, int, int]
    shape_infos: list[tuple[bool, bool, bool]]
    initial: Any


def capture(kernel: Any, inputs: Sequence[mx.array], **launch_arguments: Any) -> Call:
    """What MLX would compile and launch, from MLX itself; nothing is evaluated."""
    import mlx.core as mx

    events: list[dict[str, Any]] = []

    def traced(*arrays_: mx.array) -> list[mx.array]:
        return kernel(inputs=list(arrays_), stream=mx.gpu, **launch_arguments)

    mx.export_function(events.append, traced, *inputs)
    found = [e["arguments"] for e in events if e.get("type") == "primitive" and e.get("name") == "CustomKernel"]
    if len(found) != 1 or len(found[0]) < 11:
        version = metadata.version("mlx")
        message = f"MLX {version} does not export custom kernels in the form that the emulator reads"
        raise KernelError(message)
    name, text, gx, gy, gz, tx, ty, tz, infos, _, initial, *_ = found[0]
    return Call(name, text, (gx, gy, gz), (tx, ty, tz), [tuple(i) for i in infos], initial)


@dataclass(frozen=True)
class Declaration:
    """A kernel as ``mx.fast.metal_kernel`` takes it."""

    name: str
    input_names: Sequence[str]
    output_names: Sequence[str]
    source: str
    header: str
    ensure_row_contiguous: bool
    atomic_outputs: bool
    compile_options: Mapping[str, str] | None

    def of_mlx(self) -> object:
        """MLX's own kernel of the declaration."""
        import mlx.core as mx

        options: dict[str, Any] = {} if self.compile_options is None else {"compile_options": self.compile_options}
        return mx.fast.metal_kernel(
            self.name,
            self.input_names,
            self.output_names,
            self.source,
            self.header,
            self.ensure_row_contiguous,
            self.atomic_outputs,
            **options,
        )


class MetalKernel:
    """A kernel that was declared as for ``mx.fast.metal_kernel``. ``report`` belongs to the last call."""

    def __init__(self, declaration: Declaration, settings: Settings, language_version: str):
        self.report = Report()
        self._declaration = declaration
        self._mlx: Any = declaration.of_mlx()
        self._settings = settings
        self._version = language_version
        self._programs: dict[str, Program] = {}

    def __call__(
        self,
        *,
        inputs: Sequence[arrays.Value],
        output_shapes: Sequence[Sequence[int]],
        output_dtypes: Sequence[mx.Dtype],
        grid: tuple[int, int, int],
        threadgroup: tuple[int, int, int],
        template: Sequence[tuple[str, bool | int | mx.Dtype]] | None = None,
        init_value: float | None = None,
        verbose: bool = False,
        stream: mx.Stream | mx.Device | mx.DeviceType | None = None,
        mode: Mode | None = None,
        seed: int | None = None,
        raise_findings: bool | None = None,
        step_limit: int | None = None,
        threads: int | None = None,
    ) -> list[mx.array]:
        """Runs the kernel. What stands behind ``stream`` overrides the kernel's own settings for this call.

        Raises:
            KernelError: the text does not compile, or a finding was made (unless ``raise_findings`` is False).
            ValueError: an argument is not what MLX takes, or an input is traced by ``mx.compile``, ``mx.grad`` ...
        """
        import mlx.core as mx

        settings = self._settings.with_changes(
            mode=mode, seed=seed, raise_findings=raise_findings, step_limit=step_limit, threads=threads
        )
        given = [x if isinstance(x, mx.array) else mx.array(cast(Any, x)) for x in inputs]
        arrays.require_values(*given)
        extra: dict[str, Any] = {} if template is None else {"template": list(template)}
        if init_value is not None:
            extra["init_value"] = init_value
        shapes, dtypes = [tuple(s) for s in output_shapes], list(output_dtypes)
        call = capture(
            self._mlx, given, grid=grid, threadgroup=threadgroup, output_shapes=shapes, output_dtypes=dtypes, **extra
        )
        if verbose:
            print(call.text)
        options = settings.options(call.grid, call.threadgroup)
        program = self._program(call)
        entry = program.entry(call.name, settings.mode, {})
        options.variables = program.unit.variables
        buffers, outputs = self._buffers(entry, given, shapes, dtypes, call, init_value)
        result, more, ran = launch(entry, buffers, options)
        self.report = program.report(result, ran, settings.mode, more)
        if self.report.findings and settings.raise_findings:
            raise KernelError(str(self.report), self.report.findings)
        return [arrays.to_array(result.outputs[i], s, d) for i, s, d in zip(outputs, shapes, dtypes, strict=True)]

    def _program(self, call: Call) -> Program:
        if call.text not in self._programs:
            self._programs[call.text] = self._translate(call)
        return self._programs[call.text]

    def _translate(self, call: Call) -> Program:
        """The text of a call; lines inside of the user's header and source keep the user's own numbers."""
        name, source, header = self._declaration.name, self._declaration.source, self._declaration.header
        text = call.text
        at = text.rfind(source)
        before, after = text[len(header) : at], text[at + len(source) :]
        wrapper = f"{name} (wrapper)"
        marked = f'{_PREAMBLE}#line 1 "{name} header"\n{header}\n#line 1 "{wrapper}"\n{before}\n#line 1 "{name}"\n'
        marked += f'{source}\n#line {before.count(chr(10)) + 1} "{wrapper}"\n{after}'
        program = Program(marked, "MLX", [_mlx_include()], self._version, [_mlx_include()], self._settings.isolate)
        for path, part in ((f"{name} header", header), (name, source), (wrapper, before)):
            program.sources.add(path, part)
        return program

    def _buffers(
        self,
        entry: Entry,
        inputs: Sequence[mx.array],
        shapes: Sequence[tuple[int, ...]],
        dtypes: Sequence[mx.Dtype],
        call: Call,
        init_value: float | None,
    ) -> tuple[list[Any], list[int]]:
        """The launch's buffers, and the indices of the outputs among them."""
        import mlx.core as mx

        parameters = {p.index: p for p in entry.kernel.parameters if p.kind == "buffer"}
        buffers: list[Any] = []
        first: dict[int, int] = {}  # where an array stands that is given more than once: MLX binds its one buffer again

        def add(name: str, value: Any, space: Any, initialised: bool = True, size: int = 0, itemsize: int = 4) -> None:
            data = None
            if value is not None:
                data, size, itemsize = self._data(value)
            index = len(buffers)
            if index in parameters and parameters[index].is_constant:
                space = "constant"
            buffers.append(Buffer(index, name, space, size, arrays.granule(itemsize), initialised, data))

        for name, x, (has_shape, has_strides, has_ndim) in zip(
            self._declaration.input_names, inputs, call.shape_infos, strict=True
        ):
            earlier = first.setdefault(id(x), len(buffers)) if x.size else len(buffers)
            if earlier == len(buffers):
                add(name, x, "input")
            else:
                buffers[earlier] = replace(buffers[earlier], name=f"{buffers[earlier].name} and {name}")
                buffers.append(Buffer(len(buffers), name, "input", 0, 4, shares=earlier))
            if x.ndim > 0 and has_shape:
                add(f"{name}_shape", np.array(x.shape, np.int32), "constant")
            if x.ndim > 0 and has_strides:
                add(f"{name}_strides", np.array(self._strides(x), np.int64), "constant")
            if x.ndim > 0 and has_ndim:
                add(f"{name}_ndim", np.array([x.ndim], np.int32), "constant")
        outputs = []
        for name, shape, dtype in zip(self._declaration.output_names, shapes, dtypes, strict=True):
            outputs.append(len(buffers))
            size = int(np.prod(shape)) * dtype.size
            filled = None if init_value is None else mx.full(shape, init_value, dtype)
            add(name, filled, "output", init_value is not None, size, dtype.size)
        return buffers, outputs

    def _data(self, value: Any) -> tuple[Any, int, int]:
        if arrays.is_mlx(value) and not self._declaration.ensure_row_contiguous:
            view = arrays.view(value)
            strides = view.strides or ()
            span = sum((n - 1) * s for n, s in zip(view.shape or (), strides, strict=True)) + value.itemsize
            if any(s < 0 for s in strides):
                raise KernelError("[emulator] inputs: expected non-negative strides with ensure_row_contiguous=False.")
            return value, span if value.size else 0, value.itemsize
        return arrays.data_of(value)

    def _strides(self, x: mx.array) -> list[int]:
        if not self._declaration.ensure_row_contiguous:
            return [s // x.itemsize for s in arrays.view(x).strides or ()]
        return [int(np.prod(x.shape[i + 1 :])) for i in range(x.ndim)]


def metal_kernel(
    name: str,
    input_names: Sequence[str],
    output_names: Sequence[str],
    source: str,
    header: str = "",
    ensure_row_contiguous: bool = True,
    atomic_outputs: bool = False,
    compile_options: Mapping[str, str] | None = None,
    *,
    mode: Mode = "checked",
    seed: int = 0,
    raise_findings: bool = True,
    step_limit: int = 0,
    time_limit: float = 120.0,
    isolate: bool = False,
    threads: int = 1,
    language_version: str = dialect.DEFAULT_VERSION,
) -> MetalKernel:
    """A kernel declared as for ``mx.fast.metal_kernel``, run on the CPU.

    The text that runs is the one that MLX itself would compile: preamble, generated signature, template instance.

    Args:
        name, input_names, output_names, source, header, ensure_row_contiguous, atomic_outputs,
            compile_options: As in MLX.
        mode: "plain" (values only), "checked" (default) or "counted" (checked, and ``report.counters``).
        seed: 0 runs lanes in their order; another permutes lanes, simdgroups and threadgroups, the same for a seed.
        raise_findings: Whether a finding raises KernelError; if not, read ``report.findings``.
        step_limit: Accesses, simdgroup operations and barriers after which the kernel is stopped; 0 for no limit.
        time_limit: Seconds after which it is stopped.
        isolate: Whether the compiler and each launch run in a process of their own that has limits, no environment
            and, on Linux, no network and no file but those of the kernel: for texts of others. Costs about 0.1 s a
            launch. A crash there is a finding.
        threads: Cores that a launch may take, each for some of the threadgroups: 1 to 16, neither with ``isolate``
            nor counted. Findings are those of one thread: where there is one, or threadgroups touch the
            same bytes, the launch is run again by one. A kernel with atomics in device memory raises KernelError.
        language_version: Of Metal: for the dialect check and ``__METAL_VERSION__``.

    Returns:
        A callable with the arguments of MLX's (``inputs``, ``template``, ``grid``, ``threadgroup``, ``output_shapes``,
        ``output_dtypes``, ``init_value``, ``verbose``, ``stream``) that returns ``list[mx.array]``. Outputs start as
        NaN.

    Source: ``mx.fast.metal_kernel`` of MLX 0.32.
    """
    declaration = Declaration(
        name,
        tuple(input_names),
        tuple(output_names),
        source,
        header,
        ensure_row_contiguous,
        atomic_outputs,
        compile_options,
    )
    return MetalKernel(
        declaration, Settings(mode, seed, raise_findings, step_limit, time_limit, isolate, threads), language_version
    )
