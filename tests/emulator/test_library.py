"""emulator.library: whole texts with kernels, constants, instances, threadgroup arguments."""

import re

import mlx.core as mx
import numpy as np
import pytest

from voxtral_kernels import emulator

TEXT = """
#include <metal_stdlib>
using namespace metal;

constant int factor [[function_constant(0)]];
constant bool negate [[function_constant(1)]];
constant bool has_bias [[function_constant(2)]];
constant bool may_negate = is_function_constant_defined(negate) && negate;
constant float table[4] = {1, 10, 100, 1000};

template <typename T, int N>
kernel void scale(const device T* x [[buffer(0)]], device T* y [[buffer(3)]], uint i [[thread_position_in_grid]]) {
  y[i] = T(N) * x[i];
}
template [[host_name("scale_float_2")]] [[kernel]] decltype(scale<float, 2>) scale<float, 2>;
template [[host_name("scale_half_3")]] kernel void scale<half, 3>(const device half*, device half*, uint);

#define instantiate(name, T, n) \\
  template [[host_name("scale_" #name "_" #n)]] [[kernel]] decltype(scale<T, n>) scale<T, n>;
instantiate(bfloat16, bfloat, 4)

kernel void constants(device int* y, constant int* bias [[function_constant(has_bias)]],
                      uint i [[thread_position_in_grid]]) {
  int v = may_negate ? -factor : factor;
  y[i] = v * int(i) + (has_bias ? bias[0] : 0);
}
kernel void lookup(device float* y, uint i [[thread_position_in_grid]]) { y[i] = table[i % 4]; }
kernel void reverse(const device float* x, device float* y, threadgroup float* staged [[threadgroup(0)]],
                    ushort i [[thread_position_in_threadgroup]], ushort n [[threads_per_threadgroup]],
                    uint g [[threadgroup_position_in_grid]], ushort size [[dispatch_threads_per_threadgroup]]) {
  staged[i] = x[g * size + i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[g * size + i] = staged[n - 1 - i];
}
struct Shape { int rows, columns; float gain; int total() const constant { return rows * columns; } };
kernel void structure(constant Shape& shape [[buffer(0)]], device float* y [[buffer(1)]],
                      uint2 p [[thread_position_in_grid]], uint2 n [[threads_per_grid]]) {
  Shape copy = shape;
  y[p.y * shape.columns + p.x] = copy.gain * float(shape.total()) + float(n.x);
}
"""


@pytest.fixture(scope="module")
def library():
    entries = ["scale_float_2", "scale_half_3", "scale_bfloat16_4", "scale<float, 7>"]
    return emulator.library(TEXT, entries=entries)


def run(library, entry, buffers, n, outputs, group=32, **kwargs):
    return library.run(entry, buffers, (n, 1, 1), (group, 1, 1), outputs=outputs, **kwargs)[0]


CONSTANTS = {0: 5, 1: False, 2: False}


@pytest.mark.parametrize(
    ("entry", "dtype", "n"),
    [
        ("scale_float_2", mx.float32, 2),
        ("scale_half_3", mx.float16, 3),
        ("scale_bfloat16_4", mx.bfloat16, 4),
        ("scale<float, 7>", mx.float32, 7),
    ],
)
def test_instances_by_host_name_and_by_template_id(library, entry, dtype, n):
    x = mx.arange(8).astype(dtype)
    out = run(library, entry, {0: x, 3: mx.zeros_like(x)}, 8, [3], constants=CONSTANTS)
    assert out.dtype == dtype
    assert mx.array_equal(out, x * n)


def test_function_constants(library):
    y = np.zeros(4, np.int32)
    assert run(library, "constants", {0: y}, 4, [0], constants=CONSTANTS).tolist() == [0, 5, 10, 15]
    biased = run(library, "constants", {0: y, 1: np.int32(7)}, 4, [0], constants={0: -2, 1: True, 2: True})
    assert biased.tolist() == [7, 9, 11, 13]
    assert run(library, "constants", {0: y}, 4, [0], constants={0: 3, 2: False}).tolist() == [0, 3, 6, 9]


def test_a_constant_without_value_is_named(library):
    with pytest.raises(emulator.KernelError, match=r"constants: expected a value for factor, function_constant\(0\)"):
        run(library, "constants", {0: np.zeros(4, np.int32)}, 4, [0], constants={2: False})


