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

import voxtral_kernels
from voxtral_kernels.models.voxtral.config import Config, DecoderConfig, EncoderConfig, to_config
from voxtral_kernels.models.voxtral.layouts import TRANSFORMERS
from voxtral_kernels.models.voxtral.weights import tensor_shapes

TINY = Path(voxtral_kernels.__file__).parent / "data" / "tiny" / "tekken.json"
AUDIO = {
    "sampling_rate": 16_000,
    "frame_rate": 12.5,
    "audio_encoding_config": {"num_mel_bins": 128, "hop_length": 160, "window_size": 400},
    "chunk_length_s": 30.0,
}


def write_tokenizer(file: Path) -> int:
    """The tiny tekken.json for an offline model; returns its number of ids."""
    tekken = json.loads(TINY.read_text())
    tekken["audio"] = AUDIO
    file.write_text(json.dumps(tekken))
    return tekken["config"]["default_vocab_size"]


def write_model(folder: Path, *, tied: bool = False, seed: int = 0) -> Config:
    """config.json, model.safetensors and tekken.json in the transformers layout."""
    folder.mkdir(parents=True, exist_ok=True)
    config = Config(
        EncoderConfig(dim=64, n_layers=2, n_heads=2, hidden_dim=128, max_positions=1500, n_mels=128),
        DecoderConfig(
            dim=64,
            n_layers=2,
            n_heads=4,
            n_kv_heads=2,
            head_dim=32,
            hidden_dim=96,
            rope_theta=1e6,
            norm_eps=1e-5,
            vocab_size=write_tokenizer(folder / "tekken.json"),
            max_context=131072,
            tied=tied,
        ),
    )
    random = np.random.default_rng(seed)
    tensors = {}
    for name, shape in tensor_shapes(config, lambda name: "head" not in name or not tied).items():
        values = random.normal(size=shape) / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else np.ones(shape)
        if name.endswith("bias"):
            values = np.zeros(shape)
        values = values.swapaxes(1, 2) if len(shape) == 3 else values
        tensors[TRANSFORMERS.source(name)] = mx.array(np.ascontiguousarray(values, np.float32))
    mx.save_safetensors(str(folder / "model.safetensors"), tensors, metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(to_config(config), indent=1) + "\n")
    return config


def write_audio(file: Path, seconds: float) -> None:
    """The minute of speech beside this script, over and over."""
    import soundfile

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
