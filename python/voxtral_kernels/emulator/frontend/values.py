"""Rewriting of values and vectors: literals, casts, constructions. The translator builds on it."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Self

from . import tokens as tk
from .declarations import STATEMENT_STARTS, text_at, type_end
from .tokens import Token

_SCALARS = ("char", "uchar", "short", "ushort", "int", "uint", "long", "ulong", "half", "float", "bfloat", "bool")
_VECTORS = {f"{scalar}{n}" for scalar in _SCALARS for n in (2, 3, 4)}


class ValueRewriter:
    """Tokens in, tokens out. A rule looks at token ``i``, emits, and returns the index behind what it took, or None."""

    def __init__(self, tokens: list[Token]):
        self.tokens = tokens
        self.out: list[Token] = []
        self.constant_names: dict[str, int] = {}
        self.takes_functions = False
        self.function_bodies: Container[int] = ()
        self.type_names: Mapping[str, bool] = {}  # whether a template list follows
        self.initialisers: dict[int, Sequence[Token]] = {}  # ( or { behind a vector's name -> the vector's type
        self.braced_arguments: Container[int] = ()
        self.closings: set[int] = set()  # braces that became parentheses, a comma before them

    def _step(self, i: int) -> int:
        raise NotImplementedError

    def _part(self, tokens: Sequence[Token]) -> Self:
        part = type(self)(list(tokens))
        part.constant_names = self.constant_names
        part.takes_functions = self.takes_functions
        return part

    def _text(self, i: int) -> str:
        return text_at(self.tokens, i)

    def _emit(self, at: Token, text: str) -> None:
        """Generated text on the line of ``at``."""
        self.out.append(at.like(text))

    def _nested(self, tokens: Sequence[Token]) -> list[Token]:
        """Translates a part, such as an array bound, by itself."""
        part = self._part(tokens)
        i = 0
        while i < len(part.tokens):
            i = part._step(i)
        return part.out

    def _value(self, i: int) -> int | None:
        """The rules of this class for an identifier."""
        token = self.tokens[i]
        if token.text == "static_cast":
            return self._cast(i)
        if token.text == "decltype" and (end := self._component_type(i)):
            return end
        if token.text in self.type_names:
            return self._dependent_construction(i)
        if token.text == "vec" and (end := self._vector_name(i)):
            return end
        return self._construction(i)

    def _number(self, token: Token) -> None:
        parts = tk.literal(token.text)
        if parts is None:
            raise tk.TokenError(token.path, token.line, f"'{token.text[:40]}': no number reads like this")
        digits, suffix, is_float = parts
        if suffix.lower() == "h":
            self._emit(token, f"(half({digits}f))" if is_float else f"(half({digits}))")
        elif suffix.lower() == "bf":
            self._emit(token, f"(bfloat({digits}f))" if is_float else f"(bfloat({digits}))")
        else:
            # clang forgets its option for single precision when it instantiates a template.
            self.out.append(token.like(f"{digits}f", tk.NUMBER, token.space) if is_float and not suffix else token)

    def _vector_name(self, i: int) -> int | None:
        """``vec<bool, 2>``, and a name for ``vec<T, 2>`` where T may be bool: clang has no such vectors."""
        close = tk.closing_angle(self.tokens, i + 1) if self._text(i + 1) == "<" else None
        if close is None:
            return None
        start = _qualified(self.tokens, i)
        if self._text(i + 2) == "bool" and self._text(i + 3) == ",":
            del self.out[len(self.out) - (i - start) :]
            self._emit(self.tokens[i], "::metal::bool_vec<")
            self.out += [*self._nested(self.tokens[i + 4 : close]), self.tokens[close]]
            return close + 1
        alias = self._text(start - 1) == "=" and self._text(start - 3) == "using" and self._text(start - 4) != ">"
        if not alias and self._text(start - 1) != "typedef":
            return None
        del self.out[len(self.out) - (i - start) :]
        self._emit(self.tokens[i], "typename ::metal::msl_vec_of<")
        self.out += [*self._nested(self.tokens[i + 2 : close]), self.tokens[close]]
        self._emit(self.tokens[close], "::type")
        return close + 1

    def _component_type(self, i: int) -> int | None:
        """``decltype(v.x)``: clang takes a vector's component for no member, and has a reference there."""
        close = tk.closing(self.tokens, i + 1) if self._text(i + 1) == "(" else i
        if self._text(close - 2) != "." or not set(self._text(close - 1)) <= set("xyzwrgba"):
            return None
        self._emit(self.tokens[i], "::metal::decay_t<decltype(")
        self.out += self._nested(self.tokens[i + 2 : close])
        self._emit(self.tokens[close], ")>")
        return close + 1

    def _cast(self, i: int) -> int | None:
        """``static_cast<T>(x)`` of a value: clang has none between half and bfloat."""
        close = tk.closing_angle(self.tokens, i + 1) if self._text(i + 1) == "<" else None
        if close is None or any(t.text in ("*", "&") for t in self.tokens[i + 2 : close]):
            return None
        self._emit(self.tokens[i], "::metal::msl_cast")
        return i + 1

    def _dependent_construction(self, i: int) -> int | None:
        """``T(x, y)`` and ``(T)x`` of a template's type, which may be a vector; ``pair_of<T>(x, y)`` likewise."""
        end: int | None = i + 1
        if self.type_names[self._text(i)]:
            end = self._behind_list(i + 1)
        if end is None or i not in self.function_bodies:
            return None
        type_ = self.tokens[i:end]
        if self._text(end) == ")":
            return self._c_cast(i, end, type_, "")
        if self._text(end) != "(" or self._is_declaration(i, end):
            return None
        if self._text(i - 1) in ("::", "~") or self._text(end + 1) == ")":
            return None
        self._emit(self.tokens[i], "::metal::msl_make<")
        self.out += [*type_, self.tokens[i].like(">", tk.PUNCTUATOR)]
        return end

    def _behind_list(self, i: int) -> int | None:
        """The index behind the template list that opens at ``i``; None where none does."""
        close = tk.closing_angle(self.tokens, i) if self._text(i) == "<" else None
        return None if close is None else close + 1

    def _construction(self, i: int) -> int | None:
        """``float4(`` and ``vec<T, 4>(`` as expressions."""
        token = self.tokens[i]
        end = i + 1
        if token.text in _VECTORS:
            type_ = [token]
        elif token.text == "vec" and self._text(i + 1) == "<":
            close = tk.closing_angle(self.tokens, i + 1)
            if close is None:
                return None
            type_, end = self.tokens[i : close + 1], close + 1
        else:
            return None
        if (after := self._braced(i, end, type_)) is not None:
            return after
        if i in self.function_bodies and end < len(self.tokens) and self.tokens[end].kind == tk.IDENTIFIER:
            self._declarators(end, type_)
            return None
        if self._text(end) == ")" and (cast := self._c_cast(i, end, type_, "::metal::")):
            return cast
        if self._text(end) != "(" or self._is_declaration(i, end):
            return None
        del self.out[len(self.out) - (i - _qualified(self.tokens, i)) :]
        self._emit(token, "::metal::msl_construct<::metal::")
        self.out += self._nested(type_)
        self._emit(token, ">")
        return end

    def _declarators(self, i: int, type_: Sequence[Token]) -> None:
        """Notes the brackets of ``float4 v(1, 2, 3, 4), w = {0}, x{1};``, whose first name is token ``i``."""
        while i + 1 < len(self.tokens) and self.tokens[i].kind == tk.IDENTIFIER:
            bracket = i + 2 if self._text(i + 1) == "=" and self._text(i + 2) == "{" else i + 1
            if self._text(bracket) == "(" or (self._text(bracket) == "{" and self._is_flat(bracket)):
                self.initialisers[bracket] = type_
                i = tk.closing(self.tokens, bracket)
            i += 1
            while i < len(self.tokens) and self._text(i) not in (",", ";", ")", "}", "{", ":"):
                i = tk.closing(self.tokens, i) + 1 if self._text(i) in tk.OPENING else i + 1
            if self._text(i) != ",":
                return
            i += 1

    def _initialiser(self, i: int) -> int:
        """The bracket that `_declarators` noted becomes ``= construct(``: clang wants every component in braces."""
        token = self.tokens[i]
        if self._text(i - 1) != "=":
            self.out.append(token.like("=", tk.PUNCTUATOR))
        self._emit(token, "::metal::msl_construct<::metal::" if token.text == "(" else "::metal::msl_braced<::metal::")
        self.out += [*self._nested(self.initialisers[i]), token.like(">", tk.PUNCTUATOR)]
        return self._parenthesis(i)

    def _parenthesis(self, i: int) -> int:
        """The bracket ``i`` as a parenthesis, and so its partner."""
        self.out.append(self.tokens[i].like("(", tk.PUNCTUATOR))
        if self._text(i) == "{":
            close = tk.closing(self.tokens, i)
            self.closings |= {close - 1, close} if self._text(close - 1) == "," else {close}
        return i + 1

    def _is_flat(self, brace: int) -> bool:
        return not any(t.text == "{" for t in self.tokens[brace + 1 : tk.closing(self.tokens, brace)])

    def _braced_argument(self, i: int) -> int:
        """``f({a, b})``: what becomes the vector, or the structure, that the function takes."""
        self._emit(self.tokens[i], "::metal::msl_braces")
        return self._parenthesis(i)

    def _braced(self, i: int, end: int, type_: Sequence[Token]) -> int | None:
        """``float4{a, b}`` in a function."""
        if self._text(end) != "{" or i not in self.function_bodies or not self._is_flat(end):
            return None
        del self.out[len(self.out) - (i - _qualified(self.tokens, i)) :]
        self._emit(self.tokens[i], "::metal::msl_braced<::metal::")
        self.out += [*self._nested(type_), self.tokens[i].like(">", tk.PUNCTUATOR)]
        return self._parenthesis(end)

    def _c_cast(self, i: int, end: int, type_: Sequence[Token], scope: str) -> int | None:
        """``(half4)x``: clang has no such cast between vectors, but ``->*`` binds like one."""
        start = _qualified(self.tokens, i) - 1
        before, after = self.tokens[start - 1], self.tokens[end + 1]
        callee = before.kind == tk.IDENTIFIER and before.text != "return"
        operand = after.kind != tk.PUNCTUATOR or after.text in ("(", "-", "+", "~", "!", "*", "&")
        if self._text(start) != "(" or callee or before.text in (")", "]", ">") or not operand:
            return None
        del self.out[len(self.out) - (i - start) :]
        self._emit(self.tokens[i], f"::metal::msl_caster<{scope}")
        self.out += self._nested(type_) if scope else type_
        self._emit(self.tokens[i], ">() ->*")
        return end + 1

    def _is_const_reference(self, i: int) -> bool:
        """``const thread T&``: it may bind to a temporary, which clang keeps in no address space."""
        start = i + 2 if self._text(i + 1) == "const" else i + 1
        if start == i + 1 and self._text(i - 1) != "const":
            return False
        end = type_end(self.tokens, start)
        return end is not None and self._text(end) == "&"

    def _is_declaration(self, i: int, paren: int) -> bool:
        """``operator float4()`` and ``float4 (*rows)[2]``: no construction."""
        before = self._text(_qualified(self.tokens, i) - 1)
        if before == "operator":
            return True
        pointer = self._text(paren + 1) in ("*", "&") and self._text(tk.closing(self.tokens, paren) + 1) in ("[", "(")
        starts = before in (*STATEMENT_STARTS, "thread", "device", "constant", "threadgroup", "const")
        return pointer and (starts or i not in self.function_bodies)


def _qualified(tokens: Sequence[Token], i: int) -> int:
    """Where the name at ``i`` begins, a ``metal::`` or ``::metal::`` before it included."""
    if i < 2 or tokens[i - 1].text != "::" or tokens[i - 2].text != "metal":
        return i
    i -= 2
    leads = i and tokens[i - 1].text == "::" and (i < 2 or tokens[i - 2].kind != tk.IDENTIFIER or tokens[i - 1].space)
    return i - 1 if leads else i
