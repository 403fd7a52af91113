"""The parameters of a kernel function: what each one is, from its attribute."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..errors import KernelError
from . import tokens as tk
from .tokens import Token

# Metal's input attributes of kernels, as expressions over the lane's msl_lane `at` (metal/abi.h).
BUILTINS = {
    "thread_position_in_grid": "at->position_in_grid",
    "thread_position_in_threadgroup": "at->position_in_threadgroup",
    "threadgroup_position_in_grid": "at->threadgroup_position",
    "threadgroups_per_grid": "at->threadgroups",
    "threads_per_grid": "at->grid",
    "grid_size": "at->grid",
    "threads_per_threadgroup": "at->threads",
    "dispatch_threads_per_threadgroup": "at->dispatch_threads",
    "thread_index_in_threadgroup": "at->index",
    "thread_index_in_simdgroup": "at->lane",
    "simdgroup_index_in_threadgroup": "at->simdgroup",
    "simdgroups_per_threadgroup": "at->simdgroups",
    "dispatch_simdgroups_per_threadgroup": "at->dispatch_simdgroups",
    "threads_per_simdgroup": "32u",
    "thread_execution_width": "32u",
    "thread_index_in_quadgroup": "(at->lane % 4)",
    "quadgroup_index_in_threadgroup": "(at->index / 4)",
    "quadgroups_per_threadgroup": "((at->threads[0] * at->threads[1] * at->threads[2] + 3) / 4)",
}

# Types of less than four bytes.
_SMALL = dict.fromkeys(("bool", "char", "uchar", "int8_t", "uint8_t"), 1) | dict.fromkeys(
    ("short", "ushort", "int16_t", "uint16_t", "half", "bfloat", "float16_t", "bfloat16_t"), 2
)


@dataclass(frozen=True)
class Parameter:
    """``kind`` is buffer, threadgroup or builtin; ``index`` counts buffers or threadgroup arguments."""

    name: str
    kind: str
    index: int = 0
    builtin: str = ""
    is_reference: bool = False
    is_constant: bool = False  # in the constant address space
    is_const: bool = False  # points to const
    condition: str = ""  # the function constant that decides whether it exists
    granule: int = 4  # bytes that the race checks take as one, from the type pointed to


def read_parameters(tokens: Sequence[Token]) -> list[Parameter]:
    """The parameters between a kernel's parentheses. An argument without a number gets the first that is free."""
    parameters = [_read(part) for part in tk.split_commas(tokens)]
    taken = {(p.kind, p.index) for p in parameters}
    for i, parameter in enumerate(parameters):
        if parameter.kind != "builtin" and parameter.index < 0:
            free = next(n for n in range(len(parameters) + 1) if (parameter.kind, n) not in taken)
            taken.add((parameter.kind, free))
            parameters[i] = replace(parameter, index=free)
    return parameters


def _read(part: list[Token]) -> Parameter:
    declaration, attributes = _split_attributes(part)
    words = [t.text for t in declaration]
    names = [t for t in declaration if t.kind == tk.IDENTIFIER]
    if not names:
        raise _fail(part[0], "a kernel's parameter needs a name")
    name = names[-1].text
    if "[" in words:  # `const constant int strides[4]`
        name = [t.text for t in declaration[: words.index("[")] if t.kind == tk.IDENTIFIER][-1]
    condition = attributes.get("function_constant", "")
    for builtin in attributes:
        if builtin in BUILTINS:
            return Parameter(name, "builtin", builtin=builtin)
    if "threadgroup" in attributes:
        return Parameter(name, "threadgroup", _number(part, attributes["threadgroup"]), is_reference="&" in words)
    known = {"buffer", "function_constant", "id", "maybe_unused"}
    unknown = [a for a in attributes if a not in known]
    if unknown:
        raise _fail(part[0], f"the emulator has no attribute {unknown[0]}")
    if not {"device", "constant", "threadgroup"} & set(words):
        raise _fail(part[0], f"the parameter {name} is neither a buffer nor has it an attribute")
    if "threadgroup" in words:
        return Parameter(name, "threadgroup", -1, is_reference="&" in words)
    index = _number(part, attributes["buffer"]) if "buffer" in attributes else -1
    pointee = words[: words.index("*")] if "*" in words else words
    is_constant = "constant" in words
    is_const = is_constant or "const" in pointee
    granule = min((_SMALL[word] for word in pointee if word in _SMALL), default=4)
    return Parameter(name, "buffer", index, "", "&" in words, is_constant, is_const, condition, granule)


def without_attributes(part: list[Token]) -> list[Token]:
    """A parameter's declaration alone."""
    return _split_attributes(part)[0]


def _split_attributes(part: list[Token]) -> tuple[list[Token], dict[str, str]]:
    """The declaration, and ``{"buffer": "3"}`` of ``[[buffer(3)]]``."""
    declaration: list[Token] = []
    attributes: dict[str, str] = {}
    i = 0
    while i < len(part):
        if part[i].text == "[" and i + 1 < len(part) and part[i + 1].text == "[":
            close = tk.closing(part, i)
            for attribute in tk.split_commas(part[i + 2 : close - 1]):
                attributes[attribute[0].text] = "".join(t.text for t in attribute[2:-1])
            i = close
        else:
            declaration.append(part[i])
        i += 1
    return declaration, attributes


def _number(part: list[Token], text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise _fail(part[0], f"expected a number in the attribute, got {text[:40]}")
    return int(text)


def _fail(at: Token, message: str) -> KernelError:
    return KernelError(f"{at.path}:{at.line}: error: {message}")
