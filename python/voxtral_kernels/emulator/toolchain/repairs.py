"""Conversions that Metal's front end makes and clang refuses, written out at the places where clang misses one.

The types decide, which a translation by words cannot see; so clang is asked. Two of its errors are answered:

* a scalar beside a vector of a narrower type, which Metal converts to the vector's element type (chapter 3);
* ``c ? a : b`` of such a pair, or of one structure in two address spaces, whose value Metal takes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from ..frontend import tokens as tk
from ..frontend.comparisons import template_lists
from ..frontend.tokens import Token

_RANK = "scalar operand type has greater rank"
_CONDITIONAL = "conditional expression is ambiguous|incompatible operand types \\('[^']*__"
_MESSAGE = re.compile(rf"^(.+?):(\d+):(\d+): error: (?:{_RANK}|{_CONDITIONAL})", re.MULTILINE)
_OPERATORS = ("*", "/", "+", "-", "%")
_COMPOUND = ("*=", "/=", "+=", "-=", "%=")
_ROUNDS = 6


def concerns(stderr: str) -> bool:
    """Whether one of the errors is answered here."""
    return _MESSAGE.search(stderr) is not None


def repair(text: str, complaints: Callable[[str], str]) -> str:
    """The text with what is missing; ``complaints`` gives clang's errors on a text, all of them."""
    tokens = tk.tokenize(text, "kernel.metal")
    for _ in range(_ROUNDS):
        text = tk.to_text(tokens)
        errors = {(path, int(line), int(column)) for path, line, column in _MESSAGE.findall(complaints(text))}
        places = [i for place, i in _places(text, tokens) if place in errors]
        inserted = _insertions(tokens, places) if places else {}
        if not inserted:
            break
        tokens = [token for i, old in enumerate(tokens) for token in (*inserted.get(i, ()), old)]
    return text


def _places(text: str, tokens: Sequence[Token]) -> Iterator[tuple[tuple[str, int, int], int]]:
    """Path, line and column, as clang counts them, of each token."""
    path, number, i = "", 0, 0
    for line in text.split("\n"):
        if line.startswith("#line "):
            _, first, path = line.split(" ", 2)
            number, path = int(first), re.sub(r"\\(.)", r"\1", path.strip('"'))
            continue
        at = 0
        while i < len(tokens):
            first = tokens[i].text.split("\n", 1)[0]
            found = line.find(first, at)
            if found < 0 or line[at:found].strip():
                break
            yield (path, number, len(line[:found].encode()) + 1), i
            at = found + len(first)
            i += 1
        number += 1


def _insertions(tokens: Sequence[Token], places: Sequence[int]) -> dict[int, list[Token]]:
    """What is written before which tokens."""
    lists = template_lists(tokens)
    before: dict[int, list[Token]] = {}

    def write(i: int, *written: Token | str) -> None:
        new = (tokens[i].like(t, _kind(t)) if isinstance(t, str) else t for t in written)
        before.setdefault(i, []).extend(new)

    for i in places:
        token = tokens[i]
        if tokens[i + 1].text.startswith("::metal::msl_"):
            continue
        if token.text in _OPERATORS:
            write(i + 1, "::metal::msl_mark", "(", ")", token.text)
        elif token.text in _COMPOUND:
            write(i + 1, "::metal::msl_compound", "(")
            write(_operand_end(tokens, i + 1, lists), ")")
        elif token.text == "?":
            colon = _operand_end(tokens, i + 1, lists)
            end = _operand_end(tokens, colon + 1, lists)
            first, second = tokens[i + 1 : colon], tokens[colon + 1 : end]
            for start, stop, other in ((i + 1, colon, second), (colon + 1, end, first)):
                write(start, "::metal::msl_beside", "<", "decltype", "(", "::metal::msl_either", "(", *other)
                write(start, ")", ")", ">", "(")
                write(stop, ")")
    return before


def _kind(text: str) -> str:
    return tk.IDENTIFIER if text[-1].isalpha() else tk.PUNCTUATOR


def _operand_end(tokens: Sequence[Token], i: int, lists: dict[int, int]) -> int:
    """Index of what ends the operand that starts at ``i``: ``:``, ``,``, ``;`` or a closing bracket."""
    inner = 0  # conditional operators within
    while i < len(tokens):
        text = tokens[i].text
        if text in tk.OPENING:
            i = tk.closing(tokens, i)
        elif i in lists:
            i = lists[i]
        elif text == "?":
            inner += 1
        elif text == ":" and inner:
            inner -= 1
        elif text in (":", ",", ";") or text in tk.CLOSING:
            break
        i += 1
    return i
