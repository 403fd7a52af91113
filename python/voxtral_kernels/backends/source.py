"""Reads ``kernels/*.metal``, builds and caches the kernel objects.

A kernel object is built once per name and factory; its template arguments are dtypes and sizes, so nothing recompiles
as a stream moves. The factory is `mx.fast.metal_kernel`, or the emulator's: one text, one dispatch.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx

from .._paths import kernels_dir
from . import short
from .lean import bare, lean, uncommented, words

Factory = Callable[..., Any]

PREFIX = "vk_"  # of the kernels' names in a trace
_INCLUDE = re.compile(r'^#include "(?P<file>common/\w+\.h)"$')
_BODY = re.compile(r"^\s*// BODY (?P<name>\w+)$")
_END = "// END"


@functools.cache
def text(file: str) -> str:
    """A kernel file with each ``common/`` header inlined once, at its first include, under ``#line``."""
    return "\n".join([*_inlined(file, set()), ""])


def _inlined(file: str, seen: set[str]) -> list[str]:
    lines = [f'#line 1 "{file}"']
    for number, line in enumerate((kernels_dir() / file).read_text().splitlines(), 1):
        include = _INCLUDE.match(line)
        if include and include["file"] not in seen:
            seen.add(include["file"])
            lines += [*_inlined(include["file"], seen), f'#line {number + 1} "{file}"']
        else:
            # What is inlined already must not be looked for, nor a `once` stand in the main file.
            lines.append("" if include or line == "#pragma once" else line)
    return lines


@functools.cache
def body(file: str, name: str) -> str:
    """What stands between ``// BODY <name>`` and ``// END``, bare: the function body that `mx.fast.metal_kernel` wraps.

    Raises:
        KeyError: the file has no such region.
    """
    lines = (kernels_dir() / file).read_text().splitlines()
    for number, line in enumerate(lines):
        found = _BODY.match(line)
        if found and found["name"] == name:
            end = next(i for i in range(number, len(lines)) if lines[i].strip() == _END)
            return "\n".join([f'#line {number + 2} "{file}"', bare("\n".join(lines[number + 1 : end]))])
    raise KeyError(f"{file} has no body {name}")


@functools.cache
def header(file: str, name: str) -> str:
    """What a body needs of its file and of ``common/``."""
    return lean(text(file), words(body(file, name)))


@functools.cache
def entry(stem: str) -> str:
    """The ``[[kernel]]`` function ``<stem>_kernel`` and what it needs, for the extension.

    Raises:
        KeyError: no file has it.
    """
    return lean(text(_file_of(stem)), [f"{stem}_kernel"])


def _file_of(stem: str) -> str:
    for path in sorted(kernels_dir().glob("*.metal")):
        if re.search(rf"\b{stem}_kernel\(", path.read_text()):
            return path.name
    raise KeyError(f"no shader file has {stem}_kernel")


@functools.cache
def shortened(stem: str) -> tuple[str, str]:
    """`header` and `body` of an entry point with short names (see `short`): what MLX is to copy at every launch."""
    file = _file_of(stem)
    code = uncommented(text(file))
    # MLX writes the entry point's signature anew, in these words.
    signature = re.search(rf"(?:template <[^;{{}}]*>\s*)?\[\[kernel\]\] void {stem}_kernel\([^{{]*", code)
    assert signature, f"{file}: {stem}_kernel has no signature"
    texts = header(file, stem), body(file, stem)
    chosen = short.names(texts, short.declared(code), words(signature[0]))
    return short.shortened(texts[0], chosen), short.shortened(texts[1], chosen)


@functools.cache
def kernel(
    factory: Factory,
    file: str,
    name: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    ensure_row_contiguous: bool = True,
) -> Any:
    """The kernel object of one body, built at first use."""
    return factory(
        name=f"{PREFIX}{name}",
        input_names=list(inputs),
        output_names=list(outputs),
        source=body(file, name),
        header=header(file, name),
        ensure_row_contiguous=ensure_row_contiguous,
    )


@functools.lru_cache(maxsize=4096)
def ints(*values: int) -> mx.array:
    """A small int32 array: how offsets and lengths reach a kernel. Equal values share one array."""
    return mx.array(values, mx.int32)


@functools.lru_cache(maxsize=256)
def floats(*values: float) -> mx.array:
    """A small float32 array."""
    return mx.array(values, mx.float32)


def all_text() -> str:
    """Every kernel file's text: what a verdict on them depends on."""
    return "".join(text(path.name) for path in sorted(kernels_dir().glob("*.metal")))
