"""Live audio in vLLM's messages: the command line's text, whoever else is there; what was spoken is never lost."""

import asyncio
import base64
import contextlib
import json

import pytest
from websockets.exceptions import ConnectionClosed

from tests.serve.clients import Told, append, commit, done, metrics, pcm, session, transcribe, update
from tests.serve.conftest import EXAMPLES, SHORT, command

CARDS = EXAMPLES / "human-card-5.wav"


def test_eight_at_once_get_exactly_the_command_lines_text(server, said):
    async def all_of_them():
        recordings = [pcm(EXAMPLES / name) for name in SHORT]
        return await asyncio.gather(*[transcribe(server, r, block=640 + 320 * i) for i, r in enumerate(recordings)])

    for name, (event, deltas) in zip(SHORT, asyncio.run(all_of_them()), strict=True):
        assert event["text"] == deltas == said[name]
        assert event["usage"]["total_tokens"] == event["usage"]["prompt_tokens"] + event["usage"]["completion_tokens"]


def test_a_hundred_at_eight_slots(server):
    """Eight are served, the others are told and closed; afterwards the slots are free again."""

    async def one(samples, go):
        try:
            async with session(server) as socket:
                await socket.send(update())
                await go.wait()
                await socket.send(append(samples))
                await socket.send(commit(final=True))
                return (await done(socket))[0]["text"]
        except Told as no:
            return no.code

    async def all_of_them():
        samples, go = pcm(EXAMPLES / "human-card-1.wav"), asyncio.Event()
        tasks = [asyncio.create_task(one(samples, go)) for _ in range(100)]
        while sum(task.done() for task in tasks) < 92:
            await asyncio.sleep(0.02)
        go.set()
        return await asyncio.gather(*tasks)

    found = asyncio.run(asyncio.wait_for(all_of_them(), 120))
    assert {text: found.count(text) for text in set(found)} == {"slots_full": 92, "ten of clubs": 8}
    assert metrics(server)["voxtral_streams"] == 0


def test_who_disappears_frees_the_slot(server):
    async def scenario():
        samples = pcm(CARDS)
        for _ in range(2):
            async with asyncio.TaskGroup() as group:
                sockets = [group.create_task(vanish(samples)) for _ in range(8)]
        return len(sockets)

    async def vanish(samples):
        for _ in range(200):  # those before are being noticed
            try:
                async with session(server) as socket:
                    await socket.send(append(samples[:16000]))
                    socket.transport.abort()
                    return
            except Told as no:
                assert no.code == "slots_full"  # noqa: PT017
                await asyncio.sleep(0.05)
        raise AssertionError("no slot became free")

    assert asyncio.run(scenario()) == 8
    while metrics(server)["voxtral_connections"] > 1:  # its own; the newest are being noticed
        pass
    assert metrics(server)["voxtral_streams"] == 0


def test_utterances_follow_each_other_and_words_have_their_times(server):
    async def scenario():
        async with session(server) as socket:
            await socket.send(update(timestamp_granularities=["word"], sample_rate=16000, delay_ms=960))
            found = []
            for name in ("human-card-1.wav", "human-card-2.wav"):
                await socket.send(append(pcm(EXAMPLES / name)))
                await socket.send(commit(final=True))
                found.append((await done(socket))[0])
            return found

    first, second = asyncio.run(scenario())
    assert first["text"] == "ten of clubs"
    expected = json.loads(command("transcribe", EXAMPLES / "human-card-2.wav", "--format", "json", "--delay-ms", 960))
    assert second["text"] == expected["text"]
    assert [(w["word"], w["start"], w["end"]) for w in second["words"]] == [
        (w["text"], w["start_s"], w["end_s"]) for w in expected["words"]
    ]
    assert second["duration"] == expected["duration_s"]


BAD = {
    "no JSON": ("{", "invalid_json"),
    "a list": ("[]", "invalid_json"),
    "deep": ("[" * 100_000, "invalid_json"),
    "bytes": (b"\0\1", "invalid_json"),
    "no type": ("{}", "unknown_event"),
    "unknown": ('{"type": "response.create"}', "unknown_event"),
    "no audio": ('{"type": "input_audio_buffer.append"}', "invalid_audio"),
    "no base64": ('{"type": "input_audio_buffer.append", "audio": "%%%"}', "invalid_audio"),
    "half a sample": ('{"type": "input_audio_buffer.append", "audio": "AAAA"}', "invalid_audio"),
    "empty": ('{"type": "input_audio_buffer.append", "audio": ""}', "invalid_audio"),
    "commit first": (commit(), "model_not_validated"),
    "another model": ('{"type": "session.update", "model": "other"}', "model_not_found"),
    "a rate that is none": ('{"type": "session.update", "sample_rate": NaN}', "invalid_value"),
    "granularity": ('{"type": "session.update", "timestamp_granularities": ["letter"]}', "invalid_value"),
}


def test_messages_that_are_none_are_told_and_the_session_goes_on(server):
    async def scenario():
        codes = {}
        async with session(server) as socket:
            for name, (message, _) in BAD.items():
                await socket.send(message)
                event = json.loads(await socket.recv())
                assert event["type"] == "error"
                codes[name] = event["code"]
            await socket.send(update(delay_ms=81))
            await socket.send(commit())
            assert json.loads(await socket.recv())["code"] == "invalid_value"
            await socket.send(update(delay_ms=None))
            await socket.send(append(pcm(EXAMPLES / "human-card-1.wav")))
            await socket.send(commit(final=True))
            assert (await done(socket))[0]["text"] == "ten of clubs"
            await socket.send("{")
            assert json.loads(await socket.recv())["code"] == "invalid_json"
            with pytest.raises(Told, match="16 messages") as told:
                await done(socket)
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            return codes, told.value.code, socket.close_code

    assert asyncio.run(scenario()) == ({name: code for name, (_, code) in BAD.items()}, "too_many_errors", 1008)


def test_a_message_that_is_too_large_closes_the_connection_alone(server):
    async def scenario():
        async with session(server) as socket:
            with contextlib.suppress(ConnectionClosed):  # before all of it is sent, or after
                await socket.send("x" * (5 << 20))
            await socket.wait_closed()
            return socket.close_code

    assert asyncio.run(scenario()) == 1009
    assert metrics(server)["voxtral_streams"] == 0


def test_base64_is_of_little_endian_samples():
    assert base64.b64decode(json.loads(append([1, -2]))["audio"]) == b"\x01\x00\xfe\xff"
