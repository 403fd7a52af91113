"""Counts the launches that Metal would make of a computation, and the bytes of its temporaries that are alive at once,
from its exported graph; nothing is evaluated.

One rule for every package: a kernel of ours 1, an ``mx.fast`` op 1, a matmul 1, an elementwise op 1, or 1 for the whole
group where ``mx.compile`` fuses it, a view 0, and 1 for each copy: of an operand that its kernel cannot take strided,
of each part of a concatenation, of the array that a slice update starts from (its buffer is held while a step is in
flight) and of the rows it writes.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

import mlx.core as mx
import mlx.nn as nn
import numpy as np

import voxtral_kernels as vk
from voxtral_kernels import testing
from voxtral_kernels.backends import select, transforms
from voxtral_kernels.models import layers

FREE = {"Transpose", "Broadcast", "ExpandDims", "Squeeze", "Slice", "Split", "StopGradient", "Depends"}
RESHAPES = {"Reshape", "Flatten", "Unflatten"}
VIEWS = FREE | RESHAPES  # a reshape that must copy is none
MATMUL = {"Matmul", "AddMM", "QuantizedMatmul"}
# Elementwise groups under mx.compile: (module, name).
FUSED = [(nn, "silu"), (nn, "gelu"), (layers, "gelu")]
# mx.fast ops; the last two take operands of any strides.
FAST = {"rms_norm": True, "layer_norm": True, "rope": False, "scaled_dot_product_attention": False}
# A stand-in's second output has this many elements more than its number: how the graph names it.
BASE = 1 << 20


def launches(step: Callable[..., Any], *inputs: mx.array) -> Counter[str]:
    """Launches of ``step(*inputs)`` by kind."""
    return read(step, *inputs).count


def read(step: Callable[..., Any], *inputs: mx.array) -> Graph:
    """The graph of ``step(*inputs)``."""
    events: list[dict[str, Any]] = []
    marks: list[tuple[str, list[bool]]] = []
    with _stand_ins(marks):
        mx.export_function(events.append, lambda *arrays: step(*arrays), *inputs)
    return Graph(events, marks)


class Graph:
    """Follows shapes and strides through the exported graph.

    Attributes:
        count: Launches by kind.
        peak_bytes: The most bytes of results alive at once, in the graph's order. Inputs, constants and weights are not
            among them; no result takes over the memory of an operand, and copies of operands are left out.
    """

    def __init__(self, events: list[dict[str, Any]], marks: list[tuple[str, list[bool]]]) -> None:
        self.count: Counter[str] = Counter()
        self._marks = marks
        self._arrays: dict[str, np.ndarray] = {}
        primitives = [event for event in events if event["type"] == "primitive"]
        kept = [name for event in events if event["type"] == "outputs" for name, *_ in event["outputs"]]
        memory = _Memory()
        for event in primitives:
            before = self.count.copy()
            self._primitive(event["name"], event["inputs"], event["outputs"], event["arguments"])
            names = [name for name, *_ in event["inputs"]]
            free = event["name"] in VIEWS and self.count == before
            # A stand-in that launches nothing gives back its operand, which follows the constants that it stands on.
            shown = names[len(event["outputs"]) if event["name"] == "Depends" else 0] if free else None
            memory.step(names, event["outputs"], shown)
        memory.step(kept, [], None)
        self.peak_bytes = memory.peak()

    def _primitive(self, name: str, inputs: list[Any], outputs: list[Any], arguments: list[Any]) -> None:
        operands = [self._arrays.setdefault(i[0], _array(i[1])) for i in inputs]
        results = [_array(o[1]) for o in outputs]
        if name in RESHAPES:
            results = [self._reshaped(operands[0], results[0].shape)]
        elif name == "Depends":
            self._stand_in(operands, results)
        elif name in FREE:
            results = _view(name, operands[0], results, arguments)
        elif name in MATMUL:
            self.count["matmul"] += 1
            self.count["copy"] += sum(not _matmul_takes(a) for a in operands[:2])
        elif name == "Concatenate":
            self.count["concatenate"] += len(operands)
        elif name in ("SliceUpdate", "DynamicSliceUpdate"):
            self.count["slice update"] += 2
        elif name in ("Copy", "Contiguous"):
            self.count["copy"] += not operands[0].flags.c_contiguous
        else:
            self.count[name.lower()] += 1
        self._arrays |= {o[0]: r for o, r in zip(outputs, results, strict=True)}

    def _reshaped(self, operand: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        view = operand.view()
        try:
            view.shape = shape
        except AttributeError:
            self.count["copy"] += 1
            return _array(shape)
        return view

    def _stand_in(self, operands: list[np.ndarray], results: list[np.ndarray]) -> None:
        number = next(r.size - BASE for r in results if r.ndim == 1 and r.size >= BASE)
        kind, whole = self._marks[number]
        self.count[kind] += bool(kind)
        own = operands[len(results) :]
        self.count["copy"] += sum(w and not a.flags.c_contiguous for a, w in zip(own, whole, strict=True))


class _Memory:
    """Which results are alive after each primitive."""

    def __init__(self) -> None:
        self._holder: dict[str, str] = {}  # of a view: the result whose memory it shows
        self._bytes: dict[str, int] = {}
        self._made: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self._steps = 0

    def step(self, inputs: Sequence[str], outputs: Sequence[Any], shown: str | None) -> None:
        """A primitive that reads ``inputs`` and makes ``outputs``, (name, shape, dtype): new, or views of ``shown``."""
        for name in inputs:
            self._last[self._holder.get(name, name)] = self._steps
        for name, shape, dtype in outputs:
            if shown is not None:
                self._holder[name] = self._holder.get(shown, shown)
            elif not (len(shape) == 1 and shape[0] >= BASE):  # a stand-in's mark
                self._bytes[name], self._made[name] = math.prod(shape) * dtype.size, self._steps
        self._steps += 1

    def peak(self) -> int:
        """The most bytes alive during a step."""
        change = [0] * (self._steps + 1)
        for name, size in self._bytes.items():
            change[self._made[name]] += size
            change[self._last.get(name, self._made[name]) + 1] -= size
        return max(itertools.accumulate(change))


def _array(shape: Sequence[int]) -> np.ndarray:
    """A row-contiguous array of this shape that takes no memory to speak of: only its strides are looked at."""
    strides = [1]
    for n in reversed(shape[1:]):
        strides.insert(0, strides[0] * n)
    return np.lib.stride_tricks.as_strided(np.zeros(1, np.int8), shape, strides[: len(shape)])


def _matmul_takes(a: np.ndarray) -> bool:
    """Rows or columns contiguous, anything before them: no copy."""
    rows, columns = a.shape[-2:] if a.ndim > 1 else (1, a.shape[-1])
    return columns == 1 or rows == 1 or a.strides[-1] == 1 or a.strides[-2] == 1


def _view(name: str, a: np.ndarray, results: list[np.ndarray], arguments: list[Any]) -> list[np.ndarray]:
    """What a view op makes of the strides."""
    shape = results[0].shape
    if name == "Transpose":
        return [a.transpose(arguments[0])]
    if name == "Broadcast":
        return [np.broadcast_to(a, shape)]
    if name == "ExpandDims":
        return [np.expand_dims(a, tuple(arguments[0]))]
    if name == "Squeeze":
        return [np.squeeze(a, tuple(arguments[0]))]
    if name == "Slice":
        return [a[tuple(slice(*bounds) for bounds in zip(*arguments, strict=True))]]
    if name == "Split":
        return np.split(a, arguments[0], axis=arguments[1])
    return [a]


@contextlib.contextmanager
def _stand_ins(marks: list[tuple[str, list[bool]]]) -> Iterator[None]:
    """In place of everything that a CPU would expand: one opaque node each."""

    def opaque(kind: str, inputs: Sequence[mx.array], likes: Sequence[tuple[Any, mx.Dtype]], whole: bool) -> list[Any]:
        marks.append((kind, [whole] * len(inputs)))
        outputs = [*(mx.zeros(shape, dtype) for shape, dtype in likes), mx.zeros((BASE + len(marks) - 1,), mx.bool_)]
        mx.eval(outputs)  # constants of the graph, not launches
        return mx.depends(outputs, list(inputs))[:-1]

    def fast(op: str, *args: Any, **kwargs: Any) -> mx.array:
        arrays = [a for a in (*args, *kwargs.values()) if isinstance(a, mx.array)]
        return opaque(f"mx.fast.{op}", arrays, [(args[0].shape, args[0].dtype)], FAST[op])[0]

    def contiguous(a: mx.array, *_: Any, **__: Any) -> mx.array:
        return opaque("", [a], [(a.shape, a.dtype)], True)[0]

    def fused(function: Callable[..., mx.array], *args: mx.array) -> mx.array:
        like = getattr(function, "__wrapped__", function)(*args)
        return opaque("fused elementwise", args, [(like.shape, like.dtype)], False)[0]

    def factory(*, ensure_row_contiguous: bool = True, **_: Any) -> Any:
        def call(*, inputs: Any, output_shapes: Any, output_dtypes: Any, **_: Any) -> list[mx.array]:
            likes = list(zip(output_shapes, output_dtypes, strict=True))
            return opaque("kernel of ours", inputs, likes, ensure_row_contiguous)

        return call

    with contextlib.ExitStack() as stack:
        for op in FAST:
            stack.enter_context(mock.patch.object(mx.fast, op, lambda *a, _op=op, **k: fast(_op, *a, **k)))
        for module, name in FUSED:
            original = getattr(module, name)
            stack.enter_context(mock.patch.object(module, name, lambda *a, _f=original: fused(_f, *a)))
        served = {("metal", op): _Served(op, factory) for op in testing.SHADED}
        stack.enter_context(mock.patch.dict(select._loaded, served))
        stack.enter_context(mock.patch.object(mx, "contiguous", contiguous))
        stack.enter_context(mock.patch.object(transforms, "in_transformation", return_value=False))
        stack.enter_context(vk.use_backend("metal"))
        yield


class _Served(select.Backend):
    """An op's own dispatch, its kernels replaced by opaque nodes."""

    def __init__(self, op: str, factory: Any) -> None:
        self._dispatch, self._factory = importlib.import_module(f"voxtral_kernels.dispatch.{op}"), factory

    def unsupported(self, request: Any, device: mx.DeviceType) -> list[str]:
        return self._dispatch.unsupported(request)

    def variant(self, request: Any) -> tuple[str, str]:
        return self._dispatch.variant(request)

    def run(self, request: Any, stream: Any) -> Any:
        # The kernel objects are cached by factory: this one must not be taken for another's.
        return self._dispatch.launch(request, self._factory, stream)
