"""One buffer at several indices: equal pointers, one memory, one history of accesses."""

import re
import subprocess
import sys

import mlx.core as mx
import numpy as np
import pytest

from voxtral_kernels import emulator
from voxtral_kernels.emulator import SameBuffer

TEXT = """#include <metal_stdlib>
using namespace metal;
kernel void masked(device const float* x [[buffer(0)]], device const float* mask [[buffer(1)]],
                   device float* y [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  y[i] = x[i] + (mask != x ? mask[i] : 0.0f);
}
kernel void shifted(device const float* x [[buffer(0)]], device float* y [[buffer(1)]],
                    uint i [[thread_position_in_grid]]) {
  y[i] = 2 * x[i];
}
kernel void next(device const float* x [[buffer(0)]], device float* y [[buffer(1)]],
                 uint i [[thread_position_in_grid]]) {
  y[i] = x[(i + 1) % 32];
}
kernel void scratch(device float* y [[buffer(0)]], device uint* count [[buffer(1)]],
                    uint i [[thread_position_in_grid]]) {
  y[i] = i;
  if (i == 0) count[0] = 7;
}
kernel void beyond(device const float* x [[buffer(0)]], device const float* mask [[buffer(1)]],
                   device float* y [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  y[i] = mask[i + 1];
}
"""
X = np.arange(32, dtype=np.float32)
SIZES = ((32, 1, 1), (32, 1, 1))


@pytest.fixture(scope="module", params=[False, True], ids=["here", "isolated"])
def library(request):
    return emulator.library(TEXT, isolate=request.param)


def run(library, entry, buffers, outputs, **options):
    return [np.array(a) for a in library.run(entry, buffers, *SIZES, outputs=outputs, **options)]


@pytest.mark.fault("wrong values: an array at two indices of a kernel that compares its pointers")
@pytest.mark.parametrize("same", [X, SameBuffer(0), mx.array(X)], ids=["array", "SameBuffer", "mlx"])
def test_an_array_at_two_indices_is_one_buffer(library, same):
    x = same if isinstance(same, mx.array) else X
    (y,) = run(library, "masked", {0: x, 1: same, 2: np.zeros_like(X)}, [2])
    np.testing.assert_array_equal(y, X)


def test_equal_arrays_are_two_buffers(library):
    (y,) = run(library, "masked", {0: X, 1: X.copy(), 2: np.zeros_like(X)}, [2])
    np.testing.assert_array_equal(y, 2 * X)


def test_an_array_that_an_output_shares_is_copied_for_each(library):
    """As before: zeros that a caller gives for several outputs are a value, not a memory."""
    zeros = np.zeros_like(X)
    y, z = run(library, "masked", {0: X, 1: zeros, 2: zeros}, [2, 1])
    np.testing.assert_array_equal(y, X)
    np.testing.assert_array_equal(z, zeros)


@pytest.mark.parametrize("threads", [1, 2])
def test_in_place(threads):
    library = emulator.library(TEXT)
    (y,) = run(library, "shifted", {0: X, 1: SameBuffer(0)}, [1], threads=threads)
    np.testing.assert_array_equal(y, 2 * X)
    np.testing.assert_array_equal(X, np.arange(32))


def test_a_race_of_two_pointers_to_one_memory(library):
    with pytest.raises(emulator.KernelError, match=r"kernel.metal:13:8: race: .*\(x and y at byte 4\)"):
        run(library, "next", {0: X, 1: SameBuffer(0)}, [1])


def test_scratch_memory_behind_the_result(library):
    whole, tail = run(library, "scratch", {0: np.zeros(34, np.float32), 1: SameBuffer(0, 128)}, [0, 1])
    np.testing.assert_array_equal(whole[:32], X)
    np.testing.assert_array_equal(tail.view(np.uint32), [7, 0])


def test_a_finding_names_both(library):
    with pytest.raises(emulator.KernelError, match=r"out-of-bounds.*\(x and mask at byte 128\)"):
        run(library, "beyond", {0: X, 1: X, 2: np.zeros_like(X)}, [2])


