"""``python -m bench realtime``: a recording through the tiny model, the real-time factor of each on one CPU thread.

Ours streams in feeds of 80 ms, on ``native`` and on ``composed``; transformers on PyTorch (extra ``bench``) gets the
whole recording at once, which spares it a streaming loop. Rounds are interleaved; the tokens must be the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["VOXTRAL_KERNELS_THREADS"] = "1"  # read when the extension is loaded

import mlx.core as mx
import numpy as np

import voxtral_kernels as vk
from voxtral_kernels.audio.load import load_audio
from voxtral_kernels.audio.mel import MelConfig, log_mel
from voxtral_kernels.backends import extension
from voxtral_kernels.models.voxtral_realtime.layouts import MISTRAL, TRANSFORMERS
from voxtral_kernels.models.voxtral_realtime.weights import tensor_shapes

from ..measure.stats import ratio
from ..options import Parser
from ..paths import EXAMPLES, TINY

RECORDING = EXAMPLES / "one-minute.wav"
DELAY_MS = 480
# Most of what each may take of the others' time.
ASKED = {"composed": 0.5, "transformers": 1.0}

Run = Callable[[np.ndarray], list[int]]


def ours(model: Any, backend: str) -> Run:
    """The streaming model on a backend, fed 80 ms at a time."""

    def run(samples: np.ndarray) -> list[int]:
        with vk.use_backend(backend), mx.stream(mx.cpu):
            stream = model.stream(delay_ms=DELAY_MS)
            for start in range(0, len(samples), model.config.samples_per_token):
                stream.feed(samples[start : start + model.config.samples_per_token])
            stream.finish()
            return list(stream.tokens)

    return run


def transformers(model: Any) -> Run | None:
    """The same weights in transformers, float32 as its reference runs them; None where it is not installed."""
    try:
        import torch
        from transformers import VoxtralRealtimeConfig, VoxtralRealtimeForConditionalGeneration
    except ImportError:
        return None
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    host = VoxtralRealtimeForConditionalGeneration(VoxtralRealtimeConfig(**host_config(model.config))).eval()
    host.load_state_dict(host_state(torch, model.config), strict=False)
    host.generation_config.eos_token_id = None
    host.generation_config.pad_token_id = model.tokenizer.pad_id
    tokenizer = model.tokenizer
    delay = tokenizer.delay_tokens(DELAY_MS)
    prompt = torch.tensor([tokenizer.realtime_prompt(DELAY_MS)])
    per_token = model.config.samples_per_token

    def run(samples: np.ndarray) -> list[int]:
        left = tokenizer.audio.left_pad_tokens * per_token
        right = tokenizer.audio.right_pad_tokens(delay) * per_token + -len(samples) % per_token
        mel = torch.from_numpy(log_mel(np.pad(samples, (left, right)), MelConfig()).T.copy())[None]
        out = host.generate(input_ids=prompt, input_features=mel, num_delay_tokens=delay, do_sample=False)
        return out[0, prompt.shape[1] :].tolist()

    return run


def host_config(config: Any) -> dict[str, Any]:
    """Our configuration in transformers' terms."""
    e, d = config.encoder, config.decoder

    def common(c: Any) -> dict[str, Any]:
        return {
            "hidden_size": c.dim,
            "intermediate_size": c.hidden_dim,
            "num_hidden_layers": c.n_layers,
            "num_attention_heads": c.n_heads,
            "head_dim": c.head_dim,
            "sliding_window": c.window,
            "vocab_size": d.vocab_size,
            "rms_norm_eps": c.norm_eps,
            "rope_parameters": {"rope_type": "default", "rope_theta": c.rope_theta},
        }

    return {
        "audio_config": {"model_type": "voxtral_realtime_encoder", "num_mel_bins": e.n_mels, **common(e)},
        "text_config": {"model_type": "voxtral_realtime_text", "num_key_value_heads": d.n_kv_heads, **common(d)},
        "downsample_factor": config.downsample,
    }


def host_state(torch: Any, config: Any) -> dict[str, Any]:
    """The tiny checkpoint by transformers' parameter names, q and k rows in its order for RoPE."""
    stored: Any = mx.load(str(TINY / MISTRAL.weights_file))
    layout, state = TRANSFORMERS.others[0], {}
    biases = {f"{name.removesuffix('weight')}bias" for name in tensor_shapes(config)}
    for name in {*tensor_shapes(config), *biases}:
        if MISTRAL.source(name) not in stored:
            continue
        value = np.array(stored[MISTRAL.source(name)].astype(mx.float32))
        if "q_proj" in name or "k_proj" in name:
            head_dim = (config.encoder if name.startswith("encoder.") else config.decoder).head_dim
            heads = value.reshape(-1, head_dim // 2, 2, *value.shape[1:])
            value = np.swapaxes(heads, 1, 2).reshape(value.shape)
        state[layout.source(name)] = torch.from_numpy(np.ascontiguousarray(value))
    return state


def main(argv: list[str]) -> int:
    """Print the figures; exit status 1 where a token differs or ours takes more than is asked."""
    parser = Parser(prog="bench realtime", description=__doc__)
    parser.add_argument("recording", nargs="?", type=Path, default=RECORDING)
    parser.add_argument("--seconds", type=float, default=20.0, help="of the recording")
    parser.add_argument("--rounds", type=int, default=7, help="at least 5")
    options = parser.parse_args(argv)
    samples = load_audio(options.recording)
    samples = samples[: round(options.seconds * 16000)]
    model = vk.load("tiny")
    runs: dict[str, Run] = {name: ours(model, name) for name in ("native", "composed")}
    if (host := transformers(model)) is not None:
        runs["transformers"] = host
    print(f"{extension.status()} {len(samples) / 16000:.0f} s of audio; ours {model.dtype} in feeds of 80 ms.")
    tokens = {name: run(samples) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(options.rounds):
        for name in runs if i % 2 else reversed(runs):
            start = time.perf_counter()
            runs[name](samples)
            times[name].append(time.perf_counter() - start)
    failed = False
    for name, measured in times.items():
        factor = float(np.median(measured)) * 16000 / len(samples)
        same = tokens[name] == tokens["native"][: len(tokens[name])]
        text = f"{name:13} real-time factor {factor:.4f}, tokens {'the same' if same else 'DIFFER'}"
        if name != "native":
            share = ratio(times["native"], measured)
            below = share.median > ASKED[name] or not same
            text += f", native takes {share} of its time (asked: {ASKED[name]}){'  FAILED' if below else ''}"
            failed |= below
        print(text)
    return int(failed)
