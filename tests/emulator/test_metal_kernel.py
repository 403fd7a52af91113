"""emulator.metal_kernel: values of what a kernel author uses, against NumPy, in the checked mode."""

import mlx.core as mx
import numpy as np
import pytest

from voxtral_kernels import emulator
from voxtral_kernels.emulator.launch.custom_kernel import capture

FLOATS = [mx.float32, mx.float16, mx.bfloat16]


def run(kernel, inputs, shape, dtype, grid, threadgroup, template=None, **kwargs):
    (out,) = kernel(
        inputs=inputs,
        template=template,
        grid=grid,
        threadgroup=threadgroup,
        output_shapes=[shape],
        output_dtypes=[dtype],
        **kwargs,
    )
    return out


def kernel(source, inputs=("x",), **kwargs):
    return emulator.metal_kernel(name="test", input_names=list(inputs), output_names=["out"], source=source, **kwargs)


@pytest.mark.parametrize("mode", ["plain", "checked", "counted"])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_elementwise_equals_mlx(dtype, mode):
    k = kernel("uint i = thread_position_in_grid.x; out[i] = x[i] * w[i % x_shape[1]];", ("x", "w"))
    x, w = mx.random.normal((5, 40)).astype(dtype), mx.random.normal((40,)).astype(dtype)
    out = run(k, [x, w], x.shape, dtype, (x.size, 1, 1), (64, 1, 1), mode=mode)
    assert mx.array_equal(out, x * w)
    assert k.report.findings == []


SIMD = """
  uint i = thread_position_in_grid.x, lane = thread_index_in_simdgroup;
  T v = x[i];
  out[i * 12 + 0] = simd_sum(v);
  out[i * 12 + 1] = simd_max(v);
  out[i * 12 + 2] = simd_min(v);
  out[i * 12 + 3] = simd_shuffle(v, 31 - lane);
  out[i * 12 + 4] = simd_shuffle_xor(v, 5);
  out[i * 12 + 5] = simd_shuffle_up(v, 3);
  out[i * 12 + 6] = simd_shuffle_down(v, 3);
  out[i * 12 + 7] = simd_broadcast(v, 7);
  out[i * 12 + 8] = simd_prefix_inclusive_sum(v);
  out[i * 12 + 9] = simd_prefix_exclusive_sum(v);
  out[i * 12 + 10] = simd_shuffle_and_fill_up(v, T(9), 2);
  out[i * 12 + 11] = T(quad_sum(float(v)));
"""


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_simd_functions(dtype):
    v = np.arange(64) % 7 - 3.0  # small integers: exact in every dtype and order
    k = kernel(SIMD)
    x = mx.array(v).astype(dtype)
    out = np.array(run(k, [x], (64, 12), dtype, (64, 1, 1), (64, 1, 1), [("T", dtype)]).astype(mx.float32))
    for group, got in zip(v.reshape(2, 32), out.reshape(2, 32, 12), strict=True):
        lane = np.arange(32)
        expected = [
            np.full(32, group.sum()),
            np.full(32, group.max()),
            np.full(32, group.min()),
            group[::-1],
            group[lane ^ 5],
            group[np.where(lane < 3, lane, lane - 3)],
            group[np.where(lane > 28, lane, lane + 3)],
            np.full(32, group[7]),
            group.cumsum(),
            group.cumsum() - group,
            np.where(lane < 2, 9, group[np.maximum(lane - 2, 0)]),
            group.reshape(8, 4).sum(1).repeat(4),
        ]
        np.testing.assert_array_equal(got.T, expected)


MATRIX = """
  simdgroup_matrix<T, 8, 8> a, b;
  simdgroup_matrix<float, 8, 8> c = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  threadgroup T staged[64];
  uint lane = thread_index_in_simdgroup;
  staged[lane] = y[lane];
  staged[lane + 32] = y[lane + 32];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  simdgroup_load(a, x, 8);
  simdgroup_load(b, staged, 8, ulong2(0, 0), TRANSPOSED);
  simdgroup_multiply_accumulate(c, a, b, c);
  simdgroup_store(c, out, 8);
"""


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_simdgroup_matrix(dtype, transposed):
    a, b = np.random.default_rng(0).integers(-4, 5, (2, 8, 8)).astype(np.float32)
    k = kernel(MATRIX, ("x", "y"))
    template = [("T", dtype), ("TRANSPOSED", transposed)]
    inputs = [mx.array(a).astype(dtype), mx.array(b).astype(dtype)]
    out = run(k, inputs, (8, 8), mx.float32, (32, 1, 1), (32, 1, 1), template)
    np.testing.assert_array_equal(np.array(out), a @ (b.T if transposed else b))


