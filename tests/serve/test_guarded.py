"""One server with a key and small limits, from its start to SIGTERM: nothing wrong passes, nothing spoken is lost."""

import asyncio
import contextlib
import json
import socket

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.serve.clients import BLOCK, append, done, get, pcm, session, update
from tests.serve.clients import Refused as NoSocket
from tests.serve.conftest import EXAMPLES, command
from tests.serve.starting import Started
from voxtral_kernels.serve.server import LINGER_BYTES

KEY = "correct-horse-battery-staple"
BEARER = {"Authorization": f"Bearer {KEY}"}
OPTIONS = ["--max-mb", "1", "--rate", "30", "--allow-origin", "https://friend.example", "--connections", "20"]
SPOKEN = {"human-card-5.wav": 25, "human-go-forward.wav": 20}  # blocks of each


def test_a_guarded_server():
    guarded = Started(*OPTIONS, key=KEY)
    try:
        keys_names_and_origins(guarded)
        nonsense_is_answered_not_printed(guarded)
        large_bodies_are_refused_before_they_come(guarded)
        texts = asyncio.run(asyncio.wait_for(sigterm_in_the_middle(guarded), 120))
    finally:
        status, said = guarded.stop()
    spoken = [pcm(EXAMPLES / name)[: n * BLOCK] for name, n in SPOKEN.items()]
    expected = [command("transcribe", "-", "--raw", stdin=samples.tobytes()).strip() for samples in spoken]
    assert texts == [(text, 1001) for text in expected]
    assert all(expected)
    assert status == 143
    assert said.count("\n") == 1, said
    assert KEY not in said


async def handshake(server, **headers):
    """Status of a WebSocket's answer."""
    subprotocols = headers.pop("subprotocols", None)
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        async with connect(server.socket_url, additional_headers=fields, subprotocols=subprotocols) as opened:
            assert json.loads(await opened.recv())["type"] == "session.created"
            return 101
    except NoSocket as no:
        answer = no.response
    return answer.status_code if json.loads(answer.body)["error"]["code"] else None


def nonsense_is_answered_not_printed(guarded):
    with socket.create_connection(("127.0.0.1", guarded.port), 10) as client:
        client.sendall(b"\x16\x03\x01 no request\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400 ")


def keys_names_and_origins(guarded):
    bearer = f"Bearer {KEY}"
    own = f"http://127.0.0.1:{guarded.port}"
    assert get(guarded, "/v1/models")[0] == 401
    assert get(guarded, "/metrics")[0] == 401
    assert get(guarded, "/v1/models", Authorization=f"Bearer {KEY}x")[0] == 401
    assert get(guarded, "/v1/models", Authorization=bearer)[0] == 200
    assert get(guarded, "/health")[0] == get(guarded, "/")[0] == get(guarded, "/page/app.js")[0] == 200
    assert get(guarded, "/page/../__init__.py")[0] == get(guarded, "/page/%2e%2e/app.py")[0] == 404
    assert get(guarded, "/v1/models", Authorization=bearer, Origin=own)[0] == 200
    for origin in ("http://evil.example", "null", "https://127.0.0.1", f"http://127.0.0.1:{guarded.port + 1}"):
        assert get(guarded, "/v1/models", Authorization=bearer, Origin=origin)[0] == 403, origin
    status, headers, _ = get(guarded, "/v1/models", Authorization=bearer, Origin="https://friend.example")
    assert (status, headers["access-control-allow-origin"]) == (200, "https://friend.example")
    assert get(guarded, "/health", Host=f"evil.example:{guarded.port}")[0] == 421  # a name bent to this address
    assert get(guarded, "/health", Host=f"localhost:{guarded.port}")[0] == 200

    async def sockets():
        assert await handshake(guarded) == 401
        assert await handshake(guarded, Authorization=bearer) == 101
        assert await handshake(guarded, Authorization=bearer, Origin=own) == 101
        assert await handshake(guarded, Authorization=bearer, Origin="http://evil.example") == 403
        assert await handshake(guarded, subprotocols=["realtime", f"openai-insecure-api-key.{KEY}"]) == 101
        assert await handshake(guarded, subprotocols=["realtime", "openai-insecure-api-key.wrong"]) == 401

    asyncio.run(sockets())


def large_bodies_are_refused_before_they_come(guarded):
    head = f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
    head += "Content-Type: multipart/form-data; boundary=x\r\n"
    with socket.create_connection(("127.0.0.1", guarded.port), 30) as raw:
        raw.sendall(f"{head}Content-Length: {2**30}\r\n\r\n".encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 413 ")
        sent = 0
        with contextlib.suppress(ConnectionError):  # cut off by bytes: a gigabyte may come within the seconds
            while sent < 2**30:
                raw.sendall(b"x" * 2**20)
                sent += 2**20
        assert sent <= 2 * LINGER_BYTES
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    with socket.create_connection(("127.0.0.1", guarded.port), 30) as raw:
        raw.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n{len(start):x}\r\n".encode() + start + b"\r\n")
        for _ in range(18):
            raw.sendall(chunk)
        assert raw.recv(100).startswith(b"HTTP/1.1 413 ")
    with socket.create_connection(("127.0.0.1", guarded.port), 30) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: " + b"x" * 100_000 + b"\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 4")
    assert get(guarded, "/health")[0] == 200


def a_guesser_of_keys_is_slowed_down(guarded):
    answers = [get(guarded, "/v1/audio/transcriptions", "POST") for _ in range(40)]
    assert {status for status, _, _ in answers} == {401, 429}
    assert answers[-1][0] == 429
    assert int(answers[-1][1]["retry-after"]) >= 1


async def sigterm_in_the_middle(guarded):
    """Two are in the middle of a sentence: they get all of it, their connections are closed, nobody else comes in."""

    async def live(name, n):
        async with session(guarded, additional_headers=BEARER) as opened:
            await opened.send(update())
            samples = pcm(EXAMPLES / name)
            for i in range(n):
                await opened.send(append(samples[i * BLOCK : (i + 1) * BLOCK]))
            spoke[name].set()
            event, _ = await done(opened)
            assert event["text"]
            with contextlib.suppress(ConnectionClosed):
                raise AssertionError(await opened.recv())
            return event["text"], opened.close_code

    spoke = {name: asyncio.Event() for name in SPOKEN}
    speaking = [asyncio.create_task(live(name, n)) for name, n in SPOKEN.items()]
    for event in spoke.values():
        await event.wait()
    await asyncio.to_thread(a_guesser_of_keys_is_slowed_down, guarded)
    guarded.kill()
    return await asyncio.gather(*speaking)
