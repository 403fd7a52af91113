"""What comes with the extra ``ray``, imported where it is used; missing, it is named with how to install it."""

from __future__ import annotations

import importlib
from typing import Any

from .._errors import fail, printable

OP = "bulk"
INSTALL = "pip install 'voxtral-kernels[ray]'"


def need(module: str, why: str) -> Any:
    """The module.

    Args:
        module: ``"ray.data"``, ``"pyarrow.parquet"``, ``"fsspec"``, ...
        why: What needs it, for the error: ``"--format parquet"``.

    Raises:
        ValueError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise fail(OP, why, f"the package {package}, by {INSTALL}", f"none ({error})") from None


def file_system(url: str, argument: str) -> tuple[Any, str]:
    """The fsspec file system of a path or URL, and the path in it.

    Raises:
        ValueError: nobody knows the protocol, or the package that does is missing.
    """
    core = need("fsspec.core", argument)
    try:
        return core.url_to_fs(url)
    except Exception as error:  # of any type: zipfile's of what is no archive, a TypeError of what a URL leaves out
        known = isinstance(error, (ImportError, ValueError, OSError))
        why = printable(str(error) if known else f"{type(error).__name__}: {error}")
        raise fail(OP, argument, "a path, or a URL that fsspec opens", f"{url!r} ({why})") from None


def is_local(files: Any) -> bool:
    """Whether an fsspec file system is this machine's own."""
    protocol = files.protocol
    return "file" in ((protocol,) if isinstance(protocol, str) else protocol)
