"""Files that a text may name: those in the folders given, and no other.

The text is read as the preprocessor reads it, before it runs; what the preprocessor then opened is compared with the
same folders, so that a form not foreseen here is refused too, though only after it was read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from .directives import Odd, directives

_OPERAND = re.compile(r"""[ \t]*(?:"([^"\n]*)"|<([^>\n]*)>)""")
_ASKED = re.compile(
    r"""(?P<defined>\bdefined[ \t]*+(?:\([ \t]*+)?)?\b__has_(?P<kind>include(?:_next)?|embed)\b"""
    r"""(?:[ \t]*\([ \t]*(?:"([^"\n]*)"|<([^>\n]*)>))?"""
)
_MARKER = re.compile(r"""[ \t]*(\d+)[ \t]*(?:"((?:\\.|[^"\\\n])*)"[ \t\d]*)?$""")
_MOST_FILES = 4096


class Folders:
    """Folders whose files may be read (real paths), those among them that are ours, and those that are trusted."""

    def __init__(self, given: Sequence[str | os.PathLike[str]], ours: Path, trusted: Sequence[str] = ()):
        self.searched = [os.path.realpath(folder) for folder in given]
        self.ours = os.path.realpath(ours)
        self.trusted = [os.path.realpath(folder) for folder in trusted]
        self._known: dict[str, bool] = {}

    def holds(self, path: str) -> bool:
        return is_within(path, [*self.searched, *self.trusted, self.ours])

    def searches(self, operand: str) -> bool:
        """Whether ``<operand>`` is a file of the folders given."""
        return any(os.path.isfile(os.path.join(folder, operand)) for folder in self.searched)

    def is_known(self, path: str) -> bool:
        """Whether a file needs no look: it is ours or trusted. A name that is no whole path is a text's own."""
        if path not in self._known:
            self._known[path] = os.path.isabs(path) and is_within(path, [*self.trusted, self.ours])
        return self._known[path]


def is_within(path: str, folders: Sequence[str]) -> bool:
    """Whether the file that ``path`` really is lies in one of the folders (real paths)."""
    if "\0" in path:
        return False
    real = os.path.realpath(path)
    return any(real == folder or real.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)


def refusals(text: str, path: str, folders: Folders) -> Iterator[str]:
    """A sentence for each directive of the text, or of a file that it includes, that reaches past the folders."""
    seen: set[str] = set()
    waiting = [(text, path, "")]
    while waiting and len(seen) < _MOST_FILES:
        content, name, at = waiting.pop()
        for found in directives(content):
            if isinstance(found, Odd):
                yield f"{name}:{found.line}: '{found.what}': {found.why} [contained]"
                continue
            line, word, rest = found
            for what, why in _judge(word, rest, at, folders):
                yield f"{name}:{line}: '{what}': {why} [contained]"
            if word in ("include", "include_next", "import") and (target := _target(rest, at, folders)):
                real = os.path.realpath(target)
                if real not in seen and not folders.is_known(real) and folders.holds(real):
                    seen.add(real)
                    waiting.append((_read(real), target, os.path.dirname(target)))


def _read(path: str) -> str:
    try:
        if not os.path.isfile(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(64 << 20)
    except OSError:
        return ""


def _judge(word: str, rest: str, at: str, folders: Folders) -> Iterator[tuple[str, str]]:
    for is_defined, kind, quoted, angled in [] if word in ("ifdef", "ifndef") else _ASKED.findall(rest):
        if is_defined:
            continue
        if not quoted and not angled:
            yield f"__has_{kind}", "a file that a macro names"
        elif not _may_name(quoted or angled, at, folders):
            yield f"__has_{kind}", "a file outside of the given folders"
    if word == "embed":
        yield "#embed", "there is no #embed in Metal"
    elif word in ("include", "include_next", "import"):
        operand = _OPERAND.match(rest)
        if operand is None:
            yield f"#{word}", "a file that a macro names"
        elif not _may_name(operand[1] or operand[2] or "", at, folders):
            yield f"#{word}", "a file outside of the given folders"
    elif word == "line" or word.isdigit():
        marker = _MARKER.match(f"{word} {rest}" if word.isdigit() else rest)
        if marker is None:
            yield "#line", "a line number and a name, written out, are expected"
        elif marker[2] is not None and folders.is_known(re.sub(r"\\(.)", r"\1", marker[2])):
            yield "#line", "the name of a file that the checks trust"


def _may_name(operand: str, at: str, folders: Folders) -> bool:
    """False for a path that is absolute or, where such a file exists, leads out of the folders."""
    if os.path.isabs(operand):
        return False
    found = _find(operand, at, folders)
    if found is not None:
        return folders.holds(found)
    return not os.path.normpath(operand).startswith("..")


def _target(rest: str, at: str, folders: Folders) -> str | None:
    operand = _OPERAND.match(rest)
    name = (operand[1] or operand[2] or "") if operand else ""
    return None if not name or os.path.isabs(name) else _find(name, at, folders)


def _find(operand: str, at: str, folders: Folders) -> str | None:
    places = [at] if at else []
    for folder in [*places, *folders.searched, folders.ours]:
        candidate = os.path.join(folder, operand)
        if os.path.exists(candidate):
            return candidate
    return None
