"""The caches' append: what it refuses, and that a cache goes through it. Values: test_cases.py."""

import mlx.core as mx
import pytest

import voxtral_kernels as vk
from voxtral_kernels import testing
from voxtral_kernels.backends import select

OP = "kv_append"


def test_odd_head_sizes_are_left_to_the_stock_ops():
    tail, new = mx.ones((1, 1, 3, 12)), mx.ones((1, 1, 1, 12))
    request = testing.definition(OP).KvAppend(tail, tail, new, new)
    with vk.use_backend("emulator"), pytest.raises(RuntimeError, match=r"D = 12; the kernel takes multiples of 8\."):
        select.run(OP, request)


def test_a_cache_appends_by_it():
    q, k, v = (mx.random.normal((1, 2, 12, 32)) for _ in range(3))
    outs = {}
    for backend in ("composed", "emulator"):
        cache = vk.RingKVCache(64)
        with vk.use_backend(backend):
            steps = [vk.sliding_window_attention(*(a[:, :, i : i + 2] for a in (q, k, v)), cache=cache)
                     for i in range(0, 12, 2)]  # fmt: skip
        outs[backend] = mx.concatenate(steps, axis=2)
    assert mx.abs(outs["composed"] - outs["emulator"]).max() <= 1e-5
