"""Realtime hosts' layers behind their caches, served by our blocks: few rows in five ops a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx

from ..backends import plan
from ..models import stack
from ..models.block import Block
from ..reference.skinny_linear import MAX_ROWS
from . import _attention
from ._attention import Spec
from ._packed import Packed, Parts, Together
from ._patched import Plan
from ._seen import Seen


def swap(host_plan: Plan, layers: list[Any], i: int, new: Any, parts: Parts, spec: Spec, path: str, what: str) -> None:
    """Plan the stand-in ``new`` for a layer, over its weights as a block's.

    Args:
        host_plan: Of the host.
        layers, i: The list and the place in it.
        new: The stand-in; its attention stands in already.
        parts, spec: Of the layer.
        path, what: As for `Plan.swap`.
    """
    vars(new)["_packed"] = packed = Packed(new, parts, spec)
    if packed.fits():
        what = f"{what}; skinny_linear up to {MAX_ROWS} rows"
    else:
        host_plan.leave(f"{path}, its products", "their weights are not all plain or all of one affine quantisation")
    host_plan.swap(layers, i, new, path, what)
    host_plan.swaps.append(packed)


def run(
    layers: list[Any],
    x: mx.array,
    caches: Sequence[Any] | None,
    offset: int | None = None,
    scales: Sequence[mx.array | None] | None = None,
) -> mx.array | None:
    """What layers in a row make of their newest positions; None where the host's own modules must serve.

    Args:
        layers: Of one stack.
        x: ``[B, L, D]``, or ``[L, D]`` of one sequence.
        caches: The host's cache objects, or ours, one a layer; None: there are none.
        offset: As for `_attention.serve`.
        scales: The second norm's output of each layer is multiplied by ``1 + scale``; None: by 1.
    """
    # Not by the host's modules: under a product of no rows MLX (matmul_general on a CPU, 0.32) frees its copy of a
    # strided weight while that is still to be written, and packed weights are strided.
    if x.size == 0:
        return x
    lead, dtype = x.shape[:-1], x.dtype
    blocks = None if caches is None else _blocks(layers, dtype)
    if caches is None or blocks is None or (scales and not all(s is None or s.ndim == 1 for s in scales)):
        return None
    _attention.refuse_transformation(caches[0], x)
    batch, length = lead if len(lead) == 2 else (1, lead[0])
    plans = plan.plans(batch, length, dtype)
    h, delta = mx.flatten(x, 0, 1) if len(lead) == 2 else x, None
    turned: int | None = None
    for i, (block, packed) in enumerate(blocks):
        cache, spec, scale = caches[i], packed.spec, scales[i] if scales else None
        ours = _attention.behind(cache, spec)
        if scale is not None and scale.dtype not in (dtype, mx.float32):
            scale = scale.astype(mx.float32)
        step = stack.step(plans, *packed.sizes, None if scale is None else scale.dtype)
        if turned != (turned := ours.offset if offset is None else offset):
            rotation = packed.tables.rotation(turned, length)
        h, delta = block(h, delta, rotation, ours, step, scale)
        if ours is not cache:
            _attention.show(cache, ours, spec, h, plans)
    y = h if delta is None else h + delta
    return mx.unflatten(y, 0, lead) if len(lead) == 2 else y


def _blocks(layers: list[Any], dtype: mx.Dtype) -> list[tuple[Block, Packed]] | None:
    """What serves the layers for rows of this dtype; None where one of them has no block."""
    packs: list[Packed | None] = [vars(layer).get("_packed") for layer in layers]
    first = packs[0] if packs else None
    if first is None:
        return None
    held = first.together
    if held is None or held.packs != packs or held.dtype != dtype or held.seen.changed():
        first.together = None
        blocks, seen = [], []
        for packed in packs:
            block = None if packed is None else packed.block(dtype)
            if packed is None or block is None or packed.seen is None:
                return None
            blocks.append((block, packed))
            seen.append(packed.seen)
        held = first.together = Together(packs, dtype, Seen.together(seen), blocks)
    return held.blocks
