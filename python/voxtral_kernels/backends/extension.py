"""Loads the C++ extension ``_ext``, at first use and with the MLX it was built against only."""

from __future__ import annotations

import importlib
import importlib.util
import os
from functools import cache
from pathlib import Path
from typing import Any

import mlx.core as mx

from .select import UnavailableError

MODULE = "voxtral_kernels._ext"


@cache
def extension() -> Any:
    """The module ``_ext``.

    Raises:
        UnavailableError: there is none, or it does not fit this MLX; the text says so in one sentence.
    """
    spec = importlib.util.find_spec(MODULE)
    if spec is None or spec.origin is None:
        raise UnavailableError("the extension is not installed (the package was installed without a C++ compiler).")
    built = built_against(Path(spec.origin))
    if built != mlx_version():
        raise UnavailableError(
            f"the extension was built against MLX {built} and steps aside for MLX {mlx_version()}; "
            "reinstall voxtral-kernels to use it."
        )
    try:
        module = importlib.import_module(MODULE)
    except ImportError as error:
        raise UnavailableError(f"the extension does not load here ({error}).") from error
    if not os.environ.get("VOXTRAL_KERNELS_ISA"):  # as the extension reads it: empty is none
        best = best_optimised(module.available_isas(), Path(spec.origin))
        if best != module.isa():
            module.use_isa(best)
    return module


def mlx_version() -> str:
    """The version of the MLX that runs."""
    return str(vars(mx)["__version__"])


def built_against(extension_file: Path) -> str:
    """The MLX version recorded beside the extension when it was built."""
    record = extension_file.with_name("_ext_mlx_version.txt")
    return record.read_text().strip() if record.is_file() else "of an unknown version"


def best_optimised(available: list[str], extension_file: Path) -> str:
    """The first of a processor's instruction sets (best first) that the build optimised.

    A development build from another machine may have left this one's best unoptimised.
    """
    record = extension_file.with_name("_ext_optimised.txt")
    optimised = record.read_text().split() if record.is_file() else available
    return next((isa for isa in available if isa in optimised), available[0])


def status() -> str:
    """One sentence for ``voxtral-kernels info``: whether the extension serves, and with what."""
    try:
        ext = extension()
    except UnavailableError as reason:
        return f"native: not in use: {reason}"
    threads = ext.threads()
    return (
        f"native: in use, instruction set {ext.isa()} of {', '.join(ext.available_isas())}, "
        f"{threads} thread{'s' if threads > 1 else ''}, built against MLX {mlx_version()}."
    )
