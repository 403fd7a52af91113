"""Hostile texts: each way out of the language that is known is refused by name or contained, isolated or not."""

import json
import os
import pathlib
import re
import runpy
import subprocess
import sys
import time

import numpy as np
import pytest

from voxtral_kernels import emulator
from voxtral_kernels.emulator.containment import confine, process
from voxtral_kernels.emulator.suite import read_spec, work

HEAD = "#include <metal_stdlib>\nusing namespace metal;\n"
KERNEL = "kernel void k(device float* y [[buffer(0)]], uint i [[thread_position_in_grid]]) {{ {body} }}\n"

ESCAPES = runpy.run_path(str(pathlib.Path(__file__).parent / "escapes.py"))["ESCAPES"]


def library(before, body, **options):
    return emulator.library(f"{HEAD}{before}\n{KERNEL.format(body=body)}", **options)


def run(kernels, **options):
    zeros = np.zeros(64, np.float32)
    return kernels.run("k", {0: zeros}, (64, 1, 1), (64, 1, 1), outputs=[0], **options)


def kinds(kernels, **options):
    run(kernels, raise_findings=False, **options)
    return [f.kind for f in kernels.report.findings]


@pytest.mark.parametrize("isolate", [False, True], ids=["here", "isolated"])
@pytest.mark.parametrize("name", ESCAPES)
def test_an_escape_is_refused_by_name_with_its_line(name, isolate):
    before, body, named = ESCAPES[name]
    with pytest.raises(emulator.KernelError) as caught:
        library(before, body, isolate=isolate)
    first = str(caught.value).splitlines()[0]
    assert re.match(r"kernel\.metal:[34]: ", first), first
    assert named in first


def test_what_kernels_write_is_let_through():
    before = "__attribute__((always_inline)) inline float f(float x) { return x; }\n#pragma clang diagnostic push\n"
    before += '#line 1 "other.metal"'
    (y,) = run(library(before, '_Pragma("unroll") for (int k = 0; k < 2; ++k) y[i] = f(i);'))
    assert np.array_equal(np.array(y), np.arange(64))


def test_a_kernel_does_not_write_to_its_own_program():
    before = "constant float t[2] = {1, 2};"
    at = "ulong a = (ulong)&t[i & 1] & ~4095ul; "
    body = at + "for (ulong b = a; b < a + (1 << 20); b += 8) *(device ulong*)b = 1;"
    kernels = library(before, body)
    run(kernels, raise_findings=False)
    (finding,) = kernels.report.findings
    assert finding.kind == "write-to-input"


def test_a_comparison_of_memory_is_checked():
    body = "float a[4] = {y[0]}; y[i] = __builtin_memcmp(a, (thread void*)((ulong)(y + 60)), 32 * (y[0] + 1));"
    assert kinds(library("", body)) == ["out-of-bounds"]


def test_folders_by_what_they_really_are(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "deep").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret.h").write_text("constant float secret = 42;\n")
    (inside / "link.h").symlink_to(outside / "secret.h")
    (inside / "one.h").write_text('#include "deep/two.h"\n')
    (inside / "deep/two.h").write_text('#include "../three.h"\n')
    (inside / "three.h").write_text("constant float three = 3;\n")
    (inside / "four.h").write_text('\n#include "../outside/secret.h"\n')
    (y,) = run(library('#include "one.h"', "y[i] = three;", include_dirs=[inside]))
    assert set(np.array(y).tolist()) == {3}
    places = {"link.h": "kernel.metal:3:", "four.h": r".*four\.h:2:", "../outside/secret.h": "kernel.metal:3:"}
    for name, at in places.items():
        with pytest.raises(emulator.KernelError, match=f"^{at} '#include': a file outside of the given folders"):
            library(f'#include "{name}"', "y[i] = secret;", include_dirs=[inside])


