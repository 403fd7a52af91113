"""`AsyncBatch`: a batch's streams for asyncio; who goes away frees a slot, who is fast waits, who fails fails alone."""

import asyncio

import numpy as np
import pytest

import voxtral_kernels as vk
from voxtral_kernels.audio.load import load_audio


@pytest.fixture(scope="module")
def clip(examples):
    return load_audio(examples / "human-card-1.wav")


async def listen(stream):
    return [event async for event in stream]


def test_asyncio(tiny, clip):
    async def one(batch, delay_ms, sizes):
        async with batch.stream(delay_ms, block=True) as stream:
            reader = asyncio.create_task(listen(stream))
            await asyncio.sleep(0)
            for part in np.split(clip, np.cumsum(sizes)):
                await stream.feed(part)
            await stream.finish()
            return stream, await reader

    async def run():
        async with vk.AsyncBatch(tiny, slots=2) as batch:
            found = await asyncio.gather(*(one(batch, d, s) for d, s in ((480, [5000]), (240, [1, 9000]), (480, []))))
            assert batch.streams == []
            return found

    for (stream, events), delay_ms in zip(asyncio.run(run()), (480, 240, 480), strict=True):
        expected = tiny.stream(delay_ms, drafts=False, exact=True)
        expected.feed(clip)
        expected.finish()
        assert [e.token for e in events] == stream.tokens == expected.tokens
        assert stream.result == expected.result


def test_a_client_that_goes_away_frees_its_slot(tiny, clip):
    async def run():
        async with vk.AsyncBatch(tiny, slots=1) as batch:
            entered = asyncio.Event()

            async def client():
                async with batch.stream() as stream:
                    entered.set()
                    await stream.feed(np.tile(clip, 20))

            task = asyncio.create_task(client())
            await entered.wait()
            with pytest.raises(vk.BatchFull):
                await batch.stream()
            with pytest.raises(vk.BatchFull):
                await batch.stream(block=0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            stream = await batch.stream()
            assert batch.streams == [stream]
            await stream.feed(clip)
            await stream.aclose()
            await stream.aclose()
            with pytest.raises(ValueError, match="a stream that is not closed"):
                await stream.finish()

    asyncio.run(run())


def test_feeding_waits_for_the_backlog(tiny, clip):
    async def run():
        async with vk.AsyncBatch(tiny, slots=1) as batch, batch.stream(backlog_s=0.5) as stream:
            most = 0.0
            for _ in range(6):
                await stream.feed(clip[:4000])
                most = max(most, stream.backlog_s)
            return most

    assert asyncio.run(run()) <= 0.5


def test_an_error_reaches_who_listens(tiny, clip):
    async def run():
        async with vk.AsyncBatch(tiny, slots=1) as batch:
            stream = await batch.stream()
            stream._stream._event = lambda *_: 1 / 0
            reader = asyncio.create_task(listen(stream))
            await stream.feed(clip[:3000])
            for wait in (stream.finish(), reader):
                with pytest.raises(ZeroDivisionError):
                    await wait
            assert batch.stats().streams == 0

    asyncio.run(run())
