"""Writes ``voxtral/`` beside this script: small random offline Voxtral models run by transformers.

    python tests/golden/make_voxtral_goldens.py        (extra ``golden``: torch, transformers)

``transformers/`` (two shards), ``mistral/`` and ``mlx/`` hold the same weights in the names of each layout; the
original layout has no table of positions, as its encoder's are sinusoids. ``data.safetensors`` holds inputs, the output
of each stage, logits and greedy tokens in float32 (``mistral.*``: with the sinusoids), ``mel.npz`` what transformers'
processor makes of 35 s of audio. The metadata names the versions used.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch
import transformers
from make_goldens import randomise, unpermute, write_json
from safetensors.torch import save_file
from transformers import VoxtralConfig, VoxtralForConditionalGeneration, WhisperFeatureExtractor
from transformers.models.voxtral.processing_voxtral import VoxtralProcessor
from transformers.models.whisper.modeling_whisper import sinusoids

HERE = Path(__file__).parent
MELS, ENC_DIM, ENC_HEADS, ENC_LAYERS, POSITIONS = 16, 32, 2, 2, 40
DEC_DIM, DEC_HEADS, DEC_KV_HEADS, HEAD_DIM, DEC_HIDDEN, DEC_LAYERS = 64, 4, 2, 32, 96, 2
VOCAB, THETA, AUDIO = 96, 1e5, 24
CHUNKS, NEW_TOKENS = 3, 24
SAMPLES = 35 * 16_000


def build_model() -> VoxtralForConditionalGeneration:
    """A small random model."""
    config = VoxtralConfig(
        audio_config={
            "model_type": "voxtral_encoder",
            "hidden_size": ENC_DIM,
            "intermediate_size": 4 * ENC_DIM,
            "num_hidden_layers": ENC_LAYERS,
            "num_attention_heads": ENC_HEADS,
            "num_mel_bins": MELS,
            "max_source_positions": POSITIONS,
            "vocab_size": VOCAB,
        },
        text_config={
            "model_type": "llama",
            "hidden_size": DEC_DIM,
            "intermediate_size": DEC_HIDDEN,
            "num_hidden_layers": DEC_LAYERS,
            "num_attention_heads": DEC_HEADS,
            "num_key_value_heads": DEC_KV_HEADS,
            "head_dim": HEAD_DIM,
            "max_position_embeddings": 4096,
            "vocab_size": VOCAB,
            "rms_norm_eps": 1e-5,
            "rope_parameters": {"rope_type": "default", "rope_theta": THETA},
        },
        audio_token_id=AUDIO,
    )
    torch.manual_seed(4)
    model = randomise(VoxtralForConditionalGeneration(config).eval())
    model.model.audio_tower.embed_positions.weight.data.normal_(0, 0.5)
    return model


def mistral_name(name: str) -> str | None:
    """Original checkpoint name of a transformers parameter; None for what that layout leaves out."""
    if name == "model.audio_tower.embed_positions.weight":
        return None
    name = name.removeprefix("model.")
    if name.startswith("audio_tower."):
        for old, new in (
            ("audio_tower.conv1.", "conv_layers.0."),
            ("audio_tower.conv2.", "conv_layers.1."),
            ("audio_tower.layer_norm.", "transformer.norm."),
            ("audio_tower.layers.", "transformer.layers."),
            ("self_attn_layer_norm.", "attention_norm."),
            ("final_layer_norm.", "ffn_norm."),
            ("self_attn.q_proj", "attention.wq"),
            ("self_attn.k_proj", "attention.wk"),
            ("self_attn.v_proj", "attention.wv"),
            ("self_attn.out_proj", "attention.wo"),
            ("fc1.", "feed_forward.w1."),
            ("fc2.", "feed_forward.w2."),
        ):
            name = name.replace(old, new)
        return f"mm_whisper_embeddings.whisper_encoder.{name}"
    for old, new in (
        ("multi_modal_projector.linear_1.", "mm_whisper_embeddings.audio_language_projection.0."),
        ("multi_modal_projector.linear_2.", "mm_whisper_embeddings.audio_language_projection.2."),
        ("language_model.embed_tokens.", "mm_whisper_embeddings.tok_embeddings."),
        ("language_model.", ""),
        ("lm_head.", "output."),
        ("input_layernorm.", "attention_norm."),
        ("post_attention_layernorm.", "ffn_norm."),
        ("self_attn.q_proj", "attention.wq"),
        ("self_attn.k_proj", "attention.wk"),
        ("self_attn.v_proj", "attention.wv"),
        ("self_attn.o_proj", "attention.wo"),
        ("mlp.gate_proj", "feed_forward.w1"),
        ("mlp.down_proj", "feed_forward.w2"),
        ("mlp.up_proj", "feed_forward.w3"),
    ):
        name = name.replace(old, new)
    return name


def hub_name(name: str) -> str:
    """Name in the hub's transformers checkpoints."""
    if name.startswith("lm_head."):
        return f"language_model.{name}"
    return name.removeprefix("model.").replace("language_model.", "language_model.model.")


