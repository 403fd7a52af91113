"""``threads=``: threadgroups on several cores, with the values and the findings of one."""

import numpy as np
import pytest

from voxtral_kernels import emulator

TEXT = """#include <metal_stdlib>
using namespace metal;
kernel void reversed(const device float* x [[buffer(0)]], device float* y [[buffer(1)]],
                     uint i [[thread_position_in_grid]], uint lane [[thread_index_in_threadgroup]]) {
  threadgroup float tile[64];
  tile[lane] = x[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = tile[63 - lane] + simd_sum(x[i]);
}
kernel void far_apart(device uint* y [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  for (uint k = 0; k < 200; ++k) y[i == 6399 ? 0 : i] = i;  // long enough for each thread to have a share
}
kernel void last_past_the_end(device uint* y [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  y[i == 6399 ? 6400 : i] = i;
}
kernel void one_missing(device uint* y [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  if (i != 4000) y[i] = i;
}
kernel void counted_in_device(device atomic_uint* y [[buffer(0)]]) {
  atomic_fetch_add_explicit(y, 1u, memory_order_relaxed);
}
kernel void counted_in_threadgroup(device uint* y [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  threadgroup atomic_uint n;
  atomic_store_explicit(&n, 0u, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = atomic_fetch_add_explicit(&n, 1u, memory_order_relaxed);
}
kernel void endless(device uint* y [[buffer(0)]]) { while (y[0] != 0) y[1] += 2; }
"""
GRID, THREADGROUP = (6400, 1, 1), (64, 1, 1)


@pytest.fixture(scope="module")
def kernels():
    return emulator.library(TEXT)


def outcome(kernels, name, threads, **options):
    (y,) = kernels.run(
        name,
        {0: np.zeros(6400, np.uint32)},
        GRID,
        THREADGROUP,
        outputs=[0],
        uninitialised=[0],
        threads=threads,
        raise_findings=False,
        **options,
    )
    return y.tolist(), str(kernels.report)


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("mode", ["plain", "checked"])
def test_values_are_those_of_one_thread(kernels, mode, seed):
    x = np.random.default_rng(1).standard_normal(6400).astype(np.float32)
    tiles = x.reshape(-1, 64)
    want = tiles[:, ::-1] + tiles.reshape(-1, 2, 32).sum(2).repeat(32, 1)
    buffers = {0: x, 1: np.zeros_like(x)}
    results = []
    for threads in (1, 2, 5):
        options = {"outputs": [1], "uninitialised": [1], "mode": mode, "seed": seed, "threads": threads}
        results.append(np.array(kernels.run("reversed", buffers, GRID, THREADGROUP, **options)[0]))
    assert np.allclose(results[0].reshape(want.shape), want, atol=1e-5)
    assert all(np.array_equal(result, results[0]) for result in results)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("far_apart", "race"), ("last_past_the_end", "out-of-bounds"), ("one_missing", "unwritten-output")],
)
def test_findings_are_those_of_one_thread(kernels, name, kind):
    one = outcome(kernels, name, 1)
    assert kind in one[1]
    for threads in (2, 7):
        assert outcome(kernels, name, threads) == one


def test_steps_of_all_threads_count(kernels):
    options = {"step_limit": 1_270_000}  # of 1,280,000, which no thread of several reaches alone
    one = outcome(kernels, "far_apart", 1, **options)
    assert "step-limit" in one[1]
    assert outcome(kernels, "far_apart", 4, **options) == one


def test_time_ends_all_threads():
    kernels = emulator.library(TEXT, mode="plain", time_limit=0.2)
    assert "step-limit" in outcome(kernels, "endless", 3)[1]


@pytest.mark.parametrize("mode", ["plain", "checked"])
def test_atomics_in_device_memory_are_refused(kernels, mode):
    with pytest.raises(emulator.KernelError, match="threads: expected 1 for counted_in_device, which uses atomics"):
        outcome(kernels, "counted_in_device", 2, mode=mode)
    outcome(kernels, "counted_in_device", 1, mode=mode)


def test_atomics_of_a_threadgroup_are_its_own(kernels):
    y, report = outcome(kernels, "counted_in_threadgroup", 3)
    assert y == list(range(64)) * 100
    assert report == "no findings"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"threads": 0}, "threads: expected 1 to 16, got 0"),
        ({"threads": 17}, "threads: expected 1 to 16, got 17"),
        ({"threads": 1.5}, "threads: expected 1 to 16, got 1.5"),
        ({"threads": 2, "mode": "counted"}, "threads: expected 1 with counted, got 2"),
        ({"threads": 2, "isolate": True}, "threads: expected 1 with isolate=True, got 2"),
    ],
)
def test_what_cannot_be_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        emulator.library(TEXT, **options)
