"""``voxtral-kernels serve``: a server for OpenAI's and vLLM's clients, and a page for the microphone."""

from __future__ import annotations

import signal
from typing import Annotated, Any

import typer

from .._errors import fail, integer, positive
from . import ending
from .console import print_note
from .ending import Mode
from .options import CacheBits, ChunkMs, Delay, Model, Revision, check_cache_bits, check_chunk, check_delay, load_model

OP = "serve"

Names = Annotated[
    list[str] | None, typer.Option("--served-name", metavar="NAME", help="Another name for the model; repeatable.")
]
Key = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        metavar="KEY",
        envvar="VOXTRAL_API_KEY",
        show_envvar=False,
        help="What clients must give; better in VOXTRAL_API_KEY, which other users cannot list.",
    ),
]
Hosts = Annotated[
    list[str] | None,
    typer.Option("--allow-host", metavar="NAME", help="Another name that this server is called by; repeatable."),
]
Origins = Annotated[
    list[str] | None,
    typer.Option("--allow-origin", metavar="URL", help="A page elsewhere that may use this server; repeatable."),
]
Certificate = Annotated[
    str | None, typer.Option(metavar="FILE", help="Serve https: a phone gives a page the microphone only then.")
]


def serve(
    model: Model = None,
    revision: Revision = None,
    host: Annotated[str, typer.Option(help="Address; another than this machine's own needs a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 is any free one.")] = 8000,
    slots: Annotated[int, typer.Option(help="Live streams and recordings at once.")] = 8,
    served_name: Names = None,
    api_key: Key = None,
    allow_host: Hosts = None,
    allow_origin: Origins = None,
    certfile: Certificate = None,
    keyfile: Annotated[str | None, typer.Option(metavar="FILE", help="Key of the certificate.")] = None,
    delay_ms: Delay = None,
    cache_bits: CacheBits = 16,
    chunk_ms: ChunkMs = None,
    max_mb: Annotated[float, typer.Option(help="Largest upload.")] = 100.0,
    max_minutes: Annotated[float, typer.Option(help="Longest recording or live transcription.")] = 240.0,
    rate: Annotated[float, typer.Option(help="Transcriptions that one address may begin in a minute.")] = 600.0,
    connections: Annotated[int, typer.Option(help="Requests and WebSockets at once.")] = 256,
    idle_s: Annotated[float, typer.Option(help="A WebSocket that sends nothing for so long is closed.")] = 60.0,
    drain_s: Annotated[float, typer.Option(help="Time that recordings have after SIGTERM.")] = 30.0,
) -> None:
    """Serve transcriptions: OpenAI's form for recordings, vLLM's realtime messages, a page for the microphone.

    Ctrl-C or SIGTERM ends it: what was spoken so far is delivered first.
    """
    check_delay(delay_ms)
    check_cache_bits(OP, cache_bits)
    check_chunk(OP, chunk_ms)
    integer(OP, "--slots", slots, 1, 1024)
    integer(OP, "--port", port, 0, 65535)
    if (certfile is None) != (keyfile is None):
        raise fail(OP, "--certfile", "--certfile and --keyfile, or neither", "one of them")
    certificate = None if certfile is None or keyfile is None else (certfile, keyfile)
    server = _server()
    if certificate:
        server.check_certificate(*certificate)
    access = server.Access(host, api_key, hosts=allow_host or (), origins=allow_origin or ())
    limits = _limits(server, max_mb, max_minutes, rate, connections, idle_s, drain_s)
    with ending.mode(Mode.RAISE), server.listen(host, port) as sock:
        loaded = load_model(model, revision)
        if loaded.offline:
            got = f"{loaded.name}, which is {loaded.model.family}"
            raise fail(OP, "--model", "a Voxtral Realtime model", got)
        if loaded.model.tokenizer is None:
            loaded.model.stream()  # says what is missing
        delay = loaded.model.tokenizer.audio.default_delay_ms if delay_ms is None else delay_ms
        names = tuple(served_name or ())
        served = server.Served(loaded.model, loaded.name, names, slots, delay, cache_bits, chunk_ms or 80)
        _run(server, served, access, limits, sock, certificate)
    ending.check()


def _limits(
    server: Any, max_mb: float, max_minutes: float, rate: float, connections: int, idle_s: float, drain_s: float
) -> Any:
    amounts = {"--max-mb": max_mb, "--max-minutes": max_minutes, "--rate": rate, "--idle-s": idle_s}
    for option, value in amounts.items():
        positive(OP, option, value)
    return server.Limits(
        body_bytes=round(max_mb * 2**20),
        audio_s=60 * max_minutes,
        per_minute=rate,
        connections=integer(OP, "--connections", connections, 1),
        idle_s=idle_s,
        drain_s=positive(OP, "--drain-s", drain_s, or_zero=True),
    )


def _run(server: Any, served: Any, access: Any, limits: Any, sock: Any, certificate: tuple[str, str] | None) -> None:
    address = _address(sock, certificate is not None)

    def ready() -> None:
        print_note(f"{served.name} on {address} ({served.slots} slots); Ctrl-C ends it")
        if number := ending.seen():  # it came before the server could hear it
            signal.raise_signal(number)

    with ending.mode(Mode.HOLD):
        server.run(served, access, limits, sock, certificate=certificate, ready=ready)


def _server() -> Any:
    """The server's module, which needs the extra."""
    try:
        from ..serve import server
    except ImportError as error:
        expected = "the packages of pip install 'voxtral-kernels[serve]'"
        raise fail(OP, "extra", expected, f"no {error.name}") from None
    return server


def _address(sock: Any, secure: bool) -> str:
    host, port = sock.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"http{'s' if secure else ''}://{shown}:{port}/"