def layouts(state: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """The state dict of ``build_model`` in the names and orders of each layout."""
    mistral, mlx = {}, {}
    for name, tensor in state.items():
        decoder = "language_model" in name and ("q_proj" in name or "k_proj" in name)
        if original := mistral_name(name):
            mistral[original] = (unpermute(tensor, HEAD_DIM) if decoder else tensor).contiguous()
        # mlx-voxtral keeps transformers' row order, turns the convolutions and saves the embedding under two names.
        short = name.removeprefix("model.")
        mlx[short] = (tensor.transpose(1, 2) if tensor.ndim == 3 else tensor).contiguous()
        if short == "language_model.embed_tokens.weight":
            mlx["embed_tokens.weight"] = tensor.clone()
    return {"transformers": {hub_name(n): t.contiguous() for n, t in state.items()}, "mistral": mistral, "mlx": mlx}


def mistral_params() -> dict:
    """The original layout's ``params.json`` of the same model."""
    encoder = {
        "audio_encoding_args": {
            "sampling_rate": 16000,
            "frame_rate": 12.5,
            "num_mel_bins": MELS,
            "hop_length": 160,
            "window_size": 400,
            "chunk_length_s": 30,
        },
        "dim": ENC_DIM,
        "n_layers": ENC_LAYERS,
        "head_dim": ENC_DIM // ENC_HEADS,
        "hidden_dim": 4 * ENC_DIM,
        "n_heads": ENC_HEADS,
        "n_kv_heads": ENC_HEADS,
        "vocab_size": VOCAB,
        "max_source_positions": POSITIONS,
        "use_biases": True,
    }
    return {
        "dim": DEC_DIM,
        "n_layers": DEC_LAYERS,
        "head_dim": HEAD_DIM,
        "hidden_dim": DEC_HIDDEN,
        "n_heads": DEC_HEADS,
        "n_kv_heads": DEC_KV_HEADS,
        "use_biases": False,
        "rope_theta": THETA,
        "norm_eps": 1e-5,
        "vocab_size": VOCAB,
        "tied_embeddings": False,
        "multimodal": {
            "whisper_model_args": {"encoder_args": encoder, "downsample_args": {"downsample_factor": 4}},
        },
    }


def save_layouts(model: VoxtralForConditionalGeneration, folder: Path) -> None:
    """Writes the three model folders."""
    state = {name: parameter.data for name, parameter in model.named_parameters()}
    for layout, weights in layouts(state).items():
        path = folder / layout
        path.mkdir(parents=True, exist_ok=True)
        if layout == "transformers":
            save_sharded(weights, path)
        else:
            file = "consolidated" if layout == "mistral" else "model"
            save_file(weights, path / f"{file}.safetensors", metadata={"format": "pt"})
        config = mistral_params() if layout == "mistral" else model.config.to_dict()
        write_json(path / ("params.json" if layout == "mistral" else "config.json"), config)


def save_sharded(weights: dict[str, torch.Tensor], path: Path) -> None:
    """Two shards and their index."""
    names = sorted(weights)
    parts = {f"model-0000{i + 1}-of-00002.safetensors": names[i::2] for i in range(2)}
    for file, part in parts.items():
        save_file({name: weights[name] for name in part}, path / file, metadata={"format": "pt"})
    weight_map = {name: file for file, part in parts.items() for name in part}
    index = {"metadata": {}, "weight_map": weight_map}
    write_json(path / "model.safetensors.index.json", index)


def stages(model: VoxtralForConditionalGeneration, mel: torch.Tensor) -> dict[str, torch.Tensor]:
    """The output of each stage, frames before channels."""
    tower = model.model.audio_tower
    gelu = torch.nn.functional.gelu
    conv1 = tower.conv1(mel)
    conv2 = gelu(tower.conv2(gelu(conv1)))
    audio = model.get_audio_features(input_features=mel, return_dict=True)
    data = {"conv1": conv1, "conv1_gelu": gelu(conv1), "conv2": conv2}
    data = {name: t.transpose(1, 2) for name, t in data.items()}
    data["stem"] = data["conv2"] + tower.embed_positions.weight
    data["encoder"] = audio.last_hidden_state
    data["audio_embeds"] = audio.pooler_output.reshape(CHUNKS, -1, DEC_DIM)
    return data


@torch.no_grad()
def run(model: VoxtralForConditionalGeneration) -> dict[str, torch.Tensor]:
    """Inputs, stages and outputs."""
    mel = torch.randn(CHUNKS, MELS, 2 * POSITIONS)
    ids = torch.tensor([[1, 3, 25] + [AUDIO] * (CHUNKS * POSITIONS // 4) + [4, 60, 61, 34]])
    data = {"mel": mel.transpose(1, 2), "input_ids": ids.int()} | stages(model, mel)
    inputs = {"input_ids": ids, "input_features": mel}
    hidden = model.model(**inputs, use_cache=False).last_hidden_state
    data["logits"] = model.lm_head(hidden)
    data["tied_logits"] = hidden @ model.model.language_model.embed_tokens.weight.T
    model.generation_config.eos_token_id = None
    greedy = model.generate(
        **inputs, max_new_tokens=NEW_TOKENS, do_sample=False, return_dict_in_generate=True, output_logits=True
    )
    best = torch.stack(greedy.logits).topk(2).values
    margin = (best[..., 0] - best[..., 1]).min().item()
    assert margin > 0.01, f"greedy tokens hang on a margin of {margin}"
    data["greedy"] = greedy.sequences[:, ids.shape[1] :].int()
    positions = model.model.audio_tower.embed_positions.weight
    positions.data.copy_(sinusoids(*positions.shape))
    original = stages(model, mel)
    data["mistral.stem"], data["mistral.encoder"] = original["stem"], original["encoder"]
    data["mistral.logits"] = model(**inputs, use_cache=False).logits
    return {name: tensor.contiguous() for name, tensor in data.items()}


def save_mel(file: Path) -> None:
    """Some rows of the processor's chunks ``[2, 3000, 128]`` of 35 s of speech."""
    samples = soundfile.read(HERE.parents[1] / "examples" / "one-minute.wav", dtype="float32")[0][:SAMPLES]
    extractor = WhisperFeatureExtractor(feature_size=128)
    settings = VoxtralProcessor.audio_kwargs | {"return_tensors": "pt"}
    longest = settings.pop("max_source_positions")
    processor = VoxtralProcessor.__new__(VoxtralProcessor)
    processor.feature_extractor = extractor
    mel = processor._retrieve_input_features([samples], longest, **settings).transpose(1, 2).numpy()
    rows = np.unique([0, 1, *range(2, 3000, 61), 498, 499, 500, 501, 2998, 2999])
    np.savez_compressed(file, rows=rows, mel=mel[:, rows], samples=SAMPLES)


def main() -> None:
    """Writes ``voxtral/``."""
    folder = HERE / "voxtral"
    model = build_model()
    save_layouts(model, folder)
    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    save_file(run(model), folder / "data.safetensors", metadata=versions)
    save_mel(folder / "mel.npz")


if __name__ == "__main__":
    main()
