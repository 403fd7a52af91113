"""mlx-audio 0.6.2, `voxtral` (offline)."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import mlx.nn as nn

from . import _attention, _conv, _offline
from ._patched import Plan
from ._verify import Structure, noise

NAMES = _offline.Names("n_heads", "n_kv_heads", "x, mask, cache")


class Tower:
    """The audio tower over ``x [B, T, n_mels]``."""

    def __call__(self: Any, x: mx.array, mask: Any = None) -> mx.array:
        x = _conv.symmetric(x, self.conv1, self.conv2)
        x = (x + self.embed_positions.weight).astype(x.dtype)
        for layer in self.layers:
            x = layer(x, mask)
        return self.layer_norm(x)


class DecoderAttention:
    """Plain causal attention out of our cache."""

    def __call__(self: Any, x: mx.array, mask: Any = None, cache: Any = None) -> mx.array:
        if _attention.is_given(mask) or (mask is None and x.shape[1] > 1):
            return super().__call__(x, mask, cache)  # type: ignore[misc]
        return _attention.serve(self, x, cache)


def fill(plan: Plan, model: Any, decoder_window: int | None) -> None:
    """Plan the acceleration of a model; raises before anything is changed."""
    check = Structure(plan.host)
    if decoder_window is not None:
        raise check.fail("decoder_window", "None, as the offline decoder has no window", decoder_window)
    _offline.fill_tower(plan, check, model, Tower, "x, mask")
    check.attributes(model.language_model, "model", nn.Module, "language_model")
    decoder = model.language_model.model
    check.attributes(decoder, "layers", list, "language_model.model")
    _offline.fill_decoder(plan, check, decoder.layers, "language_model.model", NAMES, DecoderAttention)
    _offline.leave(plan)
    plan.marked.append(model)


def probe(model: Any) -> dict[str, mx.array]:
    """Results on one chunk of audio and a few tokens; this host's tower takes whole chunks only."""
    tower = model.audio_tower
    audio = tower(noise(1, 2 * tower.embed_positions.weight.shape[0], tower.conv1.weight.shape[2]))
    return {"audio_tower": audio, "language_model": model.language_model(mx.array([[1, 2, 3, 4, 5]]))}
