"""Text that moves no cursor: control characters made visible, names of files as text."""

from __future__ import annotations

import os
import re

# C0 but for tab and newline, DEL, C1: what moves the cursor, renames the window, rings the bell.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def visible(text: str) -> str:
    """Control characters but for tab and newline as ``\\u001b``, which JSON too can hold."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def readable(name: str) -> str:
    """A file's name as text: bytes of it that are not UTF-8 become U+FFFD."""
    return os.fsencode(name).decode("utf-8", "replace")
