"""Metal text to what the host's compiler takes: the few constructs that headers and macros cannot express.

    unit = translate(preprocessed_text)
    unit.text, unit.kernels, unit.instances, unit.constants, unit.variables

* attributes ``[[...]]`` are read and dropped; a kernel's parameters keep what they said;
* ``threadgroup`` variables become references to memory that the runtime owns;
* vector construction ``float4(...)``, ``vec<T, 4>(...)`` becomes a call, as clang has no such cast;
* comparisons that may be of vectors are marked for the library's operators;
* function constants become macros, so that each set of values is a compilation, as with Metal's own pipelines;
* explicit instantiations ``template [[host_name("...")]]`` are read and dropped.

Everything keeps its line. What has one of these shapes and cannot be read is an error that names the line.
"""

from __future__ import annotations

from . import tokens as tk
from .comparisons import vector_comparisons
from .declarations import (
    STATEMENT_STARTS,
    braced_arguments,
    fail,
    function_constant,
    function_parameters,
    instantiation,
    is_function_argument,
    namespaces,
    threadgroup_variables,
    type_names,
)
from .methods import array_parameters, constant_copies, function_bodies, repeated_members, thread_methods
from .parameters import BUILTINS, read_parameters, without_attributes
from .reading import readable_errors
from .tokens import Token
from .unit import Kernel, Unit
from .values import ValueRewriter


