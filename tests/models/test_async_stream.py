"""`AsyncStream`: the events and the text of `Stream`, the event loop free, nothing lost at its end."""

import asyncio
import gc
import itertools
import threading
import time

import numpy as np
import pytest

import voxtral_kernels as vk
from voxtral_kernels.audio.load import load_audio
from voxtral_kernels.models.voxtral_realtime import async_stream


@pytest.fixture(scope="module")
def clip(examples):
    return load_audio(examples / "human-card-1.wav")


@pytest.fixture(scope="module")
def expected(tiny, clip):
    stream = tiny.stream()
    return stream, stream.feed(clip) + stream.finish()


def parts(clip):
    return [clip[a:b] for a, b in itertools.pairwise([*range(0, len(clip), 3000), len(clip)])]


def test_it_gives_what_a_stream_gives(tiny, clip, expected):
    async def run():
        stream = vk.AsyncStream(tiny)
        events = [event for part in parts(clip) for event in await stream.feed(part)]
        events += await stream.finish()
        assert await stream.finish() == []
        await stream.aclose()
        return stream, events

    sync, expected_events = expected
    stream, events = asyncio.run(run())
    assert events == expected_events
    for name in ("text", "words", "tokens", "duration_s"):
        assert getattr(stream, name) == getattr(sync, name), name


def test_another_sample_rate(tiny, clip, expected):
    async def run():
        async with vk.AsyncStream(tiny, sample_rate=48_000) as stream:
            for part in parts(np.repeat(clip, 3)):
                await stream.feed(part)
        return stream

    stream = asyncio.run(run())
    assert stream.text == expected[0].text
    assert stream.duration_s == expected[0].duration_s


@pytest.mark.fault("threads: there was no stream for asyncio that leaves the event loop free")
def test_iterations_get_every_event_while_another_task_feeds(tiny, clip, expected, monkeypatch):
    entered, ticked = threading.Event(), threading.Event()
    embed = type(tiny).embed_audio

    def watched(*args):
        entered.set()
        assert ticked.wait(60), "the event loop stands still while audio is worked on"
        return embed(*args)

    monkeypatch.setattr(type(tiny), "embed_audio", watched)

    async def collect(stream):
        return [event async for event in stream]

    async def tick():
        while not entered.is_set():
            await asyncio.sleep(0.001)
        ticked.set()

    async def run():
        async with vk.AsyncStream(tiny) as stream:
            readers = [asyncio.create_task(collect(stream)) for _ in range(2)]
            await asyncio.sleep(0)
            await asyncio.gather(stream.feed(clip), tick())
        late = await collect(stream)
        return await asyncio.gather(*readers), late

    found, late = asyncio.run(run())
    assert found == [expected[1]] * 2
    assert late == []


def test_calls_made_at_once_are_served_in_their_order(tiny, clip, expected):
    async def run():
        async with vk.AsyncStream(tiny) as stream:
            found = await asyncio.gather(*[stream.feed(part) for part in parts(clip)], stream.finish())
        return [event for events in found for event in events]

    assert asyncio.run(run()) == expected[1]


def test_a_wait_that_is_cancelled_loses_no_audio(tiny, clip, expected):
    async def run():
        async with vk.AsyncStream(tiny) as stream:
            task = asyncio.create_task(stream.feed(clip[:9000]))
            while not stream.duration_s:
                await asyncio.sleep(0.001)
            task.cancel()
            await stream.feed(clip[9000:])
        return stream.text

    assert asyncio.run(run()) == expected[0].text


def test_an_exception_ends_iterations_and_is_not_held_up(tiny, clip):
    async def run():
        async def collect():
            return [event async for event in stream]

        async def leave_by_exception():
            async with stream:
                raise KeyError

        stream = vk.AsyncStream(tiny)
        reader = asyncio.create_task(collect())
        await asyncio.sleep(0)
        with pytest.raises(KeyError):
            await leave_by_exception()
        assert await asyncio.wait_for(reader, 60) == []
        closed = r"^\[stream\] feed: expected a stream that is not closed, got one that is\."
        with pytest.raises(ValueError, match=closed):
            await stream.feed(clip)

    asyncio.run(run())


def test_errors_are_those_of_a_stream(tiny, offline, clip):
    with pytest.raises(ValueError, match=r"^\[stream\] model: expected one of"):
        vk.AsyncStream(vk.load(offline))
    with pytest.raises(ValueError, match="delay_ms"):
        vk.AsyncStream(tiny, delay_ms=100)

    async def run():
        async with vk.AsyncStream(tiny) as stream:
            with pytest.raises(ValueError, match=r"^\[stream\] samples: "):
                await stream.feed([[0.0]])
            await stream.finish()
            with pytest.raises(ValueError, match="a stream that is not finished"):
                await stream.feed(clip)

    asyncio.run(run())


def test_the_backend_of_the_caller_serves(tiny, clip, monkeypatch):
    seen = []
    embed = type(tiny).embed_audio
    forced = lambda *args: seen.append(vk.backends.select.forced()) or embed(*args)  # noqa: E731
    monkeypatch.setattr(type(tiny), "embed_audio", forced)

    async def run():
        async with vk.AsyncStream(tiny) as stream:
            with vk.use_backend("composed"):
                await stream.feed(clip)

    asyncio.run(run())
    assert seen[0] == "composed"


def test_streams_that_follow_each_other_share_a_worker(tiny):
    async def run(close):
        stream = vk.AsyncStream(tiny)
        await stream.feed([0.0] * 1280)
        if close:
            await stream.aclose()
            await stream.aclose()

    workers = lambda: {t for t in threading.enumerate() if t.name.startswith("voxtral-kernels")}  # noqa: E731

    def given_back():
        """A worker is given back by its last task, which may still be under way."""
        deadline = time.monotonic() + 60
        while len(async_stream._idle) < len(workers()):
            assert time.monotonic() < deadline, "a worker was not given back"
            time.sleep(0.01)

    asyncio.run(run(True))
    given_back()
    before = workers()
    for close in (True, False, True):
        asyncio.run(run(close))
        gc.collect()
        given_back()
    assert workers() == before
