"""Writes a small random offline Voxtral model, and audio of any length, to try the offline path without a download.

    python examples/random_offline_model.py build/offline
    voxtral-kernels transcribe build/offline/long.wav --model build/offline

It has the real model's geometry (chunks of 30 s, 375 tokens each) and no sense: its text is noise. The tokenizer is the
packaged tiny one with an offline audio section.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import mlx.core as mx
import numpy as np

import voxtral_kernels as vk

TINY = Path(vk.__file__).parent / "data" / "tiny" / "tekken.json"
AUDIO = {
    "sampling_rate": 16_000,
    "frame_rate": 12.5,
    "audio_encoding_config": {"num_mel_bins": 128, "hop_length": 160, "window_size": 400},
    "chunk_length_s": 30.0,
}
# Sizes of both halves; 1500 positions are 30 s.
DIM, LAYERS, MELS, POSITIONS, DOWNSAMPLE = 64, 2, 128, 1500, 4
ENCODER: dict[str, object] = {
    "hidden_size": DIM,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 128,
}
DECODER: dict[str, object] = {
    "hidden_size": DIM,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "intermediate_size": 96,
}
HEAD_DIM, KV_HEADS = 32, 2


def write_tokenizer(file: Path) -> int:
    """The tiny tekken.json for an offline model; returns its number of ids."""
    tekken = json.loads(TINY.read_text())
    tekken["audio"] = AUDIO
    file.write_text(json.dumps(tekken))
    return int(tekken["config"]["default_vocab_size"])


def config(vocabulary: int, tied: bool) -> dict[str, object]:
    """config.json as transformers writes it."""
    audio = ENCODER | {"max_source_positions": POSITIONS, "num_mel_bins": MELS, "activation_function": "gelu"}
    text = DECODER | {"head_dim": HEAD_DIM, "num_key_value_heads": KV_HEADS, "vocab_size": vocabulary}
    text |= {"rope_theta": 1e6, "rms_norm_eps": 1e-5, "max_position_embeddings": 131072, "tie_word_embeddings": tied}
    return {
        "model_type": "voxtral",
        "audio_token_id": 24,
        "projector_hidden_act": "gelu",
        "audio_config": audio | {"model_type": "voxtral_encoder"},
        "text_config": text | {"model_type": "llama"},
    }


def shapes(vocabulary: int, tied: bool) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor, as the hub's files have them; convolutions ``[out, kernel, in]`` here."""
    audio, text = "audio_tower.", "language_model.model."
    found: dict[str, tuple[int, ...]] = {}
    for conv, channels in (("conv1", MELS), ("conv2", DIM)):
        found |= {f"{audio}{conv}.weight": (DIM, 3, channels), f"{audio}{conv}.bias": (DIM,)}
    found |= {f"{audio}layer_norm.weight": (DIM,), f"{audio}layer_norm.bias": (DIM,)}
    found["multi_modal_projector.linear_1.weight"] = (DIM, DIM * DOWNSAMPLE)
    found["multi_modal_projector.linear_2.weight"] = (DIM, DIM)
    found |= {f"{text}embed_tokens.weight": (vocabulary, DIM), f"{text}norm.weight": (DIM,)}
    found[f"{audio}embed_positions.weight"] = (POSITIONS, DIM)
    if not tied:
        found["language_model.lm_head.weight"] = (vocabulary, DIM)
    for i in range(LAYERS):
        layer = f"{audio}layers.{i}."
        weights: dict[str, tuple[int, ...]] = {
            f"{layer}self_attn.{part}.weight": (DIM, DIM) for part in ("q_proj", "k_proj", "v_proj", "out_proj")
        }
        weights |= {f"{layer}fc1.weight": (128, DIM), f"{layer}fc2.weight": (DIM, 128)}
        weights |= {f"{layer}self_attn_layer_norm.weight": (DIM,), f"{layer}final_layer_norm.weight": (DIM,)}
        biases = {name.replace("weight", "bias"): shape[:1] for name, shape in weights.items() if "k_proj" not in name}
        found |= weights | biases
    for i in range(LAYERS):
        layer, heads, kv = f"{text}layers.{i}.", 4 * HEAD_DIM, KV_HEADS * HEAD_DIM
        found[f"{layer}input_layernorm.weight"] = (DIM,)
        found |= {f"{layer}self_attn.{part}_proj.weight": (n, DIM) for part, n in (("q", heads), ("k", kv), ("v", kv))}
        found[f"{layer}self_attn.o_proj.weight"] = (DIM, heads)
        found[f"{layer}post_attention_layernorm.weight"] = (DIM,)
        found |= {f"{layer}mlp.gate_proj.weight": (96, DIM), f"{layer}mlp.up_proj.weight": (96, DIM)}
        found[f"{layer}mlp.down_proj.weight"] = (DIM, 96)
    return found


def write_model(folder: Path, *, tied: bool = False, seed: int = 0) -> None:
    """config.json, model.safetensors and tekken.json in the transformers layout."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = write_tokenizer(folder / "tekken.json")
    random = np.random.default_rng(seed)
    tensors = {}
    for name, shape in shapes(vocabulary, tied).items():
        values = random.normal(size=shape) / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else np.ones(shape)
        if name.endswith("bias"):
            values = np.zeros(shape)
        values = values.swapaxes(1, 2) if len(shape) == 3 else values
        tensors[name] = mx.array(np.ascontiguousarray(values, np.float32))
    mx.save_safetensors(str(folder / "model.safetensors"), tensors, metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config(vocabulary, tied), indent=1) + "\n")


def write_audio(file: Path, seconds: float) -> None:
    """The minute of speech beside this script, over and over."""
    import soundfile  # type: ignore[import-untyped]

    minute, rate = soundfile.read(Path(__file__).parent / "one-minute.wav", dtype="int16")
    soundfile.write(file, np.resize(minute, round(seconds * rate)), rate)


def main() -> None:
    """Writes the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=95, help="length of long.wav (95)")
    options = parser.parse_args()
    write_model(options.folder)
    write_audio(options.folder / "long.wav", options.seconds)
    print(f"{options.folder}: model and long.wav of {options.seconds:g} s")


if __name__ == "__main__":
    main()
