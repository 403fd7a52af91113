"""Writes the golden files beside this script: small random Voxtral Realtime models run by transformers.

    python tests/golden/make_goldens.py        (extra ``golden``: torch, transformers)

One folder a model: ``transformers/``, ``mistral/`` and ``converted/`` hold the same weights by each layout's names;
``data.safetensors`` holds inputs, intermediates and outputs in float32. Windows are 16 (encoder) and 24 (decoder), the
sequences several times as long, so that a window off by one shows. The metadata names the versions used.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TypeVar

import torch
import transformers
from safetensors.torch import save_file
from transformers import VoxtralRealtimeConfig, VoxtralRealtimeForConditionalGeneration

HERE = Path(__file__).parent
Model = TypeVar("Model", bound=torch.nn.Module)
TOKENS = 100
DELAYS = (1, 6, 30)
MELS, ENC_DIM, ENC_HEADS, ENC_HEAD_DIM, ENC_HIDDEN, ENC_LAYERS, ENC_WINDOW = 16, 48, 2, 32, 64, 2, 16
DEC_DIM, DEC_HEADS, DEC_KV_HEADS, DEC_HEAD_DIM, DEC_HIDDEN, DEC_LAYERS, DEC_WINDOW = 64, 4, 1, 32, 96, 2, 24
VOCAB, THETA, DOWNSAMPLE, COND_DIM = 96, 1e4, 4, 32


def build_model() -> VoxtralRealtimeForConditionalGeneration:
    """A small random model."""
    rope = {"rope_type": "default", "rope_theta": THETA}
    config = VoxtralRealtimeConfig(
        audio_config={
            "model_type": "voxtral_realtime_encoder",
            "hidden_size": ENC_DIM,
            "intermediate_size": ENC_HIDDEN,
            "num_hidden_layers": ENC_LAYERS,
            "num_attention_heads": ENC_HEADS,
            "head_dim": ENC_HEAD_DIM,
            "num_mel_bins": MELS,
            "sliding_window": ENC_WINDOW,
            "vocab_size": VOCAB,
            "rope_parameters": rope,
        },
        text_config={
            "model_type": "voxtral_realtime_text",
            "hidden_size": DEC_DIM,
            "intermediate_size": DEC_HIDDEN,
            "num_hidden_layers": DEC_LAYERS,
            "num_attention_heads": DEC_HEADS,
            "num_key_value_heads": DEC_KV_HEADS,
            "head_dim": DEC_HEAD_DIM,
            "sliding_window": DEC_WINDOW,
            "vocab_size": VOCAB,
            "rms_norm_eps": 1e-5,
            "rope_parameters": rope,
        },
        downsample_factor=DOWNSAMPLE,
    )
    torch.manual_seed(0)
    return randomise(VoxtralRealtimeForConditionalGeneration(config).eval())


def randomise(model: Model) -> Model:
    """Weights that make attention sharp and every bias and gain matter."""
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(0, 1.5 / math.sqrt(parameter[0].numel()))
        elif name.endswith("bias"):
            parameter.data.normal_(0, 0.2)
        else:
            parameter.data.normal_(1, 0.2)
    model.model.language_model.embed_tokens.weight.data.normal_(0, 1)
    return model


def unpermute(weight: torch.Tensor, head_dim: int) -> torch.Tensor:
    """Rotate-half rows (transformers) back to interleaved rows (original): row i + j * D/2 of a head becomes 2i + j."""
    heads = weight.reshape(-1, 2, head_dim // 2, *weight.shape[1:])
    return heads.transpose(1, 2).reshape(weight.shape)


def layouts(state: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """The state dict of ``build_model`` in the names and orders of each layout."""
    mistral, converted = {}, {}
    for name, tensor in state.items():
        for part, head_dim in (("audio_tower", ENC_HEAD_DIM), ("language_model", DEC_HEAD_DIM)):
            if part in name and ("q_proj" in name or "k_proj" in name):
                tensor = unpermute(tensor, head_dim)
        mistral[mistral_name(name)] = tensor.contiguous()
        if "conv" in name and tensor.ndim == 3:
            tensor = tensor.transpose(1, 2)
        converted[converted_name(name)] = tensor.contiguous()
    hub = {
        name.removeprefix("model.").replace("language_model.", "language_model.model."): t for name, t in state.items()
    }
    return {"transformers": hub, "mistral": mistral, "converted": converted}


def mistral_name(name: str) -> str:
    """Original checkpoint name of a transformers parameter."""
    name = name.removeprefix("model.")
    encoder = name.startswith("audio_tower.")
    for old, new in (
        ("audio_tower.embedder.conv1.", "whisper_encoder.conv_layers.0.conv."),
        ("audio_tower.embedder.conv2.", "whisper_encoder.conv_layers.1.conv."),
        ("audio_tower.", "whisper_encoder.transformer."),
        ("multi_modal_projector.linear_1.", "audio_language_projection.0."),
        ("multi_modal_projector.linear_2.", "audio_language_projection.2."),
        ("language_model.embed_tokens.", "tok_embeddings."),
        ("language_model.", ""),
        ("self_attn_layer_norm.", "attention_norm."),
        ("final_layer_norm.", "ffn_norm."),
        ("input_layernorm.", "attention_norm."),
        ("post_attention_layernorm.", "ffn_norm."),
        ("self_attn.", "attention."),
        ("q_proj", "wq"),
        ("k_proj", "wk"),
        ("v_proj", "wv"),
        ("o_proj", "wo"),
        ("mlp.gate_proj", "feed_forward.w1"),
        ("mlp.down_proj", "feed_forward.w2"),
        ("mlp.up_proj", "feed_forward.w3"),
        ("ada_rms_norm.linear1", "ada_rms_norm_t_cond.0"),
        ("ada_rms_norm.linear2", "ada_rms_norm_t_cond.2"),
    ):
        name = name.replace(old, new)
    embedded = encoder or name.startswith(("audio_language_projection.", "tok_embeddings."))
    return f"mm_streams_embeddings.embedding_module.{name}" if embedded else name


def converted_name(name: str) -> str:
    """voxmlx name of a transformers parameter."""
    name = name.removeprefix("model.")
    for old, new in (
        ("audio_tower.embedder.", "encoder."),
        ("audio_tower.", "encoder."),
        ("multi_modal_projector.linear_1.", "adapter.w_in."),
        ("multi_modal_projector.linear_2.", "adapter.w_out."),
        ("self_attn_layer_norm.", "attn_norm."),
        ("final_layer_norm.", "ffn_norm."),
        ("input_layernorm.", "attn_norm."),
        ("post_attention_layernorm.", "ffn_norm."),
        ("self_attn.", "attention."),
        ("ada_rms_norm.linear1", "ada_norm.linear_in"),
        ("ada_rms_norm.linear2", "ada_norm.linear_out"),
    ):
        name = name.replace(old, new)
    return name


def mistral_params() -> dict:
    """The original layout's ``params.json`` of the same model."""
    encoder = {
        "audio_encoding_args": {
            "sampling_rate": 16000,
            "frame_rate": 12.5,
            "num_mel_bins": MELS,
            "hop_length": 160,
            "window_size": 400,
            "chunk_length_s": None,
            "global_log_mel_max": 1.5,
            "transcription_format": "streaming",
        },
        "dim": ENC_DIM,
        "n_layers": ENC_LAYERS,
        "head_dim": ENC_HEAD_DIM,
        "hidden_dim": ENC_HIDDEN,
        "n_heads": ENC_HEADS,
        "n_kv_heads": ENC_HEADS,
        "vocab_size": VOCAB,
        "use_biases": True,
        "rope_theta": THETA,
        "causal": True,
        "norm_eps": 1e-5,
        "pos_embed": "rope",
        "ffn_type": "swiglu",
        "norm_type": "rms_norm",
        "sliding_window": ENC_WINDOW,
    }
    return {
        "dim": DEC_DIM,
        "n_layers": DEC_LAYERS,
        "head_dim": DEC_HEAD_DIM,
        "hidden_dim": DEC_HIDDEN,
        "n_heads": DEC_HEADS,
        "n_kv_heads": DEC_KV_HEADS,
        "use_biases": False,
        "causal": True,
        "rope_theta": THETA,
        "norm_eps": 1e-5,
        "vocab_size": VOCAB,
        "tied_embeddings": True,
        "sliding_window": DEC_WINDOW,
        "multimodal": {
            "whisper_model_args": {
                "encoder_args": encoder,
                "downsample_args": {"downsample_factor": DOWNSAMPLE},
            }
        },
        "ada_rms_norm_t_cond": True,
        "ada_rms_norm_t_cond_dim": COND_DIM,
    }


