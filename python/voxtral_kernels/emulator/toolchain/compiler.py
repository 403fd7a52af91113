"""The host's compiler: the clang and lld of PyPI's ``ziglang``, and the folder where compiled kernels are kept."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from ..containment import process
from ..errors import KernelError, UnavailableError
from ..report import images
from ..runtime import runtime
from . import options, repairs, targets
from .cache import cache_dir, is_kept, keep
from .messages import INCLUDE, asked_for, dependencies, readable

# Loops that a kernel wants written out, which a GPU gains by: here they are up to a half of a compilation.
_UNROLL = re.compile(r"^[ \t]*#[ \t]*pragma[ \t]+(?:clang[ \t]+loop[ \t]+)?unroll(?:_count)?\b.*$", re.MULTILINE)
# A method of a temporary: clang keeps those in no address space, so such a text is compiled with MSL_METHODS_ANYWHERE.
_TEMPORARY = re.compile(
    r"default address space|object parameter of type '[^']*' with an expression of type '(?![^']*__)"
)


class UndefinedError(KernelError):
    """The kernel refers to ``symbols`` that neither it nor the runtime defines."""

    def __init__(self, symbols: Sequence[str], details: str):
        super().__init__("the kernel uses what the emulator lacks: " + (", ".join(symbols) or details))
        self.symbols = list(symbols)


@cache
def _zig() -> str:
    try:
        import ziglang
    except ImportError:
        message = "the emulator compiles kernels with the package ziglang: pip install 'voxtral-kernels[emulator]'"
        raise UnavailableError(message) from None
    return str(Path(ziglang.__file__).parent / ("zig.exe" if os.name == "nt" else "zig"))


def _run(arguments: Sequence[str], text: str | None = None) -> process.Done:
    return process.run([_zig(), *arguments], text)


def _target() -> list[str]:
    return targets.host().flags


def _identity() -> str:
    return _identity_for(targets.host())


@cache
def _identity_for(target: targets.Target) -> str:
    """What a compiled kernel depends on besides its own text: compiler, target and our headers."""
    digest = hashlib.sha256(_run(["version"]).stdout.encode())
    digest.update(repr([target.flags, options.LANGUAGE, options.checks(), runtime().imports()]).encode())
    for path in sorted((INCLUDE / "metal").iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class Preprocessed(NamedTuple):
    """``text`` with its includes and macros expanded, line markers telling where each line comes from; files read."""

    text: str
    files: list[str]


def preprocess(text: str, include_dirs: Sequence[str | os.PathLike[str]], defines: Sequence[str] = ()) -> Preprocessed:
    """Includes and macros expanded."""
    arguments = ["clang", *_target(), "-E", "-x", "c++", "-std=c++17", "-nostdinc", "-fno-caret-diagnostics"]
    arguments += ["-fno-crash-diagnostics"]
    arguments += [f"-D{d}" for d in ("__METAL__=1", "__METAL_MACOS__=1", "__HAVE_BFLOAT__=1", *defines)]
    arguments += [f"-I{os.path.abspath(d)}" for d in include_dirs] + ["-isystem", str(INCLUDE)]
    with tempfile.TemporaryDirectory(dir=cache_dir()) as scratch:
        listed = os.path.join(scratch, "files")
        done = _run([*arguments, "-MD", "-MF", listed, "-MT", "t", "-"], text)
        if done.returncode:
            raise KernelError(readable(done.stderr))
        if asked := asked_for(done.stderr):
            raise KernelError(asked)
        with open(listed, encoding="utf-8", errors="surrogateescape") as file:
            files = dependencies(file.read())
    if len(done.stdout) > MOST_TEXT:
        raise process.LimitError(f"the text was not compiled: it expands to more than {MOST_TEXT >> 20} MiB")
    return Preprocessed(done.stdout, files)


MOST_TEXT = 32 << 20


# Our own headers leave variables unset where no lane can see it; what a kernel leaves unset, the fill sets.
_PRELUDE = """#pragma clang attribute push(__attribute__((uninitialized)), apply_to = variable(is_local))
#include "metal/prelude.h"
#pragma clang attribute pop
"""


def compile_library(
    text: str,
    instrumented: bool,
    defines: Sequence[str] = (),
    fill: str = "",
    *,
    local_bounds: bool = True,
    is_brief: bool = False,
) -> Path:
    """The shared library of a translated kernel, from the cache if it was compiled before.

    ``fill`` ("pattern", which is NaN for floats, or "zero") is what private variables without a value start with;
    ``is_brief`` is for code that need not be fast. Several processes may compile the same kernel: each writes its own
    file and moves it into place.
    """
    text = _UNROLL.sub("", text) if instrumented or is_brief else text
    checks = options.checks(local_bounds=local_bounds) if instrumented else []
    flags = [*(f"-D{d}" for d in defines), *options.of_text(fill, instrumented=instrumented, is_brief=is_brief)]
    # A function constant without a value makes one of what is computed from it, which then fails to link.
    complete = not any(d.endswith("_DEFINED=0") for d in defines)
    flags += ["-Werror=global-constructors"] if complete else []
    key = hashlib.sha256("\0".join([_identity(), text, *checks, *flags]).encode()).hexdigest()[:32]
    folder, host = cache_dir(), targets.host()
    target = folder / f"{key}{host.suffix}"
    lines = target.with_suffix(".o") if host.lines_in_object else None
    if is_kept(target) and (lines is None or is_kept(lines)):
        return target
    imports = _imports_object(folder)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        object_, library = os.path.join(scratch, "kernel.o"), os.path.join(scratch, f"kernel{host.suffix}")
        _read(text, [*flags, "-c", "-o", object_], checks)
        _link(object_, str(imports), library)
        _require_nothing_at_load(Path(library).read_bytes(), instrumented)
        if lines is not None:
            keep(object_, lines)
        keep(library, target)
    return target


def _require_nothing_at_load(image: bytes, instrumented: bool) -> None:
    """Nothing but the checks' own entry runs when a kernel is loaded."""
    sizes = images.run_at_load(image)
    if sizes and not (instrumented and sizes.keys() <= targets.host().at_load and sum(sizes.values()) <= 8):
        raise KernelError("the kernel has code that would run when it is loaded [contained]")


