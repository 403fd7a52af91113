"""What a translation unit declares, read off its tokens: functions, variables, members.

Not a C++ parser: it sees the outline of declarations (scope, specifiers, declarators, parameters, body) and leaves
expressions alone. What it cannot place it skips; the host compiler parses the same text properly afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ..frontend.tokens import IDENTIFIER, STRING, Token, brackets, split_commas
from .shape import angle_end, expand, is_declaration, type_end, without_attributes

_CLASS_KEYS = ("struct", "class", "union")
_NO_PARAMETERS = (
    "decltype",
    "alignas",
    "__attribute__",
    "noexcept",
    "sizeof",
    "requires",
    "__asm",
    "asm",
    "explicit",
    "static_assert",
)


@dataclass
class Function:
    """A function: ``head`` is everything before the name, ``body`` what stands between its braces."""

    name: Token
    head: list[Token]
    parameters: list[list[Token]]
    body: list[Token]
    template: bool
    scope: str  # "file" or "class"

    @property
    def is_kernel(self) -> bool:
        return any(t.text == "kernel" for t in self.head)


@dataclass
class Declaration:
    """A variable, member or alias, up to its ``;``."""

    tokens: list[Token]
    scope: str  # "file", "class" or "function"
    function: Function | None = None


@dataclass
class Unit:
    """One text: its tokens without directives and with object-like macros expanded, and what they declare."""

    tokens: list[Token]
    functions: list[Function] = field(default_factory=list)
    declarations: list[Declaration] = field(default_factory=list)


def read(tokens: Sequence[Token]) -> Unit:
    """Reads preprocessed tokens, or raw ones: then directives are dropped and object-like macros expanded.

    Raises:
        TokenError: unbalanced brackets.
    """
    unit = Unit(expand(tokens))
    _Reader(unit).outline(0, len(unit.tokens), "file")
    return unit


class _Reader:
    """Walks the tokens once, filling a Unit."""

    def __init__(self, unit: Unit):
        self.unit, self.tokens = unit, unit.tokens
        self.partner = brackets(unit.tokens)

    def text(self, i: int) -> str:
        return self.tokens[i].text if i < len(self.tokens) else ""

    def outline(self, i: int, end: int, scope: str) -> None:
        """The declarations of a file, namespace or class."""
        while i < end:
            if self.text(i) == ";" or (self.text(i + 1) == ":" and self.text(i) in ("public", "private", "protected")):
                i += 1 if self.text(i) == ";" else 2
                continue
            start, template = i, False
            while self.text(i) == "template" and self.text(i + 1) == "<":
                template, i = True, angle_end(self.tokens, i + 1, end) + 1
            i = self.declaration(start, i, end, scope, template)

    def declaration(self, start: int, i: int, end: int, scope: str, template: bool) -> int:
        """One declaration, whose template lists ended before ``i``; returns the index after it."""
        name, parameters, assigned, k = -1, -1, False, i
        while k < end and self.text(k) not in (";", "{"):
            token = self.tokens[k]
            if token.text == "operator" and parameters < 0:
                name, k = k, k + 1
                while k < end and (self.text(k) != "(" or (self.text(k + 1) == ")" and self.text(k + 2) == "(")):
                    k = self.partner[k] + 1 if self.text(k) == "(" else k + 1
                parameters = k if self.text(k) == "(" else -1
            elif token.text == "(" and parameters < 0 and not assigned and name >= 0:
                parameters = k
            elif token.text == "=":
                assigned = True
            elif token.text == ":" and parameters >= 0:
                k = self.initialisers(k + 1, end)
                break
            if token.kind == IDENTIFIER and parameters < 0:
                name = -1 if token.text in _NO_PARAMETERS else k
            if self.text(k) == "<" and self.tokens[k - 1].kind == IDENTIFIER and parameters < 0:
                k = angle_end(self.tokens, k, end)
            k = self.partner[k] + 1 if self.text(k) in ("(", "[") else k + 1
        if self.text(k) == "{" and parameters < 0 and not assigned:
            return self.block(start, i, k, end, scope)
        if parameters >= 0 and not assigned:
            return self.function(i, name, parameters, k, end, scope, template)
        return self.variable(i, k, end, scope)

    def initialisers(self, k: int, end: int) -> int:
        """Past a constructor's ``: a(x), b{y}``: the index of the body's brace."""
        while k < end and self.text(k) != "{":
            k = type_end(self.tokens, k)
            k = self.partner[k] + 1 if self.text(k) in ("(", "{") else k + 1
            if self.text(k) == ",":
                k += 1
        return k

    def block(self, start: int, i: int, brace: int, end: int, scope: str) -> int:
        """A brace after a head without parameters: namespace, class, enum or an initialised variable."""
        head = without_attributes(self.tokens[i:brace])
        words = [t.text for t in head]
        stop = self.partner[brace]
        if "namespace" in words or (words[:1] == ["extern"] and head[-1].kind == STRING):
            self.outline(brace + 1, stop, "file")
            return stop + 1
        if not any(w in _CLASS_KEYS or w == "enum" for w in words):
            return self.variable(i, brace, end, scope)
        if "enum" not in words:
            self.outline(brace + 1, stop, "class")
        semicolon = stop + 1
        while semicolon < end and self.text(semicolon) != ";":
            semicolon = self.partner[semicolon] + 1 if self.text(semicolon) in ("(", "[", "{") else semicolon + 1
        if semicolon > stop + 1 and "typedef" not in words:
            named = [t for t in head if t.text not in _CLASS_KEYS]
            self.unit.declarations.append(Declaration([*named, *self.tokens[stop + 1 : semicolon]], scope))
        return semicolon + 1

    def variable(self, i: int, k: int, end: int, scope: str, function: Function | None = None) -> int:
        while k < end and self.text(k) != ";":
            k = self.partner[k] + 1 if self.text(k) in ("(", "[", "{") else k + 1
        tokens = self.tokens[i:k]
        if tokens:
            self.unit.declarations.append(Declaration(tokens, scope, function))
        return k + 1

    def function(self, i: int, name: int, parameters: int, k: int, end: int, scope: str, template: bool) -> int:
        inside = self.tokens[parameters + 1 : self.partner[parameters]]
        function = Function(self.tokens[name], self.tokens[i:name], split_commas(inside), [], template, scope)
        self.unit.functions.append(function)
        if self.text(k) != "{":
            return k + 1
        function.body = self.tokens[k + 1 : self.partner[k]]
        self.statements(k + 1, self.partner[k], function)
        return self.partner[k] + 1

    def statements(self, i: int, end: int, function: Function) -> None:
        """The variables that a body declares, those of inner blocks and ``for`` heads included."""
        while i < end:
            text = self.text(i)
            if text == "{":
                self.statements(i + 1, self.partner[i], function)
                i = self.partner[i] + 1
            elif text in ("if", "while", "switch", "for"):
                i += 2 if self.text(i + 1) == "constexpr" else 1
                if text == "for" and self.text(i) == "(":
                    self.local(list(self._until_semicolon(i + 1, self.partner[i])), function)
                i = max(self.partner[i], i) + 1
            elif text in (";", "else", "do", "try"):
                i += 1
            elif text in ("case", "default"):
                while i < end and self.text(i) != ":":
                    i += 1
                i += 1
            elif text in (*_CLASS_KEYS, "enum") and "{" in [self.text(k) for k in range(i, min(i + 4, end))]:
                i = self.declaration(i, i, end, "function", False)
            else:
                statement = list(self._until_semicolon(i, end))
                self.local(statement, function)
                i += len(statement) + 1

    def _until_semicolon(self, i: int, end: int) -> Iterator[Token]:
        while i < end and self.text(i) != ";":
            stop = self.partner[i] if self.text(i) in ("(", "[", "{") else i
            yield from self.tokens[i : stop + 1]
            i = stop + 1

    def local(self, tokens: list[Token], function: Function) -> None:
        if is_declaration(tokens):
            self.unit.declarations.append(Declaration(tokens, "function", function))
