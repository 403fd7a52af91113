"""Declarations that the translator reads: threadgroup variables, instantiations, function constants.

Each reader looks at the tokens from index ``i`` on and returns None where something else stands there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ..errors import KernelError
from . import tokens as tk
from .tokens import Token

STATEMENT_STARTS = {";", "{", "}", ":"}


def fail(at: Token, message: str) -> KernelError:
    return KernelError(f"{at.path}:{at.line}: error: {message}")


def text_at(tokens: Sequence[Token], i: int) -> str:
    return tokens[i].text if 0 <= i < len(tokens) else ""


def type_end(tokens: Sequence[Token], i: int) -> int | None:
    """Index behind the type that starts at ``i``: words, ``::`` and template lists."""
    if text_at(tokens, i) == "typename":
        i += 1
    if text_at(tokens, i) == "::":
        i += 1
    word = text_at(tokens, i)
    if not word or tokens[i].kind != tk.IDENTIFIER or word in ("struct", "class", "union"):
        return None
    while text_at(tokens, i) in ("unsigned", "signed") and text_at(tokens, i + 1) in ("char", "short", "int", "long"):
        i += 1
    i += 1
    while True:
        following = text_at(tokens, i)
        if following == "<":
            close = tk.closing_angle(tokens, i)
            if close is None:
                return None
            i = close + 1
        elif following == "::":
            i += 3 if text_at(tokens, i + 1) == "template" else 2
        elif following == "const":
            i += 1
        else:
            return i


class Variables(NamedTuple):
    """``threadgroup T a[N], b;`` An initialiser is dropped, as Apple's compiler ignores it."""

    before: int  # qualifiers that stand before the word threadgroup
    type_: list[Token]
    declarators: list[list[Token]]  # name and array bounds
    alignment: list[Token]
    end: int


def threadgroup_variables(tokens: Sequence[Token], i: int) -> Variables | None:
    """None where ``threadgroup`` qualifies a pointer, a reference, a parameter or a function's type."""
    start = i
    while text_at(tokens, start - 1) in ("const", "volatile", "static", "constexpr"):
        start -= 1
    if start == 0 or (tokens[start - 1].text not in STATEMENT_STARTS and tokens[start - 1].kind != tk.DIRECTIVE):
        return None
    j = i + 1
    alignment: list[Token] = []
    while text_at(tokens, j) in ("const", "volatile", "alignas"):
        if text_at(tokens, j) == "alignas":
            close = tk.closing(tokens, j + 1)
            alignment, j = list(tokens[j : close + 1]), close
        j += 1
    name = type_end(tokens, j)
    if name is None or name >= len(tokens) or tokens[name].kind != tk.IDENTIFIER:
        return None
    end = name
    while end < len(tokens) and text_at(tokens, end) != ";":
        end = tk.closing(tokens, end) + 1 if text_at(tokens, end) in tk.OPENING else end + 1
    declarators = [_without_value(d) for d in tk.split_commas(tokens[name:end])]
    if any(text_at(d, 1) == "(" for d in declarators):
        return None
    for name_token, *array in declarators:
        if name_token.kind != tk.IDENTIFIER or text_at(array, 0) not in ("", "["):
            raise fail(name_token, "a threadgroup variable is a name, with array bounds")
    return Variables(i - start, list(tokens[j:name]), declarators, alignment, end + 1)


def _without_value(declarator: Sequence[Token]) -> list[Token]:
    """A declarator up to its ``= value`` or ``{value}``."""
    end = next((i for i, t in enumerate(declarator) if t.text in ("=", "{")), len(declarator))
    return list(declarator[:end])


def namespaces(tokens: Sequence[Token]) -> list[tuple[int, int, str]]:
    """Where each named namespace's braces open and close, and its name."""
    found = []
    for i, token in enumerate(tokens):
        if token.text != "namespace" or text_at(tokens, i - 1) == "using":
            continue
        brace = i + 1
        while brace < len(tokens) and (tokens[brace].kind == tk.IDENTIFIER or tokens[brace].text == "::"):
            brace += 1
        if brace > i + 1 and text_at(tokens, brace) == "{":
            name = "".join(t.text for t in tokens[i + 1 : brace])
            found.append((brace, tk.closing(tokens, brace), name))
    return found


