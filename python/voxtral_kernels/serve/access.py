"""Who may ask: keys compared in constant time, hosts against DNS rebinding, origins against other pages' scripts."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from .._errors import fail
from .errors import Refused

OP = "serve"
# A browser cannot set a WebSocket's headers; OpenAI's clients name the key as a subprotocol beside this one.
SUBPROTOCOL = "realtime"
KEY_PROTOCOL = "openai-insecure-api-key."
# What a subprotocol may consist of.
_KEY = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{16,256}")
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches it."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Access:
    """Tells who may ask.

    Args:
        host: What the server is bound to.
        api_key: Must be given by every client; None: everybody on this machine may ask.
        hosts: Names that it is called by besides.
        origins: Pages of other places that may use it, as ``https://example.org``.

    Raises:
        ValueError: another machine could reach it without a key; a key that is short or has other characters than a
            WebSocket can carry; an origin that is none.
    """

    def __init__(
        self, host: str, api_key: str | None = None, *, hosts: Iterable[str] = (), origins: Iterable[str] = ()
    ) -> None:
        if api_key is None and not is_loopback(host):
            raise fail(OP, "--api-key", f"a key (or VOXTRAL_API_KEY), for {host} is reached from elsewhere", "none")
        if api_key is not None and not _KEY.fullmatch(api_key):
            expected = "16 to 256 letters, digits or !#$%&'*+.^_`|~-"
            raise fail(OP, "--api-key", expected, f"{len(api_key)} characters" if api_key else "an empty one")
        self.needs_key = api_key is not None
        self._key = (api_key or "").encode()
        self.origins = [_origin(origin) for origin in origins]
        self._hosts = {_host_name(name) for name in hosts}
        if is_loopback(host):
            self._hosts |= {"localhost", "127.0.0.1", "::1", _host_name(host)}

    def check_host(self, host: str) -> None:
        """Refuse a name that this server is not called by: a page whose name was bent to this address sends its own.

        A server with a key, bound elsewhere, has any name unless some are given: such a page does not know the key.
        """
        if self._hosts and _host_name(host) not in self._hosts:
            raise Refused(421, "This server is not called by that name; --allow-host adds one.", code="wrong_host")

    def check_origin(self, origin: str | None, host: str) -> None:
        """Refuse what a page of another place asks; programs send no origin."""
        if origin is None or origin in self.origins:
            return
        parts = urlsplit(origin)
        try:
            ports = (_port(parts.scheme, parts.netloc), _port(parts.scheme, host))
            same = _host_name(parts.netloc) == _host_name(host) and ports[0] == ports[1]
        except ValueError:
            same = False
        if not same or not parts.netloc:
            raise Refused(
                403, "Pages of another origin may not use this; --allow-origin lets one.", code="wrong_origin"
            )

    def check_key(self, headers: Mapping[str, str]) -> None:
        """Refuse what has not the key, as ``Authorization: Bearer`` or as a subprotocol."""
        if not self.needs_key:
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            offered = [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")]
            keys = [name.removeprefix(KEY_PROTOCOL) for name in offered if name.startswith(KEY_PROTOCOL)]
            given = keys[0] if keys else ""
        if not hmac.compare_digest(given.strip().encode(), self._key):
            raise Refused(401, "The API key is missing or wrong.", code="invalid_api_key")


def _origin(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
        raise fail(OP, "--allow-origin", "an origin such as https://example.org", repr(text))
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _host_name(netloc: str) -> str:
    """The name in ``name:port`` or ``[address]:port``."""
    name = netloc.rpartition("@")[2].lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0].rstrip(".") if name.count(":") < 2 else name


def _port(scheme: str, netloc: str) -> int | None:
    """The port in it, or the scheme's."""
    return urlsplit(f"//{netloc}").port or _PORTS.get(scheme)
