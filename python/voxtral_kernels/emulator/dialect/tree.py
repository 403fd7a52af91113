"""Rules that hang on types: read off the syntax tree that the host's compiler prints of the translated text.

Clang converts float to bfloat wherever an assignment or a call asks for it, Apple's compiler does not. The tree names
each conversion, those in the instances of templates too, so nothing has to be guessed from words.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from ..frontend.tokens import IDENTIFIER, Token
from .report import Violation, rule

_BFLOAT = rule(
    "bfloat-conversion", "not there; Apple's messages in cubecl#1522, executorch#16984, pytorch#177193",
    "a float or half becomes a bfloat by an explicit conversion only, bfloat(x), and a bfloat a half by half(x)",
)  # fmt: skip
_SPACE = rule("address-space-cast", "4", "an object of one address space cannot be cast to a reference to another")
CONSTANT = rule("function-constant", "5.8", "a function constant is no constant expression")

_NODE = re.compile(r"([ |`-]*)(\w+) 0x[0-9a-f]+ (?:(?:parent|prev) 0x[0-9a-f]+ )*<(.*?)>(?= |$)(.*)")
_NAME_PLACE = re.compile(r" (line:\d+:\d+|col:\d+|\S+:\d+:\d+) ")
_TYPE = re.compile(r" '([^']*)'(?::'([^']*)')?")
_COMPUTED = re.compile(r"ComputeResultTy='([^']*)'(?::'([^']*)')?")
_SCALARS = {"__bf16": "bfloat", "bfloat": "bfloat", "half": "half", "__fp16": "half", "_Float16": "half"}
_SCALARS |= {"float": "float", "double": "float"}  # clang's name for a literal without suffix
_NAMED_SPACES = {"__global": "device", "__constant": "constant", "__local": "threadgroup", "__private": "thread"}


def concerns(tokens: Sequence[Token], is_ours: Callable[[str], bool]) -> bool:
    """Whether these rules could find anything: the text names bfloat or casts to a reference, where it is not ours."""
    reference = any(
        token.text == "&" and following.text == ")" and not is_ours(token.path)
        for token, following in itertools.pairwise(tokens)
    )
    named = (t for t in tokens if t.kind == IDENTIFIER and ("bfloat" in t.text or t.text == "__bf16"))
    return reference or any(not is_ours(t.path) for t in named)


def check(tree: Iterable[str], is_ours: Callable[[str], bool]) -> list[Violation]:
    """The rules that the tree's lines break, each place once; files that ``is_ours`` knows are free."""
    return list(dict.fromkeys(v for v in _violations(tree) if not is_ours(v.path)))


def _violations(tree: Iterable[str]) -> Iterator[Violation]:
    path, line = "", 0
    pending: tuple[str, str, int, str] | None = None  # a cast whose operand is on the next line
    for text in tree:
        found = _NODE.match(text)
        if found is None:
            continue
        _, node, places, rest = found.groups()
        start: tuple[str, int] | None = None
        for place in places.split(", "):
            path, line = _moved(place, path, line)
            start = start or (path, line)
        at = start or (path, line)
        name = _NAME_PLACE.match(rest)
        if name:
            path, line = _moved(name[1], path, line)
        if pending:
            yield from _cast(*pending, _type(rest))
            pending = None
        if node == "CompoundAssignOperator" and _scalar(_type(rest)) == "bfloat":
            computed = _COMPUTED.search(rest)
            source = _scalar((computed[2] or computed[1]) if computed else "")
            if source not in ("bfloat", ""):
                yield _BFLOAT.at_place(*at, f"{source} to bfloat")
        elif node == "ImplicitCastExpr" and ("<FloatingCast>" in rest or "<AddressSpaceConversion>" in rest):
            pending = (rest, at[0], at[1], _type(rest))


def _cast(rest: str, path: str, line: int, target: str, source: str) -> Iterator[Violation]:
    """One implicit step of a conversion."""
    explicit = rest.endswith("part_of_explicit_cast")
    if "<FloatingCast>" in rest:
        kinds = (_scalar(source), _scalar(target))
        if not explicit and kinds in (("float", "bfloat"), ("half", "bfloat"), ("bfloat", "half")):
            yield _BFLOAT.at_place(path, line, " to ".join(kinds))
    elif explicit and " lvalue " in rest:
        spaces = [_NAMED_SPACES.get(_space(type_), "") for type_ in (source, target)]
        if all(spaces) and spaces[0] != spaces[1]:
            yield _SPACE.at_place(path, line, " to ".join(spaces))


def _moved(place: str, path: str, line: int) -> tuple[str, int]:
    """Where a place of the tree is: each is printed relative to the one before it."""
    if place.startswith("col:") or place.startswith("<"):
        return path, line
    if place.startswith("line:"):
        return path, int(place.split(":")[1])
    parts = place.rsplit(":", 2)
    return (parts[0], int(parts[1])) if len(parts) == 3 and parts[1].isdigit() else (path, line)


def _type(rest: str) -> str:
    """The type of an expression, aliases resolved."""
    found = _TYPE.search(rest)
    return (found[2] or found[1]) if found else ""


def _scalar(type_: str) -> str:
    """``float``, ``half`` or ``bfloat`` for those types in any address space; "" for others, vectors among them."""
    words = [word for word in type_.split() if word not in _NAMED_SPACES and word not in ("const", "volatile")]
    return _SCALARS.get(words[0], "") if len(words) == 1 else ""


def _space(type_: str) -> str:
    return next((word for word in type_.split() if word in _NAMED_SPACES), "")
