"""What has state works from any thread, one call at a time; a second call inside it is refused and changes nothing."""

import asyncio
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
        assert leave.wait(30)
        return embed(*args)

    monkeypatch.setattr(type(model), "embed_audio", slow)
    first = threading.Thread(target=stream.feed, args=(SAMPLES,), name="the first")
    first.start()
    assert entered.wait(30)
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
