"""The MLX releases that the package works with, as pyproject.toml has them; others are refused in one sentence."""

from __future__ import annotations

import re

FIRST, BELOW = "0.32.4", "0.34"


def require(version: str) -> None:
    """Nothing for a supported MLX.

    Raises:
        ImportError: it is older or newer; the text says what to install.
    """
    if not _numbers(FIRST) <= _numbers(version) < _numbers(BELOW):
        raise ImportError(
            f"voxtral-kernels works with MLX {FIRST} and later below {BELOW}, and MLX {version} is installed: "
            f"pip install 'mlx>={FIRST},<{BELOW}'."
        )


def _numbers(version: str) -> tuple[int, ...]:
    """(0, 32, 4) of 0.32.4 and of 0.32.4.dev20261101+abc."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()
