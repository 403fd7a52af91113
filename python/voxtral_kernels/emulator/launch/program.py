"""A Metal text made runnable: preprocessed, checked, translated, compiled on demand."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import dialect, toolchain
from ..containment import includes, process
from ..containment.deadline import deadline
from ..containment.includes import Folders
from ..errors import KernelError
from ..frontend import escapes
from ..frontend.parameters import BUILTINS
from ..frontend.reading import read, readable_errors
from ..frontend.tokens import TokenError, tokenize
from ..frontend.translate import translate
from ..frontend.unit import Kernel
from ..report import Columns, Finding, LineTable, Place, Report, Sources, make_finding, make_place, merged
from ..runtime import runtime
from . import private, typed
from .entry import Entry

_FEW = 8  # kernels that are compiled together: one run of the compiler for a text's several kernels
_ALL = 1 << 30


class Program:
    """One translation unit.

    Args:
        text: Metal, with the ``#include`` lines that it needs.
        path: What findings and errors call the text.
        include_dirs: Where ``#include "..."`` and ``#include <...>`` look.
        language_version: Of Metal, "3.1" say: for ``__METAL_VERSION__`` and the dialect's rules.
        trusted: Folders whose files are exempt from the dialect check: MLX's own headers.
        isolate: Whether the compiler and each launch have no environment, no network and no files but their own.
    """

    def __init__(
        self,
        text: str,
        path: str,
        include_dirs: Sequence[str | os.PathLike[str]] = (),
        language_version: str = dialect.DEFAULT_VERSION,
        trusted: Sequence[str] = (),
        isolate: bool = False,
    ):
        self.path, self.isolate = path, isolate
        if len(text) > toolchain.MOST_TEXT:
            raise KernelError(f"the text was not compiled: it has more than {toolchain.MOST_TEXT >> 20} MiB")
        self._folders = Folders(include_dirs, toolchain.INCLUDE, trusted)
        self.sources = Sources(path, text)
        self._text = text
        with deadline():
            _require(includes.refusals(text, path, self._folders))
        major, minor = language_version.split(".")
        marked = f'# 1 "{_quoted(path)}"\n{text}'
        with self._confined():
            preprocessed = toolchain.preprocess(marked, include_dirs, [f"__METAL_VERSION__={major}{minor}0"])
        foreign = (f for f in preprocessed.files if not self._folders.holds(f))
        _require(f"{path}: '{file}': a file outside of the given folders was asked for [contained]" for file in foreign)
        self.sources.may_read(set(preprocessed.files))
        with deadline():
            self._translate(preprocessed.text, language_version)
        self.together: Sequence[str] = ()  # entry points to compile in one go
        self._entries: dict[tuple[Any, ...], Entry] = {}

    def _translate(self, preprocessed: str, language_version: str) -> None:
        tokens = read(preprocessed, self.path)
        with readable_errors():
            _require(escapes.refusals(tokens, runtime().imports()))
            violations = dialect.check(tokens, version=language_version, preprocessed=True)
        violations = _check_includes(self._text, self.path, self._folders.searches) + violations
        _require(str(v) for v in violations if not self._folders.is_known(v.path))
        self.unit = translate(tokens)
        self._has_typed_rules = bool(self.unit.constants) or dialect.tree.concerns(tokens, self._folders.is_known)

    def _confined(self) -> AbstractContextManager[None]:
        if not self.isolate:
            return nullcontext()
        folders = self._folders
        return process.confined([folders.ours, *folders.searched, *folders.trusted], [str(toolchain.cache_dir())])

    def _make(self, *args: Any, **options: Any) -> Path:
        with self._confined():
            return toolchain.compile_library(*args, **options)

    def entry(self, name: str, mode: str, constants: Mapping[int, Any]) -> Entry:
        """The entry point ``name``: a kernel, the ``host_name`` of an instance, or a template id ``f<float, 4>``."""
        key = (name, mode == "plain", tuple(sorted(constants.items())))
        if key not in self._entries:
            with self._confined():
                self._compile([name, *(e for e in self.together if e != name)], mode != "plain", constants)
        return self._entries[key]

    def kernel(self, name: str) -> Kernel:
        """The kernel of an entry point's name; nothing is compiled."""
        return self._find(name)[0]

    def check(self, names: Sequence[str], constants: Mapping[int, Any], types: bool = True) -> None:
        """Raises KernelError if ``names`` or a kernel that is no template would not compile; compiles nothing."""
        _, text = self._with_entry_points(names, _ALL)
        values = {index: constants.get(index, 1) for index in self.unit.constants}
        with self._confined():
            if types:
                typed.require(text, self._defines(values), self.unit.constants, self._folders.is_known)
            else:
                toolchain.require_syntax(text, self._defines(values))

    def _with_entry_points(self, names: Sequence[str], most: int) -> tuple[dict[str, tuple[Kernel, str]], str]:
        """Kernels by the names of entries, those that are no templates among them if they are no more than ``most``.

        And the text that calls them all.
        """
        plain = {n: (k, n) for n, k in self.unit.kernels.items() if not k.is_template}
        kernels = {name: self._find(name) for name in names} | (plain if len(plain) <= most else {})
        calls = [_entry_point(f"msl_run_{i}", kernel, call) for i, (kernel, call) in enumerate(kernels.values())]
        return kernels, "".join([self.unit.text, *calls])

    def _compile(self, names: Sequence[str], instrumented: bool, constants: Mapping[int, Any]) -> None:
        """Compiles ``names``, and with them the kernels that are no templates, where they are few and can be."""
        try:
            self._compile_with(_FEW, names, instrumented, constants)
        except toolchain.UndefinedError:  # another kernel's constant has no value, perhaps
            self._compile_with(0, names, instrumented, constants)

    def _compile_with(self, most: int, names: Sequence[str], instrumented: bool, constants: Mapping[int, Any]) -> None:
        kernels, text = self._with_entry_points(names, most)
        defines = self._defines(constants)
        if self._has_typed_rules or any("bfloat" in call for _, call in kernels.values()):
            typed.require(text, defines, self.unit.constants, self._folders.is_known)
        try:
            path, fills = private.compile_all(self._make, text, instrumented, defines)
        except toolchain.UndefinedError as error:
            if most and len(kernels) > len(names):
                raise
            for index, constant in sorted(self.unit.constants.items()):
                if any(constant in symbol for symbol in error.symbols):
                    what = f"a value for {constant}, function_constant({index})"
                    raise KernelError(f"[emulator] constants: expected {what}, got none.") from None
            raise
        lines = LineTable(path)
        for i, (entry_name, (kernel, _)) in enumerate(kernels.items()):
            key = (entry_name, not instrumented, tuple(sorted(constants.items())))
            self._entries[key] = Entry(
                path, f"msl_run_{i}", kernel, lines, (text, defines), fills, self.isolate, self._make
            )

    def _find(self, name: str) -> tuple[Kernel, str]:
        """The kernel of an entry's name, and how it is called."""
        call = self.unit.instances.get(name, name)
        own = call.split("<", 1)[0].strip()
        if own not in self.unit.kernels:  # a kernel of a namespace, by its own name
            call = next((k for k in self.unit.kernels if k.endswith(f"::{own}")), own) + call[len(own) :]
        kernel = self.unit.kernels.get(call.split("<", 1)[0].strip())
        if kernel is None:
            known = ", ".join([*self.unit.instances, *self.unit.kernels])
            expected = f"expected one of the kernels {known}" if known else f"expected {self.path} to have a kernel"
            raise KernelError(f"[emulator] entry: {expected}, got {name}.")
        if kernel.is_template and name in self.unit.signatures:
            return kernel, f"static_cast<void (&)({self.unit.signatures[name]})>(::{call})"
        if kernel.is_template and "<" not in call:
            raise KernelError(f"[emulator] entry: expected a template id such as {name}<float>, got {name}.")
        return kernel, call

    def _defines(self, constants: Mapping[int, Any]) -> list[str]:
        """Macros for the function constants. One without a value is declared only: using it fails to link."""
        defines = []
        for index, name in sorted(self.unit.constants.items()):
            value = constants.get(index)
            declaration = f"extern constant type {name};"
            if value is not None:
                literal = str(int(value)) if isinstance(value, (bool, int)) else f"{float(value)!r}f"
                declaration = f"static constexpr constant type {name} = type({literal});"
            defines.append(f"MSL_CONSTANT_{index}(type)={declaration}")
            defines.append(f"MSL_CONSTANT_{index}_DEFINED={int(value is not None)}")
        return defines

    def report(self, result: Any, entry: Entry, mode: str, more: Sequence[Finding] = ()) -> Report:
        kernel = self.declared(entry.kernel)
        columns = Columns(entry.source[0])
        names = {f"threadgroup({p.index})": p.name for p in entry.kernel.parameters if p.kind == "threadgroup"}
        findings = [make_finding(f, entry.lines, columns, self.sources.line, kernel, names) for f in result.findings]
        findings += [replace(f, kernel=kernel) for f in self._located(more, entry)] if more else []
        counters = dict(result.counters) if mode == "counted" else {}
        return Report(merged(findings), counters, result.findings_total + len(more))

    def declared(self, kernel: Kernel) -> Place:
        """Where it stands in the user's text."""
        path, line = kernel.at.path, kernel.at.line
        source = self.sources.line(path, line)
        name = kernel.name.rsplit("::", 1)[-1]
        named = re.search(rf"\b{re.escape(name)}\b", source)
        return make_place(path, line, source, named.start() + 1 if named else 0)

    def _located(self, findings: Sequence[Finding], entry: Entry) -> list[Finding]:
        """The findings at the line where the compiler's own analysis sees this kernel use an unset variable, if any."""
        path, start = entry.kernel.at.path, entry.kernel.at.line
        starts = [k.at.line for k in self.unit.kernels.values() if k.at.path == path and k.at.line > start]
        for found in toolchain.unset_variables(*entry.source):
            if found[0] == path and start <= found[1] < min(starts, default=1 << 30):
                source = self.sources.line(found[0], found[1])
                column = Columns(entry.source[0]).find(*found, source)
                return [replace(finding, place=make_place(found[0], found[1], source, column)) for finding in findings]
        return list(findings)


