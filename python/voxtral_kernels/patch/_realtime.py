"""What voxmlx and WhisperLiveKit's `voxtral_mlx` share: one architecture under two sets of names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from . import _attention, _conv, _layer
from ._attention import Spec
from ._delay import Scales, add_norm
from ._packed import Parts
from ._patched import Plan
from ._stand_in import stand_in
from ._verify import Structure

# Both hosts make their decoder caches of this size in code, whatever the checkpoint says.
HOST_DECODER_WINDOW = 8192


@dataclass(frozen=True)
class Names:
    """One host's names.

    Args:
        layers: Attribute of the encoder and of the decoder that lists their layers.
        decoder: Attribute of the model.
        parts: Of an encoder and of a decoder layer.
        ada: Child of a decoder layer.
        ada_linear: The two linear layers of ``ada``.
        projections: Children of an attention for q, k, v and out.
        final_norm, embedding: Children of the decoder.
        capacity: Attribute of the host's cache that bounds it.
        encoder_call: Parameters of an encoder layer and of its attention.
        condition: What the host calls the time embedding.
    """

    layers: str
    decoder: str
    parts: Parts
    ada: str
    ada_linear: tuple[str, str]
    projections: tuple[str, str, str, str]
    final_norm: str
    embedding: str
    capacity: str
    encoder_call: str
    condition: str


class DecoderAttention:
    """Decoder attention; with the right semantics causal also where it is called without a mask."""

    def __call__(self: Any, x: mx.array, mask: Any = None, cache: Any = None) -> mx.array:
        if not self.serves(x, mask):
            return super().__call__(x, mask, cache)  # type: ignore[misc]
        return _attention.serve(self, x, cache)

    def serves(self: Any, x: mx.array, mask: Any) -> bool:
        """Whether it is causal here."""
        return not (_attention.is_given(mask) or (self._host_semantics and mask is None and x.shape[1] > 1))


class DecoderLayer:
    """Decoder layer, with its delay conditioning."""

    def __call__(
        self: Any, x: mx.array, t_cond: mx.array, mask: Any = None, cache: Any = None, scale: mx.array | None = None
    ) -> mx.array:
        parts: Parts = self._parts
        if scale is None:
            scale = Scales([self[self._names.ada]])(t_cond, x.dtype)[0]
        attention = self[parts.attention]
        behind = cache is not None and attention.serves(x, mask)
        served = _layer.run([self], x, [cache] if behind else None, scales=[scale])
        if served is not None:
            return served
        attended = attention(self[parts.attention_norm](x), mask, cache)
        normed, h = add_norm(attended, x, self[parts.ffn_norm], scale)
        return h + self[parts.mlp](normed)


class Decoder:
    """The decoder; the layers' scales are computed once for each time embedding."""

    def __call__(self: Any, x: mx.array, t_cond: mx.array, mask: Any = None, cache: Any = None) -> mx.array:
        n: Names = self._names
        if x.size == 0:  # MLX's quantised product of no rows ends the process (0.32)
            return mx.zeros((*x.shape[:-1], self[n.embedding]["weight"].shape[0]), x.dtype)
        layers = self[n.layers]
        scales = self._scales(t_cond, x.dtype)
        behind = cache is not None and layers[0][n.parts.attention].serves(x, mask)
        served = _layer.run(layers, x, cache if behind else None, scales=scales)
        if served is None:
            served = x
            for i, (layer, scale) in enumerate(zip(layers, scales, strict=True)):
                served = layer(served, t_cond, mask, None if cache is None else cache[i], scale=scale)
        return self[n.embedding].as_linear(self[n.final_norm](served))


def fill_stem(plan: Plan, check: Structure, model: Any, behaviour: type, methods: dict[str, str]) -> None:
    """Plan the conv stem: ``methods`` of the encoder, with their parameters, whole first and streamed second."""
    encoder = model.encoder
    for method, parameters in methods.items():
        check.signature(encoder, method, parameters, "encoder")
    check.attributes(encoder, "conv1, conv2", nn.Module, "encoder")
    check.conv(encoder.conv1, 1, "encoder.conv1")
    check.conv(encoder.conv2, 2, "encoder.conv2")
    right = plan.semantics == "right"
    new = stand_in(encoder, behaviour, _stem=_conv.causal if right else _conv.causal_host)
    plan.swap(model, "encoder", new, ", ".join(f"encoder.{name}" for name in methods), "causal_conv1d_gelu")
    if right:
        plan.changes.append("encoder: a chunk of an odd number of mel frames no longer loses a frame in the conv stem")


def leave(plan: Plan) -> None:
    """Say what the hosts of this architecture keep."""
    plan.leave("arithmetic of the MLPs, adapter, token embedding, output head", "stock MLX ops serve it well")
    plan.leave("attention with a mask array of the caller's", "only the host's own attention can honour it")


