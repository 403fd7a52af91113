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
    except (ImportError, ValueError, OSError) as error:
        raise fail(OP, argument, "a path, or a URL that fsspec opens", f"{url!r} ({printable(str(error))})") from None
