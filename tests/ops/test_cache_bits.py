"""Caches of 8 bits: attention over what they hold is exact, what they hold is near what they were given."""

import copy

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voxtral_kernels as vk
from voxtral_kernels.reference import ring as rings

RNG = np.random.default_rng(0)
LENGTH = 300
Q, K, V = (mx.array(RNG.normal(size=(1, h, LENGTH, 32)).astype(np.float32)) for h in (4, 2, 2))


def held(a):
    """What a ring of 8 bits makes of rows."""
    return rings.dequantised(*rings.quantised(a)).astype(a.dtype)


def attend(cache, start, stop, q=Q, k=K, v=V):
    out = vk.sliding_window_attention(*(a[:, :, start:stop] for a in (q, k, v)), cache=cache)
    mx.eval(out, cache.state)
    return out


def make(window, bits, **options):
    return vk.LinearKVCache(bits=bits, **options) if window is None else vk.RingKVCache(window, bits=bits, **options)


@settings(deadline=None, max_examples=25)
@given(
    window=st.sampled_from([1, 17, 50, 255, 256, 400, None]),
    committed=st.integers(1, 250),
    cuts=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    backend=st.sampled_from(["native", "composed"]),
)
def test_attention_is_that_of_the_values_held(window, committed, cuts, backend):
    """Against a cache of the keys' own dtype that was given the dequantised rows."""
    with vk.use_backend(backend):
        eight, full = make(window, 8), make(window, 16)
        for cache, round_trip in ((eight, lambda a: a), (full, held)):
            cache.append(*(round_trip(a[:, :, :committed]) for a in (K, V)))
            cache._commit(lambda ring, k, v, c=cache: rings.commit(ring, c._ring_end, k, v), None) if cache._tail else 0
        start = committed
        for n in cuts:
            out = attend(eight, start, start + n)
            eight_after, full_tail = eight.keys_values(), [a[:, :, start : start + n] for a in (K, V)]
            expected = vk.sliding_window_attention(Q[:, :, start : start + n], *full_tail, cache=full)
            assert mx.abs(out - expected).max() <= 2e-5
            # Both have now committed the same or nothing; the reference's rows are made those that are held.
            full.reset()
            full.append(*eight_after)
            start += n


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=8, max_size=8)),
    dtype=st.sampled_from([mx.float32, mx.float16, mx.bfloat16]),
)
def test_a_row_is_held_to_half_a_step(rows, dtype):
    x = mx.array(rows, mx.float32).reshape(-1, 8)
    x = mx.where(mx.abs(x) < 3e38, x, 0).astype(dtype)
    x = mx.where(mx.isfinite(x), x, mx.array(1, dtype))
    values, scales = (np.array(a).astype(np.float64) for a in rings.quantised(x))
    got, x = values * scales, np.array(x.astype(mx.float32), np.float64)
    largest = np.abs(x).max(-1, keepdims=True, initial=0)
    assert (np.abs(got - x) <= largest / 254 * (1 + 1e-5) + 2.0**-119).all()
    assert not got[(largest == 0)[:, 0]].any()


def test_an_outlier_channel_costs_the_others_their_precision_and_no_more():
    """One channel 100 times the others: they keep half of its step."""
    k = mx.array(K)
    k[..., 5] = k[..., 5] * 100
    cache = vk.RingKVCache(64, bits=8)
    cache.append(k, V)
    got = cache.keys_values()[0]
    step = mx.abs(k[:, :, -64:]).max(-1, keepdims=True) / 127
    assert (mx.abs(got - k[:, :, -64:]) <= 0.5001 * step).all()


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("argument", ["k", "v"])
def test_infinities_are_refused_and_the_cache_is_unchanged(argument, bad):
    cache = vk.RingKVCache(16, bits=8)
    attend(cache, 0, 30)
    before = cache.keys_values()
    parts = {"k": mx.array(K[:, :, 30:32]), "v": mx.array(V[:, :, 30:32])}
    parts[argument][0, 1, 1, 3] = bad
    message = rf"{argument}: expected finite values for a cache of 8 bits, got an infinity or NaN\."
    with pytest.raises(ValueError, match=r"^\[sliding_window_attention\] " + message):
        vk.sliding_window_attention(Q[:, :, 30:32], **parts, cache=cache)
    with pytest.raises(ValueError, match=r"^\[RingKVCache\] " + message):
        cache.append(**parts)
    assert cache.offset == 30
    assert all(mx.array_equal(a, b) for a, b in zip(before, cache.keys_values(), strict=True))
    vk.sliding_window_attention(Q[:, :, 30:32], **parts, cache=vk.RingKVCache(16))  # one of 16 bits takes them


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_row_with_an_infinity_is_nan_whole(bad):
    """Below the checks, in a model's steps: nothing plausible is made of it."""
    row = held(mx.array([[1.0, 2, bad, 3], [1.0, 2, 3, 4]]))
    assert np.isnan(np.array(row[0])).all()
    assert not np.isnan(np.array(row[1])).any()


@pytest.mark.parametrize("bits", [4, 0, 32, 8.0, True, "8", None], ids=repr)
def test_bits_that_are_none_are_refused(bits):
    for name, call in (
        ("RingKVCache", lambda: vk.RingKVCache(8, bits=bits)),
        ("LinearKVCache", lambda: vk.LinearKVCache(bits=bits)),
    ):
        with pytest.raises(ValueError, match=rf"^\[{name}\] bits: expected 16 \(the dtype of the keys\) or 8, got "):
            call()


@pytest.mark.parametrize("backend", ["native", "composed"])
@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("window", [40, None], ids=["ring", "linear"])
def test_a_cache_goes_on_as_any_other(window, dtype, backend):
    """Offsets, batches, copies, state, reset, memory; near what a cache of 16 bits says."""
    parts = [mx.concatenate([a, a[:, :, ::-1]]).astype(dtype) for a in (Q, K, V)]
    with vk.use_backend(backend):
        eight, full = make(window, 8, offset=9), make(window, 16, offset=9)
        for start in range(0, 150, 3):
            outs = [attend(cache, start, start + 3, *parts) for cache in (eight, full)]
            assert outs[0].dtype == dtype
            assert mx.abs(outs[0] - outs[1]).max() <= 0.06
        assert eight.offset == full.offset == 159
        assert all(a.size == 0 for a in eight.state)
        k = eight.keys_values()[0]
        assert k.dtype == dtype
        assert k.shape == full.keys_values()[0].shape
        assert mx.abs(k - full.keys_values()[0]).max() <= 0.03
        twin = copy.copy(eight)
        first, again = (attend(c, 150, 153, *parts) for c in (eight, twin))
        assert mx.array_equal(first, again)
        attend(eight, 153, 200, *parts)

        with pytest.raises(ValueError, match=r"k: expected B, Hkv, D = \(2, 2, 32\) as the cache holds, got"):
            attend(eight, 0, 3)
        eight.reset()
        assert (eight.offset, eight.nbytes) == (9, 0)
        attend(eight, 0, 3)


def test_memory_is_half_of_16_bits():
    sizes = {}
    for bits in (8, 16):
        cache = vk.RingKVCache(8192, bits=bits)
        kv = mx.zeros((1, 8, 8192, 128), mx.bfloat16)
        cache.append(kv, kv)
        q, k = mx.zeros((1, 32, 1, 128), mx.bfloat16), kv[:, :, :1]
        mx.eval(vk.sliding_window_attention(q, k, k, cache=cache))
        sizes[bits] = cache.nbytes
    assert sizes[8] <= 0.53 * sizes[16]