def test_inputs_of_a_custom_kernel():
    body = "uint i = thread_position_in_grid.x; out[i] = x[i] + (mask != x ? mask[i] : 0.0f);"
    kernel = emulator.metal_kernel("masked", ["x", "mask"], ["out"], body)
    x = mx.array(X)
    for mask, want in ((x, X), (mx.array(X), 2 * X)):
        (y,) = kernel(inputs=[x, mask], grid=(32, 1, 1), threadgroup=(32, 1, 1), output_shapes=[(32,)],
                      output_dtypes=[mx.float32])  # fmt: skip
        np.testing.assert_array_equal(np.array(y), want)


@pytest.mark.parametrize(
    ("buffers", "message"),
    [
        ({0: X, 1: SameBuffer(5)}, r"\[shifted\] buffers: expected at 1 the index of another buffer's value, got Same"),
        ({0: X, 1: SameBuffer(1)}, r"\[shifted\] buffers: expected at 1 the index of another buffer's value, got Same"),
        ({0: X, 1: SameBuffer(0, 132)}, r"\[shifted\] buffers: expected at 1 an offset of 0 to 128 bytes, got 132"),
        ({0: X, 1: SameBuffer(0, -4)}, r"\[shifted\] buffers: expected at 1 an offset of 0 to 128 bytes, got -4"),
    ],
)
def test_bad_input(library, buffers, message):
    with pytest.raises(emulator.KernelError, match=message):
        run(library, "shifted", buffers, [1])


def test_unset_memory_has_its_own_index(library):
    with pytest.raises(emulator.KernelError, match=r"\[shifted\] uninitialised: expected buffers with values of their"):
        run(library, "shifted", {0: X, 1: SameBuffer(0)}, [1], uninitialised=[1])


def test_a_buffer_that_the_host_leaves_out(library):
    with pytest.raises(emulator.KernelError, match=r"expected mask at index 1, got none; b'' stands for what"):
        run(library, "masked", {0: X, 2: np.zeros_like(X)}, [2])
    with pytest.raises(emulator.KernelError, match=r"out-of-bounds: read of 4 bytes, the buffer has 0 \(mask"):
        run(library, "masked", {0: X, 1: b"", 2: np.zeros_like(X)}, [2])


TOML = """[[run]]
entry = "{entry}"
grid = [32, 1, 1]
threadgroup = [32, 1, 1]
[run.buffers]
x = {{ shape = [32] }}
y = {y}
"""


@pytest.mark.parametrize(
    ("entry", "y", "status", "said"),
    [
        ("shifted", '{ same = "x", output = true }', 0, ""),
        ("next", '{ same = "x", output = true }', 1, "race: .*\\(x and y at byte 4\\)"),
        ("shifted", '{ same = "0", offset = 128, output = true }', 1, "out-of-bounds: .*\\(x and y at byte 128\\)"),
        ("shifted", '{ same = "z", output = true }', 2, "expected a parameter of x, y, got z"),
        ("shifted", '{ same = "y", output = true }', 2, "expected at 1 the index of another buffer's value"),
        ("shifted", '{ same = "x", shape = [32] }', 2, "one of offset, output, same beside same, got 'shape'"),
        ("shifted", "{ offset = 4 }", 2, "buffers.y.same: expected the name of another buffer, got none"),
        ("shifted", '{ same = "x", offset = 1.5 }', 2, "buffers.y.offset: expected a number of bytes, got 1.5"),
    ],
)
def test_in_a_toml(tmp_path, entry, y, status, said):
    (tmp_path / "k.metal").write_text(TEXT)
    (tmp_path / "k.toml").write_text(TOML.format(entry=entry, y=y))
    command = [sys.executable, "-m", "voxtral_kernels", "emulate", "--no-isolate", "k.metal"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert re.search(said, done.stdout + done.stderr)
