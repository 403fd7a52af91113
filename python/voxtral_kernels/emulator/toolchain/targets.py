"""What kernels are compiled for: names of the machine, the linker, and the assembly that both formats write apart."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ..errors import UnavailableError
from ..report import images

_ARM = ("arm64", "aarch64")


class Target:
    """Linux: ELF, linked by lld."""

    suffix = ".so"
    lines_in_object = False  # whether the line table stays in the object that was linked
    at_load = frozenset([".init_array"])  # where the checks' own entry is, which the compiler makes

    def __init__(self, flags: Sequence[str]):
        self.flags = ["-target", *flags]
        self._is_arm = self.flags[1].startswith("aarch64")

    def link(self, objects: Sequence[str], library: str) -> list[str]:
        """The linker's arguments."""
        return ["ld.lld", "-shared", "--no-undefined", *objects, "-o", library]

    def undefined(self, stderr: str) -> list[str]:
        """The symbols that the linker misses by what it printed."""
        lines = [line for line in stderr.splitlines() if "undefined symbol" in line]
        return sorted({line.rsplit(":", 1)[1].strip() for line in lines})

    def borrowed(self, library: str) -> list[str]:
        """The symbols of a linked library that the system's libraries would supply: a kernel has none."""
        return []

    def imports(self, names: Sequence[str]) -> str:
        """Assembly: each name jumps through its entry of the table ``msl_imports``.

        The compiler calls ``__tsan_init`` while the library is loaded, before anybody could fill the table.
        """
        lines = [".text", ".globl __tsan_init", ".hidden __tsan_init", "__tsan_init: ret"]
        kind = "%" if self._is_arm else "@"
        for i, name in enumerate(names):
            at = f".Ltable+{8 * i}"
            jump = f"adrp x16, {at}\n ldr x16, [x16, :lo12:{at}]\n br x16" if self._is_arm else f"jmp *{at}(%rip)"
            lines.append(f".globl {name}\n.hidden {name}\n.type {name}, {kind}function\n{name}:\n {jump}")
        lines += [".data", ".balign 8", ".globl msl_imports", "msl_imports:", ".Ltable:", f".zero {8 * len(names)}"]
        return "\n".join([*lines, f'.section .note.GNU-stack,"",{kind}progbits', ""])


class MacOS(Target):
    """macOS arm64: Mach-O, linked and signed ad hoc by zig's own linker."""

    suffix = ".dylib"
    lines_in_object = True
    at_load = frozenset(["__mod_init_func"])

    def link(self, objects: Sequence[str], library: str) -> list[str]:
        scratch = os.path.dirname(library)
        caches = ["--cache-dir", scratch, "--global-cache-dir", scratch]
        parts = ["-fno-compiler-rt", "-fno-ubsan-rt", *caches, "--name", "kernel", f"-femit-bin={library}"]
        return ["build-lib", "-dynamic", *self.flags, *parts, *objects]

    def undefined(self, stderr: str) -> list[str]:
        return [name.removeprefix("_") for name in super().undefined(stderr)]

    def borrowed(self, library: str) -> list[str]:
        return [name.removeprefix("_") for name in images.undefined(Path(library).read_bytes())]

    def imports(self, names: Sequence[str]) -> str:
        lines = [".text", ".globl ___tsan_init", ".private_extern ___tsan_init", ".p2align 2", "___tsan_init: ret"]
        for i, name in enumerate(names):
            jump = (
                f"adrp x16, _msl_imports@PAGE\n add x16, x16, _msl_imports@PAGEOFF\n ldr x16, [x16, #{8 * i}]\n br x16"
            )
            lines.append(f".globl _{name}\n.private_extern _{name}\n.p2align 2\n_{name}:\n {jump}")
        lines += [".data", ".p2align 3", ".globl _msl_imports", "_msl_imports:", f".zero {8 * len(names)}"]
        return "\n".join([*lines, ".subsections_via_symbols", ""])


MACOS_ARM64 = MacOS(["aarch64-macos.14.0"])


@cache
def host() -> Target:
    """What this machine runs.

    Raises:
        UnavailableError: a Mac with another processor than Apple's own.
    """
    is_arm = platform.machine().lower() in _ARM
    if sys.platform == "darwin":
        if not is_arm:
            raise UnavailableError("the emulator runs on Apple silicon; this Mac has another processor")
        return MACOS_ARM64
    if is_arm:
        return Target(["aarch64-linux-gnu"])
    try:
        flags = Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0].split()
    except (OSError, IndexError):
        flags = []
    level = "x86-64-v3" if {"avx2", "f16c", "fma", "bmi2"} <= set(flags) else "x86-64-v2"
    return Target(["x86_64-linux-gnu", f"-march={level}"])
