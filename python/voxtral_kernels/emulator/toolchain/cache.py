"""The folder where compiled kernels are kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_dir() -> Path:
    """Where compiled kernels are kept: ``VOXTRAL_KERNELS_CACHE``, or the platform's folder for caches."""
    given = os.environ.get("VOXTRAL_KERNELS_CACHE")
    if given:
        base = Path(given)
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches" / "voxtral-kernels"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voxtral-kernels"
    folder = base / "emulator"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
