"""Clients of a server: live ones that speak in vLLM's messages, and plain HTTP."""

import base64
import contextlib
import http.client
import json

import numpy as np
import websockets
from websockets.asyncio.client import connect

import voxtral_kernels as vk

RATE = 16_000
BLOCK = 1280


def pcm(path):
    """A recording as 16-bit samples."""
    return np.round(vk.load_audio(path) * 32768).clip(-32768, 32767).astype("<i2")


def append(samples):
    """The message that hands them over."""
    audio = base64.b64encode(np.asarray(samples, "<i2").tobytes()).decode()
    return json.dumps({"type": "input_audio_buffer.append", "audio": audio})


def update(**more):
    return json.dumps({"type": "session.update", "model": "tiny", **more})


def commit(final=False):
    return json.dumps({"type": "input_audio_buffer.commit", **({"final": True} if final else {})})


@contextlib.asynccontextmanager
async def session(server, **options):
    """A connection whose server has said hello."""
    async with connect(server.socket_url, max_size=None, **options) as socket:
        hello = json.loads(await socket.recv())
        if hello["type"] != "session.created":
            raise Told(hello)
        yield socket


class Told(Exception):  # noqa: N818 - what the server said
    """An error message of the server."""

    def __init__(self, event):
        super().__init__(event["error"])
        self.code = event["code"]


async def done(socket):
    """Messages up to the transcription's end: its event, and the deltas joined."""
    text = ""
    async for message in socket:
        event = json.loads(message)
        if event["type"] == "error":
            raise Told(event)
        if event["type"] == "transcription.done":
            return event, text
        text += event["delta"]
    raise AssertionError(f"closed with {socket.close_code} before the end")


async def transcribe(server, samples, block=BLOCK, **options):
    """A recording, block by block, as fast as the server takes it."""
    async with session(server) as socket:
        await socket.send(update(**options))
        await socket.send(commit())
        for i in range(0, len(samples), block):
            await socket.send(append(samples[i : i + block]))
        await socket.send(commit(final=True))
        return await done(socket)


def get(server, path, method="GET", body=None, kind=None, **headers):
    """Status, headers, body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        fields = {name.replace("_", "-"): value for name, value in headers.items()} | (
            {"Content-Type": kind} if kind else {}
        )
        connection.request(method, path, body, fields)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def metrics(server, **headers):
    """Values by name."""
    lines = get(server, "/metrics", **headers)[2].decode().splitlines()
    return {name: float(value) for name, _, value in (li.rpartition(" ") for li in lines if not li.startswith("#"))}


Refused = websockets.exceptions.InvalidStatus
