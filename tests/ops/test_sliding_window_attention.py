"""The public function and the caches: any chunking equals the whole, the window is exact, errors change nothing."""

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voxtral_kernels as vk

RNG = np.random.default_rng(0)
LENGTH = 700


def normal(*shape):
    return mx.array(RNG.normal(size=shape).astype(np.float32))


Q, K, V = normal(1, 4, LENGTH, 32), normal(1, 2, LENGTH, 32), normal(1, 2, LENGTH, 32)


def streamed(cache, cuts, length=LENGTH):
    outs = []
    for start, stop in zip([0, *cuts], [*cuts, length], strict=True):
        if start < stop:
            q, k, v = (a[:, :, start:stop] for a in (Q, K, V))
            outs.append(vk.sliding_window_attention(q, k, v, cache=cache))
            mx.eval(outs[-1], cache.state)
    return mx.concatenate(outs, axis=2)


@settings(deadline=None, max_examples=40)
@given(
    window=st.sampled_from([1, 2, 17, 50, 255, 256, 257, 400, 900]),
    cuts=st.lists(st.integers(0, LENGTH), max_size=25).map(sorted),
    phase=st.sampled_from([0.0, 0.4, 0.95]),
)
def test_any_mix_of_chunks_equals_the_whole(window, cuts, phase):
    whole = vk.sliding_window_attention(Q, K, V, window=window)
    cache = vk.RingKVCache(window, phase=phase)
    assert mx.abs(streamed(cache, cuts) - whole).max() <= 2e-5
    assert cache.offset == LENGTH


@settings(deadline=None, max_examples=10)
@given(cuts=st.lists(st.integers(0, LENGTH), max_size=25).map(sorted))
def test_linear_cache_is_plain_causal_attention(cuts):
    whole = vk.sliding_window_attention(Q, K, V)
    assert mx.abs(streamed(vk.LinearKVCache(), cuts) - whole).max() <= 2e-5


@pytest.mark.parametrize("window", [40, 300])
def test_ring_equals_linear_cache_with_the_window_applied(window):
    ring = streamed(vk.RingKVCache(window), list(range(1, 500)), 500)
    assert mx.abs(ring - vk.sliding_window_attention(Q, K, V, window=window)[:, :, :500]).max() <= 2e-5


@pytest.mark.parametrize("chunk", [1, 4, 64])
def test_window_ends_exactly(chunk):
    """A key as large as any pulls every query that sees it, and only those."""
    window, position = 50, 210
    k, v = mx.array(K), mx.array(V)
    k[:, :, position] = 0
    v[:, :, position] = 1e4
    cache, outs = vk.RingKVCache(window), []
    for start in range(0, 320, chunk):
        outs.append(vk.sliding_window_attention(*(a[:, :, start : start + chunk] for a in (Q, k, v)), cache=cache))
    sees = np.array(mx.abs(mx.concatenate(outs, axis=2)).max(axis=(0, 1, 3))) > 10
    assert np.flatnonzero(sees).tolist() == list(range(position, position + window))


