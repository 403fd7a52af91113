"""The shaders and their dispatch on the emulator, checked mode: every case within the rule, no finding.

`make test` takes pairs (every case with two dtypes, every dtype with every seed; of an op with many instances to
compile every case with one), `make soak` the full cross.
"""

import importlib

import mlx.core as mx
import numpy as np
import pytest

import voxtral_kernels as vk
from tests import stages
from voxtral_kernels import testing
from voxtral_kernels.backends import emulated, select

CASES = [(op, case) for op in stages.SHADED for case in testing.definition(op).CASES]
SEEDS = (0, 1, 2)
MANY_INSTANCES = {"skinny_linear", "sliding_window_attention"}


def name(dtype):
    return str(dtype).rpartition(".")[2]


def pairs() -> list:
    chosen = []
    for i, (op, case) in enumerate(CASES):
        for j in range(1 if op in MANY_INSTANCES else 2):
            dtype = testing.FLOATS[(i + j) % 3]
            chosen.append(pytest.param(op, case, dtype, SEEDS[(i // 3 + j) % 3], id=f"{op}-{case}-{name(dtype)}"))
    return chosen


@pytest.mark.parametrize(("op", "case", "dtype", "seed"), pairs())
def test_kernel_matches_oracle(op, case, dtype, seed):
    with emulated.settings(seed=seed):
        testing.check_case(op, case, dtype, "emulator")


@pytest.mark.soak
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", testing.FLOATS, ids=name)
@pytest.mark.parametrize(("op", "case"), CASES, ids=str)
def test_kernel_matches_oracle_in_every_dtype_and_seed(op, case, dtype, seed):
    with emulated.settings(seed=seed):
        testing.check_case(op, case, dtype, "emulator")


@pytest.mark.soak
@pytest.mark.parametrize("dtype", testing.FLOATS, ids=name)
@pytest.mark.parametrize("op", stages.SHADED)
def test_kernel_matches_oracle_over_the_full_cross(op, dtype):
    """Every shape of the cross in every dtype; the seeds take turns."""
    for i, case in enumerate(testing.definition(op).cross()):
        with emulated.settings(seed=SEEDS[i % 3]):
            testing.check_case(op, case, dtype, "emulator")


def test_every_variant_is_in_the_case_list():
    found = {}
    for op, case in CASES:
        request = testing.definition(op).example(case, mx.float32, 0)
        with vk.use_backend("emulator"):
            found.setdefault(op, set()).add(select.select(op, request).variant)
    named = {op: set(importlib.import_module(f"voxtral_kernels.dispatch.{op}").VARIANTS) for op in stages.SHADED}
    assert {op: variants - {"empty"} for op, variants in found.items()} == named


@pytest.mark.parametrize("make", [vk.RingKVCache, lambda _: vk.LinearKVCache()], ids=["ring", "linear"])
def test_a_cached_stream_equals_composed(make):
    """Chunks of every size through one cache: growth, commits, the wrap."""
    rng = np.random.default_rng(0)
    caches = {b: make(24) for b in ("emulator", "composed")}
    for length in (1, 3, 9, 1, 30, 2, 1, 1, 13, 8):
        q, k, v = (mx.array(rng.normal(size=(1, h, length, 32)).astype(np.float32)) for h in (4, 2, 2))
        out = {}
        for backend, cache in caches.items():
            with vk.use_backend(backend):
                out[backend] = vk.sliding_window_attention(q, k, v, cache=cache)
        assert mx.allclose(out["emulator"], out["composed"], atol=2e-6), length


def test_strided_queries_are_read_where_they_lie():
    """What a model hands over: heads transposed out of [B, L, q k v, H, D]; and every other element of a row."""
    rng = np.random.default_rng(1)
    packed = mx.array(rng.normal(size=(2, 5, 3, 4, 32)).astype(np.float32))  # [B, L, q k v, H, D]
    q, k, v = (packed[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
    for queries in (q, mx.repeat(q, 2, axis=3)[..., ::2]):
        with vk.use_backend("emulator"):
            out = vk.sliding_window_attention(queries, k, v, window=3)
        with vk.use_backend("composed"):
            expected = vk.sliding_window_attention(queries, k, v, window=3)
        assert mx.allclose(out, expected, atol=2e-6)


@pytest.mark.parametrize(
    ("length", "keys"), [(1, 40), (1, 700), (5, 600), (40, 40)], ids=["vector", "vector_split", "staged_split", "tiled"]
)
def test_scores_far_beyond_the_range_of_exp(length, keys):
    """Scores in the hundreds: sums must be kept relative to the greatest."""
    rng = np.random.default_rng(2)
    q = mx.array(rng.normal(0, 60, (1, 2, length, 32)).astype(np.float32))
    k, v = (mx.array(rng.normal(size=(1, 1, keys, 32)).astype(np.float32)) for _ in range(2))
    ref = testing.definition("sliding_window_attention")
    request = ref.from_sequence(q, k, v, None, keys - length, keys)
    with vk.use_backend("emulator"):
        out = select.run("sliding_window_attention", request)
    testing.assert_matches(out, ref.oracle(request), ref.composed(request))


def test_more_splits_than_a_simdgroup_has_lanes():
    case = testing.definition("sliding_window_attention").Case(1, 1, 1, 1, 16, None, past=17000, tail=3, capacity=17152)
    with emulated.settings(mode="plain"):
        testing.check_case("sliding_window_attention", case, mx.float32, "emulator")


@pytest.mark.parametrize("transform", [mx.compile, mx.grad, mx.vmap])
def test_an_emulated_call_inside_a_transformation_raises(transform):
    x = mx.ones((2, 32))

    def norm(x):
        return vk.ada_rms_norm(x).sum()

    with vk.use_backend("emulator"), pytest.raises(ValueError, match=r"^\[ada_rms_norm\] backend: expected .*emulator"):
        mx.eval(transform(norm)(x))


@pytest.mark.soak
@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16], ids=name)
@pytest.mark.parametrize("length", [1, 11, 17], ids=["vector", "staged", "tiled"])
@pytest.mark.parametrize("dim", range(16, 257, 16))
def test_every_head_size(dim, length, dtype):
    case = testing.definition("sliding_window_attention").Case(1, 2, 1, length, dim, 20, past=45, tail=4)
    testing.check_case("sliding_window_attention", case, dtype, "emulator")
