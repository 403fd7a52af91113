"""What has state works from any thread, one call at a time; a second call inside it is refused and changes nothing."""

import asyncio
import copy
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

import voxtral_kernels as vk
from voxtral_kernels.audio.load import load_audio

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SAMPLES = load_audio(EXAMPLES / "human-card-1.wav")
CUTS = [*range(0, len(SAMPLES), 4000), len(SAMPLES)]
PARTS = [SAMPLES[a:b] for a, b in itertools.pairwise(CUTS)]


def elsewhere(function, *args):
    """The function's result, from a thread that ends with it."""
    with ThreadPoolExecutor(1) as worker:
        return worker.submit(function, *args).result()


@pytest.fixture(params=["native", "composed"])
def backend(request):
    with vk.use_backend(request.param):
        yield request.param


@pytest.fixture(scope="module")
def model():
    return elsewhere(vk.load, "tiny")


@pytest.fixture(scope="module")
def expected(model):
    return model.transcribe(SAMPLES).text


def by_name(backend, function, *args):
    """Threads do not inherit `use_backend`."""
    with vk.use_backend(backend):
        return function(*args)


@pytest.mark.fault("threads: a stream fed from one thread and then from another died")
def test_a_stream_goes_on_in_another_thread_at_each_call(model, expected, backend):
    stream = elsewhere(model.stream)
    for part in PARTS:
        elsewhere(by_name, backend, stream.feed, part)
    elsewhere(by_name, backend, stream.finish)
    assert stream.text == expected


@pytest.mark.fault("threads: several clients of one model, by asyncio.to_thread, died")
def test_eight_clients_share_a_model(model, expected, backend):
    async def client():
        stream = model.stream()
        for part in PARTS:
            await asyncio.to_thread(stream.feed, part)
        await asyncio.to_thread(stream.finish)
        return stream.text

    async def clients():
        return await asyncio.gather(*[client() for _ in range(8)])

    assert asyncio.run(clients()) == [expected] * 8


@pytest.mark.fault("threads: two threads inside one stream corrupted it")
@pytest.mark.parametrize("second", ["feed", "finish"])
def test_a_second_call_inside_a_stream_is_refused_and_changes_nothing(model, expected, monkeypatch, second):
    stream, entered, leave = model.stream(), threading.Event(), threading.Event()
    embed = type(model).embed_audio

    def slow(*args):
        entered.set()
        assert leave.wait(60)
        return embed(*args)

    monkeypatch.setattr(type(model), "embed_audio", slow)
    first = threading.Thread(target=stream.feed, args=(SAMPLES,), name="the first")
    first.start()
    assert entered.wait(60)
    arguments = [SAMPLES] if second == "feed" else []
    message = (
        r"^\[stream\] thread: expected one call at a time, got a call from thread \w+ while .* the first is inside\.$"
    )
    with pytest.raises(RuntimeError, match=message):
        getattr(stream, second)(*arguments)
    leave.set()
    first.join()
    stream.finish()
    assert stream.text == expected


def test_text_and_words_are_whole_at_any_time(model):
    stream, seen, done = model.stream(), [], threading.Event()

    def watch():
        while not done.is_set():
            seen.append((stream.text, [w.text for w in stream.words]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for part in PARTS:
        stream.feed(part)
    stream.finish()
    done.set()
    watcher.join()
    words = [w.text for w in stream.words]
    assert all(stream.text.startswith(text) for text, _ in seen)
    assert all(" ".join(words).startswith(" ".join(some)) for _, some in seen)


def normal(seed, *shape):
    return mx.array(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


@pytest.mark.fault("threads: a cache used from one thread and then from another died")
@pytest.mark.parametrize("make", [lambda: vk.RingKVCache(24), vk.LinearKVCache], ids=["ring", "linear"])
def test_a_cache_goes_on_in_another_thread(make, backend):
    here, there = make(), elsewhere(make)
    for step, length in enumerate([1, 3, 9, 1, 30, 2, 1, 13, 8]):
        q, k, v = (normal(step, 1, heads, length, 32) for heads in (4, 2, 2))

        def attend(cache, q=q, k=k, v=v):
            out = vk.sliding_window_attention(q, k, v, cache=cache)
            mx.eval(out)
            return out

        assert mx.array_equal(elsewhere(by_name, backend, attend, there), attend(here)), length
        elsewhere(by_name, backend, there.append, k, v)
        here.append(k, v)
    assert all(map(mx.array_equal, elsewhere(there.keys_values), here.keys_values()))


@pytest.mark.parametrize("call", ["append", "keys_values", "attend"])
def test_a_second_call_inside_a_cache_is_refused_and_changes_nothing(call):
    cache, k = vk.RingKVCache(8), normal(0, 1, 2, 3, 32)
    cache.append(k, k)
    calls = {
        "append": lambda: cache.append(k, k),
        "keys_values": cache.keys_values,
        "attend": lambda: vk.sliding_window_attention(k, k, k, cache=cache),
    }
    with cache.inside, pytest.raises(RuntimeError, match=r"^\[RingKVCache\] thread: expected one call at a time, got"):
        elsewhere(calls[call])
    assert cache.offset == 3
    calls[call]()
    copied = copy.deepcopy(cache)
    with cache.inside:
        copied.append(k, k)


def test_the_stages_of_a_model_go_on_in_another_thread(model, backend):
    mel = normal(0, 1, 64, model.config.encoder.n_mels)
    scales = elsewhere(by_name, backend, model.decoder.scales, 6, model.time_dtype)

    def step(state, caches, start):
        hidden = model.decoder(model.embed_audio(mel[:, start : start + 8], state), scales, caches)
        mx.eval(hidden)
        return hidden

    there, here = ((model.new_audio_state(), model.decoder.new_caches()) for _ in range(2))
    for start in range(0, 64, 8):
        assert mx.array_equal(elsewhere(by_name, backend, step, *there, start), step(*here, start))


def test_an_offline_model_is_shared_by_threads(offline):
    """With a seed each, and once on MLX's own random state, which every thread has for itself."""
    model = elsewhere(vk.load, offline)
    samples = SAMPLES[:4000]

    def answer(seed, temperature=0.8):
        return model.transcribe(samples, max_tokens=3, temperature=temperature, seed=seed).tokens

    expected = [answer(seed) for seed in (1, 2)]
    with ThreadPoolExecutor(2) as workers:
        assert list(workers.map(answer, (1, 2))) == expected
        assert all(workers.map(answer, (None, None)))


def test_a_kernel_of_the_emulator_is_shared_by_threads():
    kernel = vk.emulator.metal_kernel(
        name="twice", input_names=["x"], output_names=["y"],
        source="uint i = thread_position_in_grid.x; y[i] = 2 * x[i];",
    )  # fmt: skip

    def run(i):
        x = mx.arange(i, i + 64, dtype=mx.float32)
        (y,) = kernel(
            inputs=[x], grid=(64, 1, 1), threadgroup=(32, 1, 1), output_shapes=[x.shape], output_dtypes=[x.dtype]
        )
        return mx.array_equal(y, 2 * x).item()

    assert elsewhere(run, 0)
    with ThreadPoolExecutor(4) as workers:
        assert all(workers.map(run, range(8)))
