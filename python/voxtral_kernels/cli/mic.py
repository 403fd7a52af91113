"""``voxtral-kernels mic``: what is said into the microphone, as it is said."""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._errors import fail
from . import ending
from .console import print_line, print_text
from .ending import Mode
from .options import (
    CacheBits,
    ChunkMs,
    Delay,
    Model,
    Revision,
    check_cache_bits,
    check_chunk,
    check_delay,
    load_model,
    new_stream,
)

if TYPE_CHECKING:
    import numpy as np

OP = "mic"
# Seconds of a block from the microphone: one token.
BLOCK_S = 0.08
# A microphone that delivers nothing for so long is told of, and given up.
SILENT_S, DEAD_S = 2.0, 10.0
# How often the queue is left to look at the clock.
WAIT_S = 0.2


def mic(
    model: Model = None,
    revision: Revision = None,
    delay_ms: Delay = None,
    cache_bits: CacheBits = 16,
    chunk_ms: ChunkMs = None,
    device: Annotated[str | None, typer.Option(metavar="NAME|N", help="Input device; --list shows them.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after so long.")] = None,
    list_devices: Annotated[bool, typer.Option("--list", help="Print the audio devices and exit.")] = False,
) -> None:
    """Transcribe the microphone live; Ctrl-C ends it, the words spoken until then included."""
    check_delay(delay_ms)
    check_cache_bits(OP, cache_bits)
    check_chunk(OP, chunk_ms)
    if seconds is not None and not seconds > 0:
        raise fail(OP, "--seconds", "a number > 0", seconds)
    sounddevice = _sounddevice()
    if list_devices:
        print_text(f"{sounddevice.query_devices()}\n")
        return
    from ..models.ranks import launched

    if (group := launched()) is not None:
        raise fail(OP, "ranks", "one process, as the others hear no microphone", group.size())
    stream, _ = new_stream(load_model(model, revision), delay_ms, cache_bits, chunk_ms=chunk_ms or 80)
    with ending.mode(Mode.FINISH):
        try:
            for block in _listen(sounddevice, device, math.inf if seconds is None else seconds):
                _print_events(stream.feed(block))
        finally:  # the words in the delay come, whatever ends it
            _print_events(stream.finish())
            if stream.duration_s:
                print_text("\n")
    ending.check()


def _print_events(events: Any) -> None:
    text = "".join(event.text for event in events)
    if text:
        print_text(text)


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError:
        expected = "the package sounddevice (pip install 'voxtral-kernels[mic]')"
        raise fail(OP, "sounddevice", expected, "none installed") from None
    except OSError as error:  # the package is there, the PortAudio library is not
        raise fail(OP, "sounddevice", "the PortAudio library (on Debian: apt install libportaudio2)", error) from None
    return sounddevice


def _listen(sounddevice: Any, device: str | None, seconds: float) -> Iterator[np.ndarray]:
    """Blocks of mono float32 samples at 16 kHz, until a signal comes or for so many seconds.

    Raises:
        ValueError: the device does not record, or stops recording.
    """
    from ..audio import SAMPLE_RATE

    blocks: queue.SimpleQueue[tuple[np.ndarray, bool]] = queue.SimpleQueue()

    def take(data: np.ndarray, frames: int, time: Any, status: Any) -> None:
        blocks.put((data[:, 0].copy(), bool(status and status.input_overflow)))

    size = round(BLOCK_S * SAMPLE_RATE)
    name = int(device) if device and device.isdecimal() else device
    try:
        source = sounddevice.InputStream(
            samplerate=SAMPLE_RATE, channels=1, dtype="float32", blocksize=size, device=name, callback=take
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        raise fail(
            OP, "--device", "a device that records 16 kHz mono", f"{device or 'the default'} ({error})"
        ) from None
    left = seconds * SAMPLE_RATE
    with source:
        print_line("Listening; Ctrl-C ends.")
        for block in _delivered(blocks):
            yield block if len(block) <= left else block[: round(left)]
            left -= len(block)
            if left < 0.5 or ending.seen():
                break
    while left >= 0.5 and not blocks.empty():  # recorded before Ctrl-C
        block, _ = blocks.get()
        yield block if len(block) <= left else block[: round(left)]
        left -= len(block)


def _delivered(blocks: queue.SimpleQueue[tuple[np.ndarray, bool]]) -> Iterator[np.ndarray]:
    """Blocks until a signal comes; a microphone that stops delivering is told of, then given up."""
    heard = 0
    last = time.monotonic()
    told = False
    while not ending.seen():
        try:
            block, lost = blocks.get(timeout=WAIT_S)
        except queue.Empty:
            silent = time.monotonic() - last
            if silent > DEAD_S:
                got = f"none for {DEAD_S:g} s after {heard * BLOCK_S:.1f} s"
                raise fail(OP, "--device", "a microphone that goes on delivering audio", got) from None
            if silent > SILENT_S and not told:
                print_line(f"[the microphone has delivered nothing for {SILENT_S:g} s; waiting for it]")
                told = True
            continue
        last, told = time.monotonic(), False
        heard += 1
        if lost:
            print_line("[some audio was lost]")
        yield block
