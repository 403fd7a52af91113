"""The routes of a call on a machine without a GPU: all that the host does for a launch is done, the launch is not.

``native, GPU`` chooses, records and hands over as on a GPU; what it builds must not be evaluated. ``metal`` gets a
factory that answers with arrays of the right shape, one node of the graph a launch, as MLX's own makes.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

import mlx.core as mx

import voxtral_kernels as vk
from voxtral_kernels.backends import metal, select, selfcheck
from voxtral_kernels.backends.extension import extension
from voxtral_kernels.backends.shaders import Kernels
from voxtral_kernels.reference.definitions import INTERNAL, OPS, SHADED

ROUTES = ("native, CPU", "native, GPU", "metal", "composed")
# Where a call runs that takes no route of ours, and where each route does.
CPU, GPU = DEVICES = ("CPU", "GPU")
DEVICE = {"native, CPU": CPU, "native, GPU": GPU, "metal": GPU, "composed": CPU}
# On a CPU MLX builds these from a dozen nodes and more; on a GPU each is one.
FAST = ("rms_norm", "layer_norm", "rope", "scaled_dot_product_attention")
# Sees a launch of ``metal``: the kernel's declaration, its inputs, and the launch's arguments.
WatchLaunch = Callable[[dict[str, Any], list[mx.array], dict[str, Any]], None]
# Sees a text that ``native, GPU`` gives to the extension: the kernel's name and the text.
WatchText = Callable[[str, str], None]


@contextlib.contextmanager
def route(name: str, *, launched: WatchLaunch | None = None, given: WatchText | None = None) -> Iterator[None]:
    """Serve every op of the block by one of `ROUTES`, or build for one of `DEVICES` what takes none of them.

    The arguments behind the name see what happens on the way.
    """
    with contextlib.ExitStack() as stack:
        if DEVICE.get(name, name) == GPU:
            _on_a_gpu(stack)
        if name == "composed":
            stack.enter_context(vk.use_backend("composed"))
        elif name == "native, GPU":
            stack.enter_context(mock.patch.object(extension(), "has_metal", True))
            if given is not None:
                own = extension().add_metal_source
                watched = mock.patch.object(extension(), "add_metal_source", functools.partial(_given, own, given))
                stack.enter_context(watched)
        elif name == "metal":
            ops = (*OPS, *INTERNAL)
            served: dict[tuple[str, str], Any] = {("metal", op): _metal(op, launched) for op in SHADED}
            served |= {("native", op): "the extension is not installed." for op in ops}
            stack.enter_context(mock.patch.dict(select._loaded, served))
        yield


def _on_a_gpu(stack: contextlib.ExitStack) -> None:
    real = select.device_type
    for name, module in list(sys.modules.items()):
        if name.startswith("voxtral_kernels.") and getattr(module, "device_type", None) is real:
            stack.enter_context(mock.patch.object(module, "device_type", _gpu))
    for op in FAST:
        stack.enter_context(mock.patch.object(mx.fast, op, _fast))
    # Every canary came out right; that the verdict is looked up at each call stays.
    stack.enter_context(mock.patch.object(selfcheck, "_examined", _came_out_right))
    for known in (selfcheck._verdicts, selfcheck._reasons):
        stack.enter_context(mock.patch.dict(known))


def _gpu(stream: Any) -> mx.DeviceType:
    return mx.gpu


def _came_out_right(*_: Any) -> str:
    return ""


def _fast(x: mx.array, *others: Any, **_: Any) -> mx.array:
    return mx.depends([_shared(x.shape, x.dtype)], [x, *(a for a in others if isinstance(a, mx.array))])[0]


def _given(own: Callable[[str, str], None], watch: WatchText, kernel: str, text: str) -> None:
    watch(kernel, text)
    own(kernel, text)


@functools.cache
def _metal(op: str, watch: WatchLaunch | None) -> Kernels:
    factory = _answering if watch is None else functools.partial(_watched, watch)
    return Kernels(op, metal.short(factory), "metal", checked=True)


def _answering(**_: Any) -> Any:
    return _answer


def _watched(watch: WatchLaunch, **declaration: Any) -> Any:
    def call(*, inputs: list[mx.array], stream: Any = None, **arguments: Any) -> list[mx.array]:
        watch(declaration, inputs, arguments)
        return _answer(inputs=inputs, **arguments)

    return call


def _answer(
    *, inputs: list[mx.array], output_shapes: Sequence[Sequence[int]], output_dtypes: Sequence[mx.Dtype], **_: Any
) -> list[mx.array]:
    return mx.depends([_shared(tuple(s), d) for s, d in zip(output_shapes, output_dtypes, strict=True)], inputs)


def blank(shape: tuple[int, ...], dtype: mx.Dtype) -> mx.array:
    """A new evaluated array of this shape that takes no memory to speak of."""
    a = mx.broadcast_to(mx.zeros((), dtype), shape)
    mx.eval(a)
    return a


# What a launch depends on is not looked at: one array serves every launch.
_shared = functools.lru_cache(maxsize=4096)(blank)


def expect(shape: tuple[int, ...], dtype: mx.Dtype) -> None:
    """Make the stand-ins for what the next steps grow this tail ``[B, Hkv, T, D]`` to: a launch evaluates nothing."""
    for longer in range(1, 5):
        _shared((*shape[:2], shape[2] + longer, shape[3]), dtype)
