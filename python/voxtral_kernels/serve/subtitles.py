"""``POST /v1/subtitles``: text and words with their times, as the page has them, to a file of subtitles."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse, Response

from ..transcripts.formats import Format, Transcript, render

Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class Word(BaseModel):
    """One of them, times in seconds."""

    word: Annotated[str, Field(max_length=1000)]
    start: Seconds
    end: Seconds


class Subtitles(BaseModel):
    """What is asked for."""

    text: str
    words: list[Word]
    format: Literal["srt", "vtt"] = "srt"


async def subtitles(asked: Subtitles) -> Response:
    """The file."""
    words = [(word.word, word.start, word.end) for word in asked.words]
    transcript = Transcript("", asked.text, words, duration_s=max((w.end for w in asked.words), default=0.0))
    kind = "text/vtt" if asked.format == "vtt" else "application/x-subrip"
    return PlainTextResponse(render(transcript, Format(asked.format)), media_type=kind)
