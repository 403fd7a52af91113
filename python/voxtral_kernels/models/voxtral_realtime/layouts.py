"""The names of one model in four layouts; the converted layout's names are the ones used in this package."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ... import _check
from ..section import OP, Section
from . import config as configs
from .config import Config

_EMBEDDED = "mm_streams_embeddings.embedding_module."
_MISTRAL_PARTS = {
    "attention.q_proj": "attention.wq",
    "attention.k_proj": "attention.wk",
    "attention.v_proj": "attention.wv",
    "attention.o_proj": "attention.wo",
    "attn_norm": "attention_norm",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
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


@dataclass(frozen=True)
class Layout:
    """How one family of checkpoints is stored.

    Attributes:
        name: For messages.
        config_file, weights_file: Names in the folder.
        read_config: Config file to ``Config``.
        prefixes: Beginnings of names: ours, theirs, and the parts renamed behind it; the first that fits is taken.
        ignored: Tensors that may be there without use.
        torch_conv: Conv weights are ``[out, in, kernel]``.
        rotate_half: q and k rows are ordered for the rotate-half form of RoPE.
    """

    name: str
    config_file: str
    weights_file: str
    read_config: Callable[[Section], Config]
    prefixes: tuple[tuple[str, str, dict[str, str]], ...]
    ignored: tuple[str, ...] = ()
    torch_conv: bool = False
    rotate_half: bool = False

    def source(self, name: str) -> str:
        """This layout's name of a tensor."""
        for ours, theirs, parts in self.prefixes:
            if name.startswith(ours):
                rest = name.removeprefix(ours)
                for old, new in parts.items():
                    rest = rest.replace(old, new)
                return theirs + rest
        raise AssertionError(f"no prefix for {name}")


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
        rotate_half=True,
    )


# As the hub's files name them, and as the module itself does.
TRANSFORMERS = _transformers(
    "audio_tower", "multi_modal_projector", "language_model.model", "language_model.lm_head.weight"
)
TRANSFORMERS_MODULE = _transformers(
    "model.audio_tower", "model.multi_modal_projector", "model.language_model", "lm_head.weight"
)


def detect(folder: Path) -> tuple[Layout, Section]:
    """The layout of a folder, by its config file, and that file.

    Raises:
        ValueError: there is no config file, or it is not one of Voxtral Realtime.
    """
    if (folder / MISTRAL.config_file).is_file() and (folder / MISTRAL.weights_file).is_file():
        return MISTRAL, Section.read(folder / MISTRAL.config_file)
    for layout in (CONVERTED, MISTRAL):
        if (folder / layout.config_file).is_file():
            config = Section.read(folder / layout.config_file)
            break
    else:
        raise _check.fail(OP, "model", "params.json or config.json in the folder", f"neither in {folder}")
    if "audio_config" in config.values:
        return TRANSFORMERS, config
    if "encoder_args" in config.values:
        return MLX_AUDIO, config
    return layout, config


def variant(layout: Layout, names: Iterable[str]) -> Layout:
    """The layout itself, or its other way of naming where the tensors are named so."""
    if layout is TRANSFORMERS and TRANSFORMERS_MODULE.source("encoder.norm.weight") in names:
        return TRANSFORMERS_MODULE
    return layout
