"""One ``.metal`` file on the emulator: how many of its entry points compile, and why the rest does not.

``python -m bench.measure.metal_file JSON`` is what `metal-files` runs for each file, so that a limit can end it. It
compiles for no processor: every instance is read and typed, as the compiler does before it makes code.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from voxtral_kernels import emulator

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*(?:include|import)[ \t]*[<"]([^">\n]+)[">]', re.MULTILINE)
_WHERE = re.compile(r"^(.+?):(\d+):(?:\d+:)? (?:error: )?(.*)")
_MOST_CHECKS = 48  # of one file, when its entry points are told apart


def included(file: Path, given: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Files that a text includes, those of its includes too, and the folders that they are found by.

    A name is looked for in the folders given, then in the file's own folder and its parents.
    """
    files, folders = [file], list(given)
    for path in files:
        for name in _INCLUDE.findall(path.read_text(errors="replace")):
            folder = next((f for f in (*given, *path.parents, *folders) if (f / name).is_file()), None)
            if folder is None:
                continue
            folders += [] if folder in folders else [folder]
            files += [] if folder / name in files else [folder / name]
    return files, folders


def measure(file: Path, given: Sequence[Path], version: str, types: bool) -> dict[str, Any]:
    """``entries``, ``compiled``, ``seconds`` and the first ``error``, "" where there is none."""
    start = time.perf_counter()
    names: list[str] = []
    plain = compiled = 0
    error = ""
    try:
        folders = [str(folder) for folder in included(file, given)[1]]
        library = emulator.library(file, include_dirs=folders, language_version=version)
        names, plain = library.instances, library.plain_kernels
        compiled, error = _count(names, plain, lambda part: library.check(part, types=types))
    except emulator.KernelError as refused:
        error = _first(str(refused))
    return {
        "entries": len(names) + plain,
        "compiled": compiled,
        "seconds": round(time.perf_counter() - start, 1),
        "error": error,
    }


def _count(names: Sequence[str], plain: int, check: Callable[[Sequence[str]], None]) -> tuple[int, str]:
    """How many entry points compile, and the first error. What is no template is compiled with each part."""
    error = _refusal(names, check)
    if not error:
        return len(names) + plain, ""
    if not names or _refusal([], check):
        return 0, error
    checks = iter(range(_MOST_CHECKS))
    return plain + sum(len(part) for part in _good(names, check, checks)), error


def _good(names: Sequence[str], check: Callable[[Sequence[str]], None], left: Iterator[int]) -> Iterator[Sequence[str]]:
    """Parts of a list that does not compile whole which do; what is not asked any more does not count."""
    if len(names) < 2:
        return
    half = len(names) // 2
    for part in (names[:half], names[half:]):
        if next(left, None) is None:
            return
        if not _refusal(part, check):
            yield part
        else:
            yield from _good(part, check, left)


def _refusal(names: Sequence[str], check: Callable[[Sequence[str]], None]) -> str:
    try:
        check(names)
    except emulator.KernelError as error:
        return _first(str(error))
    return ""


def _first(message: str) -> str:
    """The first sentence that names a line, as ``file:line: reason``; else the first line."""
    lines = message.splitlines() or [message]
    for line in lines:
        if (found := _WHERE.match(line)) and " note: " not in line and " warning: " not in line:
            return f"{found[1]}:{found[2]}: {found[3]}"
    return lines[0]


if __name__ == "__main__":
    spec = json.loads(sys.argv[1])
    given = [Path(folder) for folder in spec["include"]]
    print(json.dumps(measure(Path(spec["file"]), given, spec["version"], spec["types"])))
