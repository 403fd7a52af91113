"""WhisperLiveKit 0.2.26, `voxtral_mlx`: the model, its holder `VoxtralMLXASR`, and the online processor."""

from __future__ import annotations

import types
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from .._exclusive import Exclusive
from . import _attention, _conv, _layer, _realtime, _threads
from ._packed import Parts
from ._patched import MARK, Plan
from ._verify import Structure, noise

NAMES = _realtime.Names(
    layers="blocks",
    decoder="decoder",
    parts=Parts("self_attn", "pre_attn_norm", "pre_ffn_norm", "ffn", ("gate", "up", "down")),
    ada="adaptive_scale",
    ada_linear=("proj_in", "proj_out"),
    projections=("q_proj", "k_proj", "v_proj", "out_proj"),
    final_norm="final_norm",
    embedding="token_embedding",
    capacity="capacity",
    encoder_call="x, mask, cache",
    condition="delay_cond",
)
# What a processor keeps from one call to the next, and the methods that compute.
_STATE = ("_audio_embeds", "_conv_tail1", "_conv_tail2", "_enc_cache", "_ds_remainder", "_dec_cache", "_last_token")
_METHODS = ("_step", "start_silence", "finish")
_LEFT_PAD_SAMPLES = 32 * 1280
_N_FFT, _HOP = 400, 160


class EncoderAttention:
    """Encoder attention over the window."""

    def __call__(self: Any, x: mx.array, mask: Any, cache: Any = None) -> mx.array:
        if _attention.is_given(mask):
            return super().__call__(x, mask, cache)  # type: ignore[misc]
        return _attention.serve(self, x, cache)


class EncoderLayer:
    """Encoder layer, behind a cache."""

    def __call__(self: Any, x: mx.array, mask: Any, cache: Any = None) -> mx.array:
        served = _layer.run([self], x, None if cache is None or _attention.is_given(mask) else [cache])
        return super().__call__(x, mask, cache) if served is None else served  # type: ignore[misc]


class Encoder:
    """The encoder's conv stem, whole and streamed, and its layers behind caches."""

    def _apply_convs(self: Any, mel: mx.array) -> mx.array:
        return _conv.causal(mel.T[None], self.conv1, self.conv2)[0]

    def forward_conv_incremental(self: Any, x_in: mx.array, tail1: Any, tail2: Any) -> tuple[Any, Any, Any]:
        out, states = self._stem(x_in, self.conv1, self.conv2, (tail1, tail2))
        return out, *states

    def forward_transformer_incremental(self: Any, x: mx.array, cache_list: Any) -> mx.array:
        served = _layer.run(self.blocks, x, cache_list)
        if served is None:
            return super().forward_transformer_incremental(x, cache_list)  # type: ignore[misc]
        return self.final_norm(served)


def fill(plan: Plan, given: Any, decoder_window: int | None) -> None:
    """Plan the acceleration of a model, of the holder's model, or of a processor and its model."""
    kind = type(given).__name__
    if isinstance(given, nn.Module):
        _fill_model(plan, given, decoder_window)
        plan.leave("compute_mel_streaming", f"a function of the module: accelerate the online processor, {_MEL}")
        return
    check = Structure(plan.host)
    processor = hasattr(given, "_encode_pending")
    asr = given.asr if processor else given
    check.attributes(asr, "model", nn.Module, kind)
    check.attributes(asr, "config", dict, kind)
    if MARK not in vars(asr.model):
        _fill_model(plan, asr.model, decoder_window or asr.config.get("sliding_window"))
    plan.marked.append(given)
    if not processor:
        plan.leave("VoxtralMLXOnlineProcessor", f"made for each connection: accelerate it too, {_MEL}")
        return
    if plan.semantics == "right":
        _fill_processor(plan, check, given)
    inside = Exclusive("accelerate")
    for name in _METHODS:
        check.attributes(given, name, object, "VoxtralMLXOnlineProcessor")
        new = _threads.settled(getattr(given, name), given, _STATE, inside)
        path = f"VoxtralMLXOnlineProcessor.{name}"
        plan.swap(given, name, new, path, "leaves nothing uncomputed, so that any thread may make the next call")


def probe(given: Any) -> dict[str, mx.array]:
    """Results of the model on a few frames and tokens."""
    model = given if isinstance(given, nn.Module) else getattr(given, "asr", given).model
    audio = model.encode(noise(model.encoder.conv1.weight.shape[2], 32))
    condition = model.delay_embedding(mx.array([6.0]))
    return {"encode": audio, "decode": model.decode(audio[None], condition, "causal", None)}


_MEL = "as it keeps 240 samples of 360 unread ones, so that every frame after the first chunk comes 120 samples late"


def _fill_model(plan: Plan, model: Any, decoder_window: int | None) -> None:
    check = Structure(plan.host)
    check.attributes(model, "encoder, adapter, delay_embedding", nn.Module, "")
    parameters = "new_mel, conv_tail1, conv_tail2, enc_cache, ds_remainder"
    check.signature(model, "encode_incremental", parameters, "model")
    check.signature(model.encoder, "forward_transformer_incremental", "x, cache_list", "encoder")
    stem = {"_apply_convs": "mel", "forward_conv_incremental": "x_in, tail1, tail2"}
    _realtime.fill_stem(plan, check, model, Encoder, stem)
    _realtime.fill_encoder(plan, check, model.encoder, NAMES, EncoderLayer, EncoderAttention)
    _realtime.fill_decoder(plan, check, model, NAMES, decoder_window)
    _realtime.leave(plan)
    plan.marked.append(model)


def _fill_processor(plan: Plan, check: Structure, processor: Any) -> None:
    """Let the processor carry all unread samples from one chunk's mel to the next."""
    check.signature(processor, "_encode_pending", "", "VoxtralMLXOnlineProcessor")
    check.signature(processor, "_get_pending", "", "VoxtralMLXOnlineProcessor")
    check.attributes(processor, "_first_chunk", bool, "VoxtralMLXOnlineProcessor")
    check.attributes(processor, "_pending_len", int, "VoxtralMLXOnlineProcessor")
    if not processor._first_chunk:
        raise check.fail(
            "VoxtralMLXOnlineProcessor", "one that has not heard any audio", "one in the middle of a stream"
        )
    new = types.MethodType(_encode_pending, processor)
    path = "VoxtralMLXOnlineProcessor._encode_pending"
    plan.swap(processor, "_encode_pending", new, path, "hands all unread samples on to the next chunk's mel")
    plan.changes.append(
        "mel: a streamed frame starts where the whole recording's does; the host's come 120 samples late"
    )


def _encode_pending(self: Any) -> None:
    """The host's own method; then its overlap becomes the 360 samples that no frame has begun with yet."""
    before, first, overlap = self._get_pending(), self._first_chunk, self._mel_overlap
    type(self)._encode_pending(self)
    taken = before[: len(before) - self._pending_len]
    if len(taken):
        if first:
            overlap = np.zeros(_N_FFT // 2 + _LEFT_PAD_SAMPLES, np.float32)
        heard = np.concatenate([overlap, taken])
        frames = 1 + (len(heard) - _N_FFT) // _HOP
        self._mel_overlap = heard[frames * _HOP :]
