"""Recordings through a realtime model, for ``transcribe``: heard piece by piece, the text as it comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._errors import fail
from ..transcripts.formats import Transcript
from . import ending
from .delivery import Output
from .ending import Mode
from .live import LiveView, clock
from .options import Asked, Loaded, new_stream
from .recordings import Recording

OP = "transcribe"


def method(loaded: Loaded, asked: Asked) -> Callable[[Recording, Output], None]:
    """What fills a transcript from a recording.

    Raises:
        ValueError: an option that the model has not.
    """
    refuse_options(loaded, asked)

    def fill(recording: Recording, output: Output) -> None:
        options = {"drafts": asked.drafts, "retry_blanks": asked.retry_blanks, "chunk_ms": asked.chunk_ms or 80}
        stream, delay = new_stream(loaded, asked.delay_ms, asked.cache_bits, **options)
        output.transcript.settings = {"model": loaded.name, "delay_ms": delay}
        _run(stream, recording, output, shown=not asked.retry_blanks, ranks=loaded.model.ranks)

    return fill


def refuse_options(loaded: Loaded, asked: Asked) -> None:
    """Refuse what a realtime model has not."""
    for option, value in (("--language", asked.language), ("--max-tokens", asked.max_tokens)):
        if value is not None:
            raise fail(OP, option, f"none for {loaded.model.family}", value)


def fill_from(stream: Any, transcript: Transcript) -> None:
    """All that a stream has said."""
    transcript.text = stream.text
    transcript.words = list(stream.words)
    transcript.tokens = list(stream.tokens)
    transcript.duration_s = stream.duration_s


def _run(stream: Any, recording: Recording, output: Output, *, shown: bool, ranks: Any) -> None:
    """Feed a recording to a stream. The transcript is up to date at every moment, an interruption included.

    The first signal and an unreadable rest end the audio, so that the words come that were heard; then they are raised.
    """
    transcript, cause = output.transcript, None

    def refresh() -> None:
        fill_from(stream, transcript)

    def ended() -> bool:
        seen = ending.seen() is not None
        return seen if ranks is None else ranks.any(seen)

    output.refresh = refresh
    view = LiveView(transcript.source, recording.blocks.duration_s, shows=not output.is_live)
    with recording.heard(transcript), ending.mode(Mode.FINISH), view:
        try:
            while recording.pipe is not None or not ended():
                try:
                    block = next(recording.blocks, None)
                except Exception as error:
                    if stream.duration_s == 0:
                        raise
                    cause = error
                    break
                if block is None:
                    break
                said = "".join(event.text for event in stream.feed(block))
                if shown:
                    output.show(said)
                view.update(stream.text, stream.duration_s)
            if stream.duration_s == 0:
                ending.check()
                raise fail(OP, transcript.source, "at least one sample", "none")
            said = "".join(event.text for event in stream.finish())
            output.show(said if shown else stream.text)
            view.update(stream.text, stream.duration_s)
        finally:
            refresh()
            note_blanks(transcript, stream.suspicious)
        if cause is not None:
            raise cause


def note_blanks(transcript: Transcript, spans: list[tuple[float, float]]) -> None:
    transcript.suspicious = spans
    if spans:
        shown = ", ".join(f"{clock(start)}-{clock(end)}" for start, end in spans[:5])
        more = f" and {len(spans) - 5} more" if len(spans) > 5 else ""
        what = "warning: blank over what sounds like speech"
        transcript.notes.append(f"{what}: {shown}{more}; --retry-blanks hears such spans again")
