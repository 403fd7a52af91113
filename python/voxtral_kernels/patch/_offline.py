"""What the offline hosts share: a Whisper-like tower with a symmetric conv stem, and a Llama decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mlx.nn as nn

from . import _attention
from ._attention import Spec
from ._patched import Plan
from ._stand_in import stand_in
from ._verify import Structure

_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")


@dataclass(frozen=True)
class Names:
    """One host's names for its Llama attention.

    Args:
        heads, kv_heads: Attributes with the number of heads.
        call: Parameters of an attention.
    """

    heads: str
    kv_heads: str
    call: str


def fill_tower(plan: Plan, check: Structure, model: Any, behaviour: type, call: str) -> None:
    """Plan the audio tower's conv stem."""
    check.attributes(model, "audio_tower, multi_modal_projector, language_model", nn.Module, "")
    tower = model.audio_tower
    check.signature(tower, "__call__", call, "audio_tower")
    check.attributes(tower, "conv1, conv2, embed_positions, layer_norm", nn.Module, "audio_tower")
    check.attributes(tower, "layers", list, "audio_tower")
    for name, stride in (("conv1", 1), ("conv2", 2)):
        check.conv(tower[name], stride, f"audio_tower.{name}")
        check.equal(f"audio_tower.{name}.padding", tower[name].padding, 1)
    plan.swap(model, "audio_tower", stand_in(tower, behaviour), "audio_tower, its conv stem", "conv1d_gelu")


def fill_decoder(plan: Plan, check: Structure, layers: list[Any], path: str, names: Names, behaviour: type) -> None:
    """Plan each decoder layer's attention; it is plain causal, so both semantics are the same."""
    for i, layer in enumerate(layers):
        where = f"{path}.layers.{i}.self_attn"
        check.attributes(layer, "self_attn", nn.Module, where.removesuffix(".self_attn"))
        host = layer.self_attn
        check.signature(host, "__call__", names.call, where)
        check.attributes(host, f"{names.heads}, {names.kv_heads}, head_dim", int, where)
        check.attributes(host, "rope", nn.Module, where)
        if getattr(layer, "use_sliding", False):
            raise check.fail(where, "full attention", "sliding attention")
        sizes = (getattr(host, names.heads), getattr(host, names.kv_heads), host.head_dim, host.scale)
        check.attention(host, sizes, _PROJECTIONS, where)
        new_cache = _attention.ring(None, None, i, len(layers), plan.cache_bits)
        rope = host.rope
        spec = Spec(_PROJECTIONS, *sizes, _by(rope), None, new_cache, "offset", axes=True)
        new = stand_in(host, behaviour, _spec=spec)
        plan.swap(layer, "self_attn", new, where, "sliding_window_attention, LinearKVCache")


def leave(plan: Plan) -> None:
    """Say what the offline hosts keep."""
    plan.leave("audio tower's attention, norms and MLPs, projector", "it has no mask: stock attention serves it well")
    plan.leave("rotary positions of the decoder", "the host's own module: prompts are short enough for float32 angles")
    plan.leave("decoder norms and MLPs, embeddings, output head", "stock MLX ops serve them well")
    plan.leave("decoder attention with a mask array of the caller's", "only the host's own attention can honour it")


def _by(rope: Any) -> _attention.Rotate:
    return lambda x, offset: rope(x, offset=offset)
