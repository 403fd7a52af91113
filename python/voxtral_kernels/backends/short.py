"""A launch's text with short names: MLX copies the whole of it at every launch and hashes it, and names are half of it.

Token by token the text stays what it was: each name that its own file declares gets one short name, everywhere, and no
two get the same. Names of Metal's, and those that MLX spells in what it writes around the text, stay. So do lines.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Collection, Iterator

# What the formatter leaves between a type and the name that it declares is one space; operators have two.
_DECLARED = re.compile(r"(?:\b([A-Za-z_]\w*)|(?<=\S)>)[*&]? (?=([A-Za-z_]\w*)(?:[\[(=;,){:>]| [=:{]|$))", re.MULTILINE)
_NO_TYPES = {"return", "else", "case", "goto", "namespace"}
_DIRECTIVE = re.compile(r"^#.*$", re.MULTILINE)
# A number takes letters, points, and the signs behind an exponent, as the preprocessor sees it.
_TOKEN = re.compile(r'"[^"\n]*"|\.?\d(?:[eEpP][-+]|[\w.])*|[A-Za-z_]\w*|[^\w\s]')
_WORD = re.compile(r"[A-Za-z_]\w*")
_FIRST = string.ascii_letters
_ALONE = set("{}()[];,")
_OPERATORS = set("+-*/%&|^<>=!?:")


def declared(code: str) -> set[str]:
    """The names that a formatted file without comments declares."""
    found = _DECLARED.finditer(_DIRECTIVE.sub("", code))
    return {name for type_, name in (match.groups() for match in found) if type_ not in _NO_TYPES}


def names(texts: Collection[str], own: Collection[str], spelled: Collection[str]) -> dict[str, str]:
    """Name -> short name, for what the texts use; the same for the same texts.

    Args:
        texts: What is compiled as one.
        own: Names that the texts declare.
        spelled: Words that stand around the texts.
    """
    words = Counter(token for text in texts for token in tokens(_DIRECTIVE.sub("", text)) if _WORD.fullmatch(token))
    free = (name for name in _short_names() if name not in words and name not in spelled)
    chosen: dict[str, str] = {}
    for word, _ in sorted(words.items(), key=lambda item: (-item[1], item[0])):
        if len(word) > 2 and word in own and word not in spelled:
            chosen[word] = next(free)
    return chosen


def _short_names() -> Iterator[str]:
    yield from _FIRST
    # No keyword and no name of Metal's has a digit in the second place and ends there.
    yield from (letter + digit for digit in string.digits for letter in _FIRST)
    yield from (letter + digit + more for digit in string.digits for letter in _FIRST for more in _FIRST)


def tokens(code: str) -> list[str]:
    """The tokens of code without comments; operators of several characters as their characters."""
    return _TOKEN.findall(code)


def shortened(text: str, chosen: dict[str, str]) -> str:
    """The text with these names, and spaces where tokens need them; directives and the numbers of lines stay."""
    return "\n".join(line if line.startswith("#") else _line(line, chosen) for line in text.split("\n"))


def _line(line: str, chosen: dict[str, str]) -> str:
    written: list[str] = []
    before, end = "", 0
    for match in _TOKEN.finditer(line):
        token = match[0]
        if match.start() > end and not _separate(before, token):
            written.append(" ")
        written.append(chosen.get(token, token))
        before, end = token, match.end()
    return "".join(written)


def _separate(before: str, token: str) -> bool:
    """Whether two tokens stay two without a space."""
    if not before or before in _ALONE or token in _ALONE:
        return True
    if before in _OPERATORS:
        return token[0].isalnum() or token[0] == "_"
    number = before[0].isdigit() or before[0] == "."
    return token in _OPERATORS and not (number and before[-1] in "eEpP")
