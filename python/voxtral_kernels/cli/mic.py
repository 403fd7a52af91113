"""``voxtral-kernels mic``: what is said into the microphone, as it is said."""

from __future__ import annotations

import contextlib
import queue
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._check import fail
from .console import INTERRUPTED, Interrupt, print_text
from .options import Delay, Model, check_delay, load_model, new_stream

if TYPE_CHECKING:
    import numpy as np

OP = "mic"
# Seconds of a block from the microphone: one token.
BLOCK_S = 0.08


def mic(
    model: Model = None,
    delay_ms: Delay = None,
    device: Annotated[str | None, typer.Option(metavar="NAME|N", help="Input device; --list shows them.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after so long.")] = None,
    list_devices: Annotated[bool, typer.Option("--list", help="Print the audio devices and exit.")] = False,
) -> None:
    """Transcribe the microphone live; Ctrl-C ends it, the words spoken until then included."""
    check_delay(delay_ms)
    if seconds is not None and not seconds > 0:
        raise fail(OP, "--seconds", "a number > 0", seconds)
    sounddevice = _sounddevice()
    if list_devices:
        print_text(f"{sounddevice.query_devices()}\n")
        return
    stream, _ = new_stream(load_model(model), delay_ms)
    with Interrupt() as interrupt:
        for block in _listen(sounddevice, device, seconds, interrupt):
            _print_events(stream.feed(block))
    _print_events(stream.finish())
    print_text("\n")
    if interrupt.seen:
        raise typer.Exit(INTERRUPTED)


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


def _listen(sounddevice: Any, device: str | None, seconds: float | None, interrupt: Interrupt) -> Iterator[np.ndarray]:
    """Blocks of mono float32 samples at 16 kHz, until Ctrl-C or for so many seconds."""
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
    left = sys.maxsize if seconds is None else round(seconds * SAMPLE_RATE)
    with source:
        sys.stderr.write("Listening; Ctrl-C ends.\n")
        while left > 0 and not interrupt.seen:
            with contextlib.suppress(queue.Empty):
                block, lost = blocks.get(timeout=0.2)
                if lost:
                    sys.stderr.write("[some audio was lost]\n")
                yield block[:left]
                left -= len(block)
    while left > 0 and not blocks.empty():  # recorded before Ctrl-C
        block, _ = blocks.get()
        yield block[:left]
        left -= len(block)
