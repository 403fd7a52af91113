"""Clients that mean harm, or are unlucky: each is refused or cut off, the others are served, memory stays."""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import time
import urllib.request

import numpy as np
import openai
import pytest
from websockets.exceptions import ConnectionClosed

from tests.serve.clients import Told, append, done, get, metrics, pcm, session, transcribe
from tests.serve.conftest import EXAMPLES
from tests.serve.starting import Started

pytestmark = pytest.mark.soak

SHORT, MINUTE = EXAMPLES / "human-card-1.wav", EXAMPLES / "one-minute.wav"
HEAD = b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
UPGRADE = (
    b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture(scope="module")
def server():
    started = Started("--slots", "2", "--idle-s", "3", "--rate", "100000", "--connections", "150")
    yield started
    assert started.stop()[0] == 143
    assert "Traceback" not in started.said


@pytest.fixture(autouse=True)
def lives(server):
    """Behind each test the server is as it was: it serves, and nobody holds a slot."""
    assert serves(server)
    yield
    until = time.monotonic() + 30
    while metrics(server)["voxtral_connections"] > 1:
        assert time.monotonic() < until, "somebody is still there"
        time.sleep(0.1)
    assert metrics(server)["voxtral_streams"] == 0
    assert serves(server)


def serves(server):
    event, _ = asyncio.run(asyncio.wait_for(transcribe(server, pcm(SHORT)), 60))
    return event["text"] == "ten of clubs"


def to(server):
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def memory(server):
    """Bytes that the process holds now."""
    status = f"/proc/{server.process.pid}/statm"
    if not os.path.exists(status):
        pytest.skip("no /proc on this machine: the process's memory is not read")
    with open(status) as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def raw(server, small=False):
    opened = socket.socket()
    if small:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    opened.settimeout(60)
    opened.connect(("127.0.0.1", server.port))
    return opened


def test_a_gigabyte_is_neither_read_nor_kept(server):
    """One that says its length, and one that does not; both go on sending whatever they are told."""
    before = memory(server)
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    megabyte = b"x" * (1 << 20)
    for fields, piece in (
        (b"Content-Length: 1073741824\r\n\r\n" + part, megabyte),
        (b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(part) + part + b"\r\n", b"100000\r\n" + megabyte + b"\r\n"),
    ):
        with raw(server) as client:
            client.sendall(HEAD + fields)
            sent = 0
            with contextlib.suppress(OSError):
                while sent < 1023:
                    client.sendall(piece)
                    sent += 1
            assert sent < 1023, "all of it was taken"
    assert memory(server) - before < 50e6


def test_the_answer_to_a_large_body_reaches_who_reads_it(server):
    with raw(server) as client:
        head = b"POST /v1/subtitles HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        client.sendall(head + b"Content-Length: 9000000\r\n\r\n" + b"x" * 9_000_000)
        assert client.recv(100).startswith(b"HTTP/1.1 413 ")


def test_who_never_reads_is_cut_off(server):
    """Requests without end, or pings, and no answer is ever read."""
    before = memory(server)
    with raw(server, small=True) as client, contextlib.suppress(OSError):
        until = time.monotonic() + 45
        while time.monotonic() < until:
            client.sendall(b"GET /page/app.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
        raise AssertionError("never cut off")
    with raw(server, small=True) as client:
        client.sendall(UPGRADE)
        ping = b"\x89\xfd\0\0\0\0" + b"x" * 125
        with contextlib.suppress(OSError):
            until = time.monotonic() + 45
            while time.monotonic() < until:
                client.sendall(ping * 500)
            raise AssertionError("never cut off")
    assert memory(server) - before < 50e6


def test_heads_that_do_not_end(server):
    """A hundred clients that send a request's head byte by byte: others are served meanwhile, they are cut off."""
    clients = [raw(server) for _ in range(100)]
    try:
        for client in clients:
            client.sendall(b"GET / HT")
        assert serves(server)
        time.sleep(11)
        for client in clients:
            client.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""
    finally:
        for client in clients:
            client.close()


def test_noise_instead_of_http_and_of_messages(server):
    chance = random.Random(0)
    for _ in range(50):
        with raw(server) as client, contextlib.suppress(OSError):
            client.sendall(chance.randbytes(chance.randrange(1, 5000)))
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass

    async def scenario():
        for _ in range(20):
            with contextlib.suppress(ConnectionClosed, Told):
                async with session(server) as opened:
                    for _ in range(30):
                        await opened.send(noise())
                    await done(opened)

    def noise():
        if chance.random() < 0.3:
            return chance.randbytes(chance.randrange(3000))
        kind = chance.choice(["session.update", "input_audio_buffer.append", "input_audio_buffer.commit", "x", None, 3])
        value = chance.choice([None, 0, -1, 1e99, "x", "AAAA", [], {}, [[]], True, "\ud800"])
        return json.dumps({"type": kind, chance.choice(["audio", "final", "model", "delay_ms", "sample_rate"]): value})

    asyncio.run(asyncio.wait_for(scenario(), 120))


def test_who_is_silent_gets_the_text_and_is_closed(server):
    async def scenario():
        async with session(server) as opened:
            await opened.send(append(pcm(SHORT)))
            event, _ = await done(opened)
            told = json.loads(await opened.recv())
            await opened.wait_closed()
            return event["text"], told["code"], opened.close_code

    assert asyncio.run(scenario()) == ("ten of clubs", "idle", 1008)
    with raw(server) as client:  # an upload that stops
        client.sendall(HEAD + b"Content-Length: 1000\r\n\r\n--x")
        assert client.recv(100).startswith(b"HTTP/1.1 408 ")


def test_a_flood_is_slowed_down_not_piled_up(server):
    """An hour of audio as fast as it goes: what is not heard stays with the client."""
    before = memory(server)

    async def scenario():
        noise = np.random.default_rng(0).integers(-300, 300, 16_000)
        async with session(server) as opened:
            taken = 0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(10):
                    for _ in range(3600):
                        await opened.send(append(noise))
                        taken += 1
            opened.transport.abort()
            return taken

    taken = asyncio.run(scenario())
    assert taken < 3600 or memory(server) - before < 100e6
    assert memory(server) - before < 100e6


def test_recordings_wait_for_a_slot_in_turn(server):
    """Ten at two slots: all are served."""
    with to(server) as client:

        def ask(_):
            with SHORT.open("rb") as file:
                return client.audio.transcriptions.create(model="tiny", file=file).text

        async def scenario():
            return await asyncio.gather(*[asyncio.to_thread(ask, i) for i in range(10)])

        assert asyncio.run(scenario()) == ["ten of clubs"] * 10


def test_who_hangs_up_in_the_middle_of_a_recording_frees_the_slot(server):
    for _ in range(3):
        with (
            openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
            MINUTE.open("rb") as file,
        ):
            for _ in client.audio.transcriptions.create(model="tiny", file=file, stream=True):
                break
    until = time.monotonic() + 10
    while metrics(server)["voxtral_streams"]:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_memory_is_flat_over_two_hundred_clients(server):
    async def rounds(n):
        for _ in range(n):
            await asyncio.gather(*[transcribe(server, pcm(SHORT)) for _ in range(2)])

    asyncio.run(rounds(20))
    before = memory(server)
    asyncio.run(rounds(100))
    assert memory(server) - before < 20e6


def test_sigterm_in_the_middle_of_a_recording_delivers_what_was_heard():
    """The time that recordings have is over at once: the events end with the text so far, marked."""
    server = Started("--drain-s", "0")
    with to(server) as client, MINUTE.open("rb") as file:
        events = []
        for event in client.audio.transcriptions.create(model="tiny", file=file, stream=True):
            events.append(event)
            if len(events) == 3:
                server.kill(signal.SIGTERM)
    assert server.stop()[0] == 143
    assert events[-1].type == "transcript.text.done"
    assert "".join(event.delta for event in events[:-1]) == events[-1].text
    assert (events[-1].complete, events[-1].reason) == (False, "the server was ended")
    assert len(events[-1].text.split()) >= 3


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 on this machine")
def test_the_other_loopback_address():
    """``--host ::1``: no key is needed, the address is printed as a browser takes it."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no ::1 on this machine: {error}")
    started = Started("--host", "::1")
    try:
        assert f"http://[::1]:{started.port}/" in started.said
        for path in ("/health", "/"):
            with urllib.request.urlopen(f"http://[::1]:{started.port}{path}", timeout=20) as answer:
                assert answer.status == 200
    finally:
        assert started.stop()[0] == 143


def test_an_address_in_use_is_told(server):
    with pytest.raises(AssertionError, match=r"\[serve\] --port: expected a port that is free, got 127.0.0.1:"):
        Started("--port", str(server.port))
    assert get(server, "/health")[0] == 200