def test_small_inputs_come_in_constant_memory():
    k = kernel("out[thread_position_in_grid.x] = x[0] + y[thread_position_in_grid.x] + z;", ("x", "y", "z"))
    out = run(k, [mx.array([1.0] * 7), mx.arange(8.0), 0.5], (8,), mx.float32, (8, 1, 1), (8, 1, 1))
    np.testing.assert_array_equal(np.array(out), np.arange(8) + 1.5)


def test_views_arrive_contiguous_or_with_their_strides():
    x = mx.arange(24.0).reshape(4, 6).T
    flat = kernel("uint i = thread_position_in_grid.x; out[i] = x[i];")
    out = run(flat, [x], (24,), mx.float32, (24, 1, 1), (32, 1, 1))
    np.testing.assert_array_equal(np.array(out), np.array(x).ravel())
    source = "uint i = thread_position_in_grid.x; out[i] = x[elem_to_loc(i, x_shape, x_strides, x_ndim)];"
    strided = kernel(source, ensure_row_contiguous=False)
    out = run(strided, [x], (24,), mx.float32, (24, 1, 1), (32, 1, 1))
    np.testing.assert_array_equal(np.array(out), np.array(x).ravel())


def test_atomic_outputs_and_initial_value():
    source = "uint i = thread_position_in_grid.x; atomic_fetch_add_explicit(&out[i % 4], x[i], memory_order_relaxed);"
    k = kernel(source, atomic_outputs=True)
    out = run(k, [mx.ones(64)], (4,), mx.float32, (64, 1, 1), (32, 1, 1), init_value=2)
    np.testing.assert_array_equal(np.array(out), [18.0] * 4)


def test_inputs_are_never_modified_and_outputs_start_as_nan():
    k = kernel("if (thread_position_in_grid.x == 0) out[0] = x[0];", mode="plain")
    x = mx.ones(8)
    out = np.array(run(k, [x], (4,), mx.float32, (8, 1, 1), (8, 1, 1)))
    assert out[0] == 1
    assert np.isnan(out[1:]).all()


def test_grid_edges_make_smaller_threadgroups():
    source = "uint i = thread_position_in_grid.x; out[i] = float(threads_per_threadgroup.x) + 0 * x[0];"
    k = kernel(source)
    out = run(k, [mx.ones(8)], (40,), mx.float32, (40, 1, 1), (32, 1, 1))
    np.testing.assert_array_equal(np.array(out), [32.0] * 32 + [8.0] * 8)


def test_header_and_three_dimensional_grid():
    header = "inline float at(uint3 p) { return float(p.x + 10 * p.y + 100 * p.z); }"
    k = kernel("uint3 p = thread_position_in_grid; out[(p.z * 2 + p.y) * 3 + p.x] = at(p) + 0 * x[0];", header=header)
    out = np.array(run(k, [mx.ones(8)], (2, 2, 3), mx.float32, (3, 2, 2), (2, 2, 1)))
    z, y, x = np.meshgrid(range(2), range(2), range(3), indexing="ij")
    np.testing.assert_array_equal(out, x + 10 * y + 100 * z)


def test_what_mlx_exports_is_what_the_emulator_reads():
    """`mx.export_function` is young: this pins the form of its custom kernels for the versions of MLX we support."""
    built = mx.fast.metal_kernel("pin", ["x", "small"], ["out"], "out[0] = x[0] + small[x_shape[0]];", "// a header\n")
    shapes = {"output_shapes": [(2, 3)], "output_dtypes": [mx.float32], "grid": (6, 5, 4), "threadgroup": (3, 2, 1)}
    call = capture(built, [mx.zeros((4, 2)), mx.zeros(3)], template=[("N", 7)], **shapes)
    assert (call.grid, call.threadgroup) == ((6, 5, 4), (3, 2, 1))
    assert call.shape_infos == [(True, False, False), (False, False, False)]
    assert call.text.startswith("// a header\n")
    for piece in (
        f"[[kernel]] void {call.name}(",
        "const device float* x [[buffer(0)]]",
        "const constant int* x_shape [[buffer(1)]]",
        "const constant float* small [[buffer(2)]]",
        "device float* out [[buffer(3)]]",
        f'template [[host_name("{call.name}")]]',
    ):
        assert piece in call.text


def test_bad_mode_is_refused():
    with pytest.raises(ValueError, match=r"\[emulator\] mode: expected one of plain, checked, counted, got 'fast'\."):
        kernel("", mode="fast")


@pytest.mark.parametrize("transform", [mx.compile, mx.grad], ids=["compile", "grad"])
def test_a_call_inside_a_transformation_is_refused(transform):
    k = kernel("out[thread_position_in_grid.x] = x[thread_position_in_grid.x];")
    traced = transform(lambda x: run(k, [x], (8,), mx.float32, (8, 1, 1), (8, 1, 1)).sum())
    with pytest.raises(ValueError, match=r"\[emulator\] inputs: expected arrays with values, got arrays traced by"):
        traced(mx.ones(8))
