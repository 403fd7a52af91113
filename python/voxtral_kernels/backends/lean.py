"""The part of a shader file that one entry point needs: MLX copies and hashes a launch's whole text every time.

Left out are comments, spaces that separate no words, other entry points, and every declaration whose name neither the
entry point nor anything that it needs spells. What stays keeps its lines' numbers, under ``#line``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_LINE = re.compile(r'#line (\d+) "([^"]+)"')
_COMMENT = re.compile(r'"[^"\n]*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
# Spaces beside punctuation, and around an operator between two operands or names.
_LOOSE = re.compile(r" ?([{};,]) ?|(?<=[\w)\]]) ?(&&|\|\||<<|>>|[-+*/%&|^<>=!]=|[-+*/%&|^<>=?:]) (?=[\w(])")
_HEXADECIMAL_E = re.compile(r"\b0x\w*[eE] ?[-+]")  # with a sign behind it: one number, to a preprocessor
_WORD = re.compile(r"[A-Za-z_]\w*")
_TEMPLATE = re.compile(r"\s*template <[^{}();]*?>(?=\s)")
# A struct, an alias, a function, a constant: the name that stands first in each.
_NAMED = re.compile(r"\s*(?:struct (\w+)|typedef [^;]*?(\w+);|using (\w+)=|[^=(]*?(\w+)\s*[\[(=])")
_ENTRY = "[[kernel]]"


@dataclass(frozen=True)
class _Unit:
    """A declaration or a directive, and where it stands."""

    file: str
    number: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def name(self) -> str:
        """What it declares; ``""`` for a directive, which always stays."""
        if self.text.startswith(("#", "using namespace")):
            return ""
        found = _NAMED.match(_TEMPLATE.sub("", self.text.replace(_ENTRY, ""), count=1))
        assert found, f"{self.file}:{self.number}: no name in {self.lines[0]!r}"
        return next(name for name in found.groups() if name)


def lean(text: str, needed: Iterable[str]) -> str:
    """The declarations of ``text`` that these words lead to.

    Args:
        text: A shader file with its headers inlined under ``#line``.
        needed: Words of a body that calls them, or the name of an entry point.
    """
    words, kept = set(needed), {""}
    units = [unit for unit in _units(text) if _ENTRY not in unit.text or unit.name in words]
    declared: dict[str, list[_Unit]] = {}
    for unit in units:
        declared.setdefault(unit.name, []).append(unit)
    while found := (words & declared.keys()) - kept:
        kept |= found
        words = {word for name in found for unit in declared[name] for word in _WORD.findall(unit.text)}
    return "\n".join([*_numbered([unit for unit in units if unit.name in kept]), ""])


def words(text: str) -> set[str]:
    """The words of a text, comments left out."""
    return set(_WORD.findall(_LINE.sub("", bare(text))))


def bare(text: str) -> str:
    """The text without comments and needless spaces, its lines where they were."""
    return "\n".join(_tight(line.strip()) for line in uncommented(text).split("\n"))


def uncommented(text: str) -> str:
    """The text without comments, its lines where they were."""
    return _COMMENT.sub(lambda found: found[0] if found[0][0] == '"' else "\n" * found[0].count("\n"), text)


def _tight(line: str) -> str:
    if line.startswith("#") or '"' in line or _HEXADECIMAL_E.search(line):
        return line
    return _LOOSE.sub(lambda found: found[1] or found[2], line)


def _units(text: str) -> Iterator[_Unit]:
    file, number, start, depth = "", 0, 0, 0
    lines: list[str] = []
    for line in bare(text).splitlines():
        if found := _LINE.fullmatch(line):
            number, file = int(found[1]), found[2]
            continue
        if line or lines:
            start = start if lines else number
            lines.append(line)
            depth += line.count("{") - line.count("}")
            if depth == 0 and (line.endswith((";", "}")) or lines[0].startswith("#")):
                yield _Unit(file, start, tuple(lines))
                lines = []
        number += 1
    assert not lines, f"{file}:{start}: {lines[0]!r} does not end"


def _numbered(units: list[_Unit]) -> Iterator[str]:
    """The lines, each where a compiler finds it in its file."""
    place: tuple[str, int] = ("", 0)
    for unit in units:
        directive = f'#line {unit.number} "{unit.file}"'
        gap = unit.number - place[1] if place[0] == unit.file else -1
        # An empty line is shorter than a directive.
        yield from [""] * gap if 0 <= gap < len(directive) else [directive]
        yield from unit.lines
        place = unit.file, unit.number + len(unit.lines)