def _read(text: str, flags: Sequence[str], checks: Sequence[str] = ()) -> process.Done:
    """Clang over a translated text with these flags; KernelError with its messages if it refuses."""
    prelude = _precompiled_prelude(checks)
    arguments = ["clang", *_target(), *options.LANGUAGE, *checks, "-Xclang", "-include-pch", "-Xclang", str(prelude)]
    done = _run([*arguments, *flags, "-"], text)
    if done.returncode and ("precompiled file" in done.stderr or ".pch'" in done.stderr):  # it is spoilt
        prelude.unlink(missing_ok=True)
        _precompiled_prelude(checks)
        done = _run([*arguments, *flags, "-"], text)
    if done.returncode and repairs.concerns(done.stderr):
        text = _repaired(text, tuple(flag for flag in flags if flag.startswith("-D")))
        done = _run([*arguments, *flags, "-"], text)
    if done.returncode and _TEMPORARY.search(done.stderr):
        done = _run([*arguments, *flags, "-"], f"{_METHODS_ANYWHERE}{text}")
    if done.returncode:
        raise KernelError(readable(done.stderr))
    return done


@lru_cache(16)
def _repaired(text: str, defines: Sequence[str]) -> str:
    prelude = ["-Xclang", "-include-pch", "-Xclang", str(_precompiled_prelude([]))]
    command = ["clang", *_target(), *options.LANGUAGE, *prelude, *defines, "-fsyntax-only", "-ferror-limit=0", "-"]
    return repairs.repair(text, lambda next_: _run(command, next_).stderr)


_METHODS_ANYWHERE = "#undef MSL_METHOD_SPACE\n#define MSL_METHOD_SPACE\n"


def _precompiled_prelude(checks: Sequence[str]) -> Path:
    """Our headers, which clang has read once and kept: a fifth to a third of what a compilation takes."""
    key = hashlib.sha256("\0".join([_identity(), str(INCLUDE), *checks]).encode()).hexdigest()[:32]
    target = cache_dir() / f"prelude-{key}.pch"
    if not is_kept(target):
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            written = os.path.join(scratch, "prelude.pch")
            flags = [*_target(), *options.LANGUAGE, *checks]
            # In one piece, so that what is kept hangs on no file that may change or go.
            whole = _run(["clang", *flags, f"-I{INCLUDE}", "-E", "-frewrite-includes", "-"], _PRELUDE)
            done = _run(["clang", *flags, "-Xclang", "-emit-pch", "-c", "-", "-o", written], whole.stdout)
            if done.returncode:
                raise KernelError(whole.stderr + done.stderr)
            keep(written, target)
    return target


def syntax_tree(text: str, defines: Sequence[str] = ()) -> list[str]:
    """The lines of clang's syntax tree of a translated text, without our headers; nothing is compiled.

    Raises:
        KernelError: the text has errors.
    """
    return _read(text, [*(f"-D{d}" for d in defines), "-fsyntax-only", "-Xclang", "-ast-dump"]).stdout.splitlines()


def require_syntax(text: str, defines: Sequence[str] = ()) -> None:
    """Raises KernelError, naming lines, if the host's compiler refuses a translated text; nothing is compiled."""
    _read(text, [*(f"-D{d}" for d in defines), "-fsyntax-only"])


def verdict_file(text: str, defines: Sequence[str], rules: Path) -> Path:
    """Where it is kept that a text has passed the rules about types that the file ``rules`` holds."""
    parts = [_identity(), hashlib.sha256(rules.read_bytes()).hexdigest(), text, *defines]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    return cache_dir() / f"{key}.accepted"


def unset_variables(text: str, defines: Sequence[str]) -> list[tuple[str, int, int]]:
    """Path, line and column of the places where the compiler itself sees a variable used before it is set."""
    warnings = ["-Wuninitialized", "-Wsometimes-uninitialized", "-fsyntax-only"]
    printed = _read(text, [*(f"-D{d}" for d in defines), *warnings]).stderr
    found = re.findall(r"^(.+?):(\d+):(\d+): warning: variable '.*' is (?:used )?uninitialized", printed, re.MULTILINE)
    return [(path, int(line), int(column)) for path, line, column in found]


def _link(*files: str) -> None:
    *objects, library = files
    host = targets.host()
    done = _run(host.link(objects, library))
    missing = host.undefined(done.stderr) if done.returncode else host.borrowed(library)
    if done.returncode or missing:
        raise UndefinedError(missing, done.stderr)


def _imports_object(folder: Path) -> Path:
    """Jumps through a table that the runtime fills when it loads the kernel: no symbol of ours becomes global."""
    target = folder / f"imports-{_identity()[:32]}.o"
    if is_kept(target):
        return target
    source = targets.host().imports(runtime().imports())
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        object_ = os.path.join(scratch, "imports.o")
        done = _run(["clang", *_target(), "-x", "assembler", "-c", "-", "-o", object_], source)
        if done.returncode:
            raise KernelError(done.stderr)
        keep(object_, target)
    return target
