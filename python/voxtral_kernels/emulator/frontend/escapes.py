"""Words that reach past the language, each refused by name with its line, whoever wrote the file.

Metal has no use for them in a compute kernel: they place code where the loader runs it, reach the host's symbols or
its processor, or hide code from the checks.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from . import tokens as tk
from .tokens import Token

_ASSEMBLY = frozenset(("asm", "__asm", "__asm__"))
_ATTRIBUTES = frozenset(("__attribute__", "__attribute", "__declspec"))
# What kernels write; all others are refused, as nobody can list what compilers will add.
_ALLOWED = frozenset(
    [
        "always_inline",
        "noinline",
        "flatten",
        "unused",
        "const",
        "pure",
        "packed",
        "aligned",
        "vector_size",
        "ext_vector_type",
        "may_alias",
        "deprecated",
        "nodebug",
        "opencl_unroll_hint",
        "warn_unused_result",
        "fallthrough",
        "noreturn",
        "nonnull",
        "cold",
        "hot",
        "overloadable",
        "enable_if",
        "unavailable",
        "availability",
        "diagnose_if",
        "maybe_unused",
        "nodiscard",
    ]
)
_BUILTINS = re.compile(
    r"__builtin_(ia32_|arm_|aarch64_|sve_|neon_|amdgcn_|nvptx_|ptx_|cpu_|setjmp|longjmp|eh_|unwind_|return_address"
    r"|extract_return_addr|frob_return|frame_address|stack_|dwarf_|thread_pointer|set_thread|readcyclecounter"
    r"|readsteadycounter|init_dwarf|call_with_static_chain|apply|alloca|os_log|invoke"
    r"|operator_|function_start|get_device_side|counted_by_ref|va_|ms_va|stdarg|prefetch_i|dump_struct|printf|fprintf)"
    r"|__(rdtsc|cpuid|sev|syscall|svc|builtin_ptrauth)\w*"
)
_OURS = re.compile(r"__(tsan|ubsan|asan|msan|sanitizer|safestack)_\w+|(msl|MSL)_\w*")
# Of the language that a kernel is translated to; there a kernel has the name that the loader sees.
_OPENCL = frozenset(
    f"__{word}"
    for word in ("kernel", "global", "local", "private", "constant", "generic", "read_only", "write_only", "read_write")
)
_LOADED = ("_init", "_fini")  # what the loader calls
_OPERAND_ENDS = (")", "]", "}", ">", "++", "--", "...")
_PRAGMAS = {
    "unroll", "nounroll", "once", "mark", "message", "region", "endregion", "METAL", "STDC", "OPENCL", "pack",
    "ident", "loop", "push_macro", "pop_macro",
}  # fmt: skip
_CLANG_PRAGMAS = {"loop", "fp", "unroll", "diagnostic"}
_REACHING = {
    ("clang", "attribute"), ("clang", "section"), ("clang", "module"), ("weak",), ("redefine_extname",), ("comment",),
    ("GCC", "visibility"), ("section",), ("init_seg",), ("code_seg",), ("data_seg",), ("bss_seg",), ("const_seg",),
}  # fmt: skip


def refusals(tokens: Sequence[Token], imports: Sequence[str] = ()) -> Iterator[str]:
    """A sentence for each word of a preprocessed text that is refused: ``path:line: 'word': reason``.

    Args:
        tokens: Of the preprocessed text, whatever file they come from.
        imports: Names by which a compiled kernel calls the emulator; a text may not call them itself.
    """
    is_c = any(a.text == "extern" and b.kind == tk.STRING for a, b in itertools.pairwise(tokens))
    ours = {*imports, *_LOADED} if is_c else set()
    for i, token in enumerate(tokens):
        if token.kind == tk.DIRECTIVE:
            yield from _pragma(token)
        elif token.kind == tk.IDENTIFIER:
            yield from _identifier(tokens, i, ours)
        elif token.text == "^" and i and _begins_operand(tokens[i - 1]):
            yield _refused(token, "^", "there are no blocks in Metal")
        elif token.text == "[" and i + 1 < len(tokens) and tokens[i + 1].text == "[":
            yield from _brackets(tokens, i)


def _identifier(tokens: Sequence[Token], i: int, ours: set[str]) -> Iterator[str]:
    token = tokens[i]
    if token.text in _ASSEMBLY:
        yield _refused(token, token.text, "there is no inline assembly in Metal")
    elif token.text in _ATTRIBUTES:
        for name in _names(tokens, i + 1):
            if name.text.strip("_") not in _ALLOWED:
                yield _refused(name, name.text, "an attribute that the emulator does not let through")
    elif token.text[0] == "_" and _BUILTINS.match(token.text):
        yield _refused(token, token.text, "a builtin of the host's processor or process")
    elif token.text in _OPENCL:
        yield _refused(token, token.text, "a word of OpenCL")
    elif token.text in ours:
        yield _refused(token, token.text, 'a name of the host\'s, beside extern "C"')
    elif token.text[0] in "_mM" and _OURS.fullmatch(token.text):
        yield _refused(token, token.text, "a name of the emulator's own")


def _begins_operand(before: Token) -> bool:
    """Whether an operand follows ``before``, and no operator."""
    return before.text == "return" or (before.kind == tk.PUNCTUATOR and before.text not in _OPERAND_ENDS)


def _names(tokens: Sequence[Token], i: int) -> Iterator[Token]:
    """The attributes named in ``__attribute__((a, b(x)))``: identifiers outside of their arguments."""
    depth = 0
    expected = True
    for token in tokens[i:]:
        if token.text == "(":
            depth += 1
        elif token.text == ")":
            depth -= 1
            if depth <= 0:
                return
        elif token.text == "," and depth == 2:
            expected = True
        elif token.kind == tk.IDENTIFIER and depth <= 2 and expected:
            expected = False
            yield token


def _brackets(tokens: Sequence[Token], i: int) -> Iterator[str]:
    """``[[gnu::constructor]]`` and ``[[using gnu: ...]]``; attributes of no vendor are Metal's own or dropped."""
    end = tk.closing(tokens, i)
    inside = tokens[i + 2 : end - 1]
    if inside and inside[0].text == "using":
        yield _refused(inside[0], "using", "an attribute that the emulator does not let through")
    for vendor, colons, name in zip(inside, inside[1:], inside[2:], strict=False):
        is_vendor = vendor.text.strip("_").lower() in ("gnu", "clang", "gsl", "msvc")
        if colons.text == "::" and is_vendor and name.text.strip("_") not in _ALLOWED:
            yield _refused(name, f"{vendor.text}::{name.text}", "an attribute that the emulator does not let through")


def _pragma(token: Token) -> Iterator[str]:
    words = tuple(re.findall(r"\w+", token.text)[1:3])
    if words[:1] in _REACHING or words in _REACHING:
        yield _refused(token, "#pragma " + " ".join(words), "a pragma that the emulator does not let through")


def is_dropped(token: Token) -> bool:
    """Pragmas that say nothing to Metal, as those that only Apple's compiler knows or that silence warnings."""
    if token.kind != tk.DIRECTIVE:
        return False
    words = re.findall(r"\w+", token.text)
    if not words or words[0] != "pragma":
        return False
    first, second = [*words[1:3], "", ""][:2]
    if (first,) in _REACHING or (first, second) in _REACHING:
        return False  # refused by name
    if first == "unroll" and len(words) > 2 and not words[2].isdigit():
        return True  # a macro of the text, which nothing expands in a pragma
    if first == "clang":
        return second not in _CLANG_PRAGMAS or second == "diagnostic"
    return first == "METAL" or first not in _PRAGMAS


def _refused(at: Token, what: str, why: str) -> str:
    return f"{at.path}:{at.line}: '{what}': {why} [contained]"
