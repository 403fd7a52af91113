"""A stack of transformer layers with rotary positions: what the decoders and the causal encoder have in common."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import mlx.core as mx
import mlx.nn as nn

from .. import _check
from .._check import dtype_name
from ..backends import plan, select, transforms
from ..caches import GROWTH, CacheRows, KVCache, LinearKVCache, RingKVCache, RingSlots
from . import rope
from .block import Block

OP = "sliding_window_attention"


class Step(NamedTuple):
    """What serves one pass of a stack over its layers.

    Args:
        plans: For these rows.
        first: The norm in front of the first layer, which has no residual yet.
        norm: The norm of a residual add.
        mlp_norm: The same with the layer's scale, where there is one.
        silu_mul: The gated product.
        linear: ``(x, weight, bias)`` of plain weights of ``dtype``; None: stock MLX.
        dtype: Of the rows, by name.
    """

    plans: plan.Plans
    first: Callable[..., Any]
    norm: Callable[..., Any]
    mlp_norm: Callable[..., Any]
    silu_mul: Callable[..., mx.array]
    linear: Callable[..., mx.array] | None
    dtype: str


@functools.lru_cache(maxsize=64)
def step(plans: plan.Plans, dim: int, hidden_dim: int, scale: mx.Dtype | None) -> Step:
    """What serves layers of these sizes.

    Args:
        plans: For the rows.
        dim, hidden_dim: Of the layers and of their gated products.
        scale: Dtype of the layers' conditioning, if any.
    """
    norm = plans.norm(dim, None, True)
    mlp_norm = norm if scale is None else plans.norm(dim, scale, True)
    first, silu_mul = plans.norm(dim, None, False), plans.silu_mul(hidden_dim)
    return Step(plans, first, norm, mlp_norm, silu_mul, plans.linear, dtype_name(plans.dtype))


class Stack(nn.Module):
    """``norm(blocks(x))``.

    Args:
        config: With ``head_dim``, ``rope_theta``, ``norm_eps`` and ``window`` (None: plain causal).
        blocks: The layers.
        norm: Gain of the final norm ``[D]``.
    """

    def __init__(self, config: Any, blocks: list[Block], norm: mx.array) -> None:
        super().__init__()
        self.config, self.blocks, self.norm = config, blocks, norm

    def new_caches(self, offset: int = 0, *, bits: int = 16, lazy: bool = False) -> list[KVCache]:
        """One empty cache a layer; their commits are spread over the steps.

        Args:
            offset: Absolute position of the first token.
            bits, lazy: See `RingKVCache`.
        """
        n, window = len(self.blocks), self.config.window
        if window is None:
            return [LinearKVCache(bits=bits, offset=offset, phase=i / n, lazy=lazy) for i in range(n)]
        return [RingKVCache(window, bits=bits, offset=offset, phase=i / n, lazy=lazy) for i in range(n)]

    def new_slots(self, bits: int = 16) -> list[RingSlots]:
        """`RingSlots` for each layer; none where there is no window."""
        window = self.config.window
        return [] if window is None else [RingSlots(window, bits=bits, lazy=True) for _ in self.blocks]

    def step(
        self,
        batch: int,
        length: int,
        dtype: mx.Dtype,
        *,
        scale: mx.Dtype | None = None,
        stateful: bool = True,
        apart: bool = False,
    ) -> Step:
        """What serves ``[batch, length, D]``; made at the first call, found again while nothing changes.

        Args:
            batch, length, dtype: Of the input.
            scale: Dtype of the layers' conditioning, if any.
            stateful: With caches.
            apart: The rows come from different streams, see `CacheRows`.
        """
        plans = plan.plans(batch, length, dtype, stateful=stateful, apart=apart)
        return step(plans, self.config.dim, self.config.hidden_dim, scale)

    def rows_alone(self, dtype: mx.Dtype, *, scale: mx.Dtype | None = None) -> bool:
        """Whether a row of a few is, bit for bit, what it is alone: the kernels of few rows serve every product.

        Args:
            dtype, scale: As for `step`.
        """
        with contextlib.suppress(RuntimeError):
            step = self.step(1, 2, dtype, scale=scale)
            return self["blocks"][0].fused(step.plans, scale) is not None
        return False

    def warm(self, length: int, dtype: mx.Dtype, *, scale: mx.Dtype | None = None) -> None:
        """Make the plans of a stream's steps, so that its first one finds them.

        On a GPU one layer runs, behind an empty and behind a full cache: that compiles its kernels. A backend asked for
        by name that cannot serve them says so at the first call.

        Args:
            length, dtype, scale: As for `step`.
        """
        with contextlib.suppress(RuntimeError):
            step, block = self.step(1, length, dtype, scale=scale), self["blocks"][0]
            fused, window = block.fused(step.plans, scale), self.config.window
            heads = block["attention"]["heads"] if fused is None else fused.heads
            for capacity in (0, min(GROWTH, window or GROWTH), window or GROWTH):
                step.plans.attention(heads, window, capacity, 0)
            if select.device_type(None) == mx.gpu:
                mx.eval([self._probed(step, full, scale) for full in (False, True)])

    def _probed(self, step: Step, full: bool, scale: mx.Dtype | None) -> list[mx.array]:
        """What the first layer makes of zeros."""
        c, p = self.config, step.plans
        cache, block = self.new_caches(lazy=True)[0], self["blocks"][0]
        if full:
            kv = mx.zeros((1, block["attention"]["heads"].n_kv_heads, c.window or GROWTH, c.head_dim), p.dtype)
            cache.append(kv, kv)
        rows = mx.zeros((p.length, c.dim), p.dtype)
        rotation = rope.rotation(cache.offset, p.length, c.head_dim, c.rope_theta)
        found = block(rows, None, rotation, cache, step, None if scale is None else mx.zeros((c.dim,), scale))
        return [a for a in found if a is not None]

    def __call__(
        self,
        x: mx.array,
        caches: Sequence[KVCache] | Sequence[CacheRows] | None = None,
        scales: Sequence[mx.array] | None = None,
        *,
        at_once: bool = False,
    ) -> mx.array:
        """``[B, L, D]`` to normed hidden states of the same shape.

        Args:
            x: All positions, or with ``caches`` those behind what the caches have seen.
            caches: From ``new_caches``; changed in place. Or those of several streams as `CacheRows`, with L = 1: only
                where `rows_alone` says so.
            scales: Each layer's conditioning ``[D]``, see `Block`; for several streams one of each row, ``[B, D]``.
            at_once: Each layer is begun while the next one is made: for what nothing else runs beside, on a CPU.
        """
        c, (batch, length, dim) = self.config, x.shape
        if caches and transforms.in_transformation(x):
            raise _check.fail(OP, "cache", "None inside mx.compile, mx.grad or mx.vmap", type(caches[0]).__name__)
        scale = scales[0].dtype if scales else None
        apart = caches is not None and bool(caches) and isinstance(caches[0], CacheRows)
        step = self.step(batch, length, x.dtype, scale=scale, stateful=bool(caches), apart=apart)
        runs = caches[0].runs(length) if caches else [(0, length)]
        rotation = rope.rotations(runs, c.head_dim, c.rope_theta)
        h, delta = x.reshape(batch * length, dim), None
        for i, block in enumerate(self["blocks"]):
            h, delta = block(h, delta, rotation, caches[i] if caches else None, step, scales[i] if scales else None)
            if at_once:
                mx.async_eval(h if delta is None else [h, delta])
        if delta is None:
            y = step.first(h, self["norm"], None, c.norm_eps, None)
        else:
            y, _ = step.norm(delta, self["norm"], None, c.norm_eps, h)
        return y.reshape(x.shape)
