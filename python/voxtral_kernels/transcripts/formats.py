"""A transcript as text, JSON, SubRip (srt) or WebVTT (vtt)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .plain import readable, visible
from .subtitles import Cue, cues, spaced, spread, srt, vtt


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
        words: ``(text, start_s, end_s)`` of each word, in order; none for a model that tells no times.
        tokens: Every generated id.
        duration_s: Seconds of audio heard.
        complete: False if the audio was not heard to its end, or not all that was heard was transcribed.
        settings: What it was made with: model, delay_ms.
        pieces: ``(text, start_s, end_s)`` of what was transcribed at once, by a model that tells no times of words.
        reason: Why it is not complete.
        suspicious: Start and end, in seconds, of long blanks over what sounds like speech.
        notes: What to say of it when it is delivered, a line each.
    """

    source: str
    text: str = ""
    words: Sequence[tuple[str, float, float]] = ()
    tokens: Sequence[int] = ()
    duration_s: float = 0.0
    complete: bool = True
    settings: dict[str, Any] = field(default_factory=dict)
    pieces: Sequence[tuple[str, float, float]] = ()
    reason: str = ""
    suspicious: Sequence[tuple[float, float]] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def cues(self) -> list[Cue]:
        """Its subtitles."""
        if self.words:
            return list(cues(spaced(self.text, self.words)))
        return list(cues(spread(self.pieces or [(self.text, 0.0, self.duration_s)])))

    @property
    def mark(self) -> str:
        """The line that marks it as incomplete in formats that have no field for it; empty if it is complete."""
        return "" if self.complete else f"[incomplete: {self.reason} after {self.duration_s:.1f} s of audio]"


def render(transcript: Transcript, form: Format, *, one_line: bool = False) -> str:
    """The transcript in a format, with the newline at its end; control characters of it are made visible.

    Args:
        transcript: The transcript. One that is not complete is marked as such: ``complete`` in JSON, a comment at the
            end in vtt, a last cue in srt, a last line in text.
        form: The format.
        one_line: JSON without any other line.
    """
    if form is Format.JSON:
        values = as_dict(transcript)
        text = (json.dumps(values, ensure_ascii=False) if one_line else _spread(values)) + "\n"
    elif form is Format.SRT:
        text = srt(_marked(transcript))
    elif form is Format.VTT:
        text = vtt(transcript.cues, transcript.mark)
    else:
        text = "\n".join(filter(None, (transcript.text.strip(), transcript.mark))) + "\n"
    return visible(text)


def as_dict(transcript: Transcript) -> dict[str, Any]:
    """The JSON form; docs/cli.md lists its keys."""
    return {
        "source": readable(transcript.source),
        "text": transcript.text.strip(),
        "segments": [_timed(c.text, c.start_s, c.end_s) for c in transcript.cues],
        "words": [_timed(*word) for word in transcript.words],
        "tokens": list(transcript.tokens),
        "duration_s": round(transcript.duration_s, 3),
        "complete": transcript.complete,
        **({} if transcript.complete else {"reason": transcript.reason}),
        **({"suspicious": [_span(*span) for span in transcript.suspicious]} if transcript.suspicious else {}),
        **transcript.settings,
    }


def _span(start_s: float, end_s: float) -> dict[str, float]:
    return {"start_s": round(start_s, 3), "end_s": round(end_s, 3)}


def _timed(text: str, start_s: float, end_s: float) -> dict[str, Any]:
    return {"text": text.strip(), "start_s": round(start_s, 3), "end_s": round(end_s, 3)}


def _marked(transcript: Transcript) -> list[Cue]:
    """The cues, and one for the mark: SubRip has no comments."""
    lines = transcript.cues
    if transcript.mark:
        start = max(transcript.duration_s, lines[-1].end_s if lines else 0.0)
        lines.append(Cue(transcript.mark, start, start + 1))
    return lines


def _spread(values: dict[str, Any]) -> str:
    """JSON with a line for each key and each word."""

    def dump(value: Any) -> str:
        if not (isinstance(value, list) and value and isinstance(value[0], dict)):
            return json.dumps(value, ensure_ascii=False)
        return "[\n    " + ",\n    ".join(json.dumps(item, ensure_ascii=False) for item in value) + "\n  ]"

    return "{\n" + ",\n".join(f"  {json.dumps(key)}: {dump(value)}" for key, value in values.items()) + "\n}"
