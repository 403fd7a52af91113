"""MLX's own kernels, unmodified, from the headers of the installed wheel: equal to NumPy, and clean in checked mode."""

import math
import struct

import mlx.core as mx
import numpy as np
import pytest

from voxtral_kernels import emulator

KERNELS = "mlx/backend/metal/kernels"
NAMES = {mx.float32: "float", mx.float16: "half", mx.bfloat16: "bfloat16_t"}
EPS = {mx.float32: 2.0**-23, mx.float16: 2.0**-10, mx.bfloat16: 2.0**-7}
FLOATS = list(NAMES)


def i32(*values):
    return np.array(values, np.int32)


def i64(*values):
    return np.array(values, np.int64)


def normal(shape, dtype, seed=0, scale=1.0):
    """An array of MLX and the float64 values that it holds."""
    x = mx.array(np.random.default_rng(seed).standard_normal(shape) * scale).astype(dtype)
    return x, np.array(x.astype(mx.float32), np.float64)


def check(out, expected, dtype):
    """One rounding to the dtype, and float32 accumulation, away from the float64 value."""
    got = np.array(out.astype(mx.float32), np.float64).reshape(expected.shape)
    bound = EPS[dtype] * np.abs(expected) + 3e-6 * np.abs(expected).max()
    worst = np.max(np.abs(got - expected) - bound)
    assert worst <= 0, f"off by {worst:.3g} beyond the bound"


def library(include, template_id):
    text = f'#include "{KERNELS}/utils.h"\n#include "{KERNELS}/{include}"\n'
    return emulator.library(text, entries=[template_id.format(T=name) for name in NAMES.values()])