def _require(refusals: Iterable[str]) -> None:
    found = list(dict.fromkeys(itertools.islice(refusals, 20)))
    if found:
        raise KernelError("\n".join(found))


def _check_includes(text: str, path: str, is_given: Callable[[str], bool]) -> list[dialect.Violation]:
    try:
        return dialect.check_includes(tokenize(text, path), is_given)
    except TokenError:
        return []  # quotes in a text that a condition leaves out, say; the preprocessor knows


def _quoted(path: str) -> str:
    """As a line directive has it."""
    return path.replace("\\", r"\\").replace('"', r"\"")


def _entry_point(symbol: str, kernel: Kernel, call: str) -> str:
    """The function that the runtime calls for each lane."""
    arguments = []
    for p in kernel.parameters:
        if p.kind == "builtin":
            arguments.append(f"::metal::msl_position({BUILTINS[p.builtin]})")
            continue
        wrapper = "::metal::msl_object" if p.is_reference else "::metal::msl_memory"
        memory = f"buffers[{p.index}]" if p.kind == "buffer" else f"msl_threadgroup_argument({p.index})"
        arguments.append(f"{wrapper}({memory})")
    attributes = 'visibility("default"), disable_sanitizer_instrumentation'
    lane = "const __generic msl_lane* at = msl_this_lane(); (void)at;"
    return (
        f'\n#line {kernel.at.line} "{_quoted(kernel.at.path)}"\n'
        f'extern "C" __attribute__(({attributes})) void {symbol}(void* const* buffers) '
        f"{{ {lane} {call if call.startswith('static_cast<') else f'::{call}'}({', '.join(arguments)}); }}\n"
    )
