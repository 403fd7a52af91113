"""A transcript as text, JSON, SubRip (srt) or WebVTT (vtt)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

# Two lines of 42 characters for at most 6 seconds: what subtitle guidelines agree on.
MAX_CHARACTERS = 84
MAX_SECONDS = 6.0
# A pause that starts a new cue.
MAX_PAUSE = 1.0
# Words that end in the same 80 ms have no length of their own; a cue must.
MIN_SECONDS = 0.04


class Format(StrEnum):
    """The values of ``--format``, which are the file endings too."""

    TEXT = "text"
    JSON = "json"
    SRT = "srt"
    VTT = "vtt"

    @property
    def suffix(self) -> str:
        """The file ending, with its dot."""
        return ".txt" if self is Format.TEXT else f".{self.value}"


@dataclass
class Transcript:
    """What a transcription came to, or how far it got.

    Args:
        source: Where the audio came from, as the user wrote it.
        text: The transcript.
        words: ``(text, start_s, end_s)`` of each word, in order.
        tokens: Every generated id.
        duration_s: Seconds of audio heard.
        complete: False if it was interrupted.
        settings: What it was made with: model, delay_ms.
    """

    source: str
    text: str = ""
    words: Sequence[tuple[str, float, float]] = ()
    tokens: Sequence[int] = ()
    duration_s: float = 0.0
    complete: bool = True
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class Cue:
    """A line of subtitles."""

    text: str
    start_s: float
    end_s: float


def render(transcript: Transcript, form: Format, *, one_line: bool = False) -> str:
    """The transcript in a format, with the newline at its end. ``one_line``: JSON without any other."""
    if form is Format.TEXT:
        return transcript.text.strip() + "\n"
    if form is Format.JSON:
        values = as_dict(transcript)
        return (json.dumps(values, ensure_ascii=False) if one_line else _spread(values)) + "\n"
    return (srt if form is Format.SRT else vtt)(list(cues(transcript)))


def as_dict(transcript: Transcript) -> dict[str, Any]:
    """The JSON form; docs/cli.md lists its keys."""
    words = [{"text": t.strip(), "start_s": round(a, 3), "end_s": round(b, 3)} for t, a, b in transcript.words]
    return {
        "source": transcript.source,
        "text": transcript.text.strip(),
        "words": words,
        "tokens": list(transcript.tokens),
        "duration_s": round(transcript.duration_s, 3),
        "complete": transcript.complete,
        **transcript.settings,
    }


def _spread(values: dict[str, Any]) -> str:
    """JSON with a line for each key and each word."""

    def dump(value: Any) -> str:
        if not (isinstance(value, list) and value and isinstance(value[0], dict)):
            return json.dumps(value, ensure_ascii=False)
        return "[\n    " + ",\n    ".join(json.dumps(item, ensure_ascii=False) for item in value) + "\n  ]"

    return "{\n" + ",\n".join(f"  {json.dumps(key)}: {dump(value)}" for key, value in values.items()) + "\n}"


def srt(lines: Sequence[Cue]) -> str:
    """SubRip: numbered cues, comma before the milliseconds."""
    blocks = []
    for i, cue in enumerate(lines, start=1):
        text = cue.text.replace("-->", "->")  # SubRip has no way to escape it
        blocks.append(f"{i}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n{text}\n")
    return "\n".join(blocks)


def vtt(lines: Sequence[Cue]) -> str:
    """WebVTT: full stop before the milliseconds; ``&``, ``<`` and ``>`` escaped."""
    blocks = ["WEBVTT\n"]
    for cue in lines:
        text = cue.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        blocks.append(f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n{text}\n")
    return "\n".join(blocks)


def cues(transcript: Transcript) -> Iterator[Cue]:
    """Words gathered to cues: in order, none empty, none overlapping, each longer than zero."""
    words = [(" ".join(t.split()), a, b) for t, a, b in transcript.words]
    if not transcript.words and transcript.text.strip():  # a model without word times
        words = [(" ".join(transcript.text.split()), 0.0, transcript.duration_s)]
    cue: Cue | None = None
    for text, start, end in words:
        if not text:
            continue
        # Times rounded to the milliseconds that are printed, so that what holds here holds in the file.
        start = max(round(start, 3), cue.end_s if cue else 0.0)
        end = max(round(end, 3), round(start + MIN_SECONDS, 3))
        if cue is not None and not _breaks(cue, text, start, end):
            cue = Cue(f"{cue.text} {text}", cue.start_s, end)
            continue
        if cue is not None:
            yield cue
        cue = Cue(text, start, end)
    if cue is not None:
        yield cue


def _breaks(cue: Cue, text: str, start: float, end: float) -> bool:
    """Whether a word starts a new cue."""
    return (
        len(cue.text) + 1 + len(text) > MAX_CHARACTERS
        or end - cue.start_s > MAX_SECONDS
        or start - cue.end_s > MAX_PAUSE
        or cue.text.endswith((".", "?", "!"))
    )


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"
