"""The emulator held against hardware: the same kernel by ``mx.fast.metal_kernel`` on a GPU. Runs on a Mac only.

What is exact on both must be equal bit for bit: integers, order of lanes, rounding of one operation. Functions of the
library and sums of floats, which Metal's default may reassociate, are compared within a tolerance that is stated. The
package's own shaders run on both and each is held to the oracle.
"""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

from voxtral_kernels import emulator, testing
from voxtral_kernels.backends import select

pytestmark = pytest.mark.skipif(not mx.metal.is_available(), reason="needs a Metal device")

HEADER = "#include <metal_stdlib>\n#include <metal_simdgroup_matrix>\nusing namespace metal;\n"
AT = "uint i = thread_position_in_grid.x; "
THREADS = 256
# name: source; dtype of input and output; outputs a thread; relative tolerance (0: equal bits)
KERNELS = {
    "positions": (
        AT + "out[8 * i] = T(thread_position_in_threadgroup.x); out[8 * i + 1] = T(threadgroup_position_in_grid.x); "
        "out[8 * i + 2] = T(thread_index_in_simdgroup); out[8 * i + 3] = T(simdgroup_index_in_threadgroup); "
        "out[8 * i + 4] = T(threads_per_threadgroup.x); out[8 * i + 5] = T(threadgroups_per_grid.x); "
        "out[8 * i + 6] = T(threads_per_simdgroup); out[8 * i + 7] = T(thread_index_in_quadgroup);",
        mx.uint32, 8, 0,
    ),
    "integers": (
        AT + "uint v = x[i] * 2654435761u; out[8 * i] = popcount(v); out[8 * i + 1] = clz(v); out[8 * i + 2] = ctz(v); "
        "out[8 * i + 3] = reverse_bits(v); out[8 * i + 4] = mulhi(v, 12345u); out[8 * i + 5] = rotate(v, 7u); "
        "out[8 * i + 6] = absdiff(v, 1u << 31); out[8 * i + 7] = addsat(v, v);",
        mx.uint32, 8, 0,
    ),
    "lanes": (
        AT + "uint v = x[i] % 97; uint lane = thread_index_in_simdgroup; out[8 * i] = simd_sum(v); "
        "out[8 * i + 1] = simd_max(v); out[8 * i + 2] = simd_shuffle(v, ushort(31 - lane)); "
        "out[8 * i + 3] = simd_shuffle_xor(v, ushort(5)); out[8 * i + 4] = simd_broadcast(v, ushort(7)); "
        "out[8 * i + 5] = simd_prefix_exclusive_sum(v); out[8 * i + 6] = quad_sum(v); "
        "out[8 * i + 7] = simd_shuffle_and_fill_down(v, 9u, ushort(3));",
        mx.uint32, 8, 0,
    ),
    "one_rounding": (
        AT + "T v = x[i], w = x[(i + 1) % 256]; out[4 * i] = v + w; out[4 * i + 1] = v * w; "
        "out[4 * i + 2] = max(v, w); out[4 * i + 3] = T(floor(float(v)));",
        None, 4, 0,
    ),
    "exchange": (
        "threadgroup T tile[256]; uint t = thread_position_in_threadgroup.x; tile[t] = x[t]; "
        "threadgroup_barrier(mem_flags::mem_threadgroup); out[t] = tile[255 - t];",
        None, 1, 0,
    ),
    "library": (
        AT + "float v = 0.01f + float(x[i]) * float(x[i]); out[8 * i] = T(exp(-v)); out[8 * i + 1] = T(log(v)); "
        "out[8 * i + 2] = T(sin(v)); out[8 * i + 3] = T(rsqrt(v)); out[8 * i + 4] = T(tanh(v)); "
        "out[8 * i + 5] = T(pow(v, 0.3f)); out[8 * i + 6] = T(atan2(v, 0.7f)); out[8 * i + 7] = T(fast::exp2(v));",
        None, 8, 2e-5,
    ),
    "float_sums": (
        AT + "float v = float(x[i]); float4 a = float4(v, 1, 2, v); out[4 * i] = T(simd_sum(v)); "
        "out[4 * i + 1] = T(dot(a, a)); out[4 * i + 2] = T(fma(v, v, 1.0f)); out[4 * i + 3] = T(length(a));",
        None, 4, 1e-5,
    ),
    "matrix": (
        "simdgroup_float8x8 a, b, c(0); threadgroup float tile[64]; uint t = thread_position_in_threadgroup.x; "
        "if (t < 64) tile[t] = float(x[t]); threadgroup_barrier(mem_flags::mem_threadgroup); "
        "simdgroup_load(a, tile, 8); simdgroup_load(b, tile, 8, ulong2(0, 0), true); "
        "simdgroup_multiply_accumulate(c, a, b, c); threadgroup float product[8 * 64]; "
        "simdgroup_store(c, product + 64 * simdgroup_index_in_threadgroup, 8); "
        "threadgroup_barrier(mem_flags::mem_threadgroup); out[t] = T(product[t]);",
        None, 1, 1e-5,
    ),
}  # fmt: skip
FORMS = [
    pytest.param(name, dtype, id=f"{name}-{str(dtype).rpartition('.')[2]}")
    for name, (_, only, *_) in KERNELS.items()
    for dtype in ([only] if only is not None else testing.FLOATS)
]


def run(factory, stream, name, dtype):
    source, _, outputs, _ = KERNELS[name]
    rng = np.random.default_rng(0)
    integers = mx.array(rng.integers(0, 2**32, THREADS, dtype=np.uint32))
    x = integers if dtype == mx.uint32 else mx.array(rng.normal(size=THREADS).astype(np.float32)).astype(dtype)
    kernel = factory(name=f"on_metal_{name}", input_names=["x"], output_names=["out"], source=source, header=HEADER)
    (out,) = kernel(
        inputs=[x],
        template=[("T", dtype)],
        grid=(THREADS, 1, 1),
        threadgroup=(THREADS, 1, 1),
        output_shapes=[(THREADS * outputs,)],
        output_dtypes=[dtype],
        stream=stream,
    )
    return np.array(out.astype(mx.float32) if dtype == mx.bfloat16 else out)


@pytest.mark.parametrize(("name", "dtype"), FORMS)
def test_a_kernel_gives_what_metal_gives(name, dtype):
    ours = run(emulator.metal_kernel, None, name, dtype)
    theirs = run(mx.fast.metal_kernel, mx.gpu, name, dtype)
    tolerance = KERNELS[name][3]
    if tolerance == 0:
        np.testing.assert_array_equal(ours, theirs)
        return
    one_step = {mx.float32: 0.0, mx.float16: 2.0**-10, mx.bfloat16: 2.0**-7}[dtype]  # of the result's own rounding
    np.testing.assert_allclose(ours, theirs, rtol=tolerance + one_step, atol=tolerance)


@pytest.mark.parametrize("dtype", testing.FLOATS, ids=lambda d: str(d).rpartition(".")[2])
@pytest.mark.parametrize("op", testing.SHADED)
def test_a_shader_is_right_on_both(op, dtype):
    case = testing.definition(op).CASES[0]
    testing.check_case(op, case, dtype, "emulator")
    try:
        with mx.stream(mx.gpu):
            testing.check_case(op, case, dtype, "metal")
    except select.UnavailableError as error:
        pytest.skip(f"this GPU does not run it: {error}")
