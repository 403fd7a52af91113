"""``voxtral-kernels transcribe``: recordings, or standard input, to text, JSON or subtitles."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._check import fail
from . import offline
from .console import LiveView, quiet
from .formats import Format, Transcript
from .options import Delay, Language, Loaded, MaxTokens, Model, check_delay, load_model, new_stream
from .output import STDIN, deliver, targets

if TYPE_CHECKING:
    import numpy as np

OP = "transcribe"
# Seconds of a file fed at once: the live text moves on, and Ctrl-C is heard, this often.
PIECE_S = 1.28

Files = Annotated[list[str], typer.Argument(metavar="FILE...", help="Recordings; - reads standard input.")]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="What to write.", case_sensitive=False)]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="OUT", help="A file, or a folder for one file a recording."),
]
Raw = Annotated[bool, typer.Option("--raw", help="The audio is headerless: 16-bit little-endian, 16 kHz, mono.")]


def transcribe(
    files: Files,
    model: Model = None,
    delay_ms: Delay = None,
    language: Language = None,
    max_tokens: MaxTokens = None,
    form: FormatOption = Format.TEXT,
    output: Output = None,
    raw: Raw = False,
) -> None:
    """Transcribe recordings (WAV, FLAC, OGG, MP3, ...), or audio from standard input.

    Several recordings are written one after the other: text under a line with the name, JSON as one line for each.
    """
    check_delay(delay_ms)
    paths = targets(files, form, output)
    if files.count(STDIN) > 1:
        raise fail(OP, "FILE", f"{STDIN} once", f"{files.count(STDIN)} times")
    for file in files:
        check_file(OP, file)
    # The first recording is read before the model, which can take minutes to come: a wrong file is told at once.
    audio = open_audio(files[0], raw)
    loaded = load_model(model)
    for i, (file, path) in enumerate(zip(files, paths, strict=True)):
        audio = audio if i == 0 else open_audio(file, raw)
        if loaded.offline:
            transcript, run = offline.transcription(loaded, file, audio, delay_ms, language, max_tokens)
        else:
            transcript, run = _streamed(loaded, file, audio, delay_ms, language, max_tokens)
        deliver(run, transcript, path, form, several=len(files) > 1)


def _streamed(
    loaded: Loaded,
    file: str,
    audio: np.ndarray | Iterator[np.ndarray],
    delay_ms: float | None,
    language: str | None,
    max_tokens: int | None,
) -> tuple[Transcript, Callable[[], None]]:
    """A transcript to be, and what fills it."""
    for option, value in (("--language", language), ("--max-tokens", max_tokens)):
        if value is not None:
            raise fail(OP, option, f"none for {loaded.model.family}", value)
    stream, delay_ms = new_stream(loaded, delay_ms)
    transcript = Transcript(file, settings={"model": loaded.name, "delay_ms": delay_ms})
    return transcript, lambda: _run(stream, audio, transcript)


def _run(stream: Any, audio: np.ndarray | Iterator[np.ndarray], transcript: Transcript) -> None:
    """Feed the audio to the stream; ``transcript`` is up to date at every moment, an interruption included."""
    from ..audio import SAMPLE_RATE

    total_s = None if isinstance(audio, Iterator) else len(audio) / SAMPLE_RATE
    heard = 0
    with LiveView(transcript.source, total_s) as view:
        try:
            for piece in _pieces(audio):
                stream.feed(piece)
                heard += len(piece)
                view.update(stream.text, heard / SAMPLE_RATE)
            if heard == 0:
                raise fail(OP, transcript.source, "at least one sample", "none")
            stream.finish()
        finally:
            transcript.text = stream.text
            transcript.words = list(stream.words)
            transcript.tokens = list(stream.tokens)
            transcript.duration_s = heard / SAMPLE_RATE


def _pieces(audio: np.ndarray | Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    if isinstance(audio, Iterator):
        yield from audio
        return
    from ..audio import SAMPLE_RATE

    step = round(PIECE_S * SAMPLE_RATE)
    for start in range(0, len(audio), step):
        yield audio[start : start + step]


def check_file(op: str, file: str) -> None:
    """Refuse a file that does not exist."""
    if file != STDIN and not Path(file).exists():
        raise fail(op, "FILE", "a file that exists", repr(file))


def open_audio(file: str, raw: bool) -> np.ndarray | Iterator[np.ndarray]:
    """All samples of a recording; those of a raw pipe as they come. ``-`` is standard input."""
    from ..audio.load import load_audio, load_raw, raw_blocks

    if file == STDIN:
        if sys.stdin.isatty():
            raise fail(OP, "FILE", "audio on standard input", "a terminal")
        if raw:
            return raw_blocks(sys.stdin.buffer, title="stdin")
        with quiet():
            return load_audio(sys.stdin.buffer, argument="stdin")
    if raw:
        return load_raw(Path(file).read_bytes(), argument=file) if Path(file).is_file() else _raw_pipe(file)
    with quiet():
        return load_audio(file, argument=file)


def _raw_pipe(file: str) -> Iterator[np.ndarray]:
    """A named pipe or a device, heard as it comes."""
    from ..audio.load import raw_blocks

    with open(file, "rb") as source:
        yield from raw_blocks(source, title=file)
