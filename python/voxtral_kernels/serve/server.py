"""The server as a process: sockets, signals, an end in order."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from .._errors import fail
from .access import Access
from .app import create_app
from .certificate import check_certificate as check_certificate
from .limits import Limits
from .service import Served, Service

OP = "serve"
# A client that does not finish its request's head, or its TLS handshake.
HEAD_S = 10.0
# One that goes on sending a body that was refused: cut off at once, it might never see the answer.
LINGER_S, LINGER_BYTES = 3.0, 1 << 25
PING_S = 20.0
# What the system holds for a client that does not read; texts are small.
SEND_BYTES = 1 << 17
# How often the end looks whether everybody is done.
LOOK_S = 0.05


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 is any free one.

    Raises:
        ValueError: the name is unknown, or the port taken.
    """
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise fail(OP, "--host", "a name or an address of this machine", f"{host} ({error.strerror})") from None
    sock = socket.socket(family, kind, number)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        sock.bind(address)
    except OSError as error:
        sock.close()
        name, expected = (
            ("--port", "a port that is free") if error.errno == errno.EADDRINUSE else ("--host", "one here")
        )
        raise fail(OP, name, expected, f"{host}:{port} ({os.strerror(error.errno or 0)})") from None
    sock.setblocking(False)
    return sock


def run(
    served: Served,
    access: Access,
    limits: Limits,
    sock: socket.socket,
    *,
    certificate: tuple[str, str] | None = None,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until a signal comes; then what was spoken is told, and recordings have ``limits.drain_s``.

    Args:
        served, access, limits: As for `Service`.
        sock: Of `listen`.
        certificate: Files of a certificate and its key, for https; see `check_certificate`.
        ready: Called once clients may come.
    """

    async def main() -> None:
        service = Service(served, access, limits)
        config = uvicorn.Config(
            create_app(service),
            http=_protocol(limits),
            ws=_Socket,
            ws_max_size=limits.message_bytes,
            ws_ping_interval=PING_S,
            ws_ping_timeout=None,  # a pong stands behind the audio that waits to be heard
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            log_level="error",  # what clients send wrongly is answered, not printed
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=max(1, round(limits.send_s)),
            ssl_certfile=certificate[0] if certificate else None,
            ssl_keyfile=certificate[1] if certificate else None,
        )
        try:
            await _Server(config, service, ready).serve([sock])
        finally:
            await service.batch.aclose()

    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(main())


class _Loop(asyncio.SelectorEventLoop):
    """Python's, but that a TLS handshake has the time of a head: nobody else knows of the client yet."""

    async def create_server(self, *arguments: Any, **options: Any) -> asyncio.Server:
        if options.get("ssl") is not None:
            options["ssl_handshake_timeout"] = HEAD_S
        return await super().create_server(*arguments, **options)


class _Server(uvicorn.Server):
    """Uvicorn's, but that the first signal lets everybody end."""

    def __init__(self, config: uvicorn.Config, service: Service, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._service, self._ready = service, ready
        self._draining: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
            signal.signal(signal.SIGHUP, self.handle_exit)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal begins the end, the second one makes it short."""
        self._captured_signals.append(sig)
        if len(self._captured_signals) == 1 and self.started:
            self._loop.call_soon_threadsafe(self._begin)
        else:
            self.should_exit = self.force_exit = True

    def _begin(self) -> None:
        self._service.drain()
        self._draining = asyncio.create_task(self._drained())

    async def _drained(self) -> None:
        """Everybody is done, or had the time."""
        limits = self._service.limits
        until = time.monotonic() + limits.drain_s + limits.send_s
        while self._service.connections and time.monotonic() < until and not self.should_exit:
            await asyncio.sleep(LOOK_S)
        self.should_exit = True


class _Socket(WebSocketsSansIOProtocol):
    """Uvicorn's, but that a client which pings and never reads is cut off: the answers would fill the memory."""

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # it was refused; uvicorn logs that it was forgotten

    def handle_ping(self) -> None:
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.transport.abort()


def _protocol(limits: Limits) -> type[H11Protocol]:
    """Uvicorn's, with a limit for what is no request yet, and a way to cut a client off."""

    class Protocol(H11Protocol):
        _watch: asyncio.TimerHandle | None = None
        _refused_at: float | None = None
        _refused_bytes = 0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > 2 * limits.connections:
                transport.abort()
                return
            self.app_state: dict[str, Any] = {**self.app_state, "abort": transport.abort}
            self._watch_head()

        def data_received(self, data: bytes) -> None:
            if self.cycle is not None and self.cycle.response_complete and self.conn.their_state is h11.SEND_BODY:
                self._refused_at = self._refused_at or self.loop.time()
                self._refused_bytes += len(data)
                if self.loop.time() > self._refused_at + LINGER_S or self._refused_bytes > LINGER_BYTES:
                    self.transport.abort()
                    return
            super().data_received(data)
            self._watch_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget()
            super().connection_lost(exc)

        def _watch_head(self) -> None:
            """A head that is begun must end: while it lasts nobody else knows of the client."""
            if self.conn.their_state is not h11.IDLE:
                self._forget()
            elif self._watch is None and not self.transport.is_closing():
                self._watch = self.loop.call_later(HEAD_S, self.transport.abort)

        def _forget(self) -> None:
            if self._watch is not None:
                self._watch.cancel()
                self._watch = None

    return Protocol