class Instantiation(NamedTuple):
    """``template [[host_name("x")]] [[kernel]] decltype(f<T>) f<T>;`` and its form with parameters."""

    host_name: str
    template_id: list[Token]
    parameters: list[Token]  # between the parentheses, where there are any
    end: int


def instantiation(tokens: Sequence[Token], i: int) -> Instantiation | None:
    if text_at(tokens, i + 1) != "[":
        return None
    j, name = i + 1, ""
    while text_at(tokens, j) == "[":
        close = tk.closing(tokens, j)
        for k in range(j, close):
            if text_at(tokens, k) == "host_name":
                stop = tk.closing(tokens, k + 1)
                name = "".join(t.text.strip('"') for t in tokens[k + 2 : stop])
        j = close + 1
    if text_at(tokens, j) == "kernel":
        j += 1
    start = j = tk.closing(tokens, j + 1) + 1 if text_at(tokens, j) == "decltype" else j + 1
    while j < len(tokens) and text_at(tokens, j) not in (";", "("):
        j = (tk.closing_angle(tokens, j) or j) + 1 if text_at(tokens, j) == "<" else j + 1
    if not name or j >= len(tokens):
        raise fail(tokens[i], "an explicit instantiation of a kernel has a host_name")
    template_id = list(tokens[start:j])
    parameters = list(tokens[j + 1 : tk.closing(tokens, j)]) if text_at(tokens, j) == "(" else []
    while text_at(tokens, j) != ";":
        j = tk.closing(tokens, j) + 1 if text_at(tokens, j) in tk.OPENING else j + 1
    return Instantiation(name, template_id, parameters, j + 1)


class FunctionConstant(NamedTuple):
    """``constant T name [[function_constant(n)]];``"""

    before: int  # qualifiers that stand before the word constant
    type_: str
    name: str
    number: int
    end: int


def function_constant(tokens: Sequence[Token], i: int) -> FunctionConstant | None:
    qualifiers = ("static", "constexpr", "const", "inline")
    before, start = 0, i + 1
    while text_at(tokens, i - 1 - before) in qualifiers:
        before += 1
    while text_at(tokens, start) in qualifiers:
        start += 1
    end = type_end(tokens, start)
    if end is None or text_at(tokens, end + 1) != "[" or text_at(tokens, end + 3) != "function_constant":
        return None
    name, close = tokens[end], tk.closing(tokens, end + 4)
    number = "".join(t.text for t in tokens[end + 5 : close])
    # The number may be a sum that macros made.
    if not re.fullmatch(r"[\d()+*-]*\d[\d()+*-]*", number) or text_at(tokens, close + 3) != ";":
        raise fail(name, "a function constant has a number and no value of its own")
    type_ = " ".join(t.text for t in tokens[start:end])
    return FunctionConstant(before, type_, name.text, whole(number, name), close + 4)


def whole(expression: str, at: Token) -> int:
    """The value of a sum of products of whole numbers, ``(`` and ``)`` among them; octal as in C."""
    pieces = re.findall(r"\d+|[-+*()]", expression)
    at_piece = 0

    def primary() -> int:
        nonlocal at_piece
        piece = pieces[at_piece] if at_piece < len(pieces) else ""
        at_piece += 1
        if piece == "(":
            value = total()
            at_piece += 1
            return value
        if piece in ("+", "-"):
            return primary() * (1 if piece == "+" else -1)
        if not piece.isdigit() or len(piece) > 10:
            raise fail(at, "a function constant has a number and no value of its own")
        return int(piece, 8 if re.fullmatch("0[0-7]+", piece) else 10)

    def product() -> int:
        nonlocal at_piece
        value = primary()
        while pieces[at_piece : at_piece + 1] == ["*"]:
            at_piece += 1
            value *= primary()
        return value

    def total() -> int:
        nonlocal at_piece
        value = product()
        while pieces[at_piece : at_piece + 1] in (["+"], ["-"]):
            sign = 1 if pieces[at_piece] == "+" else -1
            at_piece += 1
            value += sign * product()
        return value

    value = total() if len(pieces) < 64 else -1
    if at_piece < len(pieces) or not 0 <= value < 65536:
        raise fail(at, f"the number of a function constant is from 0 to 65535, not {expression}")
    return value


