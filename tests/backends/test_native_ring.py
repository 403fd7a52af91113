"""The ring in place: what an append copies, and that no older value changes under anyone."""

import mlx.core as mx
import numpy as np
import pytest

import voxtral_kernels as vk
from voxtral_kernels.backends import extension
from voxtral_kernels.backends import native as native_backend
from voxtral_kernels.reference import ring as rings
from voxtral_kernels.reference import sliding_window_attention as reference

B, H, KV, D = 1, 8, 2, 64


@pytest.fixture(autouse=True)
def native():
    with vk.use_backend("native"):
        yield


def chunk(rng, length, dtype=mx.float32):
    return [mx.array(rng.normal(size=(B, h, length, D)), dtype) for h in (H, KV, KV)]


def in_order(parts):
    """Each output against attention over the whole sequence at once."""
    q, k, v = (mx.concatenate([p[i] for p in parts], axis=2) for i in range(3))
    return q, k, v


@pytest.mark.parametrize("lengths", [[1] * 40, [4] * 9, [3, 1, 20, 1, 1, 33, 2], [16, 16, 16]], ids=str)
def test_a_stream_equals_the_whole(lengths):
    rng, cache = np.random.default_rng(0), vk.RingKVCache(16)
    parts = [chunk(rng, n) for n in lengths]
    outs = []
    for part in parts:
        outs.append(vk.sliding_window_attention(*part, cache=cache))
        mx.async_eval(outs[-1], *cache.state)
    q, k, v = in_order(parts)
    expected = reference.oracle(reference.SlidingWindowAttention(q, None, 0, k, v, 16, D**-0.5))
    assert np.abs(np.array(mx.concatenate(outs, axis=2)) - expected).max() < 1e-5


def test_outputs_left_unevaluated_read_the_ring_as_it_was():
    rng, cache = np.random.default_rng(1), vk.RingKVCache(16)
    parts = [chunk(rng, 1) for _ in range(50)]
    outs = [vk.sliding_window_attention(*part, cache=cache) for part in parts]
    q, k, v = in_order(parts)
    expected = reference.oracle(reference.SlidingWindowAttention(q, None, 0, k, v, 16, D**-0.5))
    for i in (49, 0, 20):  # out of order
        assert np.abs(np.array(outs[i])[:, :, 0] - expected[:, :, i]).max() < 1e-5


def test_changing_the_backend_midway_keeps_earlier_outputs():
    rng, cache = np.random.default_rng(2), vk.RingKVCache(16)
    parts = [chunk(rng, 1) for _ in range(60)]
    outs = []
    for i, part in enumerate(parts):
        with vk.use_backend("composed" if i % 7 < 3 else "native"):
            outs.append(vk.sliding_window_attention(*part, cache=cache))
    q, k, v = in_order(parts)
    expected = reference.oracle(reference.SlidingWindowAttention(q, None, 0, k, v, 16, D**-0.5))
    for i in reversed(range(60)):
        assert np.abs(np.array(outs[i])[:, :, 0] - expected[:, :, i]).max() < 1e-5


def test_what_the_accessors_returned_keeps_its_values_under_async_eval():
    rng, cache = np.random.default_rng(3), vk.RingKVCache(8)
    parts = [chunk(rng, 1) for _ in range(30)]
    kept = []
    for part in parts:
        out = vk.sliding_window_attention(*part, cache=cache)
        mx.async_eval(out, *cache.state)
        kept.append((cache.keys_values(), cache.state))
    k = np.array(mx.concatenate([p[1] for p in parts], axis=2))
    for i, ((keys, _), state) in enumerate(kept):
        assert np.array_equal(np.array(keys), k[:, :, max(0, i - 7) : i + 1])
        assert all(a.size == 0 for a in state)


def test_an_append_copies_its_own_rows_alone_under_async_eval():
    window, steps, dtype = 8192, 20, mx.bfloat16
    rng, cache = np.random.default_rng(4), vk.RingKVCache(window)
    vk.sliding_window_attention(*chunk(rng, window, dtype), cache=cache)
    mx.eval(cache.state)
    parts = [chunk(rng, 1, dtype) for _ in range(steps)]
    mx.eval(parts)
    rows, rings = extension.extension().commit_bytes()
    peak = mx.get_active_memory()
    mx.reset_peak_memory()
    for part in parts:
        mx.async_eval(vk.sliding_window_attention(*part, cache=cache), *cache.state)
    mx.eval(cache.state)
    rows_after, rings_after = extension.extension().commit_bytes()
    assert rows_after - rows == steps * 2 * KV * D * 2
    assert rings_after == rings
    assert mx.get_peak_memory() - peak < cache.nbytes / 4  # no second ring was ever made


def test_the_memory_of_the_ring_is_written_in_place():
    ring = mx.zeros((2, B, KV, 16, D))
    mx.eval(ring)
    k = mx.ones((B, KV, 3, D))
    written = native_backend.ring_commit(ring, 15, k, k * 2, after=k)
    mx.eval(written)
    assert mx.array_equal(written, reference.commit(mx.zeros(ring.shape), 15, k, k * 2)).item()
    assert mx.array_equal(ring, written).item()  # the array given shares the memory: why it never leaves a cache


def test_a_ring_without_memory_of_its_own_is_copied_out():
    one = mx.zeros((1,))
    ring = mx.broadcast_to(one, (2, B, KV, 16, D))
    k = mx.ones((B, KV, 20, D)) * mx.arange(20).reshape(1, 1, 20, 1)
    written = native_backend.ring_commit(ring, 3, k, k, after=k)
    assert mx.array_equal(written, reference.commit(mx.zeros(ring.shape), 3, k, k)).item()
    assert one.item() == 0


@pytest.mark.parametrize("isa", extension.extension().available_isas())
@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16], ids=["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("dim", [20, 64])
def test_a_commit_of_8_bits_is_the_definitions_to_a_tie(isa, dtype, dim):
    """A product that falls on half a step may go to either side; scales are the same."""
    rng, before = np.random.default_rng(5), extension.extension().isa()
    k, v = (mx.array(rng.normal(size=(2, KV, 21, dim)) * 10.0 ** rng.integers(-3, 3), dtype) for _ in range(2))
    k[0, 0, 7] = 0
    k[0, 1, 20, 3] = np.inf
    v[1, 0, 19, 1] = np.nan
    ring = rings.empty_ring((2, KV), 16, dim, dtype, 8) + 0
    mx.eval(ring)
    expected = rings.parts(reference.commit(ring, 13, k, v))
    extension.extension().use_isa(isa)
    try:
        got = rings.parts(native_backend.ring_commit(ring, 13, k, v, after=k))
        mx.eval(got)
    finally:
        extension.extension().use_isa(before)
    assert mx.array_equal(got[1], expected[1], equal_nan=True)
    sound = mx.isfinite(got[1])
    steps = mx.abs(mx.where(sound, got[0].astype(mx.int32) - expected[0].astype(mx.int32), 0))
    assert steps.max() <= 1
    assert steps.astype(mx.float32).mean() < 1e-3
    assert (~sound).sum() == 2
    assert mx.array_equal(rings.parts(ring)[1], got[1], equal_nan=True)  # in place
