"""Rules about kernel functions and their arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..frontend.tokens import Token
from .report import Version, Violation, rule
from .shape import SPACES, attributes, declared, names
from .structure import Function, Unit

_RETURN = rule("kernel-return", "5.1.3", "a kernel returns void")
_MAIN = rule("kernel-main", "1.5.4", "a Metal function cannot be called main")
_OVERLOAD = rule("kernel-overload", "1.5.1", "kernel functions cannot be overloaded")
_CALLED = rule("kernel-call", "5.1", "a kernel function cannot call another one")
_NO_ATTRIBUTE = rule(
    "argument-attribute", "5.2, 5.2.3.6", "an argument passed by value needs the attribute of a built-in"
)
_BY_VALUE = rule("argument-by-value", "5.2", "a buffer argument is a pointer or a reference")
_SPACE = rule("argument-address-space", "4", "a kernel's pointers and references are device, constant or threadgroup")
_UNKNOWN = rule("unknown-attribute", "5.2.1, 5.2.3.6, table 5.8", "not an attribute of a kernel argument")
_TYPE = rule(
    "attribute-type",
    "5.2.3.6, table 5.8",
    "this attribute needs ushort or uint, or a vector of them where it is a position",
)
_MISMATCH = rule("attribute-mismatch", "5.2.3.6", "these attributes need one type")
_TOO_MANY = rule(
    "buffer-limit", "not there; Metal Feature Set Tables: 31 buffer arguments", "a kernel has buffers 0 to 30"
)
_WIDTHS = rule(
    "attribute-conflict", "table 5.8; Apple's message in m1-gpu-cpp#4",
    "thread_execution_width and threads_per_simdgroup are one value, a kernel takes one of them",
)  # fmt: skip
_SHAPE = rule(
    "position-shape", "5.2.3.6; Apple's message in triton-msl#10",
    "the positions and sizes that a kernel takes are all scalars or all vectors of one length",
)  # fmt: skip
_MEMORY = rule(
    "threadgroup-limit", "not there; Metal Feature Set Tables: 31 threadgroup memory arguments",
    "a kernel has threadgroup arguments 0 to 30",
)  # fmt: skip
_TWICE = rule("buffer-index", "5.2.1", "two arguments with the same index")

_SCALARS = names(
    "dispatch_quadgroups_per_threadgroup dispatch_simdgroups_per_threadgroup quadgroup_index_in_threadgroup "
    "quadgroups_per_threadgroup simdgroup_index_in_threadgroup simdgroups_per_threadgroup thread_execution_width "
    "thread_index_in_quadgroup thread_index_in_simdgroup thread_index_in_threadgroup threads_per_simdgroup"
)
_POSITIONS = names(
    "dispatch_threads_per_threadgroup grid_origin grid_size thread_position_in_grid "
    "thread_position_in_threadgroup threadgroup_position_in_grid threadgroups_per_grid threads_per_grid "
    "threads_per_threadgroup"
)
_RESOURCES = frozenset(("buffer", "texture", "sampler", "threadgroup"))
_OTHERS = frozenset(
    ("function_constant", "stage_in", "raster_order_group", "render_target_array_index", "maybe_unused")
)
_SCALAR_TYPES = frozenset(("ushort", "uint", "uint16_t", "uint32_t", "unsigned", "unsigned int", "unsigned short"))
_POSITION_TYPES = _SCALAR_TYPES | {f"{t}{n}" for t in ("ushort", "uint") for n in (2, 3)}
_PAIRS = (
    ("thread_position_in_grid", "threads_per_grid"),
    ("thread_position_in_threadgroup", "threads_per_threadgroup", "dispatch_threads_per_threadgroup"),
)
_VALUES = frozenset(
    f"{t}{n}"
    for t in ["bool", "char", "uchar", "short", "ushort", "int", "uint", "long", "ulong", "half", "bfloat", "float"]
    for n in ("", 2, 3, 4)
) | frozenset(f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64))


def check(unit: Unit, version: Version) -> Iterator[Violation]:
    """Every rule of this module."""
    kernels = [f for f in unit.functions if f.is_kernel]
    seen: dict[str, Function] = {}
    for kernel in kernels:
        if "void" not in {t.text for t in kernel.head}:
            yield _RETURN.at(kernel.name, kernel.name.text)
        if kernel.name.text == "main":
            yield _MAIN.at(kernel.name, "main")
        if kernel.body and not kernel.template and seen.setdefault(kernel.name.text, kernel) is not kernel:
            yield _OVERLOAD.at(kernel.name, kernel.name.text)
        ahead = not kernel.body and (kernel.template or kernel.head[0].text == "template")
        if not ahead:  # an instance, or a template that is declared before its text, need not repeat them
            yield from _arguments(kernel)
    called = {kernel.name.text for kernel in kernels} - {f.name.text for f in unit.functions if not f.is_kernel}
    for kernel in kernels:
        body = kernel.body
        for i, token in enumerate(body[:-1]):
            if (
                token.text in called
                and body[i + 1].text == "("
                and (i == 0 or body[i - 1].text not in (".", "->", "::"))
            ):
                yield _CALLED.at(token, token.text)


def _arguments(kernel: Function) -> Iterator[Violation]:
    taken: dict[tuple[str, int], Token] = {}
    types: dict[str, str] = {}
    buffers = 0
    for parameter in kernel.parameters:
        outline = declared(parameter)
        if not outline or not parameter:
            continue
        marks = [a for a in attributes(parameter) if a]
        words = {t.text for t in outline}
        indirect = bool(words & {"*", "&", "["})
        optional = any(mark[0].text == "function_constant" for mark in marks)
        buffers += indirect and "threadgroup" not in words
        yield from _one(parameter[0], outline, marks, indirect, types)
        for mark in marks:
            if mark[0].text in ("buffer", "threadgroup") and len(mark) == 4 and mark[2].kind == "number":
                index = _index(mark[2])
                if index < 0:
                    continue
                if index > 30:
                    limit = _TOO_MANY if mark[0].text == "buffer" else _MEMORY
                    yield limit.at(mark[2], f"{mark[0].text}({index})")
                if not optional and taken.setdefault((mark[0].text, index), mark[0]) is not mark[0]:
                    yield _TWICE.at(mark[0], f"{mark[0].text}({index})")
    if buffers > 31:
        yield _TOO_MANY.at(kernel.name, f"{buffers} buffers")
    if types.keys() >= {"thread_execution_width", "threads_per_simdgroup"}:
        yield _WIDTHS.at(kernel.name, kernel.name.text)
    mismatched = [pair for pair in _PAIRS if len({types[name] for name in pair if name in types}) > 1]
    for pair in mismatched:
        yield _MISMATCH.at(kernel.name, ", ".join(name for name in pair if name in types))
    lengths = {types[name][-1:] if types[name][-1:] in "23" else "" for name in types.keys() & _POSITIONS}
    if len(lengths) > 1 and not mismatched:
        yield _SHAPE.at(kernel.name, ", ".join(sorted(types.keys() & _POSITIONS)))


def _index(number: Token) -> int:
    """-1 for what is no index in decimal digits: reading the kernel names it."""
    return int(number.text) if re.fullmatch("[0-9]{1,9}", number.text) else -1


def _one(
    first: Token, outline: list[Token], marks: list[list[Token]], indirect: bool, types: dict[str, str]
) -> Iterator[Violation]:
    """The rules of one argument; notes the types of built-ins in ``types``."""
    name = outline[-1].text
    spelled = " ".join(t.text for t in outline[:-1] if t.text not in ("const", *SPACES, "metal", "::", "volatile"))
    spaces = {t.text for t in outline} & SPACES
    if indirect and spaces and not spaces & {"device", "constant", "threadgroup", "threadgroup_imageblock"}:
        yield _SPACE.at(first, name)
    if not marks and not indirect and spelled in _VALUES:
        yield _NO_ATTRIBUTE.at(first, name)
    for mark in marks:
        text = mark[0].text
        if text == "buffer" and not indirect and spelled in _VALUES:
            yield _BY_VALUE.at(first, name)
        elif text in _SCALARS or text in _POSITIONS:
            types[text] = spelled
            if spelled not in (_SCALAR_TYPES if text in _SCALARS else _POSITION_TYPES):
                yield _TYPE.at(first, f"{spelled} {name} [[{text}]]")
        elif text not in _RESOURCES | _OTHERS:
            yield _UNKNOWN.at(mark[0], text)
