"""The names of offline Voxtral in each layout, by the names that this package uses for both model families."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ..layout import MISTRAL_PARTS, Layout
from ..section import OFFLINE, Section
from . import config as configs

_EMBEDDED = "mm_whisper_embeddings."
_MISTRAL_ENCODER = MISTRAL_PARTS | {"mlp.up_proj": "feed_forward.w1", "mlp.down_proj": "feed_forward.w2"}
_ENCODER = {
    "attention.o_proj": "self_attn.out_proj",
    "attention.": "self_attn.",
    "attn_norm": "self_attn_layer_norm",
    "ffn_norm": "final_layer_norm",
    "mlp.up_proj": "fc1",
    "mlp.down_proj": "fc2",
}
_DECODER = {"attention.": "self_attn.", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}

MISTRAL = Layout(
    "original Mistral",
    "params.json",
    "consolidated.safetensors",
    configs.from_mistral,
    (
        ("encoder.conv1.", f"{_EMBEDDED}whisper_encoder.conv_layers.0.", {}),
        ("encoder.conv2.", f"{_EMBEDDED}whisper_encoder.conv_layers.1.", {}),
        ("encoder.", f"{_EMBEDDED}whisper_encoder.transformer.", _MISTRAL_ENCODER),
        ("adapter.w_in.", f"{_EMBEDDED}audio_language_projection.0.", {}),
        ("adapter.w_out.", f"{_EMBEDDED}audio_language_projection.2.", {}),
        ("language_model.embed_tokens.", f"{_EMBEDDED}tok_embeddings.", {}),
        ("language_model.head.", "output.", {}),
        ("language_model.", "", MISTRAL_PARTS),
    ),
    torch_conv=True,
)


def _transformers(module: str, text: str, head: str, ignored: tuple[str, ...] = ()) -> Layout:
    return Layout(
        "transformers",
        "config.json",
        "model.safetensors",
        configs.from_transformers,
        (
            ("encoder.norm.", f"{module}audio_tower.layer_norm.", {}),
            ("encoder.positions.", f"{module}audio_tower.embed_positions.", {}),
            ("encoder.", f"{module}audio_tower.", _ENCODER),
            ("adapter.w_in.", f"{module}multi_modal_projector.linear_1.", {}),
            ("adapter.w_out.", f"{module}multi_modal_projector.linear_2.", {}),
            ("language_model.head.", head, {}),
            ("language_model.", text, _DECODER),
        ),
        ignored=ignored,
        # MLX's conversions turn the convolutions, under the same names.
        torch_conv=None,
        rotate_half=("language_model.",),
    )


# mlx-voxtral saves the embedding a second time.
_TWICE = tuple(f"embed_tokens.{part}" for part in ("weight", "scales", "biases"))
# As the hub's files and mlx-audio's conversions name them; as the module itself does; as mlx-voxtral does.
TRANSFORMERS = dataclasses.replace(
    _transformers("", "language_model.model.", "language_model.lm_head."),
    others=(
        _transformers("model.", "model.language_model.", "lm_head."),
        _transformers("", "language_model.", "lm_head.", _TWICE),
    ),
)


def detect(folder: Path) -> tuple[Layout, Section]:
    """The layout of a folder, by its config file, and that file.

    Raises:
        ValueError: there is no config file, or it is not one of offline Voxtral.
    """
    config = Section.of_model(folder)
    config.require_family(OFFLINE)
    return (TRANSFORMERS if "audio_config" in config.values else MISTRAL), config
