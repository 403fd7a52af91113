"""The CPU code without an interpreter, by tests/native/driver.cpp (``make soak``): under AddressSanitizer + UBSan and
ThreadSanitizer, with the products of bfloat16 pairs that this processor may lack, and as NEON code on QEMU; what the
compiler made of it."""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CPU = ROOT / "csrc" / "cpu"
SANITIZERS = {
    "address": ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "thread": ["-O1", "-g", "-fsanitize=thread"],
}

pytestmark = pytest.mark.soak


def instruction_sets():
    """Name -> flags, as csrc/extension.cmake has them."""
    if platform.machine() not in {"x86_64", "AMD64"}:
        return {"neon": []}
    text = (ROOT / "csrc" / "extension.cmake").read_text()
    flags = dict(re.findall(r"set\(flags_(\w+) ([^)]*)\)", text))
    return {isa: line.replace("${flags_v4}", flags["v4"]).split() for isa, line in flags.items()}


def build(folder, command, isas, kernel_flags=()):
    """The driver with the kernels of each instruction set; `command` is the compiler and the flags of every unit."""
    common = [*command, "-std=c++20", "-I", str(ROOT / "csrc")]
    units = [(f, [], f.stem) for f in (CPU / "launch.cpp", CPU / "pool.cpp", ROOT / "tests/native/driver.cpp")]
    for isa, flags in isas.items():
        options = [*flags, f"-DVOXTRAL_ISA={isa}", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]
        kernels = [p for p in sorted(CPU.glob("*.cpp")) if p.stem not in ("launch", "pool")]
        units += [(kernel, [*options, *kernel_flags], f"{kernel.stem}_{isa}") for kernel in kernels]
    objects = []
    for source, options, name in units:
        objects.append(folder / f"{name}.o")
        subprocess.run([*common, *options, "-c", str(source), "-o", str(objects[-1])], check=True)
    program = folder / "driver"
    subprocess.run([*common, *map(str, objects), "-o", str(program), "-pthread"], check=True)
    return program


def run(*command):
    environment = {**os.environ, "VOXTRAL_KERNELS_THREADS": "4", "TSAN_OPTIONS": "halt_on_error=1"}
    done = subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "0 failures\n"


@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_the_cpu_code_is_clean_under(tmp_path, cxx, sanitizer):
    run(build(tmp_path, [cxx, *SANITIZERS[sanitizer]], instruction_sets()))


def test_bfloat16_pairs_multiplied_in_software(tmp_path, cxx):
    # Every set takes the way of v4bf16, at its own width.
    run(build(tmp_path, [cxx, *SANITIZERS["address"]], instruction_sets(), ["-DVOXTRAL_PAIRS_IN_SOFTWARE"]))


def test_the_compiler_keeps_what_asks_for_memory(tmp_path, cxx):
    # A call to a function that only prefetches has no effect for the compiler: without inlining it goes.
    isa, flags = next(iter(instruction_sets().items()))
    listing = tmp_path / "attention.s"
    options = ["-std=c++20", "-O3", *flags, f"-DVOXTRAL_ISA={isa}", "-S", "-o", str(listing)]
    subprocess.run([cxx, *options, str(CPU / "sliding_window_attention.cpp")], check=True)
    # The tiles' own prefetches go to the first cache.
    assert re.search(r"\b(prefetcht1|prfm\s+pldl2keep)\b", listing.read_text())


def test_neon_on_an_emulated_processor(tmp_path):
    qemu = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    if not qemu:
        pytest.skip("no qemu-aarch64 (Debian and Ubuntu: apt-get install qemu-user-static)")
    clang = [sys.executable, "-m", "ziglang", "c++", "-target", "aarch64-linux-musl", "-O2", "-static"]
    run(qemu, build(tmp_path, clang, {"neon": []}))
