"""Which ``<``, ``>``, ``==`` ... of a text may compare vectors.

A comparison of vectors gives integers in clang's dialect, Boolean vectors in Metal, and nothing in the host's language
can overload it. So the translator writes ``a < msl_rhs() << b`` for ``a < b``: ``<<`` binds looser than what an operand
of a comparison may hold and tighter than the comparison, and marks the right operand for an overload (compare.h).

It does so where the value may be a vector: not where the language asks for a scalar (the condition of a statement, a
subscript, a variable of type bool), which spares the compiler most of the overloads.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence

from . import tokens as tk
from .declarations import STATEMENT_STARTS, text_at
from .tokens import Token

_COMPARISONS = frozenset(("<", ">", "<=", ">=", "==", "!="))
# Templates of the library that are followed by their arguments.
_LIBRARY = re.compile(
    r"(static|const|reinterpret|dynamic)_cast|as_type|vec|array|atomic|_atomic|uniform|(simdgroup_)?matrix|"
    r"make_(filled|diagonal)_simdgroup_matrix|numeric_limits|array_ref|(packed|bool)_vec|decay(_t)?|declval|"
    r"(is|has|add|remove|make|enable|rank|extent|common|underlying)_\w+|_?(conjunction|disjunction|negation)(_v)?|"
    r"conditional(_t)?|(integral|bool)_constant|(rank|extent)|(texture|depth)\w+|msl_\w+|access|integer_sequence|"
    r"index_sequence|pair|tuple|coherent|vec_elements|_numeric_limits_impl"
)
_SCALAR_HEADS = ("if", "while", "for", "switch", "static_assert", "alignas", "constexpr")


def template_lists(tokens: Sequence[Token]) -> dict[int, int]:
    """The ``<`` that open lists of template parameters or arguments, with the index of their ``>``."""
    names = _template_names(tokens)
    lists: dict[int, int] = {}
    for i, token in enumerate(tokens):
        if token.text == "<" and token.kind == tk.PUNCTUATOR and _opens_list(tokens, i, names):
            close = _list_end(tokens, i, names)
            if close is not None:
                lists[i] = close
    return lists


def _opens_list(tokens: Sequence[Token], i: int, names: Container[str]) -> bool:
    before = text_at(tokens, i - 1)
    if before == "template" or text_at(tokens, i - 2) == "template":
        return True
    if i == 0 or tokens[i - 1].kind != tk.IDENTIFIER:
        return False
    if before in names or _LIBRARY.fullmatch(before):
        return True
    close = tk.closing_angle(tokens, i)
    return close is not None and text_at(tokens, close + 1) == "::"


def _list_end(tokens: Sequence[Token], open_: int, names: Container[str]) -> int | None:
    """The ``>`` of a list; unlike `tk.closing_angle` it knows that this is one, so that ``&&`` may stand in it."""
    i = open_ + 1
    while i < len(tokens):
        token = tokens[i]
        if token.kind == tk.PUNCTUATOR:
            if token.text == ">":
                return i
            if token.text in (";", "{", ")", "]", "}"):
                return None
            if token.text in ("(", "["):
                i = tk.closing(tokens, i)
            elif token.text == "<" and _opens_list(tokens, i, names):
                i = _list_end(tokens, i, names) or i
        i += 1
    return None


def _template_names(tokens: Sequence[Token]) -> set[str]:
    """What the text itself declares as a template."""
    names: set[str] = set()
    for i, token in enumerate(tokens):
        if token.text != "template" or text_at(tokens, i + 1) != "<":
            continue
        at = _list_end(tokens, i + 1, names)
        name = ""
        while at is not None and at + 1 < len(tokens):
            at += 1
            text = tokens[at].text
            if text in ("__attribute__", "alignas", "decltype"):
                at = tk.closing(tokens, at + 1)
            elif tokens[at].kind == tk.IDENTIFIER:
                name = text
            elif text == "[":
                at = tk.closing(tokens, at)
            elif text == "<" and _opens_list(tokens, at, names):
                at = _list_end(tokens, at, names) or at
            elif text in ("(", "{", ";", "=", "<") or (text == ":" and name):
                break
        names.add(name)
    return names - {""}


def vector_comparisons(tokens: Sequence[Token]) -> set[int]:
    """Indices of the comparison operators whose operands may be vectors."""
    lists = template_lists(tokens)
    ends = set(lists.values())
    found: set[int] = set()
    # Of the open brackets and lists: which it is, and whether the language asks for a scalar there.
    open_ = [("{", False)]
    for i, token in enumerate(tokens):
        if token.kind == tk.PUNCTUATOR:
            if i in lists:
                open_.append(("<", True))
            elif token.text in tk.OPENING:
                open_.append((token.text, _asks_for_scalar(tokens, i, open_[-1][1])))
            elif token.text in tk.CLOSING or i in ends:
                open_.pop()
            elif token.text == ";" and open_[-1][0] == "{":
                open_[-1] = ("{", False)
            elif not open_[-1][1] and _is_comparison(tokens, i):
                found.add(i)
        elif token.text == "bool" and _declares_bool(tokens, i):
            open_[-1] = (open_[-1][0], True)
    return found


def _is_comparison(tokens: Sequence[Token], i: int) -> bool:
    token, before, after = tokens[i], text_at(tokens, i - 1), text_at(tokens, i + 1)
    if token.text not in _COMPARISONS or before in ("operator", "...") or after == "...":
        return False
    # `>>` and `>>=` come as single characters.
    joined = after in (">", ">=") and not tokens[i + 1].space
    return not (token.text == ">" and joined) and not (token.text in (">", ">=") and before == ">" and not token.space)


def _asks_for_scalar(tokens: Sequence[Token], open_: int, outer: bool) -> bool:
    """Whether what stands directly in the bracket has to be a scalar."""
    if tokens[open_].text != "(" or open_ == 0:
        return tokens[open_].text == "["
    before = tokens[open_ - 1]
    if before.text in _SCALAR_HEADS:
        return True
    grouping = before.kind == tk.PUNCTUATOR and before.text not in (")", "]", ">")
    return grouping and outer and text_at(tokens, tk.closing(tokens, open_) + 1) not in (".", "[", "->")


def _declares_bool(tokens: Sequence[Token], i: int) -> bool:
    """``bool name =`` at the start of a statement, with qualifiers before it."""
    if i + 2 >= len(tokens) or tokens[i + 1].kind != tk.IDENTIFIER or tokens[i + 2].text != "=":
        return False
    start = i - 1
    while text_at(tokens, start) in ("const", "constexpr", "static", "thread", "constant", "inline"):
        start -= 1
    return start < 0 or text_at(tokens, start) in STATEMENT_STARTS or tokens[start].kind == tk.DIRECTIVE
