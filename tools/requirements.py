"""What an installation needs beside the package, a line each: ``python tools/requirements.py build|cmake|EXTRA``."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def requirements(what: str) -> list[str]:
    """``build``: pyproject.toml's own list, and ninja; ``cmake``: what of CMake this machine lacks; else an extra's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    if what == "build":
        return [*project["build-system"]["requires"], "ninja"]
    if what == "cmake":
        from scikit_build_core.build import get_requires_for_build_editable

        return get_requires_for_build_editable()
    extras = project["project"]["optional-dependencies"]
    if what not in extras:
        raise SystemExit(f"[requirements] expected build, cmake or one of {', '.join(extras)}, got {what!r}.")
    return extras[what]


if __name__ == "__main__":
    print("\n".join(requirements(*sys.argv[1:])))
