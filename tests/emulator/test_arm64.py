"""The emulator's runtime and toolchain for Linux arm64, run on QEMU (``make soak``): planted bugs, twins, shaders.

Python stays on this machine: kernels are compiled for arm64, and tests/native/emulator_driver.cpp launches them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import pytest

from tests.emulator import test_planted_bugs as planted
from voxtral_kernels import emulator, testing
from voxtral_kernels.backends.shaders import Kernels
from voxtral_kernels.emulator.launch import entry, isolated
from voxtral_kernels.emulator.toolchain import targets

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = Path("/usr/aarch64-linux-gnu")

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """The driver as a process that answers one request after another."""
    qemu = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    if not qemu:
        pytest.skip("no qemu-aarch64 (Debian and Ubuntu: apt-get install qemu-user-static)")
    if not (SYSTEM / "lib" / "ld-linux-aarch64.so.1").exists():
        pytest.skip("no C library of arm64 (Debian and Ubuntu: apt-get install libc6-arm64-cross)")
    folder = tmp_path_factory.mktemp("driver")
    runtime = [p for p in sorted((ROOT / "csrc/emulator").glob("*.cpp")) if p.stem not in ("bindings", "fiber")]
    (folder / "runtime.cpp").write_text("".join(f'#include "{p}"\n' for p in runtime))  # one unit, as the build has it
    includes = ["csrc", "csrc/emulator", "python/voxtral_kernels/emulator/include"]
    command = [sys.executable, "-m", "ziglang", "c++", "-target", "aarch64-linux-gnu", "-std=c++20", "-O2"]
    command += ["-Wall", "-Wextra", "-Werror", "-fno-stack-protector", *(f"-I{ROOT / i}" for i in includes)]
    files = [folder / "runtime.cpp", ROOT / "csrc/emulator/fiber.cpp", ROOT / "tests/native/emulator_driver.cpp"]
    subprocess.run([*command, *map(str, files), "-o", str(folder / "driver"), "-pthread"], check=True)
    command = [qemu, "-L", str(SYSTEM), str(folder / "driver")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        process.stdin.close()


@pytest.fixture(autouse=True)
def on_arm(driver, monkeypatch):
    arm = targets.Target(["aarch64-linux-gnu"])
    monkeypatch.setattr(targets, "host", lambda: arm)

    def run(entry, buffers, options, path=None):
        return launch(driver, path or entry.path, entry.symbol, buffers, options)

    monkeypatch.setattr(entry.Entry, "run", run)


def launch(driver, library, symbol, buffers, options):
    """As ``isolated.launch``, by the driver."""
    driver.stdin.write(request(library, symbol, buffers, options))
    driver.stdin.flush()
    completed, total, steps, *counts = map(int, driver.stdout.readline().split())
    findings, absent = ([finding(driver.stdout.readline().decode()) for _ in range(n)] for n in counts)
    outputs = {b.index: driver.stdout.read(b.size) for b in buffers if b.is_output}
    return isolated.Result(outputs, findings, total, bool(completed), {"steps": steps}, absent=absent)


def request(library, symbol, buffers, options):
    o = options
    words = [library, symbol, o.mode.name, o.seed, o.step_limit, o.seconds_limit, *o.grid, *o.threadgroup]
    words += [len(o.threadgroup_arguments), *(n for pair in o.threadgroup_arguments for n in pair)]
    words += [len(o.variables), *(name or "-" for name in o.variables), o.absent_at, len(buffers)]
    for b in buffers:
        words += [b.index, (b.name or "-").replace(" ", "_"), b.space, b.size, b.granule]
        words += [int(b.initialised), int(b.data is not None), b.shares, b.shares_from]
    return " ".join(map(str, words)).encode() + b"\n" + b"".join(b.content() for b in buffers)


def finding(line):
    columns = line.rstrip("\n").split("\t")
    kind, detail, pc, buffer, offset, lane, x, y, z, *others, file, line, column, count = columns
    pc, lane, line, column, count, *others = map(int, (pc, lane, line, column, count, *others))
    where = None if int(offset) == -(2**63) else int(offset)
    position = (int(x), int(y), int(z))
    return isolated.RawFinding(kind, detail, pc, buffer, where, lane, position, *others, file, line, column, count)


@pytest.fixture
def libraries():
    return planted.texts()


def test_planted_bugs_and_their_twins(libraries):
    for bug in planted.BUGS:
        planted.test_finds_the_bug(libraries, bug)
        assert planted.findings(libraries["fixed"], bug, fixed=True) == [], bug.name


@pytest.mark.parametrize("op", testing.SHADED)
def test_a_shader_matches_its_oracle(op):
    reference = testing.definition(op)
    request = reference.example(reference.CASES[0], mx.bfloat16, 0)

    def factory(**declaration):  # a new one, as kernels are kept by their factory
        return emulator.metal_kernel(**declaration)

    out = Kernels(op, factory, "emulator", checked=False).run(request, None)
    truth, composed = reference.oracle(request), reference.composed(testing.in_float32(request))
    found = (r if isinstance(r, tuple) else (r,) for r in (out, truth, composed))
    for result, expected, yardstick in zip(*([x for x in r if x is not None] for r in found), strict=True):
        testing.assert_matches(result, expected, yardstick)


def test_what_runs_is_arm64():
    """The fixture is in force: a kernel's library is of that machine."""
    library = emulator.library("kernel void k(device float* y, uint i [[thread_position_in_grid]]) { y[i] = i; }")
    entry = library._program.entry("k", "checked", {})
    assert entry.path.read_bytes()[18:20] == b"\xb7\x00"  # EM_AARCH64