def test_the_folders_of_a_toml_are_below_its_own(tmp_path):
    """It comes with the kernel, so what it names is as little trusted; ``-I`` is the user's own."""
    own = tmp_path / "own"
    (own / "inner").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (own / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "outside/secret.h").write_text("constant float secret = 42;\n")
    (own / "inner/fine.h").write_text("constant float fine = 1;\n")
    toml = own / "k.toml"
    run = "[[run]]\ngrid = [64, 1, 1]\nthreadgroup = [64, 1, 1]\n[run.buffers]\ny = { shape = [64], output = true }\n"
    for given in ("..", "../outside", "link", "/", "inner/../../outside", "no\0name", 3):
        toml.write_text(f"include_dirs = [{json.dumps(given)}]\n{run}")
        with pytest.raises(ValueError, match=r"k\.toml: include_dirs: expected (a list of )?folders"):
            read_spec(toml)
    toml.write_text(f'include_dirs = [".", "inner"]\n{run}')
    (own / "k.metal").write_text('#include "fine.h"\n' + HEAD + KERNEL.format(body="y[i] = fine;"))
    (outcome,) = work.run(own / "k.metal", read_spec(toml))
    assert outcome.findings == []
    (own / "k.metal").write_text('#include "secret.h"\n' + HEAD + KERNEL.format(body="y[i] = secret;"))
    (outcome,) = work.run(own / "k.metal", read_spec(toml), work.Given(include_dirs=[tmp_path / "outside"]))
    assert outcome.findings == []


def test_files_of_the_working_folder_are_not_there(tmp_path, monkeypatch):
    (tmp_path / "here.h").write_text("constant float here = 1;\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(emulator.KernelError, match=r"here\.h"):
        library('#include "here.h"', "y[i] = here;")


def test_a_line_marker_opens_no_file():
    kernels = library('#line 1 "/dev/zero"', "y[i + 64] = 1;")
    run(kernels, raise_findings=False)
    (finding,) = kernels.report.findings
    assert finding.path == "/dev/zero"
    assert finding.place.text.endswith("{ y[i + 64] = 1; }"), "the given text's own line"


def test_code_that_would_run_when_loaded_is_refused():
    before = "int f(int x) { int s = 0; while (s < x) s += f(s); return s; }\nconstant int a = f(3);"
    with pytest.raises(emulator.KernelError, match=r"kernel\.metal:4:.*global constructor"):
        run(library(before, "y[i] = a;"))


EIGHTY = "".join(f"threadgroup float a{k}[2]; a{k}[i % 2] = 1; y[i] = a{k}[i % 2];" for k in range(80))


@pytest.mark.parametrize("isolate", [False, True], ids=["here", "isolated"])
@pytest.mark.parametrize("mode", ["plain", "checked"])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("threadgroup float a[1 << 29]; a[i] = i; y[i] = a[i];", "threadgroup-memory-limit"),
        (EIGHTY, "threadgroup-memory-limit"),
        ("float a[1 << 28]; for (uint k = 0; k < 99; ++k) a[k * i] = k; y[i] = a[i];", "stack-overflow"),
        ("y[i] = 1; __builtin_debugtrap();", "crash"),
        ("y[i] = 1; __builtin_trap();", "crash"),
    ],
    ids=["2^29 threadgroup floats", "80 threadgroup variables", "2^28 private floats", "debugtrap", "trap"],
)  # fmt: skip
def test_what_would_end_the_process_is_a_finding(body, kind, mode, isolate):
    assert kind in kinds(library("", body, isolate=isolate), mode=mode)


def test_a_plain_kernel_that_writes_anywhere_ends_its_own_process_only():
    body = "y[i] = 1; for (ulong a = 1 << 22; a < (1ul << 47); a += 4096) *reinterpret_cast<device int*>(a) = 7;"
    assert kinds(library("", body, isolate=True), mode="plain")[0] in ("crash", "wild-pointer", "null-pointer")


def test_an_endless_kernel_is_stopped_in_its_process():
    kernels = library("", "while (y[0] < 1) y[1] = 2;", isolate=True, time_limit=1)
    assert kinds(kernels, mode="plain") == ["step-limit"]


def test_isolated_results_are_the_same():
    body = "y[i] = simd_sum(float(i)) + 0.5f;"
    here, apart = (np.array(run(library("", body, isolate=isolate))[0]) for isolate in (False, True))
    assert np.array_equal(here, apart)


