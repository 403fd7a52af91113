"""voxmlx 0.0.2: `voxmlx.model.VoxtralRealtime`."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import mlx.nn as nn

from . import _attention, _conv, _layer, _realtime
from ._packed import Parts
from ._patched import Plan
from ._verify import Structure, noise

NAMES = _realtime.Names(
    layers="layers",
    decoder="language_model",
    parts=Parts("attention", "attn_norm", "ffn_norm", "mlp", ("gate_proj", "up_proj", "down_proj")),
    ada="ada_norm",
    ada_linear=("linear_in", "linear_out"),
    projections=("q_proj", "k_proj", "v_proj", "o_proj"),
    final_norm="norm",
    embedding="embed_tokens",
    capacity="max_size",
    encoder_call="x, offset, mask, cache",
    condition="t_cond",
)


class EncoderAttention:
    """Encoder attention over the window."""

    def __call__(self: Any, x: mx.array, offset: int, mask: Any, cache: Any = None) -> mx.array:
        if _attention.is_given(mask):
            return super().__call__(x, offset, mask, cache)  # type: ignore[misc]
        return _attention.serve(self, x, cache, offset if cache is None else None)


class EncoderLayer:
    """Encoder layer, behind a cache."""

    def __call__(self: Any, x: mx.array, offset: int, mask: Any, cache: Any = None) -> mx.array:
        served = _layer.run([self], x, None if cache is None or _attention.is_given(mask) else [cache])
        return super().__call__(x, offset, mask, cache) if served is None else served  # type: ignore[misc]


class Encoder:
    """The encoder's conv stem, whole and streamed, and its layers behind caches."""

    def forward_conv(self: Any, mel: mx.array) -> mx.array:
        return _conv.causal(mel.T[None], self.conv1, self.conv2)[0]

    def forward_conv_step(self: Any, new_mel: mx.array, conv1_tail: Any, conv2_tail: Any) -> tuple[Any, Any, Any]:
        out, states = self._stem(new_mel, self.conv1, self.conv2, (conv1_tail, conv2_tail))
        return out, *states

    def forward_transformer(self: Any, x: mx.array, cache: Any = None) -> mx.array:
        served = _layer.run(self.layers, x, cache)
        return super().forward_transformer(x, cache) if served is None else self.norm(served)  # type: ignore[misc]


def fill(plan: Plan, model: Any, decoder_window: int | None) -> None:
    """Plan the acceleration of a model; raises before anything is changed."""
    check = Structure(plan.host)
    check.attributes(model, "encoder, adapter, time_embedding", nn.Module, "")
    tails = "new_mel, conv1_tail, conv2_tail"
    check.signature(model, "encode_step", f"{tails}, encoder_cache, ds_buf", "model")
    check.signature(model.encoder, "forward_transformer", "x, cache", "encoder")
    stem = {"forward_conv": "mel", "forward_conv_step": tails}
    _realtime.fill_stem(plan, check, model, Encoder, stem)
    _realtime.fill_encoder(plan, check, model.encoder, NAMES, EncoderLayer, EncoderAttention)
    _realtime.fill_decoder(plan, check, model, NAMES, decoder_window)
    _realtime.leave(plan)
    plan.leave(
        "voxmlx.audio.log_mel_spectrogram_step",
        "a function of the module, not of the model: it keeps 240 samples of 360 unread ones, so that every streamed"
        " frame after the first chunk comes 120 samples late",
    )
    plan.marked.append(model)


def probe(model: Any) -> dict[str, mx.array]:
    """Results on a few frames and tokens."""
    audio = model.encode(noise(model.encoder.conv1.weight.shape[2], 32))
    condition = model.time_embedding(mx.array([6.0]))
    return {"encode": audio, "decode": model.decode(audio[None], condition, "causal", None)}
