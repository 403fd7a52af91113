"""Live captions in a terminal: text that is only ever appended, wrapped to the width.

    python examples/live_captions.py examples/human-go-forward.wav              # a file, at the speed of speech
    python examples/live_captions.py talk.wav --speed 4 --model PATH            # faster, with a model of yours
    arecord -r 16000 -c 1 -f S16_LE | python examples/live_captions.py -        # live

One task hands the audio over as it comes, another prints what `vk.AsyncStream` hears, on a thread of its own.
Redirected to a file or a pipe, the text comes in one line.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from collections.abc import AsyncIterator

import numpy as np

import voxtral_kernels as vk

Samples = np.ndarray[tuple[int, ...], np.dtype[np.float32 | np.int16]]
RATE = 16_000
BLOCK_S = 0.08  # a token's worth


async def recorded(path: str, speed: float) -> AsyncIterator[Samples]:
    """A recording in blocks of 80 ms, each when it would have been heard at this speed."""
    samples = await asyncio.to_thread(vk.load_audio, path)
    clock = asyncio.get_running_loop().time
    block, started = round(RATE * BLOCK_S), clock()
    for i in range(0, len(samples), block):
        heard = started + (i + block) / RATE / speed
        await asyncio.sleep(max(0.0, heard - clock()))
        yield samples[i : i + block]


async def piped() -> AsyncIterator[Samples]:
    """Raw samples from standard input: signed 16 bits, little-endian, 16 kHz, mono."""
    size = 2 * round(RATE * BLOCK_S)
    while data := await asyncio.to_thread(sys.stdin.buffer.read, size):
        yield np.frombuffer(data[: len(data) // 2 * 2], "<i2")


async def hand_over(audio: AsyncIterator[Samples], stream: vk.AsyncStream) -> None:
    """All of the audio, then its end: the last words come out with it. Ctrl-C is such an end too."""
    try:
        async for samples in audio:
            await stream.feed(samples)
    except asyncio.CancelledError:
        if task := asyncio.current_task():
            task.uncancel()
    await stream.finish()


class Captions:
    """Words as they come, a new line where the next one would not fit; what is printed stays."""

    def __init__(self) -> None:
        self._width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        self._column = 0

    def add(self, text: str) -> None:
        # A token is a word with the space before it, or the rest of one.
        if self._width is not None and text.startswith(" ") and self._column + len(text) > self._width:
            print()
            text, self._column = text.lstrip(), 0
        print(text, end="", flush=True)
        self._column += len(text)


async def show(events: AsyncIterator[vk.StreamEvent]) -> None:
    captions = Captions()
    async for event in events:
        if event.text:
            captions.add(event.text)
    print()


async def captions(model: vk.VoxtralRealtime | vk.Voxtral, audio: AsyncIterator[Samples], delay_ms: float) -> None:
    """Print what is heard until the audio ends."""
    async with vk.AsyncStream(model, delay_ms) as stream:
        # It begins to listen here, before the first samples, and ends with the stream, whatever ends that.
        showing = asyncio.create_task(show(aiter(stream)))
        await hand_over(audio, stream)
    await showing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("audio", help="a recording, or - for raw samples on standard input")
    parser.add_argument("--model", default="tiny", help="folder or hub id; tiny (80 words) by default")
    parser.add_argument("--delay-ms", type=float, default=480)
    parser.add_argument("--speed", type=float, default=1.0, help="of a recording: 2 is twice as fast as it was spoken")
    given = parser.parse_args()
    if given.speed <= 0:
        parser.error(f"--speed: expected a number above 0, got {given.speed:g}.")
    audio = piped() if given.audio == "-" else recorded(given.audio, given.speed)
    try:
        asyncio.run(captions(vk.load(given.model), audio, given.delay_ms))
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