@pytest.mark.parametrize("chunk", [1, 4, 90])
def test_ring_memory_is_flat_once_full(chunk):
    cache, sizes = vk.RingKVCache(100), []
    for _ in range(12):
        for start in range(0, LENGTH - chunk + 1, chunk):
            out = vk.sliding_window_attention(*(a[:, :, start : start + chunk] for a in (Q, K, V)), cache=cache)
            mx.eval(out, cache.state)
            sizes.append(cache.nbytes)
    per_position = 2 * 2 * 32 * 4
    assert max(sizes) <= per_position * (100 + int((200 * chunk) ** 0.5) + chunk)
    assert max(sizes[len(sizes) // 2 :]) == max(sizes[len(sizes) // 4 : len(sizes) // 2])


def test_accessors_give_copies_in_order():
    cache = vk.RingKVCache(60)
    assert cache.keys_values() is None
    streamed(cache, list(range(1, 400, 3)), 400)
    k, v = cache.keys_values()
    assert mx.array_equal(k, K[:, :, 340:400])
    assert mx.array_equal(v, V[:, :, 340:400])
    assert all(a.size == 0 for a in cache.state)
    vk.sliding_window_attention(Q[:, :, :60], K[:, :, :60], V[:, :, :60], cache=cache)
    mx.eval(cache.state)
    assert mx.array_equal(k, K[:, :, 340:400])


@pytest.mark.parametrize("window", [60, None])
def test_append_restores_what_keys_values_gave(window):
    def make():
        return vk.LinearKVCache() if window is None else vk.RingKVCache(window)

    first, second = make(), make()
    streamed(first, list(range(1, 400, 7)), 400)
    second.append(*first.keys_values())
    step = [a[:, :, 400:403] for a in (Q, K, V)]
    expected = vk.sliding_window_attention(*step, cache=first)
    assert mx.abs(vk.sliding_window_attention(*step, cache=second) - expected).max() <= 1e-5
    with pytest.raises(ValueError, match=r"v: expected shape \(1, 2, 3, 32\), got \(1, 2, 2, 32\)\."):
        second.append(K[:, :, :3], V[:, :, :2])


def test_reset_forgets_all_and_allows_another_shape():
    cache = vk.RingKVCache(60, offset=7)
    streamed(cache, [50], 100)
    assert cache.offset == 107
    cache.reset()
    assert (cache.offset, cache.nbytes, cache.state) == (7, 0, [])
    vk.sliding_window_attention(*(normal(2, 1, 3, 64) for _ in range(3)), cache=cache)


GOOD = {"q": Q[:, :, :4], "k": K[:, :, :4], "v": V[:, :, :4]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"q": Q[0]}, r"q: expected \[B, Hq, L, D\] \(4 axes\), got shape"),
        ({"q": Q[:, :, :0]}, r"q: expected \[B, Hq, L, D\], each at least 1, got shape \(1, 4, 0, 32\)\."),
        ({"k": K[:, :, :3]}, r"k: expected shape \(1, 2, 4, 32\), got \(1, 2, 3, 32\)\."),
        ({"v": V[:, :1, :4]}, r"v: expected shape \(1, 2, 4, 32\), got \(1, 1, 4, 32\)\."),
        ({"q": Q[:, :3, :4]}, r"k: expected Hkv that divides Hq = 3, got Hkv = 2\."),
        ({"k": GOOD["k"].astype(mx.float16)}, r"k: expected float32, got float16\."),
        ({"window": 0}, r"window: expected an integer >= 1, got 0\."),
        ({"window": 2.5}, r"window: expected an integer >= 1, got 2\.5\."),
        ({"scale": float("inf")}, r"scale: expected a finite number > 0, got inf\."),
        ({"cache": "ring"}, r"cache: expected a RingKVCache or LinearKVCache, got str\."),
        ({"cache": vk.RingKVCache(8), "window": 9}, r"window: expected the cache's 8 or None, got 9\."),
        ({"cache": vk.LinearKVCache(), "window": 9}, r"window: expected None, as the cache has no window, got 9\."),
    ],
)
def test_error_names_the_argument(arguments, message):
    with pytest.raises(ValueError, match=r"^\[sliding_window_attention\] " + message):
        vk.sliding_window_attention(**{**GOOD, **arguments})


@pytest.mark.fault("errors: a NumPy integer as window was refused")
@pytest.mark.parametrize("integer", [np.int64, np.int32, np.uint8])
def test_numpy_numbers_are_numbers(integer):
    expected = vk.sliding_window_attention(**GOOD, window=3, scale=0.5)
    caches = {"cache": vk.RingKVCache(integer(3)), "window": integer(3)}
    for arguments in ({"window": integer(3)}, caches):
        assert mx.array_equal(vk.sliding_window_attention(**GOOD, scale=np.float32(0.5), **arguments), expected)


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((2, 2, 4, 32), mx.float32, r"expected B, Hkv, D = \(1, 2, 32\) as the cache holds, got \(2, 2, 32\)"),
        ((1, 1, 4, 32), mx.float32, r"got \(1, 1, 32\)"),
        ((1, 2, 4, 64), mx.float32, r"got \(1, 2, 64\)"),
        ((1, 2, 4, 32), mx.float16, r"expected float32, got float16"),
    ],
)
def test_an_error_leaves_the_cache_unchanged(shape, dtype, message):
    cache = vk.RingKVCache(8)
    streamed(cache, list(range(1, 30)), 30)
    before, offset = cache.keys_values(), cache.offset
    bad = mx.ones(shape, dtype)
    with pytest.raises(ValueError, match=message):
        vk.sliding_window_attention(bad, bad, bad, cache=cache)
    assert cache.offset == offset
    assert all(mx.array_equal(a, b) for a, b in zip(before, cache.keys_values(), strict=True))


@pytest.mark.parametrize("transform", [mx.compile, mx.grad, mx.vmap])
def test_a_cached_call_inside_a_transformation_raises(transform):
    cache = vk.RingKVCache(8)

    def call(q):
        return vk.sliding_window_attention(q, GOOD["k"], GOOD["v"], cache=cache).sum()

    q = mx.stack([GOOD["q"]]) if transform is mx.vmap else GOOD["q"]
    with pytest.raises(ValueError, match=r"cache: expected None inside mx\.compile, mx\.grad or mx\.vmap"):
        transform(call)(q)
    assert cache.offset == 0


def test_without_a_cache_it_is_differentiable_and_compiles():
    def loss(q):
        return vk.sliding_window_attention(q, GOOD["k"], GOOD["v"], window=3).sum()

    assert mx.allclose(mx.compile(loss)(GOOD["q"]), loss(GOOD["q"]))
    assert mx.grad(loss)(GOOD["q"]).shape == GOOD["q"].shape


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"window": 0}, "window"),
        ({"window": "a"}, "window"),
        ({"window": 4, "offset": -1}, "offset"),
        ({"window": 4, "phase": 1.0}, "phase"),
    ],
)
def test_cache_refuses_bad_arguments(arguments, name):
    with pytest.raises(ValueError, match=rf"^\[RingKVCache\] {name}: expected"):
        vk.RingKVCache(**arguments)
