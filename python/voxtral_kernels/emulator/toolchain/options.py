"""What the compiler is called with: the language, and what each kind of library needs."""

from __future__ import annotations

# C++ for OpenCL 2021: the dialect of clang with address spaces. `bool` vectors apart it takes Metal's own text.
_DIALECT = [
    *("-x", "c++", "-std=c++17", "-Xclang", "-x", "-Xclang", "clcpp", "-Xclang", "-cl-std=clc++2021"),
    *("-Xclang", "-cl-ext=+all"),
    *("-Xclang", "-cl-single-precision-constant", "-Xclang", "-fbfloat16-excess-precision=none"),
]
_CODE = [
    *("-O2", "-fPIC", "-fvisibility=hidden", "-nostdinc", "-fno-exceptions", "-fno-rtti", "-fno-math-errno"),
    *(
        "-ffp-contract=off",
        "-fno-finite-loops",
        "-fno-delete-null-pointer-checks",  # an access to null is one like any other, for the checks to see
        "-fno-strict-return",  # a function that ends without its value goes on where it was called
        "-fno-stack-protector",
        "-fstack-clash-protection",
        "-gdwarf-4",
        "-gline-tables-only",  # behind it: a later -gdwarf asks for every variable's place, a fifth of a compilation
    ),
    *("-Wno-unknown-attributes", "-Wno-unknown-pragmas", "-Wno-pass-failed", "-Wno-unused-value"),
    *(
        "-Wno-return-type-c-linkage",
        "-Werror=zero-length-array",
        "-Wno-defaulted-function-deleted",
        "-fwritable-strings",
        "-Wno-writable-strings",
        "-ferror-limit=8",
        "-fno-caret-diagnostics",
        "-fno-color-diagnostics",
        "-fno-crash-diagnostics",
    ),
]
# Access callbacks (csrc/emulator/callbacks.cpp answers them), with one callback for each access as it was written.
_INSTRUMENTED = [
    *("-DMSL_CHECKED=1", "-fsanitize=thread", "-mllvm", "-tsan-instrument-func-entry-exit=0"),
    *("-mllvm", "-tsan-instrument-read-before-write=1"),  # else x[i] += y is seen as a write only
    *(
        "-fsanitize=array-bounds,alignment,null,integer-divide-by-zero,return,object-size",
        "-fno-sanitize-trap=all",
        "-fno-sanitize-merge",
    ),
    *("-fno-vectorize", "-fno-slp-vectorize"),
    *("-mllvm", "-inline-threshold=20000"),  # see _INLINED
]

# Where a function becomes part of its caller, the bounds of the private arrays that it is handed are known.
_INLINED = ["-Dnoinline=unused", "-D__noinline__=unused"]

# Code that is run to compare its outputs: left out is what takes long to compile, none of which changes a value.
_BRIEF = ["-fno-unroll-loops", "-fno-vectorize", "-fno-slp-vectorize", "-g0"]

# Accesses through pointers to private arrays. It takes a null that the compiler sees for an array of no elements.
_LOCAL_BOUNDS = ["-fsanitize=local-bounds"]

LANGUAGE = [*_DIALECT, *_CODE]


def checks(*, local_bounds: bool = True) -> list[str]:
    """Of a library whose accesses are checked; our own headers are read with them too."""
    return [*_INSTRUMENTED, *(_LOCAL_BOUNDS if local_bounds else [])]


def of_text(fill: str, *, instrumented: bool, is_brief: bool) -> list[str]:
    """For the kernel's text alone."""
    # What is larger than a lane's private memory is found at its first access; filling it would take minutes.
    filled = [f"-ftrivial-auto-var-init={fill}", "-ftrivial-auto-var-init-max-size=524288"] if fill else []
    return [*filled, *(_BRIEF if is_brief else []), *(_INLINED if instrumented else [])]
