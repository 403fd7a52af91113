"""A recording, as if it were spoken now, through the realtime messages of a server: the text as it is heard.

    voxtral-kernels serve --model tiny &
    python examples/realtime_client.py examples/human-go-forward.wav

``pip install websockets``. With a key: ``export VOXTRAL_API_KEY=...`` for both. The same messages work with vLLM.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

import voxtral_kernels as vk

RATE = 16_000
BLOCK = 1280  # 80 ms


async def speak(socket: ClientConnection, recording: str, model: str, speed: float) -> None:
    """Send it, each block when it would have been spoken."""
    await socket.send(json.dumps({"type": "session.update", "model": model}))
    await socket.send(json.dumps({"type": "input_audio_buffer.commit"}))
    samples = (vk.load_audio(recording) * 32767).astype("<i2")
    for block in np.split(samples, range(BLOCK, len(samples), BLOCK)):
        audio = base64.b64encode(block.tobytes()).decode()
        await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
        await asyncio.sleep(len(block) / RATE / speed)
    await socket.send(json.dumps({"type": "input_audio_buffer.commit", "final": True}))


async def show(socket: ClientConnection) -> None:
    """Print what comes, to the end."""
    async for message in socket:
        event = json.loads(message)
        if event["type"] == "transcription.delta":
            print(event["delta"], end="", flush=True)
        elif event["type"] == "transcription.done":
            print()
            return
        elif event["type"] == "error":
            raise SystemExit(event["error"])


async def run(recording: str, url: str, model: str, speed: float) -> None:
    key = os.environ.get("VOXTRAL_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with connect(url, additional_headers=headers) as socket, asyncio.TaskGroup() as group:
        group.create_task(speak(socket, recording, model, speed))
        group.create_task(show(socket))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording")
    parser.add_argument("--url", default="ws://127.0.0.1:8000/v1/realtime")
    parser.add_argument("--model", default="tiny", help="as the server calls it")
    parser.add_argument("--speed", type=float, default=1.0, help="2 is twice as fast as it was spoken")
    given = parser.parse_args()
    asyncio.run(run(given.recording, given.url, given.model, given.speed))


if __name__ == "__main__":
    main()
