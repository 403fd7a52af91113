"""A realtime host's layer behind a cache, as rows: the fewest nodes and Python calls that its weights allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from .._check import FLOATS
from . import _attention
from ._attention import product
from ._delay import add_norm
from ._verify import Structure


@dataclass(frozen=True)
class Parts:
    """A host's names in a layer ``h + down(silu(gate(n)) * up(n))`` of ``h = x + attention(norm(x))``, ``n = norm(h)``.

    Args:
        attention, attention_norm, ffn_norm: Children of the layer.
        mlp: Child that holds the gated product; None: the layer itself.
        gated: Its linear layers: gate, up, down.
    """

    attention: str
    attention_norm: str
    ffn_norm: str
    mlp: str | None
    gated: tuple[str, str, str]

    @property
    def children(self) -> str:
        """The layer's children, as `Structure.attributes` takes them."""
        inside = self.gated if self.mlp is None else (self.mlp,)
        return ", ".join((self.attention, self.attention_norm, self.ffn_norm, *inside))

    def check(self, check: Structure, layer: Any, path: str) -> None:
        """The layer has these parts, and their sizes agree."""
        check.attributes(layer, self.children, nn.Module, path)
        mlp = layer if self.mlp is None else layer[self.mlp]
        path = path if self.mlp is None else f"{path}.{self.mlp}"
        check.rows(mlp, self.gated[2], layer[self.ffn_norm].weight.shape[0], path)
        check.rows(mlp, self.gated[0], mlp[self.gated[1]]["weight"].shape[0], path)

    def attributes(self, layer: Any) -> dict[str, Any]:
        """What a stand-in for the layer holds."""
        return {"_parts": self, "_held": {}, "_mlp_type": None if self.mlp is None else type(layer[self.mlp])}


def serve(
    layer: Any, x: mx.array, cache: Any, offset: int | None = None, scale: mx.array | None = None
) -> mx.array | None:
    """The layer's result for its newest positions; None where the host's own arithmetic must be kept.

    Args:
        layer: Stand-in with `Parts.attributes`; its attention stands in too.
        x: ``[B, L, D]``, or ``[L, D]`` of one sequence.
        cache: The host's cache object, or ours.
        offset: As for `_attention.serve`.
        scale: The second norm's output is multiplied by ``1 + scale``; None: by 1.
    """
    parts: Parts = layer._parts
    first, second, dtype = layer[parts.attention_norm], layer[parts.ffn_norm], x.dtype
    if type(first) is not nn.RMSNorm or type(second) is not nn.RMSNorm or dtype not in FLOATS or x.shape[-2] == 0:
        return None
    gain = first["weight"]
    if gain.dtype != dtype or (scale is not None and scale.ndim != 1):
        return None
    lead = x.shape[:-1]
    rows = mx.flatten(x, 0, 1) if len(lead) == 2 else x
    normed = mx.fast.rms_norm(rows, gain, first.eps)
    delta, plans = _attention.rows(layer[parts.attention], normed, lead, cache, offset)
    normed, h = add_norm(delta, rows, second, scale, plans)
    mlp = layer if parts.mlp is None else layer[parts.mlp]
    if parts.mlp is not None and type(mlp) is not layer._mlp_type:
        y = h + mlp(normed)
    else:
        held, (gate, up, down) = layer._held, parts.gated
        gated = nn.silu(product(held, mlp, gate, normed)) * product(held, mlp, up, normed)
        y = h + product(held, mlp, down, gated)
    return mx.unflatten(y, 0, lead) if len(lead) == 2 else y
