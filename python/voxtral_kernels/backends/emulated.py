"""The ``emulator`` backend: the shaders and their dispatch, run and checked on the CPU."""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import os
from collections.abc import Callable, Iterator
from typing import Any

from .select import UnavailableError
from .shaders import Kernels

ENVIRONMENT = "VOXTRAL_KERNELS_EMULATOR_MODE"

_settings: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar(
    "voxtral_kernels_emulator", default=None
)


@contextlib.contextmanager
def settings(**changed: Any) -> Iterator[None]:
    """Launch the kernels of the block with these arguments of `emulator.metal_kernel`: ``mode``, ``seed`` ..."""
    token = _settings.set({**(_settings.get() or {}), **changed})
    try:
        yield
    finally:
        _settings.reset(token)


def factory(**description: Any) -> Callable[..., Any]:
    """`emulator.metal_kernel`, in checked mode unless the environment or `settings` names another."""
    from .. import emulator

    mode: Any = os.environ.get(ENVIRONMENT) or "checked"  # the emulator refuses what is none of its modes
    built = emulator.metal_kernel(mode=mode, **description)
    return lambda **arguments: built(**arguments, **(_settings.get() or {}))


def backend(op: str) -> Kernels:
    """The emulator's implementation of ``op``.

    Raises:
        UnavailableError: the emulator is not installed, or the op has no shader yet.
    """
    try:
        for module in ("ziglang", "voxtral_kernels._emulator"):
            importlib.import_module(module)
    except ImportError as error:
        raise UnavailableError(
            f"the emulator is not installed ({error}); pip install 'voxtral-kernels[emulator]'."
        ) from None
    return Kernels(op, factory, "emulator", checked=False)
