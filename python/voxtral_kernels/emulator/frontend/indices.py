"""Indices in attributes that are no plain number: enumerators, constants, and sums of them.

Metal takes any constant expression there; headers that host and kernel share name their buffers by an ``enum``. What
cannot be told stays as it is, and is refused where the number is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ..errors import KernelError
from . import tokens as tk
from .declarations import text_at, whole
from .tokens import Token

_INDEXED = ("buffer", "threadgroup", "function_constant", "texture", "sampler")
_CASTS = ("int", "uint", "short", "ushort", "char", "uchar", "long", "ulong", "size_t")
_NUMBER = re.compile(r"(0[xX][0-9a-fA-F]+|0[bB][01]+|[0-9]+)[uUlL]{0,3}")


def resolved(tokens: list[Token]) -> list[Token]:
    """The same text with a number in place of each index that is an expression."""
    spots = [(first, end) for first, end in _spots(tokens) if end - first != 1 or not tokens[first].text.isdigit()]
    if not spots:
        return tokens
    values = _constants(tokens)
    out, done = [], 0
    for first, end in spots:
        value = _value(tokens[first:end], values)
        if value is not None:
            out += [*tokens[done:first], tokens[first].like(str(value), tk.NUMBER)]
            done = end
    return out + tokens[done:]


def _spots(tokens: Sequence[Token]) -> Iterator[tuple[int, int]]:
    """Where the arguments of such attributes begin and end."""
    for i, token in enumerate(tokens):
        if token.text not in _INDEXED or text_at(tokens, i + 1) != "(" or not _is_attribute(tokens, i):
            continue
        yield i + 2, tk.closing(tokens, i + 1)


def _is_attribute(tokens: Sequence[Token], i: int) -> bool:
    before = (text_at(tokens, i - 2), text_at(tokens, i - 1))
    return before == ("[", "[") or (before[1] == "," and text_at(tokens, tk.closing(tokens, i + 1) + 1) in ("]", ","))


def _constants(tokens: Sequence[Token]) -> dict[str, int]:
    """Enumerators, with and without the name of their ``enum``, and constants of whole numbers."""
    values: dict[str, int] = {}
    for i, token in enumerate(tokens):
        if token.text == "enum":
            _add_enumerators(tokens, i, values)
        elif token.text == "=" and i and tokens[i - 1].kind == tk.IDENTIFIER and _is_constant(tokens, i):
            end = next((j for j in range(i, min(i + 64, len(tokens))) if tokens[j].text in (";", ",")), i)
            value = _value(tokens[i + 1 : end], values)
            if value is not None:
                values.setdefault(tokens[i - 1].text, value)
    return values


def _is_constant(tokens: Sequence[Token], i: int) -> bool:
    words = []
    for token in reversed(tokens[max(0, i - 8) : i]):
        if token.text in (";", "{", "}", ")"):
            break
        words.append(token.text)
    return bool({"constexpr", "constant"} & set(words))


def _add_enumerators(tokens: Sequence[Token], i: int, values: dict[str, int]) -> None:
    open_ = next((j for j in range(i, min(i + 12, len(tokens))) if tokens[j].text in ("{", ";", ")")), i)
    if text_at(tokens, open_) != "{":
        return
    is_scoped = text_at(tokens, i + 1) in ("class", "struct")
    name = text_at(tokens, i + 1 + is_scoped)
    following: int | None = 0
    for part in filter(None, tk.split_commas(tokens[open_ + 1 : tk.closing(tokens, open_)])):  # a comma may come last
        equals = next((j for j, t in enumerate(part) if t.text == "="), None)
        value = following if equals is None else _value(part[equals + 1 :], values)
        following = None if value is None else value + 1
        if value is not None:
            values[f"{name}::{part[0].text}"] = value
            if not is_scoped:
                values[part[0].text] = value


def _value(expression: Sequence[Token], values: Mapping[str, int]) -> int | None:
    """Of a sum of products of numbers and names; None for any other."""
    text, i = "", 0
    while i < len(expression):
        token = expression[i]
        name, behind = token.text, i + 1
        while text_at(expression, behind) == "::" and behind + 1 < len(expression):
            name, behind = f"{name}::{expression[behind + 1].text}", behind + 2
        number = _NUMBER.fullmatch(token.text)
        if number:
            digits = number[1]
            text += str(int(digits, 8 if re.fullmatch("0[0-7]+", digits) else 10 if digits.isdigit() else 0))
        elif name in values:
            text += f"({values[name]})"
        elif token.text in tuple("+-*()"):
            text += token.text
        elif not (token.text in _CASTS and text_at(expression, i + 1) == "("):
            return None
        i = behind
    try:
        return whole(text, expression[0]) if text else None
    except (KernelError, ValueError):
        return None
