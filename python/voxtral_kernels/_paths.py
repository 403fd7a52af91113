"""Where the package's data lies, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def kernels_dir() -> Path:
    """The folder of the ``.metal`` texts: the wheel's copy, or the checkout's ``kernels/``."""
    for folder in (PACKAGE / "kernels", PACKAGE.parents[1] / "kernels"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"voxtral_kernels is installed without its kernels/ folder (looked beside {PACKAGE}).")


def data_dir() -> Path:
    """The folder of the embedded checkpoints."""
    return PACKAGE / "data"
