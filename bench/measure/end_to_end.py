"""End-to-end cases: prefill, decode step, encoder chunk, and a stream at the cadence of live audio."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import mlx.core as mx
import numpy as np

from voxtral_kernels.backends import native, select
from voxtral_kernels.models.voxtral_realtime.model import VoxtralRealtime

from .random_model import FULL, cut
from .timing import single


def stages(model: VoxtralRealtime, name: str, delay: int = 6) -> Iterator[dict[str, Any]]:
    """Prefill, decode step and encoder chunk with every window full; three rows."""
    decoder, d, e = model.decoder, model.config.decoder, model.config.encoder
    scales = decoder.scales(delay, model.time_dtype)
    prompt = mx.zeros((1, 33 + delay, d.dim), model.dtype)
    no_kernel = native.linear_function(prompt.shape[1]) is None
    if decoder.embedding.quantization and select.device_type(None) == mx.cpu and no_kernel:
        note = "left out: stock quantised matmul takes minutes for 39 rows on a CPU"
        yield {"model": name, "case": "prefill", "seconds": None, "note": note}
    else:
        yield _row(name, "prefill", single(lambda: decoder(prompt, scales, decoder.new_caches(lazy=True)), samples=5))

    caches = decoder.new_caches(lazy=True)  # as a stream makes them
    for cache in caches:
        cache.append(*_keys_values(d.n_kv_heads, d.window, d.head_dim, model.dtype))
    token = mx.zeros((1, 1), mx.int32)

    def decode_step() -> mx.array:
        return mx.argmax(decoder.logits(decoder(decoder.embed(token), scales, caches)), axis=-1)

    yield _row(name, f"decode step, window {d.window} full", single(decode_step, samples=15))
    state = model.new_audio_state(lazy=True)
    for cache in state.caches:
        cache.append(*_keys_values(e.n_heads, e.window, e.head_dim, model.dtype))
    chunk = mx.zeros((1, model.config.mel_per_token, e.n_mels), model.dtype)
    seconds = single(lambda: model.embed_audio(chunk, state), samples=15)
    yield _row(name, f"encoder chunk, 80 ms, window {e.window} full", seconds)


def _keys_values(heads: int, length: int, dim: int, dtype: mx.Dtype) -> tuple[mx.array, mx.array]:
    k, v = (mx.random.normal((1, heads, length, dim)).astype(dtype) for _ in range(2))
    return k, v


def _row(model: str, case: str, samples: list[float], note: str = "") -> dict[str, Any]:
    middle = float(np.median(samples))
    return {"model": model, "case": case, "seconds": middle, "slowest": max(samples), "note": note}


def stream(model: VoxtralRealtime, name: str, seconds: float, delay_ms: int = 480) -> dict[str, Any]:
    """A live stream of noise: 80 ms of audio every 80 ms by the clock, as a microphone hands them over.

    Returns:
        For each feed what it took, its latency (from the moment when its audio is complete, so that a model that falls
        behind shows it), and MLX's memory after it.
    """
    per_token = model.config.samples_per_token
    token_s = per_token / model.config.sample_rate
    rng = np.random.default_rng(0)
    live = model.stream(delay_ms=delay_ms)
    steps: list[float] = []
    latencies: list[float] = []
    memory: list[int] = []
    mx.reset_peak_memory()
    start = time.perf_counter()
    for i in range(round(seconds / token_s)):
        samples = rng.normal(0, 0.05, per_token).astype(np.float32)
        complete = start + token_s * i
        time.sleep(max(0.0, complete - time.perf_counter()))
        began = time.perf_counter()
        live.feed(samples)
        ended = time.perf_counter()
        steps.append(ended - began)
        latencies.append(ended - complete)
        memory.append(mx.get_active_memory())
    live.finish()
    return {
        "model": name,
        "step_seconds": steps,
        "latency_seconds": latencies,
        "active_bytes": memory,
        "peak_bytes": mx.get_peak_memory(),
    }


def stream_row(found: dict[str, Any], token_s: float = 0.08) -> dict[str, Any]:
    """The stream's row in the end-to-end table."""
    steps, late = found["step_seconds"], sum(s > token_s for s in found["latency_seconds"])
    factor = sum(steps) / (token_s * len(steps))
    note = f"real-time factor {factor:.3f}, {late} of {len(steps)} feeds served later than 80 ms"
    return _row(found["model"], f"live stream, {len(steps)} feeds of 80 ms", steps, note)


def full_shapes(bits: int | None) -> Iterator[dict[str, Any]]:
    """The 4B shapes with random weights, 2 + 2 layers: time a layer, and the whole model's by extrapolation."""
    name = f"4B shapes, 2 + 2 layers, {f'{bits}-bit' if bits else 'bf16'}, random weights"
    model = cut(bits=bits)
    rows = list(stages(model, name))
    yield from rows
    decode, encode = rows[1]["seconds"], rows[2]["seconds"]
    head = single(lambda: model.decoder.logits(mx.zeros((1, 1, FULL.decoder.dim), model.dtype)), samples=5)
    front = single(lambda: _front(model), samples=5)
    head_s, front_s = float(np.median(head)), float(np.median(front))
    layer_d = (decode - head_s) / model.config.decoder.n_layers
    layer_e = (encode - front_s) / model.config.encoder.n_layers
    yield _row(name, "a decoder layer, one token", [layer_d], "(step - head) / 2")
    yield _row(name, "an encoder layer, 4 frames", [layer_e], "(chunk - stem and adapter) / 2")
    whole = layer_d * FULL.decoder.n_layers + layer_e * FULL.encoder.n_layers + head_s + front_s
    yield _row(name, "80 ms of audio, whole model", [whole], "extrapolated, not measured: 26 + 32 layers")


def _front(model: VoxtralRealtime) -> mx.array:
    """Conv stem and adapter alone on one token of audio."""
    c = model.config
    frames, _ = model.stem(mx.zeros((1, c.mel_per_token, c.encoder.n_mels), model.dtype), None)
    return model.adapter(frames)
