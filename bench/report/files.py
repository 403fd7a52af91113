"""Files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def renewed(text: str, start: str, end: str, inner: str) -> str:
    """The text with what stands between its two marks replaced.

    Raises:
        ValueError: it has not both.
    """
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"expected the marks {start!r} and {end!r}, got none.")
    return f"{before}{start}\n\n{inner}\n\n{end}{after}"


def write_text(path: Path, text: str) -> None:
    """Replace the file in one step: an interrupted run leaves the one before."""
    path = path.resolve()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def write_json(path: Path, record: dict[str, Any]) -> None:
    """The whole record of a run."""
    write_text(path, json.dumps(record, indent=1) + "\n")
