"""The ``emulator`` backend: the shaders and their dispatch, run and checked on the CPU."""

from __future__ import annotations

import os
from typing import Any

from . import _backends
from ._kernels import Kernels

ENVIRONMENT = "VOXTRAL_KERNELS_EMULATOR_MODE"


def factory(**description: Any) -> Any:
    """`emulator.metal_kernel`, in checked mode unless the environment names another."""
    from . import emulator

    return emulator.metal_kernel(mode=os.environ.get(ENVIRONMENT) or "checked", **description)


def backend(op: str) -> Kernels:
    """The emulator's implementation of ``op``.

    Raises:
        UnavailableError: the emulator is not installed.
    """
    try:
        import ziglang  # noqa: F401

        from .emulator import metal_kernel  # noqa: F401
    except ImportError as error:
        raise _backends.UnavailableError(
            f"the emulator is not installed ({error}); pip install 'voxtral-kernels[emulator]'."
        ) from None
    return Kernels(op, factory, "emulator", checked=False)
