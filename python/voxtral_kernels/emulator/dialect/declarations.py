"""Rules about variables, pointers and functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..frontend.tokens import IDENTIFIER, PUNCTUATOR, Token, closing, closing_angle, split_commas
from .report import Version, Violation, rule
from .shape import SPACES, angle_end, attributes, declared, is_declaration, without_attributes
from .structure import Declaration, Function, Unit

_POINTER = rule("pointer-address-space", "4", "a pointer or reference needs device, constant, threadgroup or thread")
_PROGRAM_SCOPE = rule("program-scope-variable", "4, 4.2", "a variable at program scope must be constant")
_UNINITIALISED = rule("constant-initialiser", "4.2", "a constant variable must be initialised")
_STATIC_MEMBER = rule(
    "static-member", "4.2 (says it of program scope; static members, which live as long, are not spelled out)",
    "a static member must be constant",
)  # fmt: skip
_STATIC_LOCAL = rule("static-local", "5.3", "static is for program scope, not for variables of a function")
_THREADGROUP = rule("threadgroup-variable", "4.4", "a threadgroup variable belongs in a kernel function")
_VLA = rule("variable-length-array", "1.5 (C++17, which has none)", "an array bound must be a constant expression")
_FUNCTION_POINTER = rule(
    "function-pointer", "1.5.4, 5.1.4", "only [[visible]] functions have pointers, since Metal 2.3"
)
_RECURSION = rule("recursion", "1.5.4", "recursion needs Metal 2.4")

_NOT_VARIABLES = ("typedef", "using", "static_assert", "friend", "template", "asm", "namespace", "enum")


def check(unit: Unit, version: Version) -> Iterator[Violation]:
    """Every rule of this module."""
    for function in unit.functions:
        yield from _levels(function.head)
        for parameter in function.parameters:
            yield from _levels(declared(parameter))
    for declaration in unit.declarations:
        yield from _variable(declaration, version)
    yield from _casts(unit.tokens)
    yield from _array_bounds(unit)
    visible = any(t.text == "visible" for t in unit.tokens)
    if version < (2, 3) or not visible:
        yield from _function_pointers(unit.tokens)
    if version < (2, 4):
        yield from _recursion(unit)


def _levels(tokens: Sequence[Token]) -> Iterator[Violation]:
    """A declarator with ``*`` or ``&`` names an address space before the first of them.

    The specification asks for one at every level, but MLX's ``const device T*& x`` passes Apple's compiler.
    """
    known, i = False, 0
    while i < len(tokens):
        token = tokens[i]
        if token.text == "operator" or token.text in SPACES or _function_pointer(tokens, i):
            return
        if token.kind == PUNCTUATOR:
            if token.text == "<" and i and tokens[i - 1].kind == IDENTIFIER:
                i = angle_end(tokens, i, len(tokens))
            elif token.text in ("(", "[") and not (token.text == "(" and tokens[i + 1].text in ("&", "*")):
                i = closing(tokens, i)
            elif token.text in ("*", "&", "&&") and not known:
                yield _POINTER.at(token, _name_after(tokens, i))
                known = True
            elif token.text == ",":
                known = False
        i += 1


def _name_after(tokens: Sequence[Token], i: int) -> str:
    names = (t.text for t in tokens[i + 1 :] if t.kind == IDENTIFIER and t.text not in (*SPACES, "const", "restrict"))
    return next(names, tokens[i].text)


def _variable(declaration: Declaration, version: Version) -> Iterator[Violation]:
    tokens = declaration.tokens
    words = {t.text for t in tokens}
    if tokens[0].text in _NOT_VARIABLES:
        if tokens[0].text == "typedef" or (tokens[0].text == "using" and "=" in words):
            yield from _levels([t for t in tokens if t.text != "="])
        return
    outline = declared(tokens)
    if not is_declaration(tokens) or len(outline) < 2:
        return
    yield from _levels(outline)
    specifiers = {t.text for t in outline}
    if declaration.scope == "file":
        yield from _program_scope(declaration, specifiers, version)
    elif declaration.scope == "class" and "static" in specifiers and "constant" not in specifiers:
        yield _STATIC_MEMBER.at(tokens[0], outline[-1].text)
    elif declaration.scope == "function":
        if "static" in specifiers and not specifiers >= {"constexpr", "constant"}:
            yield _STATIC_LOCAL.at(tokens[0], outline[-1].text)
        if _object_space(outline) == "threadgroup":
            function = declaration.function
            if function is None or not any(t.text in ("kernel", "mesh", "object") for t in function.head):
                yield _THREADGROUP.at(tokens[0])


def _program_scope(declaration: Declaration, specifiers: set[str], version: Version) -> Iterator[Violation]:
    tokens = declaration.tokens
    marks = {a[0].text for a in attributes(tokens) if a}
    if marks and version >= (3, 1) and not specifiers & SPACES:
        return  # built-in inputs at program scope, 5.9
    if specifiers & {"sampler", "extern", "struct", "class", "union"}:
        return
    outline = declared(tokens)
    if "constant" not in specifiers:
        yield _PROGRAM_SCOPE.at(tokens[0], outline[-1].text)
    elif (
        not marks and not _is_member(outline) and not any(t.text in ("=", "{", "(") for t in without_attributes(tokens))
    ):
        yield _UNINITIALISED.at(tokens[0], outline[-1].text)


def _is_member(outline: Sequence[Token]) -> bool:
    """``S::member``, declared once more outside of its class."""
    end = next((i for i, t in enumerate(outline) if t.text == "["), len(outline))
    return end > 1 and outline[end - 2].text == "::"


def _object_space(outline: Sequence[Token]) -> str:
    """The address space of the variable itself: that of the last level, after every ``*`` and ``&``."""
    space = ""
    for token in outline:
        if token.text in SPACES:
            space = token.text
        elif token.text in ("*", "&", "&&"):
            space = "thread"
    return space


def _casts(tokens: list[Token]) -> Iterator[Violation]:
    """``(float*)p``, ``reinterpret_cast<float*>(p)`` and other template arguments that end in ``*`` or ``&``."""
    for i, token in enumerate(tokens):
        if token.text not in ("*", "&") or i + 1 >= len(tokens) or tokens[i + 1].text not in (")", ">", ","):
            continue
        opening = _opening(tokens, i, tokens[i + 1].text)
        inside = tokens[opening + 1 : i + 1] if opening is not None else []
        if inside and inside[0].kind == IDENTIFIER:
            yield from _levels(inside)


def _opening(tokens: list[Token], i: int, close: str) -> int | None:
    """Where the cast or template argument that ends at ``i`` begins; None if the shape is another one."""
    for k in range(i - 1, max(-1, i - 40), -1):
        text = tokens[k].text
        if text == "(":
            named = k > 0 and (tokens[k - 1].kind == IDENTIFIER or tokens[k - 1].text in (")", "]", ">", "operator"))
            return k if close == ")" and (not named or tokens[k - 1].text in ("sizeof", "return")) else None
        if text in ("<", ",") and close != ")":
            start = next((j for j in range(k, max(-1, k - 40), -1) if tokens[j].text == "<"), None)
            if start is None or start == 0 or tokens[start - 1].kind != IDENTIFIER:
                return None
            stop = closing_angle(tokens, start)
            return k if stop is not None and stop > i else None
        if tokens[k].kind not in (IDENTIFIER,) and text not in ("::", "*", "&", "<", ">"):
            return None
    return None


def _array_bounds(unit: Unit) -> Iterator[Violation]:
    """An array bound that names a parameter or a variable that is not const."""
    runtime: dict[int, set[str]] = {}
    for function in unit.functions:
        names = [declared(parameter) for parameter in function.parameters]
        runtime[id(function)] = {outline[-1].text for outline in names if outline and outline[-1].kind == IDENTIFIER}
    for declaration in unit.declarations:
        if declaration.function is None or not is_declaration(declaration.tokens):
            continue
        known = runtime[id(declaration.function)]
        outline = declared(declaration.tokens)
        i = 0
        while i < len(outline):
            stop = closing(outline, i) if outline[i].text in ("(", "[") else i
            bound = {t.text for t in outline[i:stop]} if outline[i].text == "[" else set()
            if bound & known and "sizeof" not in bound:
                yield _VLA.at(outline[i], ", ".join(sorted(bound & known)))
            i = stop + 1
        if not {"const", "constexpr"} & {t.text for t in outline}:
            known |= {part[-1].text for part in split_commas(outline) if part and part[-1].kind == IDENTIFIER}


def _function_pointers(tokens: list[Token]) -> Iterator[Violation]:
    """Variables and parameters; as template parameters Apple's compiler takes them."""
    i = 0
    while i < len(tokens):
        if tokens[i].text == "template" and i + 1 < len(tokens) and tokens[i + 1].text == "<":
            i = angle_end(tokens, i + 1, len(tokens))
        elif _function_pointer(tokens, i) and tokens[i + 2].text != ")":
            yield _FUNCTION_POINTER.at(tokens[i], tokens[i + 2].text)
        i += 1


