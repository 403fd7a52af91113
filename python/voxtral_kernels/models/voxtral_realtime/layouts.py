"""The names of one model in four layouts; the converted layout's names are the ones used in this package."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ..layout import MISTRAL_PARTS, Layout
from ..section import REALTIME, Section
from . import config as configs

_EMBEDDED = "mm_streams_embeddings.embedding_module."
_MISTRAL_PARTS = MISTRAL_PARTS | {
    "ada_norm.linear_in": "ada_rms_norm_t_cond.0",
    "ada_norm.linear_out": "ada_rms_norm_t_cond.2",
}
_MLX_AUDIO_PARTS = _MISTRAL_PARTS | {
    "mlp.gate_proj": "feed_forward_w1",
    "mlp.down_proj": "feed_forward_w2",
    "mlp.up_proj": "feed_forward_w3",
    "ada_norm.linear_in": "ada_rms_norm_t_cond.ada_down",
    "ada_norm.linear_out": "ada_rms_norm_t_cond.ada_up",
}
_TRANSFORMERS_PARTS = {
    "attention.": "self_attn.",
    "ada_norm.linear_in": "ada_rms_norm.linear1",
    "ada_norm.linear_out": "ada_rms_norm.linear2",
}


MISTRAL = Layout(
    "original Mistral",
    "params.json",
    "consolidated.safetensors",
    configs.from_mistral,
    (
        ("encoder.conv1.", f"{_EMBEDDED}whisper_encoder.conv_layers.0.conv.", {}),
        ("encoder.conv2.", f"{_EMBEDDED}whisper_encoder.conv_layers.1.conv.", {}),
        ("encoder.", f"{_EMBEDDED}whisper_encoder.transformer.", _MISTRAL_PARTS),
        ("adapter.w_in.", f"{_EMBEDDED}audio_language_projection.0.", {}),
        ("adapter.w_out.", f"{_EMBEDDED}audio_language_projection.2.", {}),
        ("language_model.embed_tokens.", f"{_EMBEDDED}tok_embeddings.", {}),
        ("language_model.", "", _MISTRAL_PARTS),
    ),
    ignored=("output.weight",),
    torch_conv=True,
)
CONVERTED = Layout("converted", "config.json", "model.safetensors", configs.from_mistral, (("", "", {}),))
MLX_AUDIO = Layout(
    "mlx-audio",
    "config.json",
    "model.safetensors",
    configs.from_mlx_audio,
    (
        ("encoder.conv1.", "encoder.conv_layers_0_conv.conv.", {}),
        ("encoder.conv2.", "encoder.conv_layers_1_conv.conv.", {}),
        ("encoder.layers.", "encoder.transformer_layers.", _MLX_AUDIO_PARTS),
        ("encoder.norm.", "encoder.transformer_norm.", {}),
        ("adapter.w_in.", "encoder.audio_language_projection_0.", {}),
        ("adapter.w_out.", "encoder.audio_language_projection_2.", {}),
        ("language_model.embed_tokens.", "decoder.tok_embeddings.", {}),
        ("language_model.", "decoder.", _MLX_AUDIO_PARTS),
    ),
)


def _transformers(audio: str, projector: str, text: str, head: str) -> Layout:
    encoder = _TRANSFORMERS_PARTS | {"attn_norm": "self_attn_layer_norm", "ffn_norm": "final_layer_norm"}
    decoder = _TRANSFORMERS_PARTS | {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
    return Layout(
        "transformers",
        "config.json",
        "model.safetensors",
        configs.from_transformers,
        (
            ("encoder.conv", f"{audio}.embedder.conv", {}),
            ("encoder.", f"{audio}.", encoder),
            ("adapter.w_in.", f"{projector}.linear_1.", {}),
            ("adapter.w_out.", f"{projector}.linear_2.", {}),
            ("language_model.", f"{text}.", decoder),
        ),
        ignored=(head,),
        torch_conv=True,
        rotate_half=("encoder.", "language_model."),
    )


# As the hub's files name them, or as the module itself does.
TRANSFORMERS = dataclasses.replace(
    _transformers("audio_tower", "multi_modal_projector", "language_model.model", "language_model.lm_head.weight"),
    others=(
        _transformers("model.audio_tower", "model.multi_modal_projector", "model.language_model", "lm_head.weight"),
    ),
)


def detect(folder: Path) -> tuple[Layout, Section]:
    """The layout of a folder, by its config file, and that file.

    Raises:
        ValueError: there is no config file, or it is not one of Voxtral Realtime.
    """
    config = Section.of_model(folder)
    config.require_family(REALTIME)
    if config.path == MISTRAL.config_file:
        return MISTRAL, config
    if "audio_config" in config.values:
        return TRANSFORMERS, config
    if "encoder_args" in config.values:
        return MLX_AUDIO, config
    return CONVERTED, config
