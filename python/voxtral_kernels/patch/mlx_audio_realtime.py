"""mlx-audio 0.6.2, `voxtral_realtime`."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from .._exclusive import Exclusive
from . import _attention, _conv, _layer, _threads
from ._attention import Spec
from ._delay import add_norm
from ._packed import Parts
from ._patched import Plan
from ._stand_in import stand_in
from ._verify import Structure, noise

# What a session keeps from one step to the next.
_STATE = ("_smel", "_sconv", "_senc", "_sproj", "_pending_mel", "_adapter_frames", "_cache", "_next_tok")
_PROJECTIONS = ("wq", "wk", "wv", "wo")
_GATED = ("feed_forward_w1", "feed_forward_w3", "feed_forward_w2")
_PARTS = Parts("attention", "attention_norm", "ffn_norm", None, _GATED)


class EncoderAttention:
    """Encoder attention of ``x [L, D]``; the host's mask says the same as the window and is not looked at."""

    def __call__(self: Any, x: mx.array, rope_offset: int, mask: Any, cache: Any = None) -> mx.array:
        return _attention.serve(self, x, cache, rope_offset)


class DecoderAttention:
    """Decoder attention of ``x [L, D]``."""

    def __call__(self: Any, x: mx.array, start_pos: int, cache: Any = None) -> mx.array:
        return _attention.serve(self, x, cache, start_pos)


class EncoderLayer:
    """Encoder layer, behind a cache."""

    def __call__(self: Any, x: mx.array, rope_offset: int, mask: Any, cache: Any = None) -> mx.array:
        served = _layer.run([self], x, None if cache is None else [cache], rope_offset)
        return super().__call__(x, rope_offset, mask, cache) if served is None else served  # type: ignore[misc]


class DecoderLayer:
    """Decoder layer, with its delay conditioning."""

    def __call__(self: Any, x: mx.array, start_pos: int, ada_scale: Any = None, cache: Any = None) -> mx.array:
        scale = ada_scale if self._conditioned else None
        served = _layer.run([self], x, None if cache is None else [cache], start_pos, [scale])
        if served is not None:
            return served
        attended = self.attention(self.attention_norm(x), start_pos, cache=cache)
        normed, h = add_norm(attended, x, self.ffn_norm, scale)
        gated = nn.silu(self.feed_forward_w1(normed)) * self.feed_forward_w3(normed)
        return h + self.feed_forward_w2(gated)


class Encoder:
    """The encoder's conv stem over a whole recording."""

    def conv_stem(self: Any, mel: mx.array) -> mx.array:
        frames = _conv.causal(mel.T[None], _Conv(self.conv_layers_0_conv), _Conv(self.conv_layers_1_conv))[0][0]
        return frames[frames.shape[0] % self.config.downsample_factor :]


