"""The CPU kernels and the thread pool under AddressSanitizer + UBSan and under ThreadSanitizer (``make soak``)."""

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CPU = ROOT / "csrc" / "cpu"
OPS = ("ada_rms_norm", "causal_conv1d_gelu", "sliding_window_attention")
SANITIZERS = {
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "thread": ["-fsanitize=thread"],
}


def instruction_sets():
    """Name -> flags, as csrc/extension.cmake has them."""
    if platform.machine() not in {"x86_64", "AMD64"}:
        return {"neon": []}
    text = (ROOT / "csrc" / "extension.cmake").read_text()
    flags = dict(re.findall(r"set\(flags_(\w+) ([^)]*)\)", text))
    return {isa: line.replace("${flags_v4}", flags["v4"]).split() for isa, line in flags.items()}


def build(folder, sanitizer):
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if not compiler:
        pytest.skip("no C++ compiler")
    common = [compiler, "-std=c++20", "-O1", "-g", "-I", str(ROOT / "csrc"), *SANITIZERS[sanitizer]]
    units = [(f, [], f.stem) for f in (CPU / "launch.cpp", CPU / "pool.cpp", ROOT / "tests/native/driver.cpp")]
    for isa, flags in instruction_sets().items():
        options = [*flags, f"-DVOXTRAL_ISA={isa}", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]
        units += [(CPU / f"{op}.cpp", options, f"{op}_{isa}") for op in OPS]
    objects = []
    for source, options, name in units:
        objects.append(folder / f"{name}.o")
        subprocess.run([*common, *options, "-c", str(source), "-o", str(objects[-1])], check=True)
    program = folder / "driver"
    subprocess.run([*common, *map(str, objects), "-o", str(program), "-pthread"], check=True)
    return program


@pytest.mark.soak
@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_the_cpu_code_is_clean_under(tmp_path, sanitizer):
    environment = {**os.environ, "VOXTRAL_KERNELS_THREADS": "4", "TSAN_OPTIONS": "halt_on_error=1"}
    run = subprocess.run([build(tmp_path, sanitizer)], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout == "0 failures\n"