def _function_pointer(tokens: Sequence[Token], i: int) -> bool:
    """``type ( * name ) (`` or ``type ( & name ) (``; without a name it is a type, which Apple's compiler takes."""
    if i == 0 or i + 4 > len(tokens) or tokens[i].text != "(" or tokens[i + 1].text not in ("*", "&"):
        return False
    stop = i + 2 if tokens[i + 2].text == ")" else i + 3
    if stop + 1 >= len(tokens) or tokens[stop].text != ")" or tokens[stop + 1].text != "(":
        return False
    return tokens[i - 1].kind == IDENTIFIER and tokens[i - 1].text not in _CALLS


_CALLS = ("if", "while", "switch", "for", "return", "sizeof", "decltype", "case", "not")


def _recursion(unit: Unit) -> Iterator[Violation]:
    """Functions that reach themselves, by name; templates and overloads are left out, as a name does not tell which."""
    named: dict[str, list[Function]] = {}
    for function in unit.functions:
        if function.body:
            named.setdefault(function.name.text, []).append(function)
    single = {name: found[0] for name, found in named.items() if len(found) == 1 and not found[0].template}
    calls = {
        name: {
            t.text
            for t, following in zip(f.body, f.body[1:], strict=False)
            if following.text == "(" and t.text in single
        }
        for name, f in single.items()
    }
    for name, function in single.items():
        reached, frontier = set[str](), {name}
        while frontier:
            frontier = {callee for caller in frontier for callee in calls[caller]} - reached
            reached |= frontier
        if name in reached:
            yield _RECURSION.at(function.name, name)
