"""How a worker hears recordings: one after the other as `transcribe` does, or several at once through a `Batch`."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from .._errors import fail, printable
from ..transcripts.formats import Transcript
from .extra import OP, file_system, is_local

# As `voxtral-kernels transcribe` where neither the command nor the tokenizer says.
DELAY_MS = 480.0


class Source(NamedTuple):
    """A recording.

    Args:
        path: As the manifest has it.
        location: Its absolute path, or its URL.
        language: Of what is spoken; None: not told.
    """

    path: str
    location: str
    language: str | None

    @property
    def is_local(self) -> bool:
        """Whether it is a path."""
        return "://" not in self.location

    def open(self) -> Any:
        """What audio is read from.

        Raises:
            ValueError: it is a named pipe, in which a worker would wait for ever.
        """
        if self.is_local:
            self._refuse_pipe(self.location)
            return self.location
        files, path = file_system(self.location, self.path)
        if is_local(files):
            self._refuse_pipe(path)
        return files.open(self.location, "rb")

    def _refuse_pipe(self, path: str) -> None:
        if Path(path).is_fifo():
            raise fail(OP, self.path, "an audio file", f"the pipe {path!r}")


class Told(NamedTuple):
    """What became of a recording: its transcript, empty where there is an error, and the seconds since it began."""

    transcript: Transcript
    error: str | None
    seconds: float


def alone(model: Any, source: Source, delay_ms: float | None) -> Told:
    """A recording by itself, as ``voxtral-kernels transcribe --format json`` hears it.

    Args:
        model: Of either family.
        source: The recording.
        delay_ms: Of a realtime model; None: its own.
    """
    from ..models.section import OFFLINE

    transcript, start, wrong = Transcript(source.path), time.perf_counter(), None
    try:
        with _blocks(source) as audio:
            if model.family == OFFLINE:
                _offline(model, audio, source.language, transcript)
            else:
                _realtime(model, audio, delay_ms, transcript)
            _note(audio, transcript)
    except Exception as error:
        wrong = error
    return _told(transcript, wrong, start)


def together(
    model: Any, sources: Sequence[Source], slots: int, delay_ms: float | None, begun: Callable[[int], None]
) -> Iterator[tuple[int, Told]]:
    """Recordings of a realtime model that share each reading of its weights, the longest first.

    Args:
        model: A realtime model.
        sources: The recordings.
        slots: Of them at once.
        delay_ms: None: the model's own.
        begun: Called with a recording's index before it is opened.

    Yields:
        A recording's index and what became of it, once it is over.
    """
    from ..models.voxtral_realtime.batch import Batch
    from ..models.voxtral_realtime.many import hear, length, longest_first

    delay, starts = _delay(model, delay_ms), dict[int, float]()

    def opened(i: int) -> Any:
        begun(i)
        starts[i] = time.perf_counter()
        return _blocks(sources[i])

    order = longest_first([length(source.location) if source.is_local else float("inf") for source in sources])
    with Batch(model, min(slots, len(sources))) as batch:
        new_stream = partial(batch.stream, delay, exact=False)
        for heard in hear(batch, [(i, partial(opened, i)) for i in order], new_stream):
            if heard.done:
                transcript = Transcript(sources[heard.index].path)
                if heard.error is None:
                    _take(heard.stream.result, delay, transcript)  # type: ignore[union-attr]
                    _note(heard.blocks, transcript)
                yield heard.index, _told(transcript, heard.error, starts[heard.index])


def _told(transcript: Transcript, error: BaseException | None, start: float) -> Told:
    seconds = time.perf_counter() - start
    if error is None:
        return Told(transcript, None, seconds)
    text = f"{error}" if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    if isinstance(error, OSError) and error.__cause__ is not None:  # fsspec finds no file where no server answers
        text += f" ({error.__cause__})"
    return Told(Transcript(transcript.source, complete=False), printable(text), seconds)


def _blocks(source: Source) -> Any:
    from ..audio.load import blocks
    from ..models.voxtral_realtime.model import PIECE_S

    return blocks(source.open(), seconds=PIECE_S, argument=source.path)


def _note(audio: Any, transcript: Transcript) -> None:
    transcript.notes += audio.warnings
    transcript.complete = audio.complete


def _delay(model: Any, asked: float | None) -> float:
    if asked is not None:
        return asked
    return DELAY_MS if model.tokenizer is None else model.tokenizer.audio.default_delay_ms


def _realtime(model: Any, audio: Any, delay_ms: float | None, transcript: Transcript) -> None:
    from ..audio import AudioWarning

    delay = _delay(model, delay_ms)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AudioWarning)  # they stand in the row
        result = model.transcribe(audio, delay_ms=delay)
    _take(result, delay, transcript)


def _take(result: Any, delay_ms: float, transcript: Transcript) -> None:
    transcript.text, transcript.words = result.text, result.words
    transcript.duration_s, transcript.suspicious = result.duration_s, result.suspicious
    transcript.settings = {"delay_ms": float(delay_ms)}


def _offline(model: Any, audio: Any, language: str | None, transcript: Transcript) -> None:
    from ..models.voxtral.pieces import transcribe_pieces
    from ..transcripts.subtitles import join

    pieces = []
    for piece in transcribe_pieces(model, audio, language=language):
        text = piece.result.text.lstrip()
        pieces.append((text, piece.start_s, piece.end_s))
        transcript.text = join(transcript.text, text)
    transcript.pieces, transcript.duration_s = pieces, audio.heard_s
