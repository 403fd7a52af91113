"""Directives are found as the preprocessor finds them: none hides in what a reader takes for a comment or a string."""

import contextlib
import time
from pathlib import Path

import numpy as np
import pytest

from voxtral_kernels import emulator
from voxtral_kernels.emulator.containment import process

HEAD = "#include <metal_stdlib>\nusing namespace metal;\n"
KERNEL = "kernel void k(device float* y [[buffer(0)]], uint i [[thread_position_in_grid]]) {{ {body} }}\n"


def library(before, body, **options):
    return emulator.library(f"{HEAD}{before}\n{KERNEL.format(body=body)}", **options)


def run(kernels):
    return kernels.run("k", {0: np.zeros(64, np.float32)}, (64, 1, 1), (64, 1, 1), outputs=[0])


def test_a_macro_that_asks_for_a_file_is_refused():
    with pytest.raises(emulator.KernelError, match="'/etc/hostname': a file outside of the given folders"):
        library('#define P(a, b) a##b\n#if P(__has_, include)("/etc/hostname")\n#endif', "y[i] = 1;")


@pytest.mark.parametrize("isolate", [False, True], ids=["here", "isolated"])
@pytest.mark.parametrize("file", ["/etc/hostname", "/etc/no-such-file"])
def test_a_pragma_of_pasted_words_is_refused(file, isolate):
    before = f'#define C(a, b) a##b\nC(_Prag, ma)("GCC dependency \\"{file}\\"")'
    with pytest.raises(emulator.KernelError, match=r"^kernel\.metal:4:"):
        library(before, "y[i] = 1;", isolate=isolate)


def test_questions_that_stay_within_are_answered():
    before = '#if __has_include("nothing.h")\n#error\n#endif\n#ifdef __has_include\n#if defined(__has_include) && '
    before += "__has_include(<metal_stdlib>)\nconstant float found = 2;\n#endif\n#endif"
    (y,) = run(library(before, "y[i] = found;"))
    assert set(np.array(y).tolist()) == {2}


TRUSTED = f'#line 1 "{Path(process.__file__).parents[1] / "include/metal/math.h"}"'
# What a reader takes for a comment or a string, and the preprocessor does not: the directive behind it is one.
HIDING = {
    "a quote in quotes": 'constant char a = \'"\'; constant char* s = "/*";\n{}\nconstant int q = 1; // */',
    "a name that ends with R": '#define xR\nconstant char a[] = xR"(";\n{}\nconstant char z[] = ")";',
    "a carriage return": "// x\r{}\nconstant int q = 1;",
    "an apostrophe that is left out": "#if 0\ndon't /*\n#endif\n{}\nconstant int q = 1; // */",
    "a blank of Unicode": "\u00a0{}\nconstant int q = 1;",
    "a blank of Unicode behind it": "{}\nconstant int q = 1;",
    "a zero": "\0{}\nconstant int q = 1;",
    "a byte order mark": "\ufeff{}\nconstant int q = 1;",
    "a form feed": "#li\\\f\nne{}\nconstant int q = 1;",
}


@pytest.mark.parametrize("name", HIDING)
def test_no_directive_hides(name):
    hidden = {"a form feed": TRUSTED.removeprefix("#line"), "a blank of Unicode behind it": f"#\u00a0{TRUSTED[1:]}"}
    with pytest.raises(emulator.KernelError, match=r"^kernel\.metal:\d+: '#line': the name of a file that the checks"):
        library(HIDING[name].format(hidden.get(name, TRUSTED)), "double d = 1; y[i] = d;")


def test_quotes_and_numbers_are_read_as_they_are():
    before = "constant int n = 1'000; // don't\nconstant char q = '\"'; /* \" */\n#define S \"/*\"\nconstant int m = 2;"
    (y,) = run(library(before, "y[i] = n + m;"))
    assert set(np.array(y).tolist()) == {1002}


def test_many_directives_are_read_in_time():
    start = time.process_time()
    with pytest.raises(emulator.KernelError, match="'#embed'"):
        library("#\n" * 50_000 + "#embed <x>", "y[i] = 1;")
    assert time.process_time() - start < 10


# What a regular expression that tries again from each place would take minutes for; no limit of time ends one.
LONG = {
    "blanks": ("#if defined" + " " * 40_000 + "X\n#endif", "y[i] = 1;"),
    "brackets": ("#if 0\n#include " + "<" * 60_000 + "\n#endif", "y[i] = 1;"),
    "digits": ("", f"y[i] = {'1' * 2_500}..;"),
    "open quotes": ("#define A " + '"\\' * 60_000, "y[i] = 1;"),
}


@pytest.mark.parametrize("name", LONG)
def test_a_long_line_is_read_in_time(name):
    start = time.process_time()
    with contextlib.suppress(emulator.KernelError):
        library(*LONG[name])
    assert time.process_time() - start < 5


def test_an_open_quote_takes_the_rest_of_its_line():
    before = "#if 0\n#error don't /* that\n#endif\n#define TWO 2 // don't /* that\nconstant int n = TWO; /* a\n*/"
    (y,) = run(library(before, "y[i] = n;"))
    assert set(np.array(y).tolist()) == {2}
