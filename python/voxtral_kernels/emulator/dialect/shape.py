"""Shapes of MSL text that need no parser: macros, attributes, declarators, whether a statement declares something."""

from __future__ import annotations

from collections.abc import Sequence

from ..frontend.tokens import DIRECTIVE, IDENTIFIER, PUNCTUATOR, Token, closing, closing_angle, directive, split_commas


def names(text: str) -> frozenset[str]:
    """The words of a string, for the long lists of this package."""
    return frozenset(text.split())


SPACES = frozenset(("device", "constant", "threadgroup", "thread", "ray_data", "object_data", "threadgroup_imageblock"))
SPECIFIERS = SPACES | names(
    "static const constexpr volatile unsigned signed extern register thread_local inline typename mutable coherent"
)
_NOT_A_DECLARATION = names(
    "return break continue goto throw delete new using typedef static_assert sizeof friend asm template namespace "
    "case default else if for while do switch try catch public private protected operator this not co_await"
)


def expand(tokens: Sequence[Token]) -> list[Token]:
    """Drops directives and ``_Pragma``, expands object-like macros, removes calls of the others that start a line."""
    objects: dict[str, list[Token]] = {}
    calls: set[str] = set()
    out: list[Token] = []
    i = 0
    while i < len(tokens):
        token = tokens[i]
        if token.kind == DIRECTIVE:
            _define(token, objects, calls)
        elif token.kind == IDENTIFIER and (
            token.text == "_Pragma" or (token.text in calls and _starts_line(tokens, i))
        ):
            if i + 1 < len(tokens) and tokens[i + 1].text == "(":
                i = closing(tokens, i + 1)
        elif token.kind == IDENTIFIER and token.text in objects:
            out.extend(t._replace(path=token.path, line=token.line) for t in objects[token.text])
        else:
            out.append(token)
        i += 1
    return out


def _starts_line(tokens: Sequence[Token], i: int) -> bool:
    return i == 0 or tokens[i - 1].line < tokens[i].line or tokens[i - 1].kind == DIRECTIVE


def _define(token: Token, objects: dict[str, list[Token]], calls: set[str]) -> None:
    if not token.text.lstrip("# \t").startswith("define"):
        return
    name, *body = directive(token).tokens
    if body and body[0].text == "(" and not body[0].space:
        calls.add(name.text)
    elif name.text not in objects:  # of the branches of an #if, the first
        expanded = [t for b in body for t in ([b] if b.text == name.text else objects.get(b.text, [b]))]
        objects[name.text] = [] if any(t.text == "_Pragma" for t in expanded) else expanded


def angle_end(tokens: Sequence[Token], start: int, end: int) -> int:
    """Index of the ``>`` that closes the template list known to open at ``start``; ``start`` itself if none does."""
    depth, i = 0, start
    while i < end:
        text = tokens[i].text if tokens[i].kind == PUNCTUATOR else ""
        if text in ("(", "[", "{"):
            i = closing(tokens, i)
        elif text == "<":
            depth += 1
        elif text == ">":
            depth -= 1
            if depth == 0:
                return i
        elif text == ";":
            break
        i += 1
    return start


def attributes(tokens: Sequence[Token]) -> list[list[Token]]:
    """What stands in each ``[[ ]]``, comma by comma."""
    found: list[list[Token]] = []
    for i in range(len(tokens) - 1):
        if tokens[i].text == "[" and tokens[i + 1].text == "[" and not tokens[i + 1].space:
            found.extend(split_commas(tokens[i + 2 : closing(tokens, i + 1)]))
    return found


def without_attributes(tokens: Sequence[Token]) -> list[Token]:
    """The tokens that stand in no ``[[ ]]``."""
    out: list[Token] = []
    i = 0
    while i < len(tokens):
        if tokens[i].text == "[" and i + 1 < len(tokens) and tokens[i + 1].text == "[" and not tokens[i + 1].space:
            i = closing(tokens, i)
        else:
            out.append(tokens[i])
        i += 1
    return out


def declared(tokens: Sequence[Token]) -> list[Token]:
    """Specifiers and declarators without attributes, initialisers, bit widths or the range of a ``for``."""
    out: list[Token] = []
    tokens = without_attributes(tokens)
    i = 0
    while i < len(tokens):
        text = tokens[i].text
        if text in ("=", ":", "{") and tokens[i].kind == PUNCTUATOR:
            while i < len(tokens) and tokens[i].text != ",":
                stop = closing_angle(tokens, i) if tokens[i].text == "<" else None
                i = closing(tokens, i) + 1 if tokens[i].text in ("(", "[", "{") else (stop or i) + 1
            continue
        stop = angle_end(tokens, i, len(tokens)) if text == "<" else i
        stop = closing(tokens, i) if text in ("(", "[") else stop
        out.extend(tokens[i : stop + 1])
        i = stop + 1
    return out


def type_end(tokens: Sequence[Token], i: int) -> int:
    """Index after the type name at ``i`` (``a::b<c>::d``, ``decltype(x)``); ``i`` if there is none."""
    while i < len(tokens) and tokens[i].kind == IDENTIFIER:
        i += 1
        if i < len(tokens) and tokens[i - 1].text == "decltype" and tokens[i].text == "(":
            return closing(tokens, i) + 1
        if i < len(tokens) and tokens[i].text == "<":
            stop = angle_end(tokens, i, len(tokens))
            if stop == i:
                return i
            i = stop + 1
        if i >= len(tokens) or tokens[i].text != "::":
            break
        i += 2 if i + 1 < len(tokens) and tokens[i + 1].text == "template" else 1
    return i


def is_declaration(tokens: Sequence[Token]) -> bool:
    """Whether a statement declares variables, by its shape: specifiers, a type name, a declarator."""
    tokens = without_attributes(tokens)
    if not tokens or tokens[0].kind != IDENTIFIER or tokens[0].text in _NOT_A_DECLARATION:
        return False
    i = 0
    while i < len(tokens) and tokens[i].text in SPECIFIERS:
        i += 1
    certain = i > 0
    after = type_end(tokens, i)
    if after == i:
        return certain
    i = after
    while i < len(tokens) and tokens[i].text in SPECIFIERS:
        certain, i = True, i + 1
    pointer = False
    while i < len(tokens) and (tokens[i].text in ("*", "&", "&&") or tokens[i].text in SPECIFIERS):
        pointer, i = True, i + 1
    if i < len(tokens) and tokens[i].kind == IDENTIFIER:
        following = tokens[i + 1].text if i + 1 < len(tokens) else ";"
        return certain or not pointer or following in ("=", ";", ",", "[", "{", ":")
    return certain
