"""``POST /v1/audio/transcriptions``: a recording in OpenAI's form, the answer at once or as it comes."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ..transcripts.formats import Format, Transcript, render
from ..transcripts.plain import visible
from .errors import Refused
from .gate import Receive, Scope, Send, until_gone
from .hearing import Hearing, Recording

if TYPE_CHECKING:
    from .service import Service

FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
# What other models take and this one does not: it hears the language, and is told nothing else.
IGNORED = ("language", "prompt", "chunking_strategy")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_FIELDS, _FIELD_BYTES = 32, 1 << 16


@dataclass(frozen=True)
class Asked:
    """A request.

    Attributes:
        recording: What to hear.
        form: One of `FORMATS`.
        stream: Whether the text is sent as it comes.
        words: Whether verbose JSON lists words; ``segments``: whether it lists segments.
        language: As the client says.
        delay_ms: Of the stream; None: the server's.
        ignored: Fields that change nothing.
    """

    recording: Recording
    form: str
    stream: bool
    words: bool
    segments: bool
    language: str | None
    delay_ms: float | None
    ignored: tuple[str, ...]


async def transcriptions(request: Request) -> Response:
    """Read the request; what it returns does the work."""
    service: Service = request.app.state.service
    asked = await _asked(request, service)
    return _Answer(service, asked)


class _Answer(Response):
    """The transcription, made while it is sent: it ends where the client goes away."""

    def __init__(self, service: Service, asked: Asked) -> None:
        super().__init__()
        self._service, self._asked = service, asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await until_gone(receive, self._work(scope, receive, send))
        finally:
            await self._asked.recording.close()

    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None:
        service, asked = self._service, self._asked
        await asked.recording.open(service.limits.audio_s)
        async with service.seats.seat(wait=True), service.stream(asked.delay_ms) as stream:
            service.metrics.began("recording")
            hearing = Hearing(service, stream, asked.recording)
            if asked.stream:
                await self._send_events(hearing, send)
                return
            async with contextlib.aclosing(hearing.events()) as events:
                async for _ in events:
                    pass
            response = _response(hearing.transcript(self._settings), asked)
        response.headers.update(self._more)
        await response(scope, receive, send)

    @property
    def _settings(self) -> dict[str, Any]:
        return {"model": self._service.served.name}

    @property
    def _more(self) -> dict[str, str]:
        return {"x-voxtral-ignored": ", ".join(self._asked.ignored)} if self._asked.ignored else {}

    async def _send_events(self, hearing: Hearing, send: Send) -> None:
        """Server-sent events. An error behind the first is an event too: the status is gone by then."""
        fields = {"content-type": "text/event-stream; charset=utf-8", **self._more}
        headers = [(name.encode(), value.encode()) for name, value in fields.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with contextlib.aclosing(self._events(hearing)) as events:
            async for event in events:
                data = f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
                await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def _events(self, hearing: Hearing) -> AsyncGenerator[dict[str, Any]]:
        try:
            async with contextlib.aclosing(hearing.events()) as events:
                async for event in events:
                    if event.text:
                        yield {"type": "transcript.text.delta", "delta": visible(event.text)}
        except Refused as no:
            yield {"type": "error", **no.body}
            return
        transcript = hearing.transcript(self._settings)
        heard = math.ceil(transcript.duration_s / self._service.served.model.config.token_s)
        said = len(transcript.tokens)
        usage = {"type": "tokens", "input_tokens": heard, "output_tokens": said, "total_tokens": heard + said}
        done = {"type": "transcript.text.done", "text": visible(transcript.text.strip()), "usage": usage}
        yield done | _incomplete(transcript)


async def _asked(request: Request, service: Service) -> Asked:
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Refused(415, "Expected multipart/form-data with a file.", code="wrong_content_type")
    try:
        form = await request.form(max_files=1, max_fields=_FIELDS, max_part_size=_FIELD_BYTES)
    except HTTPException as error:
        raise Refused(400, f"The form cannot be read: {error.detail}", code="invalid_form") from None
    try:
        return _checked(form, service)
    except Refused:
        await form.close()
        raise


def _checked(form: FormData, service: Service) -> Asked:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise Refused(400, "Expected a file in the field 'file'.", code="missing_file", param="file")
    service.check_model(_text(form, "model"))
    answer = _choice(form, "response_format", FORMATS) or "json"
    listed = {"word", "segment"}
    granularities = {str(value) for name in _granularities(form) for value in form.getlist(name)}
    if granularities - listed or (granularities and answer != "verbose_json"):
        text = "timestamp_granularities: expected word or segment, with response_format verbose_json."
        raise Refused(400, text, code="invalid_value", param="timestamp_granularities")
    if "logprobs" in (*form.getlist("include"), *form.getlist("include[]")):
        raise Refused(400, "include: logprobs are not told by this model.", code="invalid_value", param="include")
    if _number(form, "temperature"):
        text = "temperature: expected 0, the likeliest token is always taken."
        raise Refused(400, text, code="invalid_value", param="temperature")
    language = _text(form, "language")
    if language is not None and not _LANGUAGE.fullmatch(language):
        raise Refused(400, "language: expected a code such as en.", code="invalid_value", param="language")
    return Asked(
        Recording(file.file, file.filename or "file"),
        answer,
        _choice(form, "stream", ("true", "false")) == "true",
        "word" in granularities,
        not granularities or "segment" in granularities,
        language,
        _number(form, "delay_ms"),
        tuple(name for name in IGNORED if form.get(name)),
    )


def _granularities(form: FormData) -> list[str]:
    return [name for name in ("timestamp_granularities", "timestamp_granularities[]") if name in form]


def _text(form: FormData, name: str) -> str | None:
    value = form.get(name)
    if value is not None and not isinstance(value, str):
        raise Refused(400, f"{name}: expected text, got a file.", code="invalid_value", param=name)
    return value or None


def _choice(form: FormData, name: str, values: tuple[str, ...]) -> str | None:
    value = _text(form, name)
    if value is not None and (value := value.lower()) not in values:
        text = f"{name}: expected one of {', '.join(values)}, got {value[:100]!r}."
        raise Refused(400, text, code="invalid_value", param=name)
    return value


def _number(form: FormData, name: str) -> float | None:
    value = _text(form, name)
    try:
        number = None if value is None else float(value)
    except ValueError:
        number = math.nan
    if number is not None and not math.isfinite(number):
        raise Refused(400, f"{name}: expected a number, got {str(value)[:100]!r}.", code="invalid_value", param=name)
    return number


def _response(transcript: Transcript, asked: Asked) -> Response:
    if asked.form in ("text", "srt", "vtt"):
        kind = {"srt": "application/x-subrip", "vtt": "text/vtt"}.get(asked.form, "text/plain")
        return PlainTextResponse(render(transcript, Format(asked.form)), media_type=kind)
    usage = {"type": "duration", "seconds": math.ceil(transcript.duration_s)}
    values: dict[str, Any] = {"text": visible(transcript.text.strip()), "usage": usage}
    if asked.form == "verbose_json":
        values |= {"task": "transcribe", "duration": round(transcript.duration_s, 3)}
        values["language"] = asked.language or "unknown"
        if asked.segments:
            values["segments"] = [
                {"id": i, "start": cue.start_s, "end": cue.end_s, "text": visible(cue.text)}
                for i, cue in enumerate(transcript.cues)
            ]
        if asked.words:
            values["words"] = words(transcript.words)
    return JSONResponse(values | _incomplete(transcript))


def words(found: Any) -> list[dict[str, Any]]:
    """Words as OpenAI's JSON has them."""
    return [{"word": visible(w), "start": round(start, 3), "end": round(end, 3)} for w, start, end in found]


def _incomplete(transcript: Transcript) -> dict[str, Any]:
    return {} if transcript.complete else {"complete": False, "reason": transcript.reason}
