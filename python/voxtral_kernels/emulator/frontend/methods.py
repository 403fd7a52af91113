"""What classes need beside their own text, because clang's address spaces are stricter or looser than Metal's.

``thread_methods``: a method's object is in ``thread``, unless the text says otherwise. clang's dialect would let a
method without a qualifier take objects from anywhere, Metal takes ``thread`` objects only. Constructors, operators and
conversions stay open: clang keeps temporaries in no address space at all.

``constant_copies``: an object in ``constant`` can be copied, which clang's implicit copy constructor cannot.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from . import tokens as tk
from .declarations import text_at
from .tokens import Token

_SUFFIXES = ("const", "volatile", "noexcept")
_SPACES = ("thread", "device", "threadgroup", "constant")


def thread_methods(tokens: Sequence[Token]) -> dict[int, str]:
    """Tokens where a method's space is decided.

    The last token of a declarator that says nothing, and the space that belongs behind it; "": a ``thread`` that goes.
    A const method gets MSL_METHOD_SPACE (keywords.h), which some texts need open, as temporaries are in no space.
    """
    partner = tk.brackets(tokens)
    decided: dict[int, str] = {}
    declared: set[tuple[str, str]] = set()  # class and method that got `thread`
    classes: list[str | None] = []  # of the open braces: a class's name, or None
    for i, token in enumerate(tokens):
        if token.kind != tk.PUNCTUATOR:
            continue
        if token.text == "{":
            classes.append(_class_name(tokens, i))
        elif token.text == "}":
            classes.pop()
        elif token.text == ")" and classes and (name := classes[-1]) is not None:
            _decide(tokens, partner[i], i, name, decided)
            if any(decided.get(end) for end in range(i, i + 3)):
                declared.add((name, text_at(tokens, partner[i] - 1)))
        elif token.text == ")" and not any(classes):
            _decide_outside(tokens, partner[i], i, declared, decided)
    return decided


def _decide_outside(
    tokens: Sequence[Token], open_: int, close: int, declared: set[tuple[str, str]], decided: dict[int, str]
) -> None:
    """``void S::f() {`` follows what the class says of f."""
    head = _head(tokens, open_)
    if "::" not in head:
        return
    end = close
    while text_at(tokens, end + 1) in _SUFFIXES:
        end += 1
    if text_at(tokens, end + 1) == "thread" and ("operator" in head or head[-1] in head[:-1]):
        decided[end + 1] = ""
    elif text_at(tokens, end + 1) == "{" and any((owner, head[-1]) in declared for owner in head):
        constant = any(text_at(tokens, i) == "const" for i in range(close + 1, end + 1)) and "thread" not in head
        decided[end] = "MSL_METHOD_SPACE" if constant else "thread"


def constant_copies(tokens: Sequence[Token]) -> dict[int, str]:
    """Opening braces of classes, and the declarations that belong behind them."""
    partner = tk.brackets(tokens)
    added: dict[int, str] = {}
    for i, token in enumerate(tokens):
        if token.text != "{" or not (name := _class_name(tokens, i)) or text_at(tokens, _keyword(tokens, i)) == "union":
            continue
        members = list(_members(tokens, partner, i))
        constructors = [j for j in members if _is_constructor(tokens, j, name)]
        opened = [_parameters(tokens, j) for j in constructors]
        parameters = [[t.text for t in tokens[p + 1 : partner[p]]] for p in opened]
        if any("&" in words and name in words for words in parameters):
            continue  # copies as its author says
        default = "" if constructors else f"{name}() = default; "
        added[i] = f"{default}{name}(const {name}&) = default; {name}(const constant {name}&) = default;"
        if not any(text_at(tokens, j) == "operator" and text_at(tokens, j + 1) == "=" for j in members):
            added[i] += f" MSL_ASSIGNED_FROM_CONSTANT({name})"
    return added


def repeated_members(tokens: Sequence[Token]) -> dict[int, int]:
    """``constant constexpr float S<4>::table[8];``: start and end of what only says again that S has a table.

    clang's dialect wants a value of everything in ``constant``.
    """
    found: dict[int, int] = {}
    start = 0
    for i, token in enumerate(tokens):
        if token.kind == tk.DIRECTIVE or token.text in ("{", "}", ";"):
            words = [t.text for t in tokens[start:i]]
            bare = words[: words.index("[")] if "[" in words else words
            valued = {"=", "("} & set(words)
            if token.text == ";" and {"constexpr", "constant"} <= set(bare) and bare[-2:-1] == ["::"] and not valued:
                found[start] = i + 1
            start = i + 1
    return found


def function_bodies(tokens: Sequence[Token]) -> set[int]:
    """Indices of the tokens that stand in the body of a function."""
    partner = tk.brackets(tokens)
    inside: set[int] = set()
    i = 0
    while i < len(tokens):
        if tokens[i].text == "{":
            before = i - 1
            while text_at(tokens, before) in (*_SUFFIXES, *_SPACES):
                before -= 1
            body = text_at(tokens, before) == ")" or _is_after_initialisers(tokens, i)
            if body and _class_name(tokens, i) is None:
                inside.update(range(i, partner[i]))
                i = partner[i]
        i += 1
    return inside


def array_parameters(tokens: Sequence[Token], bodies: Container[int]) -> dict[int, str]:
    """``thread`` before a parameter ``T x[4]`` that names no address space: without one clang deduces no T."""
    found: dict[int, str] = {}
    for i, token in enumerate(tokens):
        named = token.text == "[" and text_at(tokens, i + 1) != "[" and tokens[i - 1].kind == tk.IDENTIFIER
        if not named or i in bodies:
            continue
        start, depth = i - 1, 0
        while start and (depth or tokens[start - 1].kind == tk.IDENTIFIER or tokens[start - 1].text in ("::", ">")):
            start -= 1
            depth += (tokens[start].text == ">") - (tokens[start].text == "<")
        words = {t.text for t in tokens[start:i]}
        if start < i - 1 and text_at(tokens, start - 1) in ("(", ",") and not words & {*_SPACES, "typename", "class"}:
            found[start - 1] = "thread"
    return found


def _is_after_initialisers(tokens: Sequence[Token], brace: int) -> bool:
    """``S(int n) : n{n} {``: the brace of a constructor's body."""
    return text_at(tokens, brace - 1) == "}" and ":" in _head(tokens, brace - 1)


def _members(tokens: Sequence[Token], partner: Sequence[int], brace: int) -> Iterator[int]:
    """Indices of the tokens that stand directly in a class's body."""
    i = brace + 1
    while i < partner[brace]:
        yield i
        i = partner[i] + 1 if tokens[i].text in tk.OPENING else i + 1


def _is_constructor(tokens: Sequence[Token], i: int, name: str) -> bool:
    if text_at(tokens, i) != name or text_at(tokens, i - 1) == "~":
        return False
    return text_at(tokens, _parameters(tokens, i)) == "("


def _parameters(tokens: Sequence[Token], i: int) -> int:
    """Where the parameters of a constructor that is named at ``i`` open: ``S(`` and ``S<T>(``."""
    close = tk.closing_angle(tokens, i + 1) if text_at(tokens, i + 1) == "<" else None
    return i + 1 if close is None else close + 1


def _keyword(tokens: Sequence[Token], brace: int) -> int:
    """Where the word struct, class or union of a class body stands."""
    i = brace
    while text_at(tokens, i) not in ("struct", "class", "union"):
        i -= 1
    return i


def _decide(tokens: Sequence[Token], open_: int, close: int, class_name: str, decided: dict[int, str]) -> None:
    end = close
    while text_at(tokens, end + 1) in _SUFFIXES:
        end += 1
    following = text_at(tokens, end + 1)
    space = end + 1 if following in _SPACES else None
    if space is not None:
        following = text_at(tokens, end + 2)
        following = text_at(tokens, end + 3) if following in _SUFFIXES else following
    if following not in ("{", ";", ":") or text_at(tokens, open_ - 1) == "static_assert":
        return
    head = _head(tokens, open_)
    access = ("public", "private", "protected")
    if any(word == ":" and head[i - 1] not in access for i, word in enumerate(head)):
        return  # a constructor's initialisers
    before = head[: head.index("operator")] if "operator" in head else []
    if "thread" in before and "&" in before:  # what refers to the object's memory: the object is in `thread` too
        if space is None:
            decided[end] = "thread"
        return
    open_ended = class_name in (text_at(tokens, open_ - 1), "") or "operator" in head
    if space is not None:
        if (following == ":" or open_ended) and text_at(tokens, space) == "thread":
            decided[space] = ""
    elif following != ":" and not open_ended and not {"static", "friend"} & set(head) and len(head) > 1:
        constant = any(text_at(tokens, i) == "const" for i in range(close + 1, end + 1)) and "thread" not in head
        decided[end] = "MSL_METHOD_SPACE" if constant else "thread"


def _head(tokens: Sequence[Token], open_: int) -> list[str]:
    """The words from the start of the declaration to its parenthesis."""
    start = open_
    while start > 0 and text_at(tokens, start - 1) not in (";", "{", "}"):
        start -= 1
    return [t.text for t in tokens[start:open_]]


def _class_name(tokens: Sequence[Token], brace: int) -> str | None:
    """The name of the class whose body opens at ``brace``; None for another block."""
    i = brace - 1
    while i >= 0 and text_at(tokens, i) not in (";", "{", "}") and tokens[i].kind != tk.DIRECTIVE:
        if text_at(tokens, i) == ")":
            i = _opening(tokens, i)
        elif text_at(tokens, i) in ("struct", "class", "union") and text_at(tokens, i - 1) not in ("<", ",", "enum"):
            name = i + 1
            while text_at(tokens, name) in ("alignas", "__attribute__", "["):
                name = tk.closing(tokens, name if text_at(tokens, name) == "[" else name + 1) + 1
            while text_at(tokens, name + 1) == "::":
                name += 2
            if tokens[name].kind != tk.IDENTIFIER:
                return ""
            declares = tokens[name + 1].kind == tk.IDENTIFIER and text_at(tokens, name + 1) != "final"
            return None if declares else tokens[name].text  # `struct S f() {` is a function
        i -= 1
    return None


def _opening(tokens: Sequence[Token], close: int) -> int:
    """Index of the parenthesis that ``close`` closes."""
    depth = 0
    for i in range(close, -1, -1):
        depth += (text_at(tokens, i) == ")") - (text_at(tokens, i) == "(")
        if depth == 0:
            return i
    return 0