class WholeTokenEncoder(Encoder):
    """Also long recordings piece by piece: pieces of whole tokens, where the host's of 750 frames lose 2 each."""

    def encode_chunks(self: Any, conv_out: mx.array) -> Iterator[mx.array]:
        window, layers = self.config.sliding_window, self.transformer_layers
        piece = max(window // self.config.downsample_factor, 1) * self.config.downsample_factor
        caches = [_attention.ring(window, None, i, len(layers), self._cache_bits)(None) for i in range(len(layers))]
        for start in range(0, conv_out.shape[0], piece):
            x = conv_out[start : start + piece]
            for layer, cache in zip(layers, caches, strict=True):
                x = layer(x, start, None, cache=cache)
            yield self.transformer_norm(x)


class SessionStem:
    """The conv stem of a streaming session: the host's class with our state.

    ``_host_state``: keep the last frame alone for the second convolution, as the host does, whatever was consumed.
    """

    _states: tuple[Any, Any] = (None, None)

    def step(self: Any, mel_chunk: mx.array) -> mx.array:
        first, second = _Conv(self._c0.conv), _Conv(self._c1.conv)
        frames, states = _conv.causal(mel_chunk.T[None].astype(first.weight.dtype), first, second, self._states)
        if self._host_state and frames.shape[1]:
            states = states[0], states[1][:, -1:]
        self._states = states
        return frames[0]


class SessionEncoder:
    """The layers of a streaming session; their window needs no mask."""

    def step(self: Any, conv_chunk: mx.array) -> mx.array:
        layers = self.encoder.transformer_layers
        served = _layer.run(layers, conv_chunk, self._caches, self._pos)
        if served is None:
            return super().step(conv_chunk)  # type: ignore[misc]
        self._pos += conv_chunk.shape[0]
        return self.encoder.transformer_norm(served)


class Decoder:
    """The decoder's layers behind caches."""

    def forward(self: Any, embeds: mx.array, start_pos: int = 0, cache: Any = None) -> tuple[mx.array, Any]:
        scales = self._ada_scales
        conditioned = scales is None or all(layer._conditioned for layer in self.layers)
        served = _layer.run(self.layers, embeds, cache if conditioned else None, start_pos, scales)
        if served is None:
            return super().forward(embeds, start_pos, cache)  # type: ignore[misc]
        return self.norm(served), cache


class _Conv:
    """A host's causal convolution as the ops' helper takes it."""

    def __init__(self, host: Any) -> None:
        self.weight, self.bias, self.stride = host.conv.weight, host.conv.bias, host.stride


def fill(plan: Plan, model: Any, decoder_window: int | None) -> None:
    """Plan the acceleration of a model; raises before anything is changed."""
    check = Structure(plan.host)
    check.attributes(model, "encoder, decoder", nn.Module, "")
    check.attributes(model, "config", object, "")
    right = plan.semantics == "right"
    rotary = _attention.Tables if right else _attention.StockTables
    _fill_stem(plan, check, model)
    _fill_encoder(plan, check, model.encoder, rotary)
    _fill_decoder(plan, check, model.decoder, rotary, decoder_window)
    plan.swap(model, "decoder", stand_in(model.decoder, Decoder), "decoder.forward", "runs the layers in one pass")
    if right:
        plan.changes.append("encoder and decoder: rotary angles come from float64; the host's float32 ones drift")
    plan.leave("arithmetic of the MLPs, adapter, token embedding, output head", "stock MLX ops serve it well")
    plan.leave("mel, whole and streamed", "the host's own is in phase")
    plan.leave("delay scales", "the host computes them once itself")
    plan.leave("VoxtralStreamingSession(model) made by hand", "its conv stem; create_streaming_session() makes ours")
    plan.marked.append(model)


def _fill_stem(plan: Plan, check: Structure, model: Any) -> None:
    encoder = model.encoder
    check.signature(encoder, "conv_stem", "mel", "encoder")
    check.attributes(encoder, "conv_layers_0_conv, conv_layers_1_conv", nn.Module, "encoder")
    for name, stride in (("conv_layers_0_conv", 1), ("conv_layers_1_conv", 2)):
        conv = encoder[name]
        check.attributes(conv, "conv", nn.Module, f"encoder.{name}")
        check.conv(conv.conv, stride, f"encoder.{name}.conv")
        check.equal(f"encoder.{name}.padding", (conv.padding, conv.conv.padding), (3 - stride, 0))
    check.signature(encoder, "encode_chunks", "conv_out", "encoder")
    check.attributes(encoder.config, "sliding_window, downsample_factor", int, "encoder.config")
    right = plan.semantics == "right"
    new = stand_in(encoder, WholeTokenEncoder if right else Encoder, _cache_bits=plan.cache_bits)
    what = "causal_conv1d_gelu" + (", and in encode_chunks pieces of whole tokens" if right else "")
    plan.swap(model, "encoder", new, "encoder.conv_stem", what)
    if right:
        plan.changes.append(
            "encoder: generate() on long recordings keeps every frame; the host's pieces, a window long, each lose the"
            " frames beyond a multiple of 4"
        )
    method = "create_streaming_session"
    check.signature(model, method, "max_tokens, temperature, transcription_delay_ms", "model")
    session = functools.partial(_session, getattr(model, method), not right)
    plan.swap(model, method, session, f"{method}()._sconv", "causal_conv1d_gelu with its streaming state")
    plan.note(f"{method}().step", "leaves nothing uncomputed, so that any thread may take the next step")


def _session(create: Any, host_state: bool, **options: Any) -> Any:
    """A session of the host's with our conv stem and layers, whose next step any thread may take."""
    session = create(**options)
    session._sconv = stand_in(session._sconv, SessionStem, _host_state=host_state)
    session._senc = stand_in(session._senc, SessionEncoder)
    session.step = _threads.settled(session.step, session, _STATE, Exclusive("accelerate"))
    return session


def _fill_encoder(plan: Plan, check: Structure, encoder: Any, rotary: Any) -> None:
    check.attributes(encoder, "transformer_layers", list, "encoder")
    check.attributes(encoder.config, "sliding_window", int, "encoder.config")
    layers, window = encoder.transformer_layers, encoder.config.sliding_window
    rotate = None
    for i, layer in enumerate(layers):
        where = f"encoder.transformer_layers.{i}"
        check.signature(layer, "__call__", "x, rope_offset, mask, cache", where)
        _PARTS.check(check, layer, where)
        path, host = f"{where}.attention", layer.attention
        check.signature(host, "__call__", "x, rope_offset, mask, cache", path)
        check.attributes(host, "n_heads, head_dim, rope_theta", (int, float), path)
        sizes = (host.n_heads, host.n_heads, host.head_dim, host.head_dim**-0.5)
        check.attention(host, sizes, _PROJECTIONS, path)
        rotate = rotate or rotary(host.head_dim, host.rope_theta)
        new_cache = _attention.ring(window, None, i, len(layers), plan.cache_bits)
        spec = Spec(_PROJECTIONS, *sizes, rotate, window, new_cache, "offset")
        new = stand_in(layer, EncoderLayer)
        new["attention"] = stand_in(host, EncoderAttention, _spec=spec)
        _layer.swap(plan, layers, i, new, _PARTS, spec, where, f"sliding_window_attention, RingKVCache({window})")


def _fill_decoder(plan: Plan, check: Structure, decoder: Any, rotary: Any, window: int | None) -> None:
    check.attributes(decoder, "layers", list, "decoder")
    check.attributes(decoder.config, "sliding_window", int, "decoder.config")
    check.signature(decoder, "forward", "embeds, start_pos, cache", "decoder")
    window = window or decoder.config.sliding_window
    rotate = None
    for i, layer in enumerate(decoder.layers):
        path = f"decoder.layers.{i}"
        check.signature(layer, "__call__", "x, start_pos, ada_scale, cache", path)
        _PARTS.check(check, layer, path)
        check.attributes(layer, "ada_rms_norm_t_cond", (nn.Module, type(None)), path)
        host = layer.attention
        check.signature(host, "__call__", "x, start_pos, cache", f"{path}.attention")
        check.attributes(host, "n_heads, n_kv_heads, head_dim, rope_theta, scale", (int, float), f"{path}.attention")
        sizes = (host.n_heads, host.n_kv_heads, host.head_dim, host.scale)
        check.attention(host, sizes, _PROJECTIONS, f"{path}.attention")
        rotate = rotate or rotary(host.head_dim, host.rope_theta)
        new_cache = _attention.ring(window, None, i, len(decoder.layers), plan.cache_bits)
        spec = Spec(_PROJECTIONS, *sizes, rotate, window, new_cache, "offset")
        conditioned = layer.ada_rms_norm_t_cond is not None
        new = stand_in(layer, DecoderLayer, _conditioned=conditioned)
        new["attention"] = stand_in(host, DecoderAttention, _spec=spec)
        what = f"sliding_window_attention, RingKVCache({window}); ada_rms_norm"
        _layer.swap(plan, decoder.layers, i, new, _PARTS, spec, path, what)


def probe(model: Any) -> dict[str, mx.array]:
    """Results on a few frames and tokens."""
    audio = model.encoder(noise(model.encoder.conv_layers_0_conv.conv.weight.shape[2], 32))
    hidden, _ = model.decoder.forward(audio)
    return {"encoder": audio, "decoder": model.decoder.logits(hidden)}
