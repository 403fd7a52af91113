"""The native module that runs compiled kernels (csrc/emulator)."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from .errors import UnavailableError


def runtime() -> Any:
    """``voxtral_kernels._emulator``; one clear sentence where the package was installed without a C++ compiler."""
    if not sys.platform.startswith(("linux", "darwin")):
        raise UnavailableError("the emulator runs on Linux (x86-64 and aarch64)")
    try:
        return import_module("voxtral_kernels._emulator")
    except ImportError as error:
        if sys.platform == "darwin":
            message = "the emulator runs on Linux; for a Mac it is built only when asked for (docs/emulator.md)"
            raise UnavailableError(message) from None
        message = f"the emulator's runtime is not installed (no C++ compiler at installation?): {error}"
        raise UnavailableError(message) from None
