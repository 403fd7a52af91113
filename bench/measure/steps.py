"""A step of every package's layers, ready to be built: narrow, so that arithmetic is nothing, with full windows.

A decoder step is 26 layers and the head on one token behind 8192; an encoder chunk is 32 layers on 4 frames behind
750. Nothing is evaluated: between two steps, whatever the caches hold is replaced by arrays that are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

import voxtral_kernels as vk
from voxtral_kernels.caches import KVCache
from voxtral_kernels.models.voxtral_realtime.config import Config, DecoderConfig, EncoderConfig
from voxtral_kernels.patch import _attention

from .. import hosts
from .random_model import random
from .routes import DEVICES, blank, expect, route
from .timing import Building

DTYPE = mx.bfloat16
DIM, HEAD_DIM, VOCABULARY = 64, 64, 96
# Layers and heads of the narrow model: the decoder's queries share a key-value head as the real one's do.
ENCODER = {"dim": DIM, "n_layers": 32, "n_heads": 2, "head_dim": HEAD_DIM, "hidden_dim": DIM}
DECODER = {"dim": DIM, "n_layers": 26, "n_heads": 4, "n_kv_heads": 1, "head_dim": HEAD_DIM, "hidden_dim": DIM}
WINDOWS = (750, 8192)


@dataclass(frozen=True)
class Kind:
    """Decoder step or encoder chunk."""

    name: str
    layer: str
    length: int
    window: int
    kv_heads: int


DECODER_STEP = Kind("decoder step", "decoder layer", 1, WINDOWS[1], DECODER["n_kv_heads"])
ENCODER_CHUNK = Kind("encoder chunk", "encoder layer", 4, WINDOWS[0], ENCODER["n_heads"])
KINDS = (DECODER_STEP, ENCODER_CHUNK)


class Step(Building):
    """One package's step on one route; each call builds the next one.

    Args:
        run: The layers.
        x: What they are given.
        caches: Theirs, full.
        on: The route.
    """

    def __init__(self, run: Callable[[mx.array], mx.array], x: mx.array, caches: list[Any], on: str) -> None:
        self.caches, self.on = caches, on
        self._run, self._x = run, x

    def __call__(self) -> mx.array:
        return self._run(self._x)

    def context(self) -> Any:
        """The route."""
        return route(self.on)

    def settle(self) -> None:
        """Take the step for computed."""
        for cache in self.caches:
            _settle(cache)

    def arrays(self) -> list[mx.array]:
        """What the caches hold."""
        return [a for cache in self.caches for a in _held(cache)]


def _settle(cache: Any) -> None:
    fields = vars(cache)
    for name, value in list(fields.items()):
        if isinstance(value, KVCache):
            _settle(value)
        elif isinstance(value, mx.array):
            fields[name] = blank(value.shape, value.dtype)
        elif isinstance(value, tuple) and value and isinstance(value[0], mx.array):
            fields[name] = tuple(blank(a.shape, a.dtype) for a in value)
            expect(value[0].shape, value[0].dtype)


def _held(cache: Any) -> Iterator[mx.array]:
    for value in vars(cache).values():
        if isinstance(value, KVCache):
            yield from _held(value)
        for a in value if isinstance(value, tuple) else (value,):
            if isinstance(a, mx.array):
                yield a


def ours(kind: Kind, on: str, layers: int | None = None) -> Step:
    """Our own layers on a route; ``layers`` None: as many as the real model has."""
    model = _model(layers)
    stack: Any = model.decoder if kind is DECODER_STEP else model.encoder
    caches = stack.new_caches(lazy=True)  # as a stream makes them
    if kind is DECODER_STEP:
        scales = stack.scales(hosts.DELAY, model.time_dtype)
        step = Step(lambda x: stack.logits(stack(x, scales, caches)), _input((1,), kind), caches, on)
    else:
        step = Step(lambda x: stack(x, caches), _input((1,), kind), caches, on)
    return _filled(step, kind)


@functools.cache
def _model(layers: int | None) -> Any:
    e, d = (size if layers is None else size | {"n_layers": layers} for size in (ENCODER, DECODER))
    encoder = EncoderConfig(DIM, e["n_layers"], e["n_heads"], HEAD_DIM, e["hidden_dim"], WINDOWS[0], 1e6, 1e-5, 128)
    decoder = DecoderConfig(
        DIM,
        d["n_layers"],
        d["n_heads"],
        d["n_kv_heads"],
        HEAD_DIM,
        d["hidden_dim"],
        WINDOWS[1],
        1e6,
        1e-5,
        VOCABULARY,
        32,
    )
    return random(Config(encoder, decoder, downsample=4))


def of_host(host: Any, kind: Kind, on: str, layers: int | None = None) -> Step:
    """A host's own layers on a device, or those of an accelerated one on a route."""
    model = _host_model(host, on not in DEVICES, layers)
    found = host.decoder_layers(model, WINDOWS[1]) if kind is DECODER_STEP else host.encoder_layers(model)
    return _filled(Step(found.run, _input(found.lead, kind), found.caches, on), kind)


@functools.cache
def _host_model(host: Any, accelerated: bool, layers: int | None) -> Any:
    sizes = (ENCODER, DECODER) if layers is None else tuple(s | {"n_layers": layers} for s in (ENCODER, DECODER))
    model = host.sized(*sizes, WINDOWS)
    model.set_dtype(DTYPE)
    if accelerated:
        vk.accelerate(model, decoder_window=WINDOWS[1])
    mx.eval(model.parameters())
    return model


def _input(lead: tuple[int, ...], kind: Kind) -> mx.array:
    x = mx.random.normal((*lead, kind.length, DIM), key=mx.random.key(0)).astype(DTYPE)
    mx.eval(x)
    return x


def _filled(step: Step, kind: Kind) -> Step:
    """The step with its caches full and two more steps behind it, so that the next is one like any other."""
    kv = blank((1, kind.kv_heads, kind.window, HEAD_DIM), DTYPE)
    with step.context():
        if _is_accelerated(step):  # a host's cache gets ours at its first use
            step()
        for cache in step.caches:
            _fill(cache, kv)
        for _ in range(2):
            step()
            step.settle()
    return step


def _is_accelerated(step: Step) -> bool:
    return not isinstance(step.caches[0], KVCache) and step.on not in DEVICES


def _fill(cache: Any, kv: mx.array) -> None:
    slot = vars(cache).get(_attention._SLOT, cache)
    if not isinstance(slot, KVCache):
        cache.update_and_fetch(kv, kv)
        return
    slot.append(kv, kv)
    slot._commits = 0  # the next one comes when its layer's turn is, as in a stream
    slot._lazy = True  # what stands in for a ring must not be computed with
    if slot is not cache:
        setattr(cache, "_offset" if hasattr(cache, "_offset") else "offset", slot.offset)
