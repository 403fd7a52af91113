"""The pre-norm transformer layer that the models share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import mlx.core as mx
import mlx.nn as nn

from ..backends.plan import Heads, Plans
from .layers import Attention, Linear, SwiGLU

if TYPE_CHECKING:
    from ..caches import KVCache
    from .stack import Step

# The fields of SkinnyLinear from the length on, where nothing is split into heads.
_NO_HEADS = (0, None, None, None, 0, 0)
# Of steps of 1 to 16 rows of one stream and of several, in 16 bits and in 32.
_HELD = 64


class Fused(NamedTuple):
    """What serves a block: its heads with their projection, and the other three products.

    The products are functions of the fields of `SkinnyLinear`.
    """

    heads: Heads
    out: Callable[..., mx.array]
    gate_up: Callable[..., mx.array]
    down: Callable[..., mx.array]


class _Held:
    """By plans and the dtype of a scale: the weights that were looked at, and what serves them."""

    def __init__(self) -> None:
        self.by: dict[Any, tuple[tuple[mx.array, ...], Fused | None]] = {}


class Block(nn.Module):
    """Pre-norm transformer layer: attention, then SwiGLU; each residual add is fused with the norm behind it.

    Args:
        attention_norm, mlp_norm: Gains ``[D]``.
        eps: Of both norms.
    """

    def __init__(
        self, attention_norm: mx.array, attention: Attention, mlp_norm: mx.array, mlp: SwiGLU, eps: float
    ) -> None:
        super().__init__()
        self.attention_norm, self.attention = attention_norm, attention
        self.mlp_norm, self.mlp, self.eps = mlp_norm, mlp, eps
        self._held = _Held()

    def __call__(
        self,
        h: mx.array,
        delta: mx.array | None,
        rotation: mx.array,
        cache: KVCache | None,
        step: Step,
        scale: mx.array | None = None,
    ) -> tuple[mx.array, mx.array | None]:
        """One layer on the pair (residual stream, what the layer before adds to it).

        Args:
            h, delta: Rows ``[B * L, D]``; ``delta`` None before the first layer and where each product adds its own.
            rotation: Of these positions, see `rope.rotation`.
            cache: This layer's cache, or None.
            step: What serves the step.
            scale: ``[D]``; the second norm's output is multiplied by ``1 + scale``.

        Returns:
            The pair for the next layer.
        """
        attention, mlp = self["attention"], self["mlp"]
        qkv, out = attention["qkv"].operands(), attention["out"].operands()
        gate_up, down = mlp["gate_up"].operands(), mlp["down"].operands()
        plans, eps = step.plans, self.eps
        fused = self._found(plans, None if scale is None else scale.dtype, qkv[0], out[0], gate_up[0], down[0])
        if fused is not None:
            # The layer in five ops.
            h = h if delta is None else h + delta
            rows = h, *qkv, self["attention_norm"], None, eps, None, None, False, plans.length
            y = attention.attend(rows, fused.heads, rotation, cache, step)
            h = fused.out(y, *out, None, None, eps, None, h, False, *_NO_HEADS)
            y = fused.gate_up(h, *gate_up, self["mlp_norm"], scale, eps, None, None, True, *_NO_HEADS)
            return fused.down(y, *down, None, None, eps, None, h, False, *_NO_HEADS), None
        if delta is None:
            normed = step.first(h, self["attention_norm"], None, eps, None)
        else:
            normed, h = step.norm(delta, self["attention_norm"], None, eps, h)
        attended = attention(normed, rotation, cache, step)
        normed, h = step.mlp_norm(attended, self["mlp_norm"], scale, eps, h)
        return h, mlp(normed, step)

    def fused(self, plans: Plans, scale: mx.Dtype | None) -> Fused | None:
        """What serves the layer's products with what stands around them; None where single ops serve better.

        Args:
            plans: For the rows.
            scale: Dtype of the layer's conditioning, if any.
        """
        return self._found(plans, scale, *(linear["matrix"]["weight"] for linear in self._linears()))

    def _linears(self) -> tuple[Linear, ...]:
        attention, mlp = self["attention"], self["mlp"]
        return attention["qkv"], attention["out"], mlp["gate_up"], mlp["down"]

    def _found(
        self, plans: Plans, scale: mx.Dtype | None, qkv: mx.array, out: mx.array, gate_up: mx.array, down: mx.array
    ) -> Fused | None:
        """What serves while the weights are these."""
        held = self._held.by.get((plans, scale))
        if held is not None:
            a, b, c, d = held[0]
            if a is qkv and b is out and c is gate_up and d is down:
                return held[1]
        if len(self._held.by) >= _HELD:
            self._held.by.clear()
        found = self._make(plans, scale, self._linears())
        self._held.by[plans, scale] = (qkv, out, gate_up, down), found
        return found

    def _make(self, plans: Plans, scale: mx.Dtype | None, linears: tuple[Linear, ...]) -> Fused | None:
        around: tuple[dict[str, Any], ...] = (
            {"norm": True},
            {"add": True},
            {"norm": True, "scale": scale, "gated": True},
            {"add": True},
        )
        forms = [linear.form(plans.dtype, **what) for linear, what in zip(linears, around, strict=True)]
        heads = self["attention"]["heads"]._replace(projection=forms[0])
        found = [None if f is None else plans.projection(f, None if i else heads) for i, f in enumerate(forms)]
        if any(function is None for function in found):
            return None
        closed = (x.closed(f) for x, f in zip(linears[1:], found[1:], strict=True))  # type: ignore[arg-type]
        return Fused(heads, *closed)