def save_layouts(model: VoxtralRealtimeForConditionalGeneration, folder: Path) -> None:
    """Writes the three model folders."""
    state = {n: p.data for n, p in model.named_parameters() if n != "lm_head.weight"}
    files = {"transformers": "model", "mistral": "consolidated", "converted": "model"}
    configs = {"transformers": "config.json", "mistral": "params.json", "converted": "config.json"}
    for layout, weights in layouts(state).items():
        path = folder / layout
        path.mkdir(parents=True, exist_ok=True)
        save_file(weights, path / f"{files[layout]}.safetensors", metadata={"format": "pt"})
        write_json(path / configs[layout], model.config.to_dict() if layout == "transformers" else mistral_params())


def write_json(file: Path, values: dict) -> None:
    """The same bytes for the same values."""
    file.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")


@torch.no_grad()
def run(model: VoxtralRealtimeForConditionalGeneration) -> dict[str, torch.Tensor]:
    """Inputs, intermediates and outputs; frame axis before channels, as in this package."""
    mel = torch.randn(1, MELS, 8 * TOKENS)
    ids = torch.randint(0, VOCAB, (1, TOKENS))
    tower = model.model.audio_tower
    data = {"mel": mel.transpose(1, 2), "input_ids": ids.int(), "stem": tower.embedder(mel)}
    audio = model.get_audio_features(input_features=mel, use_cache=False, return_dict=True)
    data |= {"encoder": audio.last_hidden_state, "audio_embeds": audio.pooler_output}
    exact = model.model.time_embedding.forward
    rounded = lambda t: exact(t.to(torch.bfloat16)).to(t.dtype)  # noqa: E731
    for dtype, forward in (("float32", exact), ("bfloat16", rounded)):
        model.model.time_embedding.forward = forward
        for delay in DELAYS:
            # The module adds the audio to the embeddings in place; fresh ids give fresh embeddings.
            out = model(input_ids=ids, input_features=mel, num_delay_tokens=delay, use_cache=False)
            data[f"logits.{dtype}.{delay}"] = out.logits
            data[f"time.{dtype}.{delay}"] = forward(torch.full((1,), float(delay)))
    return {name: tensor.contiguous() for name, tensor in data.items()}


def main() -> None:
    """Writes ``voxtral_realtime/``."""
    folder = HERE / "voxtral_realtime"
    model = build_model()
    save_layouts(model, folder)
    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    save_file(run(model), folder / "data.safetensors", metadata=versions)


if __name__ == "__main__":
    main()
