"""What stands before every request and WebSocket: who may, how many, how large, how slow; headers for browsers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers

from .errors import Refused

if TYPE_CHECKING:
    from .service import Service

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# Without a key: what tells nothing of anybody. The page asks for the key.
OPEN = ("/", "/health", "/page/")
RECORDINGS = "/v1/audio/transcriptions"
# What begins a transcription, and so counts for the rate.
COSTLY = (RECORDINGS, "/v1/realtime")
# For browsers: nothing from elsewhere, in no other page's frame, no guessing at types.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; worker-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class ClientGone(Exception):  # noqa: N818 - it is what became of a client
    """It takes nothing of what it is sent."""


class Gate:
    """The outermost application.

    Args:
        app: What serves that which is let in.
        service: Whose limits count.
    """

    def __init__(self, app: Any, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        send = self._in_time(scope, _with_headers(send))
        try:
            with self._service.connection(recording=scope["path"] == RECORDINGS):
                self._admit(scope)
                with contextlib.suppress(ClientGone):
                    await self._app(scope, self._measured(scope, receive), send)
        except Refused as no:
            self._service.metrics.refused(no.code)
            with contextlib.suppress(ClientGone):
                await refuse(scope, send, no)

    def _admit(self, scope: Scope) -> None:
        service, headers = self._service, Headers(scope=scope)  # type: ignore[arg-type]
        path, host = scope["path"], headers.get("host", "")
        service.access.check_host(host)
        service.access.check_origin(headers.get("origin"), host)
        if path in COSTLY:
            address = (scope.get("client") or ("",))[0]
            if wait_s := service.rate.take(address):
                raise Refused(429, "Too many requests from this address.", code="rate_limited", retry_s=wait_s)
        if path not in OPEN and not path.startswith(OPEN[-1]):
            service.access.check_key(headers)
        if service.draining.is_set() and path in COSTLY:
            raise Refused(503, "The server is ending.", code="server_ending", retry_s=5.0)
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._most(scope):
            raise _too_large(self._most(scope))

    def _measured(self, scope: Scope, receive: Receive) -> Receive:
        """``receive`` of a body that is bounded, and comes."""
        if scope["type"] == "websocket":
            return receive
        limits, most, size, more = self._service.limits, self._most(scope), 0, True

        async def take() -> Message:
            nonlocal size, more
            if not more:
                return await receive()
            try:
                async with asyncio.timeout(limits.idle_s):
                    message = await receive()
            except TimeoutError:
                text = f"Nothing of the request's body came for {limits.idle_s:g} s."
                raise Refused(408, text, code="idle") from None
            size += len(message.get("body", b""))
            more = bool(message.get("more_body", False))
            if size > most:
                raise _too_large(most)
            return message

        return take

    def _most(self, scope: Scope) -> int:
        """Bytes of a body: recordings are large, nothing else is."""
        limits = self._service.limits
        return limits.body_bytes if scope["path"] == RECORDINGS else limits.message_bytes

    def _in_time(self, scope: Scope, send: Send) -> Send:
        """``send`` to a client that reads; one that does not is cut off."""

        async def sent(message: Message) -> None:
            try:
                async with asyncio.timeout(self._service.limits.send_s):
                    await send(message)
            except TimeoutError:
                self._service.metrics.refused("slow_reader")
                scope.get("state", {}).get("abort", lambda: None)()
                raise ClientGone from None

        return sent


def _too_large(most: int) -> Refused:
    return Refused(413, f"A request may have {most / 2**20:g} MiB here.", code="too_large", param="file")


async def refuse(scope: Scope, send: Send, no: Refused) -> None:
    """Send it, to a WebSocket as the answer to its handshake."""
    body = json.dumps(no.body).encode()
    fields = {"content-type": "application/json", "content-length": str(len(body)), **no.headers}
    headers = [(name.encode(), value.encode()) for name, value in fields.items()]
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    await send({"type": f"{kind}.start", "status": no.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"].endswith("response.start"):
            given = {name.lower() for name, _ in message["headers"]}
            more = [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in given]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sent


async def until_gone(receive: Receive, work: Awaitable[None]) -> None:
    """Do it, unless the client goes away first: then it is cancelled."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for future in (task, gone):
            future.cancel()
        await asyncio.wait({task, gone})
    if not task.cancelled():
        task.result()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
