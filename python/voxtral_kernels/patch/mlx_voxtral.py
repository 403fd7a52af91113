"""mlx-voxtral 0.0.6 (offline)."""

from __future__ import annotations

from typing import Any

import mlx.core as mx

from . import _attention, _conv, _offline
from ._patched import Plan
from ._verify import Structure, noise

NAMES = _offline.Names("num_heads", "num_key_value_heads", "hidden_states, attention_mask, cache")


class Tower:
    """The audio tower over ``input_features [B, n_mels, T]``; it hands its frames on to the host's own layers."""

    def __call__(
        self: Any,
        input_features: mx.array,
        attention_mask: Any = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> tuple[Any, Any, Any]:
        x = _conv.symmetric(input_features.transpose(0, 2, 1), self.conv1, self.conv2)
        x = x + self.embed_positions.weight[: x.shape[1]]
        mask = None if attention_mask is None else self._prepare_attention_mask(attention_mask)
        states, attentions = [], []
        for layer in self.layers:
            states.append(x)
            x, weights = layer(x, attention_mask=mask, output_attentions=output_attentions)
            attentions.append(weights)
        x = self.layer_norm(x)
        states.append(x)
        return x, tuple(states) if output_hidden_states else None, tuple(attentions) if output_attentions else None


class DecoderAttention:
    """Plain causal attention out of our cache."""

    def __call__(self: Any, hidden_states: mx.array, attention_mask: Any = None, cache: Any = None) -> mx.array:
        if _attention.is_given(attention_mask) or (attention_mask is None and hidden_states.shape[1] > 1):
            return super().__call__(hidden_states, attention_mask, cache)  # type: ignore[misc]
        return _attention.serve(self, hidden_states, cache)


def fill(plan: Plan, model: Any, decoder_window: int | None) -> None:
    """Plan the acceleration of a model; raises before anything is changed."""
    check = Structure(plan.host)
    if decoder_window is not None:
        raise check.fail("decoder_window", "None, as the offline decoder has no window", decoder_window)
    call = "input_features, attention_mask, output_attentions, output_hidden_states"
    _offline.fill_tower(plan, check, model, Tower, call)
    check.attributes(model.language_model, "layers", list, "language_model")
    layers = model.language_model.layers
    _offline.fill_decoder(plan, check, layers, "language_model", NAMES, DecoderAttention)
    _offline.leave(plan)
    plan.marked.append(model)


def probe(model: Any) -> dict[str, mx.array]:
    """Results on a few frames and tokens."""
    audio, _, _ = model.audio_tower(noise(1, model.audio_tower.conv1.weight.shape[2], 16))
    return {"audio_tower": audio, "language_model": model.language_model(mx.array([[1, 2, 3, 4, 5]]))}
