"""``WS /v1/realtime``: live audio in, text out, in the messages of vLLM's realtime endpoint.

A client sends ``session.update`` (model), ``input_audio_buffer.append`` (base64 of 16-bit PCM) and
``input_audio_buffer.commit``, whose ``final`` ends an utterance; it gets ``session.created``, ``transcription.delta``,
``transcription.done`` and ``error``. What goes beyond vLLM's is optional and docs/serve.md lists it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import math
import uuid
from typing import Any

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from .access import SUBPROTOCOL
from .errors import Refused
from .service import Service
from .utterance import Utterance

# Reasons to close: RFC 6455's numbers.
NORMAL, GOING_AWAY, VIOLATION, FAILED, LATER = 1000, 1001, 1008, 1011, 1013
# Messages that are none before the client is taken for one that means harm.
PATIENCE = 16
# At the end of the server: what a client has sent by then is heard, for so long as it keeps coming.
LAST_S, GRACE_S = 0.25, 2.0


async def realtime(socket: WebSocket) -> None:
    """One connection, which holds one slot from its first message to its last."""
    service: Service = socket.app.state.service
    await socket.accept(SUBPROTOCOL if SUBPROTOCOL in socket.scope["subprotocols"] else None)
    session = _Session(socket, service)
    with contextlib.suppress(WebSocketDisconnect):
        try:
            async with service.seats.seat(wait=False):
                await session.run()
        except Refused as no:
            service.metrics.refused(no.code)
            await session.end(no, LATER if no.status == 503 else VIOLATION)


class _Bad(Exception):  # noqa: N818 - a message, not the program
    """A message that is none; the session goes on."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class _Session:
    """One client.

    Args:
        socket: Accepted.
        service: Whose batch hears it.
    """

    def __init__(self, socket: WebSocket, service: Service) -> None:
        self._socket, self._service = socket, service
        self._utterance: Utterance | None = None
        self._model_known = "model" in socket.query_params
        self._delay_ms: float | None = None
        self._sample_rate: float | None = None
        self._with_words = False
        self._bad = 0

    async def run(self) -> None:
        """Serve the client until it, or the server, ends."""
        self._service.check_model(self._socket.query_params.get("model"))
        created = self._service.began
        await self._send({"type": "session.created", "id": f"sess-{uuid.uuid4().hex}", "created": created})
        try:
            await self._listen()
        finally:
            if self._utterance is not None:
                await self._utterance.close()

    async def end(self, no: Refused, code: int) -> None:
        """Tell why, and close."""
        await self._send_error(no.message, no.code)
        await self._socket.close(code, no.code)

    async def _listen(self) -> None:
        """Messages, until the client goes, is silent for too long, or the server ends."""
        ending = asyncio.create_task(self._service.draining.wait())
        message = asyncio.create_task(self._socket.receive())
        try:
            while not ending.done():
                await asyncio.wait({message, ending}, timeout=self._idle_s, return_when=asyncio.FIRST_COMPLETED)
                if message.done():
                    await self._take(message.result())
                    message = asyncio.create_task(self._socket.receive())
                elif not ending.done():
                    await self._finish()
                    text = f"Nothing came for {self._service.limits.idle_s:g} s."
                    raise Refused(408, text, code="idle")
            await self._drain(message)
        finally:
            for task in (ending, message):
                task.cancel()
            await asyncio.wait({ending, message})

    @property
    def _idle_s(self) -> float | None:
        """A client that waits for the rest of its text is not idle."""
        waits = self._utterance is not None and self._utterance.is_finishing
        return None if waits else self._service.limits.idle_s

    async def _drain(self, message: asyncio.Task[Any]) -> None:
        """The server ends: hear what is on its way, give out all of the text, go."""
        clock = asyncio.get_running_loop().time
        until = clock() + GRACE_S
        with contextlib.suppress(WebSocketDisconnect, Refused):
            while clock() < until and (await asyncio.wait({message}, timeout=LAST_S))[0]:
                await self._take(message.result())
                message = asyncio.create_task(self._socket.receive())
        message.cancel()
        await self._finish()
        await self._socket.close(GOING_AWAY, "server_ending")

    async def _take(self, message: Any) -> None:
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", NORMAL))
        try:
            await self._handle(_parsed(message))
        except _Bad as bad:
            self._bad += 1
            await self._send_error(str(bad), bad.code)
            if self._bad >= PATIENCE:
                raise Refused(400, f"{PATIENCE} messages were none.", code="too_many_errors") from None

    async def _handle(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind == "session.update":
            self._update(event)
        elif kind == "input_audio_buffer.append":
            samples = _samples(event.get("audio"))
            await (await self._current()).feed(samples)
        elif kind == "input_audio_buffer.commit":
            if not self._model_known:
                raise _Bad("Name the model first, by session.update.", "model_not_validated")
            if not isinstance(event.get("final", False), bool):
                raise _Bad("final: expected true or false.", "invalid_value")
            utterance = await self._current()
            if event.get("final"):
                utterance.begin_finish()
        elif kind == "input_audio_buffer.clear":
            raise _Bad("What was appended is being heard already, and cannot be cleared.", "unknown_event")
        else:
            raise _Bad(f"Unknown event type: {str(kind)[:100]!r}.", "unknown_event")

    def _update(self, event: dict[str, Any]) -> None:
        """The model, and what the next utterance is to be heard with."""
        session = event.get("session")
        event = {**event, **session} if isinstance(session, dict) else event
        try:
            self._service.check_model(event.get("model"))
        except Refused as no:
            raise _Bad(no.message, no.code) from None
        self._model_known = True
        delay, rate = (_number(event, name) for name in ("delay_ms", "sample_rate"))
        granularities = event.get("timestamp_granularities") or []
        if granularities not in ([], ["word"]):
            raise _Bad('timestamp_granularities: expected [] or ["word"].', "invalid_value")
        self._with_words = bool(granularities)
        self._delay_ms = delay if "delay_ms" in event else self._delay_ms
        self._sample_rate = rate if "sample_rate" in event else self._sample_rate

    async def _current(self) -> Utterance:
        """The utterance that is being spoken: the next one begins when the one before has ended."""
        if self._utterance is not None and self._utterance.is_finishing:
            await self._utterance.finished()
            self._utterance = None
        if self._utterance is None:
            utterance = Utterance(self._service, self._send, with_words=self._with_words)
            try:
                await utterance.open(self._delay_ms, self._sample_rate)
            except Refused as no:
                if no.status != 400:
                    raise
                raise _Bad(no.message, no.code) from None
            self._utterance = utterance
        return self._utterance

    async def _finish(self) -> None:
        if self._utterance is not None:
            self._utterance.begin_finish()
            await self._utterance.finished()
            self._utterance = None

    async def _send(self, event: dict[str, Any]) -> None:
        await self._socket.send_text(json.dumps(event, ensure_ascii=False))

    async def _send_error(self, message: str, code: str) -> None:
        await self._send({"type": "error", "error": message, "code": code})


def _parsed(message: Any) -> dict[str, Any]:
    text = message.get("text")
    if text is None:
        raise _Bad("Expected a text message of JSON, got bytes.", "invalid_json")
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        raise _Bad("Invalid JSON.", "invalid_json") from None
    if not isinstance(event, dict):
        raise _Bad("Expected a JSON object.", "invalid_json")
    return event


def _samples(audio: object) -> np.ndarray:
    """Base64 of signed 16-bit little-endian PCM, as int16 ``[T]``."""
    if not isinstance(audio, str):
        raise _Bad("audio: expected base64 of 16-bit PCM.", "invalid_audio")
    try:
        data = base64.b64decode(audio, validate=True)
    except (binascii.Error, ValueError):
        raise _Bad("audio: expected base64 of 16-bit PCM.", "invalid_audio") from None
    if not data or len(data) % 2:
        raise _Bad(f"audio: expected whole samples of 2 bytes, got {len(data)} bytes.", "invalid_audio")
    return np.frombuffer(data, "<i2").astype(np.int16)


def _number(event: dict[str, Any], name: str) -> float | None:
    value = event.get(name)
    if value is not None and (
        isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value)
    ):
        raise _Bad(f"{name}: expected a number.", "invalid_value")
    return value
