"""The directives of a text, found as the preprocessor finds them, before it runs.

What decides is where comments, strings and lines begin and end; so all of a text is read in the preprocessor's own
pieces. Where these hang on what it takes only while it runs, or are written as no kernel writes them, the text is odd,
and refused: else a text could show one thing here and another there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_SPLICE = re.compile(r"\\[ \t\f\v]*\n")
_PIECE = re.compile(
    r"""
      (?P<newline>\n)
    | (?P<comment>//[^\n]*|/\*[\s\S]*?(?:\*/|\Z))
    | (?P<raw>(?:u8|[uUL])?R")
    | (?P<quoted>(?:u8|[uUL])?(?:"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?))
    | (?P<number>\.?[0-9](?:[eEpP][+-]|'\w|[\w.$])*)
    | (?P<word>[A-Za-z_$][\w$]*)
    | (?P<hash>\#|%:)
    | (?P<foreign>[^\n\t\f\v -~]+)
    | (?P<other>[!-~])
    """,
    re.VERBOSE | re.ASCII,
)
_INCLUDING = re.compile(r"include|import|embed")
_NAME = re.compile(r"<[^>\n]*|\\")  # all of it at once: a search from each bracket would take the square of the time
_ODD_IN_NAME = re.compile(r"""["'\\]|/[*/]""")
_AS_IT_STANDS = re.compile(r"[ \t]*(?:error|warning|pragma[ \t]+mark)\b")  # read to the end of the line, comments too
_OPERAND = re.compile(r"""\s*\(\s*(?:u8|[uUL])?"((?:\\.|[^"\\\n])*)"\s*\)""")
_NO_PRAGMA = {
    ("GCC", "dependency"): "a file outside of the given folders",
    ("clang", "__debug"): "a pragma that breaks the compiler",
    ("clang", "include_instead"): "a pragma that the emulator does not let through",
    ("clang", "module"): "a pragma that the emulator does not let through",
}


class Directive(NamedTuple):
    """``#name rest`` of a line, without comments."""

    line: int
    name: str
    rest: str


class Odd(NamedTuple):
    """What no reader could be sure of, or what is refused by its spelling alone, and why."""

    line: int
    what: str
    why: str


def directives(text: str) -> Iterator[Directive | Odd]:
    """Of the text with its splices joined; the lines are the text's own."""
    text = _joined(text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))
    line, at_start = 1, True
    inside: list[str] | None = None  # a directive's pieces
    began, first = 0, 1  # where it began
    for found in _PIECE.finditer(text):
        kind, piece = found.lastgroup, found.group()
        if kind == "newline":
            if inside is not None:
                yield from _finished(text[began : found.start()], "".join(inside), first)
            line, at_start, inside = line + 1, True, None
            continue
        if kind == "comment":
            if inside is not None:
                inside.append(" ")
                if ("\n" in piece or not piece.endswith("*/")) and piece.startswith("/*"):
                    yield from _swallowing(text[began : found.start()], first)
            line += piece.count("\n")
            continue
        if kind == "raw":
            yield Odd(line, piece, "a raw string, which no kernel needs")
            return
        if kind == "word" and piece == "_Pragma":
            yield from _operator(text, found.end(), line)
        if inside is not None:
            inside.append(text[_end(text, found.start()) : found.end()])
        elif kind == "hash" and at_start:
            inside, began, first = [], found.end(), line
        # Clang takes controls, and much that is not ASCII, for blanks.
        at_start = at_start and kind == "foreign"
    if inside is not None:
        yield from _finished(text[began:], "".join(inside), first)


def _end(text: str, start: int) -> int:
    """Where the blanks before a piece begin."""
    while start and text[start - 1] in " \t\f\v":
        start -= 1
    return start


def _finished(raw: str, clean: str, line: int) -> Iterator[Directive | Odd]:
    found = re.match(r"[^!-~]*(\w*)([\s\S]*)", clean, re.ASCII)
    assert found is not None
    name, rest = found.groups()
    if _INCLUDING.search(clean) and (odd := _odd_in_name(raw)):
        yield Odd(line, f"#{name}", f"a file's name with {odd} in it")
    if name == "pragma":
        yield from _reaching(rest, line)
    yield Directive(line, name, rest)


def _odd_in_name(raw: str) -> str:
    """The first character that no name in angle brackets may have, if any."""
    found = (_ODD_IN_NAME.search(name.group()) for name in _NAME.finditer(raw))
    return next((odd.group()[-1] for odd in found if odd), "")


def _swallowing(before: str, line: int) -> Iterator[Odd]:
    """A comment over several lines that begins in what may be read as it stands."""
    found = _AS_IT_STANDS.match(before)
    if found:
        yield Odd(line, f"#{found.group().strip()}", "a comment that does not end on its line")


def _operator(text: str, at: int, line: int) -> Iterator[Odd]:
    """``_Pragma``, whose string has to be written out."""
    found = _OPERAND.match(text, at)
    if found is None:
        yield Odd(line, "_Pragma", "a pragma that is not written out")
    else:
        yield from _reaching(re.sub(r"\\(.)", r"\1", found[1]), line)


def _reaching(rest: str, line: int) -> Iterator[Odd]:
    space, name = [*re.findall(r"\w+", rest)[:2], "", ""][:2]
    if why := _NO_PRAGMA.get((space, name)):
        yield Odd(line, f"#pragma {space} {name}", why)


def _joined(text: str) -> str:
    """Lines joined at their splices; the line ends move behind the joined line."""
    out: list[str] = []
    held = at = 0
    for found in [*_SPLICE.finditer(text), None]:
        piece = text[at : found.start() if found else len(text)]
        if held and "\n" in piece:
            first, rest = piece.split("\n", 1)
            piece, held = first + "\n" * (held + 1) + rest, 0
        out.append(piece)
        if found:
            held, at = held + 1, found.end()
    return "".join(out)
