"""Private variables read before they have a value: such a kernel does something else with another fill of them.

A register leaves no trace that an access check could see. So beside a checked kernel two plain ones are compiled, their
private variables filled with NaN and with zero. Nearly always the compiler proves that no fill is read, and both are
the same code. Where they are not, a launch without other findings runs both and compares the outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

import numpy as np

from .. import toolchain
from ..report import Finding, images


def compile_all(text: str, instrumented: bool, defines: Sequence[str]) -> tuple[Path, list[Path]]:
    """The library of a kernel and, where the fill of private variables makes other code, plain ones of both fills."""
    if not instrumented:
        return toolchain.compile_library(text, False, defines, "pattern"), []
    with ThreadPoolExecutor(2) as pool:
        checked = pool.submit(copy_context().run, toolchain.compile_library, text, True, defines, "pattern")
        plain = [
            pool.submit(copy_context().run, toolchain.compile_library, text, False, defines, fill)
            for fill in ("pattern", "zero")
        ]
        fills = [future.result() for future in plain]
    codes = [images.code(path.read_bytes()) for path in fills]
    same = codes[0] == codes[1]
    return checked.result(), [] if same else fills


def compare(outputs: Mapping[int, bytes], again: Mapping[int, bytes], names: Mapping[int, str]) -> list[Finding]:
    """One finding for each output that hangs on the fill."""
    findings = []
    for index, want in outputs.items():
        got = again.get(index, b"")
        if want == got:
            continue
        differs = np.flatnonzero(np.frombuffer(want, np.uint8) != np.frombuffer(got, np.uint8))
        message = f"{differs.size} bytes hang on what a private variable holds before it is set"
        findings.append(Finding("uninitialised-private", message, buffer=names[index], offset=int(differs[0])))
    return findings