def test_constant_tables(library):
    out = run(library, "lookup", {0: np.zeros(6, np.float32)}, 6, [0], constants=CONSTANTS)
    assert out.tolist() == [1, 10, 100, 1000, 1, 10]


def test_threadgroup_arguments_and_uneven_threadgroups(library):
    x = np.arange(40, dtype=np.float32)
    buffers = {0: x, 1: np.zeros_like(x)}
    out = run(library, "reverse", buffers, 40, [1], threadgroup_memory={0: 128}, constants=CONSTANTS)
    np.testing.assert_array_equal(np.array(out), np.concatenate([x[31::-1], x[39:31:-1]]))


def test_structures_in_constant_memory(library):
    shape = np.array([2, 3], np.int32).tobytes() + np.float32(0.5).tobytes()
    args = (3, 2, 1), (2, 2, 1), CONSTANTS
    (out,) = library.run("structure", {0: shape, 1: np.zeros(6, np.float32)}, *args, outputs=[1])
    assert out.tolist() == [6.0] * 6


def test_entries_are_listed(library):
    assert {"scale_float_2", "scale_half_3", "scale_bfloat16_4", "scale", "reverse"} <= set(library.entries)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("absent", "expected one of the kernels .*, got absent"),
        ("scale", "expected a template id such as scale<float>"),
    ],
)
def test_an_unknown_entry_is_named(library, entry, message):
    with pytest.raises(emulator.KernelError, match=message):
        run(library, entry, {}, 1, [], constants=CONSTANTS)


def test_a_missing_buffer_is_named(library):
    with pytest.raises(emulator.KernelError, match=r"\[lookup\] buffers: expected y at index 0, got none"):
        library.run("lookup", {}, (4, 1, 1), (4, 1, 1), constants=CONSTANTS)
    with pytest.raises(emulator.KernelError, match=r"\[lookup\] outputs: expected indices of buffers, got \[3\]"):
        library.run("lookup", {0: np.zeros(4, np.float32)}, (4, 1, 1), (4, 1, 1), CONSTANTS, outputs=[0, 3])


def several(others):
    """A kernel among others, each of which reads a function constant."""
    head = "#include <metal_stdlib>\nusing namespace metal;\nconstant float unset [[function_constant(7)]];\n"
    kernels = [("one", "1")] + [(f"other_{i}", "unset") for i in range(others)]
    parameters = "device float* y [[buffer(0)]], uint i [[thread_position_in_grid]]"
    spelled = ("kernel void", "[[kernel]] void", "void kernel")
    texts = (f"{spelled[i % 3]} {name}({parameters}) {{ y[i] = {v}; }}" for i, (name, v) in enumerate(kernels))
    return emulator.library(head + "\n".join(texts))


@pytest.mark.fault("errors: the emulator asked for function constants that only other kernels read")
@pytest.mark.parametrize("others", [2, 30])
def test_a_constant_that_only_other_kernels_read_needs_no_value(others):
    library, y = several(others), np.zeros(4, np.float32)
    assert run(library, "one", {0: y}, 4, [0]).tolist() == [1] * 4
    assert run(library, "other_1", {0: y}, 4, [0], constants={7: 2.5}).tolist() == [2.5] * 4
    with pytest.raises(emulator.KernelError, match=r"constants: expected a value for unset, function_constant\(7\)"):
        run(library, "other_1", {0: y}, 4, [0])


@pytest.mark.parametrize(("others", "compiled"), [(2, 3), (30, 1)])
def test_of_many_kernels_only_the_one_that_runs_is_compiled(others, compiled):
    entry = several(others)._program.entry("one", "plain", {7: 1.0})
    assert len(set(re.findall(rb"msl_run_\d+", entry.path.read_bytes()))) == compiled


def test_missing_threadgroup_memory_is_named(library):
    x = np.zeros(4, np.float32)
    with pytest.raises(emulator.KernelError, match=r"\[reverse\] threadgroup_memory: expected bytes for staged at 0"):
        run(library, "reverse", {0: x, 1: x}, 4, [1], constants=CONSTANTS)


