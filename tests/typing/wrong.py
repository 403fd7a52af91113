"""What `user.py` does, with a mistake on each marked line; the mark is mypy's code of it.

It is checked, not run.
"""

from __future__ import annotations

import mlx.core as mx

import voxtral_kernels as vk
from voxtral_kernels import Steam  # error: attr-defined


def words(result: vk.Result) -> list[str]:
    return [word.end_s for word in result.words]  # error: misc


def captions(stream: vk.Stream) -> str:
    events: list[str] = stream.feed([0.0])  # error: assignment
    stream.feed("speech.wav")  # error: arg-type
    stream.flush()  # error: attr-defined
    last: vk.Word = stream.words[-1].text  # error: assignment
    return "".join(event.txt for event in stream.finish()) + events[0] + last.text  # error: attr-defined


def live() -> None:
    tiny = vk.load("tiny", dtyp=mx.float32)  # error: call-overload
    print(tiny)


async def asynchronous(model: vk.VoxtralRealtime) -> str:
    stream = vk.AsyncStream(model, delay="480")  # error: call-arg
    heard: list[vk.StreamEvent] = stream.feed([0.0])  # error: assignment
    return stream.txt + str(heard)  # error: attr-defined, no-any-return


def realtime(model: vk.VoxtralRealtime) -> None:
    model.strem()  # error: attr-defined
    model.stream(delay_ms="480")  # error: arg-type
    text: int = model.transcribe("speech.wav").text  # error: assignment
    model.transcribe(5)  # error: arg-type
    model.transcribe("speech.wav", max_token=text)  # error: call-arg


def either(name: str) -> None:
    vk.load(3)  # error: call-overload
    model = vk.load(name)
    model.transcrib("speech.wav")  # error: union-attr
    model.transcribe("speech.wav", language="en").chunk  # error: attr-defined
    samples: str = vk.load_audio("speech.wav")  # error: assignment
    vk.load_audio(samples, rate=8000)  # error: call-arg


def ops(x: mx.array, weight: mx.array) -> mx.array:
    y = vk.ada_rms_norm(x, weight)
    z: mx.array = vk.ada_rms_norm(x, weight, residual=y)  # error: assignment
    pair: tuple[mx.array, mx.array] = vk.ada_rms_norm(x, weight)  # error: assignment
    print(pair)
    vk.ada_rms_norm(x, weight, epsilon=1e-5)  # error: call-overload
    frames: mx.array = vk.causal_conv1d_gelu(y, weight)  # error: assignment
    vk.conv1d_gelu(frames, weight, pad=1)  # error: call-arg
    ring = vk.RingKVCache("750")  # error: arg-type
    vk.LinearKVCache(window=750)  # error: call-arg
    vk.sliding_window_attention(frames, z, cache=ring)  # error: call-arg
    name: int = vk.explain("ada_rms_norm", x)[0]  # error: assignment
    with vk.use_backend(name):  # error: arg-type
        return ring.ofset  # error: attr-defined, no-any-return


def drop_in(host: object) -> None:
    patched = vk.accelerate(host, semantics="mine")  # error: arg-type
    patched.undo_all()  # error: attr-defined
    vk.Patched.report()  # error: call-arg
    category: type[Exception] = vk.AudioWarning("x")  # error: assignment
    print(category)


def kernel() -> None:
    vk.emulator.metal_kernel(name="x", input_names=["x"], outputnames=["y"], source="")  # error: call-arg
    vk.lod("tiny")  # error: attr-defined
    version: int = vk.__version__  # error: assignment
    print(version)


def offline(model: vk.Voxtral) -> None:
    model.ask("speech.wav")  # error: call-arg
    model.projektor  # error: attr-defined


print(Steam)
