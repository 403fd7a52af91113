"""``voxtral-kernels transcribe``: recordings, or standard input, to text, JSON or subtitles."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Self

import typer

from .._errors import fail
from ..transcripts.formats import Format, Transcript
from . import ending, many, offline, streaming
from .console import Unwritable, message, print_error, print_note, readable
from .delivery import Output, before_work, deliver, deliver_lost
from .ending import Mode
from .options import (
    Asked,
    CacheBits,
    ChunkMs,
    Delay,
    Language,
    MaxTokens,
    Model,
    NoDrafts,
    Raw,
    RetryBlanks,
    Revision,
    Slots,
    check_cache_bits,
    check_chunk,
    check_delay,
    load_model,
)
from .output import STDIN, format_of, targets
from .recordings import check_file, open_recording

OP = "transcribe"
# Exit status: some of several recordings were not transcribed.
SOME_FAILED = 1

Files = Annotated[list[str], typer.Argument(metavar="FILE...", help="Recordings; - reads standard input.")]
FormatOption = Annotated[
    Format | None,
    typer.Option("--format", "-f", help="What to write; else what OUT ends in, or text.", case_sensitive=False),
]
OutOption = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="OUT", help="A file, a folder for one file a recording, or - (stdout)."),
]


def transcribe(
    files: Files,
    model: Model = None,
    revision: Revision = None,
    delay_ms: Delay = None,
    cache_bits: CacheBits = 16,
    chunk_ms: ChunkMs = None,
    language: Language = None,
    max_tokens: MaxTokens = None,
    form: FormatOption = None,
    output: OutOption = None,
    raw: Raw = False,
    no_drafts: NoDrafts = False,
    retry_blanks: RetryBlanks = False,
    slots: Slots = 8,
) -> None:
    """Transcribe recordings (WAV, FLAC, OGG, MP3, M4A, MP4, WebM, ...), or audio from standard input.

    Several recordings are heard together, by a model that streams, and written one after the other: text under a line
    with the name, JSON as one line for each.
    """
    check_delay(delay_ms)
    check_cache_bits(OP, cache_bits)
    check_chunk(OP, chunk_ms)
    form = format_of(form, output)
    paths = _checked(files, form, output)
    several = len(files) > 1
    outputs = [Output(Transcript(f), path, form, several) for f, path in zip(files, paths, strict=True)]
    with before_work(outputs[0]):
        # A single recording is opened before the model, which can take minutes to come: a wrong file is told at once.
        first = None if several else open_recording(OP, files[0], raw)
        loaded = load_model(model, revision)
        family = offline if loaded.offline else streaming
        drafts = False if no_drafts else None
        asked = Asked(delay_ms, language, max_tokens, cache_bits, drafts, retry_blanks, chunk_ms)
        fill = family.method(loaded, asked)

    def one(output: Output) -> None:
        recording = first or open_recording(OP, output.transcript.source, raw)
        if loaded.model.ranks is not None:
            loaded.model.ranks.watch.farewell = lambda: deliver_lost(output)
        deliver(lambda: fill(recording, output), output)

    with ending.mode(Mode.RAISE), _Tally(len(outputs)) as tally:
        if many.serves(loaded, files, slots, raw=raw):
            many.run(loaded, asked, outputs, slots, tally.one)
        else:
            for each in outputs:
                tally.one(each, partial(one, each))
    if tally.failed:
        raise typer.Exit(SOME_FAILED)


def _checked(files: list[str], form: Format, output: str | None) -> list[Path | None]:
    """The files to write."""
    if files.count(STDIN) > 1:
        raise fail(OP, "FILE", f"{STDIN} once", f"{files.count(STDIN)} times")
    paths = targets(files, form, output)
    for file in files:
        check_file(OP, file)
    return paths


class _Tally:
    """A bad one among several recordings is named and the others are done; the last line counts them."""

    def __init__(self, count: int) -> None:
        self._count, self._done, self.failed = count, 0, 0

    def one(self, output: Output, run: Callable[[], None]) -> None:
        """Deliver one."""
        try:
            run()
            self._done += 1
        except (BrokenPipeError, Unwritable):
            raise
        except Exception as error:
            if self._count == 1:
                raise
            self.failed += 1
            name, said = readable(output.transcript.source), message(error)
            print_error(said if name in said else f"{name}: {said}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._count > 1 and self._done < self._count:
            print_note(f"{self._done} of {self._count} recordings transcribed")