def fill_encoder(
    plan: Plan, check: Structure, encoder: Any, names: Names, layer_behaviour: type, behaviour: type
) -> None:
    """Plan each encoder layer, its attention over the window (right semantics) or everything (the host's)."""
    check.attributes(encoder, "sliding_window", int, "encoder")
    check.attributes(encoder, names.layers, list, "encoder")
    layers = getattr(encoder, names.layers)
    right = plan.semantics == "right"
    window = encoder.sliding_window if right else None
    rotate = None
    for i, layer in enumerate(layers):
        where, parts = f"encoder.{names.layers}.{i}", names.parts
        check.signature(layer, "__call__", names.encoder_call, where)
        parts.check(check, layer, where)
        path, host = f"{where}.{parts.attention}", layer[parts.attention]
        check.signature(host, "__call__", names.encoder_call, path)
        sizes = _sizes(check, host, "n_heads", path)
        check.attention(host, sizes, names.projections, path)
        rotate = rotate or (_attention.Tables if right else _attention.StockTables)(sizes[2], host.rope_theta)
        new_cache = _attention.ring(window, None, i, len(layers), plan.cache_bits)
        spec = Spec(names.projections, *sizes, rotate, window, new_cache, "_offset")
        what = f"sliding_window_attention, {f'RingKVCache({window})' if right else 'LinearKVCache'}"
        new = stand_in(layer, layer_behaviour, _parts=parts)
        new[parts.attention] = stand_in(host, behaviour, _spec=spec)
        _layer.swap(plan, layers, i, new, parts, spec, where, what)
    if right:
        plan.changes += [
            f"encoder: a frame sees {window} frames including its own; the host lets it see all earlier ones, and its"
            " streaming cache grows with the audio",
            "encoder and decoder: rotary angles come from float64; the host's float32 ones drift on long streams",
        ]


def fill_decoder(plan: Plan, check: Structure, model: Any, names: Names, window: int | None) -> None:
    """Plan the decoder: its attention and caches, and the conditioned norm with its scales computed once."""
    check.attributes(model, names.decoder, nn.Module, "")
    decoder = getattr(model, names.decoder)
    parameters = f"x, {names.condition}, mask, cache"
    check.signature(decoder, "__call__", parameters, names.decoder)
    check.attributes(decoder, names.layers, list, names.decoder)
    check.attributes(decoder, f"{names.final_norm}, {names.embedding}", nn.Module, names.decoder)
    layers = decoder[names.layers]
    right = plan.semantics == "right"
    rotates: list[Any] = []
    for i, layer in enumerate(layers):
        path = f"{names.decoder}.{names.layers}.{i}"
        check.signature(layer, "__call__", parameters, path)
        parts = names.parts
        check.attributes(layer, names.ada, nn.Module, path)
        parts.check(check, layer, path)
        attention = layer[parts.attention]
        check.signature(attention, "__call__", "x, mask, cache", f"{path}.{parts.attention}")
        sizes = _sizes(check, attention, "n_heads, n_kv_heads", path)
        check.attention(attention, sizes, names.projections, f"{path}.{parts.attention}")
        check.rows(layer[names.ada], names.ada_linear[1], layer[parts.ffn_norm].weight.shape[0], f"{path}.{names.ada}")
        rotates = rotates or [(_attention.Tables if right else _attention.StockTables)(sizes[2], attention.rope_theta)]
        new_cache = _attention.ring(window, names.capacity, i, len(layers), plan.cache_bits)
        bare = (window or HOST_DECODER_WINDOW) if right else None
        spec = Spec(names.projections, *sizes, rotates[0], bare, new_cache, "_offset")
        new = stand_in(layer, DecoderLayer, _names=names, _parts=parts)
        new[parts.attention] = stand_in(attention, DecoderAttention, _spec=spec, _host_semantics=not right)
        what = f"sliding_window_attention, RingKVCache({window or 'the size of the cache given'}); ada_rms_norm"
        _layer.swap(plan, layers, i, new, parts, spec, path, what)
    scales = Scales([layer[names.ada] for layer in layers])
    new = stand_in(decoder, Decoder, _names=names, _scales=scales)
    if right:
        plan.changes.append("decoder: a call without a mask is causal; the host lets its tokens see later ones too")
    if right and window not in (None, HOST_DECODER_WINDOW):
        plan.changes.append(f"decoder: a token sees {window} tokens including its own; the host's caches hold 8192")
    plan.swap(model, names.decoder, new, names.decoder, "scales of the delay computed once for each time embedding")


def _sizes(check: Structure, attention: Any, heads: str, path: str) -> tuple[int, int, int, float]:
    check.attributes(attention, f"{heads}, head_dim", int, path)
    check.attributes(attention, "scale, rope_theta", (float, int), path)
    n_kv_heads = getattr(attention, "n_kv_heads", attention.n_heads)
    return attention.n_heads, n_kv_heads, attention.head_dim, attention.scale
