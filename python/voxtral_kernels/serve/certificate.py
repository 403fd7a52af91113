"""A server's certificate and key, looked at before anything is loaded."""

from __future__ import annotations

import ssl
from pathlib import Path

from .._errors import fail

OP = "serve"


class _LockedError(Exception):
    """The key asks for a passphrase, which a server cannot be given."""


def check_certificate(certfile: str, keyfile: str) -> None:
    """Two files that serve https.

    Args:
        certfile: The certificate, or a chain of them, in PEM.
        keyfile: Its key, in PEM, without a passphrase.

    Raises:
        ValueError: ``[serve] --certfile`` or ``--keyfile``: a file cannot be read, is none of its kind, or the two do
            not belong together.
    """
    for option, path in (("--certfile", certfile), ("--keyfile", keyfile)):
        try:
            Path(path).read_bytes()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise fail(OP, option, "a file that can be read", f"{path} ({reason})") from None
    try:
        ssl.create_default_context(cafile=certfile)
    except ssl.SSLError:
        raise fail(OP, "--certfile", "a certificate in PEM", certfile) from None

    def locked() -> str:
        raise _LockedError

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certfile, keyfile, locked)
    except _LockedError:
        raise fail(OP, "--keyfile", "a key without a passphrase", keyfile) from None
    except ssl.SSLError as error:
        # Without a reason of its own: not PEM.
        other = error.reason == "KEY_VALUES_MISMATCH"
        expected = f"the key of {certfile}" if other else "a key in PEM"
        raise fail(OP, "--keyfile", expected, f"{keyfile}{' (of another certificate)' if other else ''}") from None
