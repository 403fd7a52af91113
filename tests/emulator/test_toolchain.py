"""The compiler's side: other processors, and the folder of compiled kernels."""

import os
import subprocess
import sys

import pytest

from voxtral_kernels.emulator import toolchain

AARCH64 = """
import platform
platform.machine = lambda: "aarch64"
from voxtral_kernels.emulator import toolchain
from voxtral_kernels.emulator.launch.program import Program, _entry_point

text = '''#include <metal_stdlib>
using namespace metal;
kernel void k(device bfloat* y, device half* h, uint i [[thread_position_in_grid]]) {
  simdgroup_half8x8 m;
  simdgroup_load(m, h);
  simdgroup_multiply_accumulate(m, m, m, m);
  simdgroup_store(m, h);
  y[i] = y[i] * y[i] + bfloat(simd_sum(exp(float(y[i]))));
}
'''
unit = Program(text, "k.metal").unit
for instrumented in (False, True):
    print(toolchain.compile_library(unit.text + _entry_point("msl_run_0", unit.kernels["k"], "k"), instrumented))
"""


def test_kernels_compile_for_aarch64(tmp_path):
    """Compiled and linked, not run: the runtime's own assembly is what is left to prove there."""
    environment = os.environ | {"VOXTRAL_KERNELS_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", AARCH64], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    libraries = done.stdout.split()
    assert len(libraries) == 2
    for library in libraries:
        with open(library, "rb") as file:
            assert file.read(20)[18] == 0xB7  # EM_AARCH64


@pytest.mark.parametrize("variable", ["VOXTRAL_KERNELS_CACHE", "XDG_CACHE_HOME"])
@pytest.mark.skipif(sys.platform != "linux", reason="the folder is the platform's own")
def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path, variable):
    monkeypatch.delenv("VOXTRAL_KERNELS_CACHE", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    folder = toolchain.cache_dir()
    assert folder.is_dir()
    assert tmp_path in folder.parents


@pytest.mark.parametrize("spoil", [lambda data: data[: len(data) // 2], lambda data: b"no header", lambda data: b""])
def test_a_spoilt_precompiled_header_is_made_again(tmp_path, monkeypatch, spoil):
    monkeypatch.setenv("VOXTRAL_KERNELS_CACHE", str(tmp_path))
    text = "float twice(float x) { return 2 * x; }\n"
    tree = toolchain.syntax_tree(text)
    (kept,) = (tmp_path / "emulator").glob("prelude-*.pch")
    kept.write_bytes(spoil(kept.read_bytes()))
    assert len(toolchain.syntax_tree(text)) == len(tree)
    assert kept.stat().st_size > 100_000