def type_names(tokens: Sequence[Token]) -> dict[str, bool]:
    """Names that may stand for a vector, and whether a template list follows them.

    They are types that are parameters of a template, ``using V = vec<T, 2>`` or a dependent type, templates of names.
    """
    names = {}
    for i, token in enumerate(tokens):
        parameter = token.text in ("typename", "class") and text_at(tokens, i - 1) in ("<", ",")
        if parameter and text_at(tokens, i + 2) in (",", ">", "="):
            names[text_at(tokens, i + 1)] = False
        if token.text != "using" or text_at(tokens, i + 2) != "=":
            continue
        start = i + 4 if text_at(tokens, i + 3) == "::" else i + 3
        start += 2 if text_at(tokens, start) == "metal" else 0
        if text_at(tokens, i - 1) == ">":
            names.setdefault(text_at(tokens, i + 1), True)
        elif text_at(tokens, start) in ("vec", "typename"):
            names[text_at(tokens, i + 1)] = False
    return names


def braced_arguments(tokens: Sequence[Token]) -> set[int]:
    """The braces of ``f({a, b})`` that hold no others."""
    found: set[int] = set()
    open_: list[int] = []
    for i, token in enumerate(tokens):
        if token.kind != tk.PUNCTUATOR:
            continue
        if token.text in tk.OPENING:
            if token.text == "{":
                found -= set(open_)
                argument = open_ and tokens[open_[-1]].text == "(" and text_at(tokens, i - 1) in ("(", ",")
                found |= {i} if argument else set()
            open_.append(i)
        elif token.text in tk.CLOSING:
            open_.pop()
    return found


def function_parameters(tokens: Sequence[Token]) -> set[int]:
    """The ``*`` of each ``template <void (*f)(...)>`` and of each name for such a type.

    clang's dialect takes functions as template arguments by reference only.
    """
    found = {i + 5 for i in range(len(tokens)) if _names_function_type(tokens, i)}
    for start, token in enumerate(tokens):
        if token.text != "template" or text_at(tokens, start + 1) != "<":
            continue
        for i in range(start + 2, tk.closing_angle(tokens, start + 1) or start):
            shape = [text_at(tokens, k) for k in (i - 1, i, i + 2, i + 3)]
            if shape == ["(", "*", ")", "("] and tokens[i + 1].kind == tk.IDENTIFIER:
                found.add(i)
    return found


def _names_function_type(tokens: Sequence[Token], i: int) -> bool:
    """``using F = void (*)(...)``."""
    if text_at(tokens, i) != "using" or text_at(tokens, i + 2) != "=":
        return False
    return [text_at(tokens, k) for k in range(i + 4, i + 8)] == ["(", "*", ")", "("]


def is_function_argument(tokens: Sequence[Token], i: int) -> bool:
    """Whether ``i`` is the ``&`` of a template argument ``<..., &name>``."""
    around = text_at(tokens, i - 1) in ("<", ",") and text_at(tokens, i + 2) in (",", ">")
    if not around or text_at(tokens, i) != "&" or tokens[i + 1].kind != tk.IDENTIFIER:
        return False
    depth = lists = 0
    for token in reversed(tokens[:i]):
        if token.text in tk.CLOSING:
            depth += 1
        elif token.text in tk.OPENING:
            depth -= 1
        elif depth == 0 and token.text in (">", "<"):
            lists += 1 if token.text == ">" else -1
        if depth < 0 or token.text == ";":
            return False
        if lists < 0:
            return True
    return False
