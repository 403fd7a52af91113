"""How a GPU serves the native ops: the launches of ``dispatch/<op>.py``, handed to the extension's eval_gpu.

`record` runs the same dispatch as ``metal`` and the emulator with a factory that notes each launch instead of making
it; the shader is the ``[[kernel]]`` function of the same file, instantiated by a line after its text.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import mlx.core as mx

from .._check import FLOATS
from ..reference.definitions import SHADED, definition
from ..reference.ring import empty_ring, is_quantised
from . import source

# MLX puts this, among more, before the texts of mx.fast.metal_kernel.
PREAMBLE = "#include <metal_stdlib>\nusing namespace metal;\n"
COMMIT = "sliding_window_attention_commit"
_TYPES = {mx.float32: "float", mx.float16: "half", mx.bfloat16: "bfloat", mx.int8: "int8_t"}
_PARAMETER = re.compile(r"(\w+)\s*(?:,|$)")


@dataclass(frozen=True)
class Launch:
    """One launch: ``kernel`` is the host name of the instance in ``text``."""

    kernel: str
    text: str
    grid: tuple[int, int, int]
    threadgroup: tuple[int, int, int]
    outputs: tuple[tuple[int, ...], ...]


_noted: list[Launch] = []


def note_launch(*, name: str, **_: Any) -> Any:
    """Stands in for `mx.fast.metal_kernel`."""
    stem = name.removeprefix(source.PREFIX)
    whole = source.entry(stem)

    def note(
        *,
        template: Sequence[tuple[str, Any]],
        grid: Any,
        threadgroup: Any,
        output_shapes: Any,
        output_dtypes: Any,
        **_: Any,
    ) -> list[mx.array]:
        kernel, text = instance(stem, whole, tuple(template))
        shapes = tuple(tuple(shape) for shape in output_shapes)
        _noted.append(Launch(kernel, text, tuple(grid), tuple(threadgroup), shapes))
        return [mx.zeros(shape, dtype) for shape, dtype in zip(output_shapes, output_dtypes, strict=True)]

    return note


@functools.cache
def instance(stem: str, text: str, template: tuple[tuple[str, Any], ...]) -> tuple[str, str]:
    """The host name and the whole text of one instance of ``<stem>_kernel``."""
    declared = re.search(rf"template <([^>]*)>\s*\[\[kernel\]\] void {stem}_kernel\(", text)
    assert declared, f"{stem}_kernel is not in its file"
    given = dict(template)
    values = [_spelled(given[name]) for name in _PARAMETER.findall(declared[1])]
    kernel = "_".join([stem, *values])
    function = f"{stem}_kernel<{', '.join(values)}>"
    line = f'template [[host_name("{kernel}")]] [[kernel]] decltype({function}) {function};'
    return kernel, f"{PREAMBLE}{text}\n{line}\n"


def _spelled(value: Any) -> str:
    if isinstance(value, mx.Dtype):
        return _TYPES[value]
    return str(value).lower() if isinstance(value, bool) else str(value)


def record(op: str, request: Any) -> list[Launch]:
    """The launches that serve the request, in order; none where nothing is launched."""
    _noted.clear()
    importlib.import_module(f"voxtral_kernels.dispatch.{op}").launch(request, note_launch, mx.cpu)
    return list(_noted)


def commit(ring: mx.array, k: mx.array, streams: int = 0) -> Launch:
    """The launch that writes ``k`` and its values into the ring.

    Args:
        ring, k: As for `Backend.commit`.
        streams: How many there are, with equally many rows each; 0: a ring of its own for each of the batch.
    """
    batch, heads, length, dim = k.shape
    if streams:
        batch, length = streams, batch // streams
    apart = ("STREAMS", bool(streams))
    rows = (min(length, ring.shape[3]), 2 * batch * heads)
    if is_quantised(ring):
        stem = f"{COMMIT}_bytes"
        kernel, text = instance(stem, source.entry(stem), (("T", k.dtype), apart))
        return Launch(kernel, text, (32, *rows), (32, 1, 1), ())
    kernel, text = instance(COMMIT, source.entry(COMMIT), (("T", ring.dtype), apart))
    return Launch(kernel, text, (dim, *rows), (min(dim, 256), 1, 1), ())


def splits_at(request: Any) -> Callable[[int, int], int]:
    """What of an attention's launches moves with the end of its ring, and with the length of its tail."""
    found: Callable[[int, int], int] = importlib.import_module(
        "voxtral_kernels.dispatch.sliding_window_attention"
    ).splits_at(request)
    return found


def given_to(extension: Any, launches: Sequence[Launch]) -> Any:
    """The launches as the extension's object; their texts are made known to it."""
    for launch in launches:
        _make_known(extension, launch.kernel, launch.text)
    made = [extension.MetalLaunch(n.kernel, n.grid, n.threadgroup, [list(s) for s in n.outputs]) for n in launches]
    return extension.MetalLaunches(made)


@functools.cache
def _make_known(extension: Any, kernel: str, text: str) -> None:
    """Gives the extension a text, once."""
    extension.add_metal_source(kernel, text)


def checked(op: str, backend: Any) -> Any:
    """What `selfcheck.verdict` takes for a dispatch module: the canary goes through the extension."""
    module = importlib.import_module(f"voxtral_kernels.dispatch.{op}")

    def launch(request: Any, _factory: Any, stream: Any) -> Any:
        return backend.run(request, stream)

    names = ("unsupported", "variant", "template", "canary")
    return SimpleNamespace(launch=launch, **{name: getattr(module, name) for name in names})


def texts_of_cases() -> dict[str, str]:
    """Host name -> text of every shader that the op cases need on a GPU, the ring's commit included."""
    texts: dict[str, str] = {}
    for op in SHADED:
        reference = definition(op)
        module = importlib.import_module(f"voxtral_kernels.dispatch.{op}")
        for case in reference.CASES:
            for dtype in FLOATS:
                request = reference.example(case, dtype)
                if not module.unsupported(request):
                    texts |= {n.kernel: n.text for n in record(op, request)}
    for dtype in FLOATS:
        for bits in (16, 8):
            for streams in (0, 1):
                launch = commit(empty_ring((1, 1), 4, 8, dtype, bits), mx.zeros((1, 1, 1, 8), dtype), streams)
                texts[launch.kernel] = launch.text
    return texts
