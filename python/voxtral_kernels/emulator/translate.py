"""Metal text to what the host's compiler takes: the few constructs that headers and macros cannot express.

    unit = translate(preprocessed_text)
    unit.text, unit.kernels, unit.instances, unit.constants, unit.variables

* attributes ``[[...]]`` are read and dropped; a kernel's parameters keep what they said;
* ``threadgroup`` variables become references to memory that the runtime owns;
* vector construction ``float4(...)``, ``vec<T, 4>(...)`` becomes a call, as clang has no such cast;
* function constants become macros, so that each set of values is a compilation, as with Metal's own pipelines;
* explicit instantiations ``template [[host_name("...")]]`` are read and dropped.

Everything keeps its line. What has one of these shapes and cannot be read is an error that names the line.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from . import tokens as tk
from .declarations import (
    STATEMENT_STARTS,
    fail,
    function_constant,
    instantiation,
    text_at,
    threadgroup_variables,
    type_end,
)
from .errors import KernelError
from .methods import constant_copies, function_bodies, thread_methods
from .parameters import read_parameters
from .tokens import Token
from .unit import Kernel, Unit

_SCALARS = ("char", "uchar", "short", "ushort", "int", "uint", "long", "ulong", "half", "float", "bfloat", "bool")
_VECTORS = {f"{scalar}{n}" for scalar in _SCALARS for n in (2, 3, 4)}


class _Translator:
    def __init__(self, tokens: list[Token]):
        self.tokens = tokens
        self.out: list[Token] = []
        self.unit = Unit("")
        self.constant_names: dict[str, int] = {}
        self.thread_methods: dict[int, bool] = {}
        self.constant_copies: dict[int, str] = {}
        self.function_bodies: Container[int] = ()

    def run(self) -> Unit:
        self.thread_methods = thread_methods(self.tokens)
        self.constant_copies = constant_copies(self.tokens)
        self.function_bodies = function_bodies(self.tokens)
        i = 0
        while i < len(self.tokens):
            i = self._step(i)
        self.unit.text = tk.to_text(self.out)
        return self.unit

    def _text(self, i: int) -> str:
        return text_at(self.tokens, i)

    def _step(self, i: int) -> int:
        """Translates what starts at token ``i``; returns the index behind it."""
        token = self.tokens[i]
        if i in self.thread_methods:
            return self._method_space(i)
        if i in self.constant_copies:
            self.out.append(token)
            self._emit(token, self.constant_copies[i])
            return i + 1
        if token.kind == tk.IDENTIFIER:
            if token.text == "threadgroup" and (end := self._threadgroup_variables(i)):
                return end
            if token.text == "template" and (end := self._instantiation(i)):
                return end
            if token.text == "constant" and (end := self._function_constant(i)):
                return end
            if token.text == "thread" and self._is_const_reference(i):
                return i + 1
            if token.text == "kernel":
                self._kernel(i + 1)
                return i + 1
            if token.text == "is_function_constant_defined":
                return self._constant_test(i)
            if token.text == "vec" and (end := self._vector_name(i)):
                return end
            if end := self._construction(i):
                return end
        elif token.text == "[" and self._text(i + 1) == "[":
            return self._attribute(i)
        elif token.kind == tk.NUMBER:
            self._number(token)
            return i + 1
        self.out.append(token)
        return i + 1

    def _emit(self, at: Token, text: str) -> None:
        """Generated text on the line of ``at``."""
        self.out.append(at.like(text))

    def _attribute(self, i: int) -> int:
        close = tk.closing(self.tokens, i)
        inside = self.tokens[i + 2 : close - 1]
        if self._text(close - 1) != "]":
            return self._keep(i)
        if any(t.text == "kernel" for t in inside):
            self._kernel(close + 1)
        return close + 1

    def _keep(self, i: int) -> int:
        self.out.append(self.tokens[i])
        return i + 1

    def _method_space(self, i: int) -> int:
        """The end of a method's declarator gets ``thread``, a constructor's loses it."""
        if not self.thread_methods[i]:
            return i + 1
        self.out.append(self.tokens[i])
        self._emit(self.tokens[i], "MSL_METHOD_SPACE")
        return i + 1

    def _number(self, token: Token) -> None:
        digits, suffix, is_float = tk.literal(token.text)
        if suffix.lower() == "h":
            self._emit(token, f"(half({digits}f))" if is_float else f"(half({digits}))")
        elif suffix.lower() == "bf":
            self._emit(token, f"(bfloat({digits}f))" if is_float else f"(bfloat({digits}))")
        else:
            self.out.append(token)

    def _kernel(self, i: int) -> None:
        """Notes the kernel whose return type starts near token ``i``."""
        while self._text(i) == "[" or self._text(i) in ("kernel", "inline", "static"):
            i = tk.closing(self.tokens, i) + 1 if self._text(i) == "[" else i + 1
        if self._text(i) != "void":
            raise fail(self.tokens[min(i, len(self.tokens) - 1)], "a kernel returns void")
        name = self.tokens[i + 1]
        if self._text(i + 2) != "(":
            raise fail(name, "a kernel has a name and a list of parameters")
        close = tk.closing(self.tokens, i + 2)
        if self._text(close + 1) == ";":
            return
        is_template = self._follows_template(i)
        parameters = read_parameters(self.tokens[i + 3 : close])
        self.unit.kernels[name.text] = Kernel(name.text, parameters, is_template, name)

    def _follows_template(self, i: int) -> bool:
        """Whether the declaration that holds token ``i`` starts with ``template <...>``."""
        j = i - 1
        while j >= 0 and self._text(j) not in (";", "}") and self.tokens[j].kind != tk.DIRECTIVE:
            if self._text(j) == "template":
                return True
            j -= 1
        return False

    def _threadgroup_variables(self, i: int) -> int | None:
        found = threadgroup_variables(self.tokens, i)
        if found is None:
            return None
        del self.out[len(self.out) - found.before :]
        for name, *array in found.declarators:
            number, alias = len(self.unit.variables), f"msl_type_of_{name.text}"
            self.unit.variables.append(name.text)
            self._emit(name, "typedef")
            self.out += [*self._nested(found.type_), name.like(alias), *self._nested(array)]
            if found.alignment:
                self._emit(name, "__attribute__((aligned(")
                self.out += self._nested(found.alignment[2:-1])
                self._emit(name, ")))")
            memory = f"msl_threadgroup_memory({number}, sizeof({alias}), alignof({alias}))"
            self._emit(name, f"; threadgroup {alias}& {name.text} = *(threadgroup {alias}*)(uintptr_t){memory};")
        return found.end

    def _nested(self, tokens: Sequence[Token]) -> list[Token]:
        """Translates a part, such as an array bound, by itself."""
        part = _Translator(list(tokens))
        part.constant_names = self.constant_names
        i = 0
        while i < len(part.tokens):
            i = part._step(i)
        return part.out

    def _instantiation(self, i: int) -> int | None:
        found = instantiation(self.tokens, i)
        if found is None:
            return None
        template_id = [t._replace(line=1, path="") for t in self._nested(found.template_id)]
        self.unit.instances[found.host_name] = tk.to_text(template_id).split("\n", 1)[1].strip()
        return found.end

    def _function_constant(self, i: int) -> int | None:
        found = function_constant(self.tokens, i)
        if found is None:
            return None
        self.constant_names[found.name] = found.number
        self.unit.constants[found.number] = found.name
        self._emit(self.tokens[i], f"MSL_CONSTANT_{found.number}({found.type_})")
        return found.end

    def _constant_test(self, i: int) -> int:
        name = self._text(i + 2)
        if name not in self.constant_names:
            raise fail(self.tokens[i], f"{name} is not a function constant")
        index = self.constant_names[name]
        if self._text(i - 1) == "::":
            del self.out[-2:]
        self._emit(self.tokens[i], f"(MSL_CONSTANT_{index}_DEFINED)")
        return i + 4

    def _vector_name(self, i: int) -> int | None:
        """``vec<bool, 2>``, and a name for ``vec<T, 2>`` where T may be bool: clang has no such vectors."""
        close = tk.closing_angle(self.tokens, i + 1) if self._text(i + 1) == "<" else None
        if close is None:
            return None
        start = i - 2 if self._text(i - 1) == "::" and self._text(i - 2) == "metal" else i
        if self._text(i + 2) == "bool" and self._text(i + 3) == ",":
            del self.out[len(self.out) - (i - start) :]
            self._emit(self.tokens[i], "metal::bool_vec<")
            self.out += [*self._nested(self.tokens[i + 4 : close]), self.tokens[close]]
            return close + 1
        alias = self._text(start - 1) == "=" and self._text(start - 3) == "using" and self._text(start - 4) != ">"
        if not alias and self._text(start - 1) != "typedef":
            return None
        del self.out[len(self.out) - (i - start) :]
        self._emit(self.tokens[i], "typename metal::msl_vec_of<")
        self.out += [*self._nested(self.tokens[i + 2 : close]), self.tokens[close]]
        self._emit(self.tokens[close], "::type")
        return close + 1

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
        if self._text(end + 1) == "(" and self.tokens[end].kind == tk.IDENTIFIER and i in self.function_bodies:
            self.out += self._nested(type_)  # `float4 v(1, 2, 3, 4);`
            self.out += [self.tokens[end], token.like("=")]
            end += 1
        elif self._text(end) != "(" or self._is_declaration(i, end):
            return None
        if self._text(i - 1) == "::" and self._text(i - 2) == "metal":
            del self.out[-2:]
        self._emit(token, "metal::msl_construct<metal::")
        self.out += self._nested(type_)
        self._emit(token, ">")
        return end

    def _is_const_reference(self, i: int) -> bool:
        """``const thread T&``: it may bind to a temporary, which clang keeps in no address space."""
        start = i + 2 if self._text(i + 1) == "const" else i + 1
        if start == i + 1 and self._text(i - 1) != "const":
            return False
        end = type_end(self.tokens, start)
        return end is not None and self._text(end) == "&"

    def _is_declaration(self, i: int, paren: int) -> bool:
        """``operator float4()`` and ``float4 (*rows)[2]``: no construction."""
        before = self._text(i - 1)
        if before == "operator" or (before == "::" and self._text(i - 3) == "operator"):
            return True
        pointer = self._text(paren + 1) in ("*", "&") and self._text(tk.closing(self.tokens, paren) + 1) in ("[", "(")
        return pointer and before in (*STATEMENT_STARTS, "thread", "device", "constant", "threadgroup", "const")


def translate(preprocessed: str, path: str) -> tuple[list[Token], Unit]:
    """The tokens of a preprocessed text, and the text translated."""
    try:
        tokens = [t for t in tk.tokenize(preprocessed, path) if not _is_foreign(t)]
        return tokens, _Translator(tokens).run()
    except tk.TokenError as error:
        raise KernelError(f"{error.path}:{error.line}: error: {error.message}") from None


def _is_foreign(token: Token) -> bool:
    """Directives that only Apple's compiler knows."""
    return token.kind == tk.DIRECTIVE and token.text.replace(" ", "").startswith("#pragmaMETAL")
