"""A user's script with every public name, as `mypy --strict` should take it; `wrong.py` is its twin with the mistakes.

It is checked, not run.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import mlx.core as mx
import numpy as np

import voxtral_kernels as vk
from voxtral_kernels import Result, Stream, StreamEvent, Word


def words(result: Result) -> list[tuple[str, float]]:
    return [(word.text, word.end_s) for word in result.words]


def captions(stream: Stream, samples: np.ndarray[tuple[int], np.dtype[np.float32]]) -> str:
    events: list[StreamEvent] = [*stream.feed(samples), *stream.finish()]
    last: Word | None = stream.words[-1] if stream.words else None
    end: float = 0.0 if last is None else last.end_s
    return "".join(event.text for event in events) + f" {end:.2f} {stream.duration_s:.2f}"


def live() -> None:
    tiny: vk.VoxtralRealtime = vk.load("tiny", dtype=mx.float32)
    print(captions(tiny.stream(delay_ms=480, sample_rate=44_100), vk.load_audio("speech.m4a")))
    result: Result = tiny.transcribe(Path("speech.wav"), delay_ms=960)
    print(result.text, words(result), len(result.tokens))


async def asynchronous(model: vk.VoxtralRealtime | vk.Voxtral, samples: mx.array) -> str:
    async with vk.AsyncStream(model, delay_ms=480, sample_rate=48_000.0) as stream:
        heard: list[StreamEvent] = await stream.feed(samples)
        async for event in stream:
            print(event.text, event.start_s)
    return stream.text + str(len(heard))


def together(model: vk.VoxtralRealtime, samples: mx.array) -> str:
    with vk.Batch(model, slots=2) as batch:
        try:
            streams: list[vk.BatchStream] = [batch.stream(delay_ms=480), batch.stream(block=0.5)]
        except vk.BatchFull as full:
            return str(full)
        events: list[StreamEvent] = streams[0].feed(samples)
        while batch.step():
            events += streams[0].read()
        stats: vk.BatchStats = batch.stats()
        return f"{streams[0].result.text} {len(events)} {stats.step_ms:.1f} {stats.backlog_s:.1f}"


async def together_awaited(model: vk.VoxtralRealtime, samples: mx.array) -> str:
    async with vk.AsyncBatch(model, slots=2) as batch:
        stream: vk.AsyncBatchStream = await batch.stream(backlog_s=1.0)
        await stream.feed(samples)
        last: list[StreamEvent] = await stream.finish()
        return stream.text + str(len(last))


def either(name: str) -> None:
    """Of a folder or a hub id only the call tells which family it is."""
    model: vk.VoxtralRealtime | vk.Voxtral = vk.load(name, revision="main")
    print(model.transcribe("speech.wav").text, model.transcribe(b"RIFF").duration_s)
    stream: Stream = model.stream(delay_ms=480)
    answer: Result = model.ask("speech.wav", "Who decided what?", temperature=0.3, seed=1)
    print(stream.text, answer.stop)
    if isinstance(model, vk.Voxtral):
        print(model.transcribe([0.0, 0.1], language="en", max_tokens=10).chunks)


def ops(x: mx.array, k: mx.array, v: mx.array, weight: mx.array) -> mx.array:
    y: mx.array = vk.ada_rms_norm(x, weight, eps=1e-5)
    pair: tuple[mx.array, mx.array] = vk.ada_rms_norm(y, residual=x)
    frames, state = vk.causal_conv1d_gelu(pair[0], weight, stride=2)
    again = vk.causal_conv1d_gelu(frames, weight, state=state)[0]
    both: mx.array = vk.conv1d_gelu(again, weight, padding=1, gelu=False)
    ring, linear = vk.RingKVCache(window=750), vk.LinearKVCache()
    out: mx.array = vk.sliding_window_attention(both, k, v, cache=ring)
    out = out + vk.sliding_window_attention(both, k, v, window=750, scale=0.125, cache=linear)
    slots = vk.RingSlots(window=750, bits=8)
    out = out + vk.sliding_window_attention(both, k, v, cache=[slots.take(), slots.take(offset=3)])
    bytes_held: int = ring.nbytes + linear.nbytes + slots.nbytes
    backend, variant, reasons = vk.explain("sliding_window_attention", both, k, v, cache=ring)
    print(backend.upper(), variant.upper(), [reason.upper() for reason in reasons], bytes_held, ring.offset + 1)
    with vk.use_backend("composed"):
        return out


def drop_in(host: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", vk.AudioWarning)
        with vk.accelerate(host, semantics="host") as patched:
            print(patched.report())
        undone: vk.Patched = vk.accelerate(host, decoder_window=8192)
        undone.undo()


def kernel(x: mx.array) -> mx.array:
    double = vk.emulator.metal_kernel(
        name="double",
        input_names=["x"],
        output_names=["y"],
        source="y[thread_position_in_grid.x] = 2 * x[thread_position_in_grid.x];",
    )
    (y,) = double(
        inputs=[x], grid=(x.size, 1, 1), threadgroup=(32, 1, 1), output_shapes=[x.shape], output_dtypes=[x.dtype]
    )
    return y


print(vk.__version__)