DOUBLED = "".join(f"#define A{n} " + " ".join(["A" + str(n - 1) if n else "x"] * 10) + "\n" for n in range(12))
TREE = """template <int N, int M> struct G { enum { v = int(G<N - 1, M * 2>::v) + int(G<N - 1, M * 2 + 1>::v) }; };
template <int M> struct G<0, M> { enum { v = 1 }; };
constant int bomb = G<26, 1>::v;"""
BOMBS = {
    "macros": f"{DOUBLED}A11",
    "templates": TREE,
    "constants": "constexpr int f(int n) { return n < 2 ? n : f(n - 1) + f(n - 2); }\nconstant int bomb = f(60);",
    "brackets": f"constant int bomb = {'(' * 100_000}1{')' * 100_000};",
    "braces": f"void f() {'{' * 100_000}{'}' * 100_000}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_in_time(name, monkeypatch):
    monkeypatch.setenv("VOXTRAL_KERNELS_COMPILE_SECONDS", "1")
    before = sum(os.times()[:4])
    with pytest.raises(emulator.KernelError):
        run(library(BOMBS[name], "y[i] = bomb;"))
    assert sum(os.times()[:4]) - before < 20  # processor time, of the compiler's processes too


def test_translation_has_a_limit_of_time(monkeypatch):
    from voxtral_kernels.emulator.containment.deadline import deadline

    monkeypatch.setenv("VOXTRAL_KERNELS_COMPILE_SECONDS", "1")
    start = time.monotonic()

    @deadline()
    def work():
        while time.monotonic() - start < 60:
            pass

    with pytest.raises(process.LimitError, match="not translated"):
        work()
    assert time.monotonic() - start < 30


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_destructor_does_not_swallow_the_limit(monkeypatch):
    from voxtral_kernels.emulator.containment.deadline import deadline

    monkeypatch.setenv("VOXTRAL_KERNELS_COMPILE_SECONDS", "1")
    start = time.monotonic()

    class Slow:
        def __del__(self):
            while time.monotonic() - start < 1.05:
                pass

    @deadline()
    def work():
        Slow()
        while time.monotonic() - start < 60:
            pass

    with pytest.raises(process.LimitError, match="not translated"):
        work()
    assert time.monotonic() - start < 30


def test_the_compiler_has_a_limit_of_memory_and_output(monkeypatch):
    program = "x = bytearray(1 << 30); print(len(x))"
    monkeypatch.setattr(process, "MEMORY_BYTES", 1 << 30)
    done = process.run(["sh", "-c", f"sleep 0.3; exec {sys.executable} -c '{program}'"])
    assert done.returncode != 0
    monkeypatch.setattr(process, "OUTPUT_BYTES", 1 << 20)
    with pytest.raises(process.LimitError, match="more than 1 MiB"):
        process.run(["sh", "-c", "sleep 0.3; head -c 9999999 /dev/zero"])


def test_the_compiler_has_no_environment(monkeypatch):
    monkeypatch.setenv("CPATH", "/etc")
    done = process.run([sys.executable, "-c", "import os; print('CPATH' in os.environ)"])
    assert done.stdout.strip() == "False"


TRIES = """
import os, runpy, socket, sys, threading
confine = runpy.run_path(sys.argv[1])
read = open(sys.argv[2], "rb")
confine["landlock"]([sys.argv[2]], [])
confine["only_computing"](may_open=sys.argv[3] == "open")
def tried(name, call):
    try:
        call()
        print(name, "worked")
    except OSError as error:
        print(name, "failed")
tried("read", lambda: open(sys.argv[2]).read())
tried("read another", lambda: open("/etc/hostname").read())
tried("write", lambda: open("/tmp/voxtral-escape", "w"))
tried("append", lambda: open(sys.argv[2], "a"))
tried("socket", socket.socket)
tried("fork", os.fork)
tried("execute", lambda: os.execv("/bin/true", ["true"]))
tried("kill", lambda: os.kill(os.getppid(), 0))
tried("remove", lambda: os.unlink(sys.argv[2]))
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="what the kernel gives is asked of Linux")
@pytest.mark.parametrize("stage", ["open", "closed"])
def test_what_a_confined_process_can_do(stage, tmp_path):
    own = tmp_path / "own"
    own.write_text("x")
    command = [sys.executable, "-I", "-S", "-c", TRIES, confine.__file__, str(own), stage]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={})
    assert done.returncode == 0, done.stderr
    can = {line.rsplit(" ", 1)[0]: line.endswith("worked") for line in done.stdout.splitlines()}
    assert len(can) == 9
    assert {name for name, worked in can.items() if worked} == ({"read"} if stage == "open" else set())
    assert own.exists()