class _Translator(ValueRewriter):
    def __init__(self, tokens: list[Token]):
        super().__init__(tokens)
        self.unit = Unit("")
        self.thread_methods: dict[int, str] = {}
        self.insertions: dict[int, str] = {}  # what is written behind a token
        self.repeated_members: dict[int, int] = {}
        self.function_parameters: set[int] = set()
        self.namespaces: list[tuple[int, int, str]] = []
        self.vector_comparisons: set[int] = set()
        self.built_ins: set[str] = set()  # variables at program scope

    def run(self) -> Unit:
        self.thread_methods = thread_methods(self.tokens)
        self.repeated_members = repeated_members(self.tokens)
        self.namespaces = namespaces(self.tokens)
        self.function_parameters = function_parameters(self.tokens)
        self.takes_functions = bool(self.function_parameters)
        self.function_bodies = function_bodies(self.tokens)
        self.insertions = constant_copies(self.tokens) | array_parameters(self.tokens, self.function_bodies)
        self.vector_comparisons = vector_comparisons(self.tokens)
        self.type_names = type_names(self.tokens)
        self.braced_arguments = braced_arguments(self.tokens)
        i = 0
        while i < len(self.tokens):
            i = self._step(i)
        self.unit.text = tk.to_text(self.out)
        return self.unit

    def _step(self, i: int) -> int:
        """Translates what starts at token ``i``; returns the index behind it."""
        token = self.tokens[i]
        if end := self._decided(i):
            return end
        if token.kind == tk.IDENTIFIER:
            if token.text == "threadgroup" and (end := self._threadgroup_variables(i)):
                return end
            if token.text == "template" and (end := self._instantiation(i)):
                return end
            if token.text == "constant" and (end := self._function_constant(i)):
                return end
            if token.text == "constant" and self._is_unqualified(i):
                self._emit(token, "constant const")  # what lies there is const, whether or not the text says so
                return i + 1
            if token.text == "thread" and self._is_const_reference(i):
                return i + 1
            if end := self._program_built_in(i):
                return end
            if token.text == "kernel":
                self._kernel(i - 1 if self._text(i - 1) == "void" else i + 1)
                return i + 1
            if token.text == "is_function_constant_defined":
                return self._constant_test(i)
            if end := self._value(i):
                return end
        elif i in self.initialisers:
            return self._initialiser(i)
        elif i in self.braced_arguments:
            return self._braced_argument(i)
        elif i in self.closings:
            self.out += [token._replace(text=")")] if token.text == "}" else []
            return i + 1
        elif i in self.vector_comparisons:
            self.out.append(token)
            self._emit(token, "::metal::msl_rhs() <<")
            return i + 1
        elif token.text == "[" and self._text(i + 1) == "[":
            return self._attribute(i)
        elif token.kind == tk.NUMBER:
            self._number(token)
            return i + 1
        self.out.append(token)
        return i + 1

    def _decided(self, i: int) -> int | None:
        """What the look at the whole text has decided of token ``i``."""
        if i in self.thread_methods:
            return self._method_space(i)
        if i in self.repeated_members:
            return self.repeated_members[i]
        if i in self.insertions:
            self.out.append(self.tokens[i])
            self._emit(self.tokens[i], self.insertions[i])
            return i + 1
        if i in self.function_parameters:
            self.out.append(self.tokens[i]._replace(text="&"))
            return i + 1
        return i + 1 if self.takes_functions and is_function_argument(self.tokens, i) else None

    def _is_unqualified(self, i: int) -> bool:
        """Whether the word ``constant`` qualifies a type that is not const already; behind a method it does not."""
        before, after = self._text(i - 1), self._text(i + 1)
        return before not in (")", "const", "noexcept") and after not in ("const", "constexpr", "static", "{")

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
        self._emit(self.tokens[i], self.thread_methods[i])
        return i + 1

    def _kernel(self, i: int) -> None:
        """Notes the kernel whose return type starts near token ``i``."""
        while self._text(i) == "[" or self._text(i) in ("kernel", "inline", "static"):
            i = tk.closing(self.tokens, i) + 1 if self._text(i) == "[" else i + 1
        if self._text(i) != "void":
            raise fail(self.tokens[min(i, len(self.tokens) - 1)], "a kernel returns void")
        self._emit(self.tokens[i], "inline")  # code is made for it only where it is called
        i += self._text(i + 1) == "kernel"  # void kernel f()
        name = self.tokens[i + 1]
        if self._text(i + 2) != "(":
            raise fail(name, "a kernel has a name and a list of parameters")
        close = tk.closing(self.tokens, i + 2)
        if self._text(close + 1) == ";":
            return
        parameters = read_parameters(self.tokens[i + 3 : close])
        qualified = self._scope(i) + name.text
        self.unit.kernels[qualified] = Kernel(qualified, parameters, self._follows_template(i), name)

    def _scope(self, i: int) -> str:
        """``a::b::`` where token ``i`` stands in those namespaces."""
        return "".join(f"{name}::" for start, end, name in self.namespaces if start < i < end)

    def _program_built_in(self, i: int) -> int | None:
        """``uint gid [[thread_position_in_grid]];`` at program scope, and what reads it."""
        name = self._text(i)
        if name in self.built_ins and self._text(i - 1) not in (".", "->", "::"):
            if self.tokens[i - 1].kind == tk.IDENTIFIER and self._text(i - 1) not in ("return", "else", "case"):
                raise fail(self.tokens[i], f"the emulator has no second {name} beside the one at program scope")
            self._emit(self.tokens[i], f"msl_built_in_{name}()")
            return i + 1
        if i in self.function_bodies or self._text(i - 1) not in (*STATEMENT_STARTS, "") or self._text(i + 2) != "[":
            return None
        built_in, end = self._text(i + 4), i + 6
        if self._text(i + 3) != "[" or built_in not in BUILTINS or self._text(end + 1) != ";":
            return None
        self.built_ins.add(self._text(i + 1))
        lane = "const __generic msl_lane* at = msl_this_lane(); (void)at;"
        value = f"return ::metal::msl_position({BUILTINS[built_in]});"
        self._emit(self.tokens[i], f"MSL_HIDDEN {name} msl_built_in_{self._text(i + 1)}() {{ {lane} {value} }}")
        return end + 2

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
            reason = "a matrix cannot be a threadgroup variable: its default constructor is for thread memory"
            self._emit(name, f'; static_assert(::metal::msl_fits_threadgroup<{alias}>::value, "{reason}")')
            memory = f"msl_threadgroup_memory({number}, sizeof({alias}), ::metal::msl_granule<{alias}>())"
            self._emit(name, f"; threadgroup {alias}& {name.text} = *(threadgroup {alias}*)(uintptr_t){memory};")
        return found.end

    def _instantiation(self, i: int) -> int | None:
        found = instantiation(self.tokens, i)
        if found is None:
            return None
        is_global = found.template_id[0].text == "::"  # void ::a::f<float>
        name = self._joined(found.template_id[is_global:]).replace(":: ", "::")
        self.unit.instances[found.host_name] = name if is_global else self._scope(i) + name
        if not any(t.text == "<" for t in found.template_id):
            types = [
                t for part in tk.split_commas(found.parameters) for t in (*without_attributes(part), part[0].like(","))
            ]
            self.unit.signatures[found.host_name] = self._joined(types[:-1])
        return found.end

    def _joined(self, tokens: list[Token]) -> str:
        """Translated, in one line."""
        flat = [t._replace(line=1, path="") for t in self._nested(tokens)]
        return tk.to_text(flat).split("\n", 1)[1].strip() if flat else ""

    def _function_constant(self, i: int) -> int | None:
        found = function_constant(self.tokens, i)
        if found is None:
            return None
        del self.out[len(self.out) - found.before :]
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


def translate(tokens: list[Token]) -> Unit:
    """The text of these tokens translated."""
    with readable_errors():
        return _Translator(tokens).run()
