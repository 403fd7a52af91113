"""Indices in attributes by an enumerator, a constant or a sum: what headers that host and kernel share have."""

import numpy as np
import pytest

from voxtral_kernels import emulator

HEAD = """#include <metal_stdlib>
using namespace metal;
typedef enum BufferIndex {
  BufferIndexX = 0, BufferIndexY, BufferIndexScale = 0x4, BufferIndexLast = BufferIndexScale + 1
} BufferIndex;
enum class Slot : uint { x, y = 2 * 3, scale };
constant constexpr int kX = 0;
constexpr constant uint kY = kX + 1u;
constant int kFlag = 3;
constant bool doubled [[function_constant(kFlag)]];
constant bool shifted [[function_constant(BufferIndexLast)]];
"""
KERNELS = {
    "enumerators": ("BufferIndexX", "BufferIndexY", "BufferIndexScale", "BufferIndexScale"),
    "scoped": ("int(Slot::x)", "uint(Slot::y)", "uint(Slot::scale)", "1"),
    "constants": ("kX", "kY", "kY + 1", "kX"),
    "numbers": ("0x0", "1 + 1", "(2 * 3)", "2 - 1"),
}
INDICES = {"enumerators": (0, 1, 4, 4), "scoped": (0, 6, 7, 1), "constants": (0, 1, 2, 0), "numbers": (0, 2, 6, 1)}
TEXT = HEAD + "".join(
    f"""kernel void {name}(device const float* x [[buffer({x})]], device float* y [[buffer({y})]],
  constant float& scale [[ buffer({scale}) ]], threadgroup float* t [[threadgroup({t})]],
  uint i [[thread_position_in_grid]]) {{
  t[i] = x[i] * (doubled ? 2 : 1) + (shifted ? 100 : 0);
  y[i] = scale * t[i];
}}
"""
    for name, (x, y, scale, t) in KERNELS.items()
)
X = np.arange(8, dtype=np.float32)


@pytest.mark.fault("errors: a buffer's index by an enumerator, as Xcode's own template has it")
@pytest.mark.parametrize("name", KERNELS)
def test_indices_by_name(name):
    library = emulator.library(TEXT)
    x, y, scale, t = INDICES[name]
    buffers = {x: X, y: np.zeros_like(X), scale: np.float32(3)}
    sizes = ((8, 1, 1), (8, 1, 1))
    memory = {t: 32}
    (out,) = library.run(name, buffers, *sizes, outputs=[y], threadgroup_memory=memory, constants={3: True, 5: False})
    np.testing.assert_array_equal(np.array(out), 6 * X)


def test_two_buffers_of_one_index_by_different_names_are_refused():
    kernel = "kernel void k(device float* x [[buffer(BufferIndexY)]], device float* y [[buffer(kY)]]) { x[0] = y[0]; }"
    with pytest.raises(emulator.KernelError, match="buffer-index"):
        emulator.library(HEAD + kernel)


@pytest.mark.parametrize("index", ["kUnknown", "2 / 1", "x", "sizeof(int)", "BufferIndexY +", "99999999999"])
def test_what_cannot_be_told_is_refused_by_name(index):
    text = HEAD + f"kernel void k(device float* x [[buffer({index})]]) {{ x[0] = 1; }}"
    with pytest.raises(emulator.KernelError, match=r"kernel.metal:\d+: error: expected a number in the attribute, got"):
        emulator.library(text).run("k", {0: X}, (1, 1, 1), (1, 1, 1))


@pytest.mark.fault("errors: a comma behind the last enumerator ended the emulator")
@pytest.mark.parametrize("enumerators", ["first, second,", "first, second = 1 ,", "first, second }; enum none {"])
def test_enumerators_that_end_with_a_comma_and_none_at_all(enumerators):
    kernel = "kernel void k(device float* y [[buffer(second)]], uint i [[thread_position_in_grid]]) { y[i] = 1; }"
    library = emulator.library(f"{HEAD}enum {{ {enumerators} }};\n{kernel}")
    (out,) = library.run("k", {1: np.zeros_like(X)}, (8, 1, 1), (8, 1, 1), outputs=[1])
    assert out.tolist() == [1] * 8