def softmax_numpy(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.fixture(scope="module")
def softmax():
    return library("softmax.h", "softmax_single_row<{T}, float>")


@pytest.mark.parametrize("axis", [1, 77, 256])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_softmax(softmax, dtype, axis):
    x, x64 = normal((3, axis), dtype, scale=3)
    threads = -(-axis // 4 // 32) * 32 or 32
    buffers = {0: x, 1: mx.zeros_like(x), 2: i32(axis)}
    entry = f"softmax_single_row<{NAMES[dtype]}, float>"
    (out,) = softmax.run(entry, buffers, (3 * threads, 1, 1), (threads, 1, 1), outputs=[1], uninitialised=[1])
    check(out, softmax_numpy(x64), dtype)


@pytest.fixture(scope="module")
def logsumexp():
    return library("logsumexp.h", "logsumexp<{T}>")


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_logsumexp(logsumexp, dtype):
    x, x64 = normal((4, 200), dtype, scale=2)
    buffers = {0: x, 1: mx.zeros((4,), dtype), 2: i32(200)}
    entry = f"logsumexp<{NAMES[dtype]}>"
    (out,) = logsumexp.run(entry, buffers, (4 * 64, 1, 1), (64, 1, 1), outputs=[1], uninitialised=[1])
    check(out, np.log(np.exp(x64).sum(-1)), dtype)


@pytest.fixture(scope="module")
def gemv():
    return library("gemv.h", "gemv<{T}, 4, 1, 1, 32, 4, 4, false, false>")


@pytest.mark.parametrize(("rows", "columns"), [(16, 1024), (13, 300)], ids=["tiles", "edges"])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_gemv(gemv, dtype, rows, columns):
    m, m64 = normal((rows, columns), dtype)
    v, v64 = normal((columns,), dtype, 1)
    zero = i64(0)
    # One column of simdgroups: with more, its barrier (mem_none, under `if (thrN == 0)`) is reported, rightly.
    buffers = {0: m, 1: v, 2: m, 3: mx.zeros((rows,), dtype), 4: i32(columns), 5: i32(rows), 6: i32(columns)}
    buffers |= {7: np.float32(1), 8: np.float32(0), 9: i32(1), 10: i32(1), 11: zero, 12: zero, 13: zero, 14: i32(1)}
    entry = f"gemv<{NAMES[dtype]}, 4, 1, 1, 32, 4, 4, false, false>"
    groups = -(-rows // 16)
    (out,) = gemv.run(entry, buffers, (groups * 32, 1, 4), (32, 1, 4), outputs=[3], uninitialised=[3])
    check(out, m64 @ v64, dtype)


@pytest.fixture(scope="module")
def sdpa():
    text = f'#include "{KERNELS}/utils.h"\n#include "{KERNELS}/sdpa_vector.h"\n'
    entries = [
        f"{e}<{t}, 64>" for t in NAMES.values() for e in ("sdpa_vector", "sdpa_vector_2pass_1", "sdpa_vector_2pass_2")
    ]
    return emulator.library(text, entries=entries)


HEADS, KV_HEADS, D = 4, 2, 64
CONSTANTS = {20: False, 21: False, 22: False, 23: False, 24: False, 25: False, 26: 32}


def attention_numpy(q, k, v, causal=False):
    """q: [H, L, D]; k, v: [Hkv, N, D]."""
    k, v = (a.repeat(len(q) // len(a), 0) for a in (k, v))
    scores = q @ k.transpose(0, 2, 1) * q.shape[-1] ** -0.5
    if causal:
        n_q, n_k = scores.shape[1:]
        scores = np.where(np.arange(n_k) <= np.arange(n_q)[:, None] + n_k - n_q, scores, -np.inf)
    return softmax_numpy(scores) @ v


def attention_inputs(length, keys, dtype, d=D):
    q, k, v = ((HEADS, length, d), (KV_HEADS, keys, d), (KV_HEADS, keys, d))
    return [normal(shape, dtype, seed) for seed, shape in enumerate((q, k, v))]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_sdpa_vector(sdpa, dtype):
    (q, q64), (k, k64), (v, v64) = attention_inputs(1, 50, dtype)
    strides = i64(50 * D), i64(D)
    buffers = {0: q, 1: k, 2: v, 3: mx.zeros_like(q), 4: i32(HEADS // KV_HEADS), 5: i32(50)}
    buffers |= {6: strides[0], 7: strides[1], 8: strides[0], 9: strides[1], 10: np.float32(D**-0.5)}
    args = (HEADS * 1024, 1, 1), (1024, 1, 1), CONSTANTS
    (out,) = sdpa.run(f"sdpa_vector<{NAMES[dtype]}, 64>", buffers, *args, outputs=[3], uninitialised=[3])
    check(out, attention_numpy(q64, k64, v64), dtype)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_sdpa_vector_in_two_passes(sdpa, dtype):
    blocks, keys = 32, 70
    (q, q64), (k, k64), (v, v64) = attention_inputs(1, keys, dtype)
    partials, sums = mx.zeros((HEADS, 1, blocks, D), dtype), mx.zeros((HEADS, 1, blocks))
    strides = i64(keys * D), i64(D)
    buffers = {0: q, 1: k, 2: v, 3: partials, 4: sums, 5: sums, 7: i32(keys), 8: strides[0], 9: strides[1]}
    buffers |= {10: strides[0], 11: strides[1], 12: np.float32(D**-0.5)}
    group = HEADS // KV_HEADS
    args = (KV_HEADS * 32, group, blocks), (32, group, 1), CONSTANTS
    name = NAMES[dtype]
    first = sdpa.run(f"sdpa_vector_2pass_1<{name}, 64>", buffers, *args, outputs=[3, 4, 5], uninitialised=[3, 4, 5])
    buffers = dict(enumerate(first)) | {3: mx.zeros_like(q), 4: i32(blocks)}
    args = (HEADS * 1024, 1, 1), (1024, 1, 1), CONSTANTS
    (out,) = sdpa.run(f"sdpa_vector_2pass_2<{name}, 64>", buffers, *args, outputs=[3], uninitialised=[3])
    expected = attention_numpy(q64, k64, v64)
    got = np.array(out.astype(mx.float32), np.float64)
    # The partial sums between the passes are rounded to the dtype too.
    assert np.abs(got - expected).max() <= (2 * EPS[dtype] + 3e-6) * np.abs(v64).max()


STEEL = f'#include "{KERNELS}/utils.h"\n#include "{KERNELS}/steel/gemm/gemm.h"\n'


@pytest.fixture(scope="module")
def steel_gemm():
    text = STEEL + f'#include "{KERNELS}/steel/gemm/kernels/steel_gemm_fused.h"\n'
    return emulator.library(text, entries=[f"gemm<{t}, 32, 32, 16, 2, 2, false, true>" for t in NAMES.values()])


@pytest.mark.parametrize(("m", "n", "k"), [(64, 32, 48), (45, 50, 37)], ids=["regular", "unaligned"])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_steel_gemm(steel_gemm, dtype, m, n, k):
    (a, a64), (b, b64) = normal((m, k), dtype), normal((n, k), dtype, 1)
    tiles_n, tiles_m = -(-n // 32), -(-m // 32)
    params = struct.pack("8i3q3i4x", m, n, k, k, k, n, tiles_n, tiles_m, m * k, n * k, m * n, 0, k // 16, 1)
    constants = {10: False, 100: False, 110: False, 200: m % 32 == 0, 201: n % 32 == 0, 202: k % 16 == 0}
    buffers = {0: a, 1: b, 3: mx.zeros((m, n), dtype), 4: params}
    args = (tiles_n * 32, tiles_m * 2, 2), (32, 2, 2), constants
    entry = f"gemm<{NAMES[dtype]}, 32, 32, 16, 2, 2, false, true>"
    (out,) = steel_gemm.run(entry, buffers, *args, outputs=[3], uninitialised=[3])
    check(out, a64 @ b64.T, dtype)


@pytest.fixture(scope="module")
def steel_attention():
    text = f'#include "{KERNELS}/utils.h"\n#include "{KERNELS}/steel/attn/kernels/steel_attention.h"\n'
    return emulator.library(text, entries=[f"attention<{t}, 32, 32, 64, 64, 4, 1, bool>" for t in NAMES.values()])


@pytest.mark.parametrize("variant", ["causal", "masked"])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_steel_attention(steel_attention, dtype, variant):
    length, keys = 40, 50
    (q, q64), (k, k64), (v, v64) = attention_inputs(length, keys, dtype)
    causal = variant == "causal"
    blocks_q, blocks_k = -(-length // 32), -(-keys // 32)
    ints = [1, HEADS, D, length, keys, HEADS // KV_HEADS]
    rest = [blocks_q, blocks_k, length // 32, keys // 32, length % 32, keys % 32, keys - length]
    strides = [s for n in (length, keys, keys, length) for s in (0, n * D, D)]
    params = struct.pack("6if7i12q", *ints, D**-0.5, *rest, *strides)
    mask = np.random.default_rng(5).random((length, keys)) < 0.7
    mask[:, 0] = True
    constants = {200: False, 201: False, 300: not causal, 301: causal, 302: False, 303: False}
    buffers = {0: q, 1: k, 2: v, 3: mx.zeros_like(q), 4: params}
    if not causal:
        buffers |= {5: i64(0, 0, keys), 6: mask}
    args = (blocks_q * 32, HEADS * 4, 1), (32, 4, 1), constants
    entry = f"attention<{NAMES[dtype]}, 32, 32, 64, 64, 4, 1, bool>"
    (out,) = steel_attention.run(entry, buffers, *args, outputs=[3], uninitialised=[3])
    if causal:
        expected = attention_numpy(q64, k64, v64, causal=True)
    else:
        scores = q64 @ k64.repeat(HEADS // KV_HEADS, 0).transpose(0, 2, 1) * D**-0.5
        expected = softmax_numpy(np.where(mask, scores, -np.inf)) @ v64.repeat(HEADS // KV_HEADS, 0)
    got = np.array(out.astype(mx.float32), np.float64)
    # The kernel rounds the scaled queries to the dtype before the scores.
    assert np.abs(got - expected).max() <= (3 * EPS[dtype] + 1e-5) * np.abs(expected).max()


@pytest.fixture(scope="module")
def qmv():
    text = STEEL + f'#include "{KERNELS}/quantized_utils.h"\n#include "{KERNELS}/quantized.h"\n'
    return emulator.library(text, entries=[f"affine_qmv<{t}, 64, 4, false>" for t in NAMES.values()])


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_quantized_matrix_vector(qmv, dtype):
    rows, columns = 24, 576
    w, _ = normal((rows, columns), dtype)
    x, x64 = normal((columns,), dtype, 1)
    packed, scales, biases = mx.quantize(w, group_size=64, bits=4)
    dequantized = mx.dequantize(packed, scales.astype(mx.float32), biases.astype(mx.float32), group_size=64, bits=4)
    zero = i32(0)
    buffers = {0: packed, 1: scales, 2: biases, 3: x, 4: mx.zeros((rows,), dtype), 5: i32(columns), 6: i32(rows)}
    buffers |= {7: zero, 8: i32(1), 9: i64(0), 10: zero, 11: i32(1), 12: i64(0), 13: i64(0), 14: i64(0)}
    args = (32, rows // 8 * 2, 1), (32, 2, 1)
    entry = f"affine_qmv<{NAMES[dtype]}, 64, 4, false>"
    (out,) = qmv.run(entry, buffers, *args, outputs=[4], uninitialised=[4])
    check(out, np.array(dequantized, np.float64) @ x64, dtype)


MORE = [
    "atomic.h",
    "unary_ops.h",
    "unary.h",
    "binary_ops.h",
    "binary.h",
    "ternary_ops.h",
    "ternary.h",
    "copy.h",
    "reduction/ops.h",
    "reduction/reduce_all.h",
    "reduction/reduce_row.h",
    "reduction/reduce_col.h",
    "scan.h",
    "sort.h",
    "arange.h",
    "dot.h",
    "cross_entropy.h",
    "hadamard.h",
    "gated_delta_update.h",
    "indexing/indexing.h",
    "indexing/scatter.h",
    "indexing/gather.h",
]
ERF, ROW_SUM = "unary_v<float, float, Erf, 1>", "row_reduce_simple<float, float, Sum<float>>"


@pytest.fixture(scope="module")
def more():
    text = "".join(f'#include "{KERNELS}/{name}"\n' for name in ("utils.h", *MORE))
    return emulator.library(text, entries=[ERF, ROW_SUM])


def test_the_other_kernels_compile(more):
    """Twenty headers in one text."""
    x, x64 = normal((200,), mx.float32)
    buffers = {0: x, 1: mx.zeros_like(x), 2: np.uint32(200)}
    (out,) = more.run(ERF, buffers, (200, 1, 1), (64, 1, 1), outputs=[1], uninitialised=[1])
    check(out, np.array([math.erf(v) for v in x64]), mx.float32)


def test_row_reduction(more):
    x, x64 = normal((6, 130), mx.float32)
    buffers = {0: x, 1: mx.zeros((6,)), 2: i64(130), 3: i64(6)}
    (out,) = more.run(ROW_SUM, buffers, (32, 2, 1), (32, 1, 1), outputs=[1], uninitialised=[1])
    check(out, x64.sum(-1), mx.float32)