@pytest.mark.parametrize("grid", [(0, 1, 1), (4, 1)])
def test_a_bad_grid_is_refused(library, grid):
    with pytest.raises(ValueError, match=r"\[emulator\] grid: expected three positive sizes"):
        library.run("lookup", {0: np.zeros(4, np.float32)}, grid, (4, 1, 1), constants=CONSTANTS)


def test_thirty_one_buffers():
    parameters = ", ".join(f"device const float* b{i}" for i in range(30))
    total = " + ".join(f"b{i}[i]" for i in range(30))
    text = f"kernel void add({parameters}, device float* y, uint i [[thread_position_in_grid]]) {{ y[i] = {total}; }}"
    buffers = {i: np.full(4, i, np.float32) for i in range(30)} | {30: np.zeros(4, np.float32)}
    assert run(emulator.library(text), "add", buffers, 4, [30]).tolist() == [435.0] * 4


def test_files_and_their_includes(tmp_path):
    (tmp_path / "add.h").write_text("#pragma once\ninline float plus_one(float x) { return x + 1; }\n")
    kernel = "kernel void k(device float* y, uint i [[thread_position_in_grid]]) { y[i] = plus_one(y[i]); }"
    text = f'#include "add.h"\n{kernel}'
    (tmp_path / "k.metal").write_text(text)
    library = emulator.library(tmp_path / "k.metal")
    assert run(library, "k", {0: np.arange(3, dtype=np.float32)}, 3, [0]).tolist() == [1, 2, 3]


def test_buffers_are_never_modified(library):
    x, y = np.ones(4, np.float32), np.zeros(4, np.float32)
    run(library, "scale_float_2", {0: x, 3: y}, 4, [3], constants=CONSTANTS)
    assert (x.tolist(), y.tolist()) == ([1] * 4, [0] * 4)


WRONGLY_GIVEN = {
    "float64": (lambda: {"buffers": {0: np.zeros(4)}}, "expected a dtype that Metal has, got float64"),
    "the other byte order": (lambda: {"buffers": {0: np.zeros(4, ">f4")}}, "expected a dtype that Metal has, got >f4"),
    "objects": (lambda: {"buffers": {0: np.array([None])}}, "expected a dtype that Metal has, got object"),
    "a number of Python": (lambda: {"buffers": {0: 3}}, "NumPy scalars or bytes, got int"),
    "nothing": (lambda: {"buffers": {0: None}}, "NumPy scalars or bytes, got NoneType"),
    "a list": (lambda: {"buffers": [np.zeros(4, np.float32)]}, "buffers: expected values by index, {0: ...}, got list"),
    "names": (lambda: {"buffers": {"x": np.zeros(4, np.float32)}}, "buffers: expected indices of 0 to 30, got 'x'"),
    "an index": (lambda: {"buffers": {31: np.zeros(4, np.float32)}}, "buffers: expected indices of 0 to 30, got 31"),
    "a grid": (lambda: {"grid": 4}, "grid: expected three positive sizes, got 4"),
    "half a thread": (lambda: {"grid": (4.5, 1, 1)}, "grid: expected three positive sizes, got (4.5, 1, 1)"),
    "constants": (lambda: {"constants": {"a": 1}}, "constants: expected indices of 0 to 65535, got 'a'"),
    "memory": (lambda: {"threadgroup_memory": {0: -1}}, "threadgroup_memory: expected bytes at 0, got -1"),
    "a seed": (lambda: {"seed": 1.5}, "seed: expected 0 to 2^64 - 1, got 1.5"),
    "steps": (lambda: {"step_limit": -1}, "step_limit: expected 0 to 2^64 - 1 steps, got -1"),
    "an output": (lambda: {"outputs": 1}, "outputs: expected a list of indices of buffers, got 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONGLY_GIVEN)
def test_what_is_given_wrongly_is_named(name):
    given, said = WRONGLY_GIVEN[name]
    right = {"buffers": {0: np.zeros(4, np.float32)}, "grid": (4, 1, 1), "threadgroup": (4, 1, 1), "outputs": [0]}
    kernels = emulator.library("kernel void k(device float* y, uint i [[thread_position_in_grid]]) { y[i] = 1; }")
    with pytest.raises(ValueError, match=re.escape(said)):
        kernels.run("k", **{**right, **given()})
