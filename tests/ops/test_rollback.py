"""Positions that a cache takes back: what is withdrawn leaves no trace, what is accepted is as if it had come alone."""

import copy

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voxtral_kernels as vk

RNG = np.random.default_rng(0)
LENGTH = 400
Q, K, V = (mx.array(RNG.normal(size=(1, h, LENGTH, 32)).astype(np.float32)) for h in (4, 2, 2))
BAD = mx.full((1, 2, 64, 32), 1e4)  # of positions that will be withdrawn
WINDOWS = [1, 3, 17, 50, 255, 256, None]


def make(window, bits=16, **options):
    return vk.LinearKVCache(bits=bits, **options) if window is None else vk.RingKVCache(window, bits=bits, **options)


def attend(cache, start, stop, wrong=0):
    """Positions from ``start`` on; the last ``wrong`` of them are none of the sequence's."""
    q, k, v = (a[:, :, start:stop] for a in (Q, K, V))
    if wrong:
        right = stop - start - wrong
        k, v = (mx.concatenate([a[:, :, :right], BAD[:, :, :wrong]], axis=2) for a in (k, v))
    return vk.sliding_window_attention(q, k, v, cache=cache)


def same(a, b):
    a, b = a.keys_values(), b.keys_values()
    return (a is None and b is None) or all(mx.array_equal(x, y) for x, y in zip(a, b, strict=True))


# A pass: positions that are right, and behind them positions that are withdrawn.
PASSES = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)).filter(any), min_size=1, max_size=6)


@settings(deadline=None, max_examples=25)
@given(
    window=st.sampled_from(WINDOWS),
    bits=st.sampled_from([16, 8]),
    before=st.integers(0, 120),
    passes=PASSES,
    backend=st.sampled_from(["native", "composed"]),
    at_once=st.booleans(),
)
def test_a_cache_is_as_if_what_was_withdrawn_had_never_come(window, bits, before, passes, backend, at_once):
    """Against a fresh cache of the same kind, a `LinearKVCache`, and attention without a cache."""
    with vk.use_backend(backend):
        cache, plain, everything = make(window, bits), make(window, bits), make(None)
        position = 0
        for n in [before] if at_once else [1] * (before // 6):
            if n:
                mx.eval([attend(c, position, position + n) for c in (cache, plain, everything)])
                position += n
        for right, wrong in passes:
            ahead = copy.copy(plain)
            cache.hold()
            out = attend(cache, position, position + right + wrong, wrong)
            assert cache.pending == right + wrong
            cache.rollback(wrong)
            cache.accept()
            assert cache.pending == 0
            if right:
                expected = attend(ahead, position, position + right)
                assert mx.abs(out[:, :, :right] - expected).max() <= 2e-5
                attend(plain, position, position + right)
                attend(everything, position, position + right)
                position += right
            assert cache.offset == plain.offset == position
            assert same(cache, plain)
            if bits == 16 and position:
                expected = everything.keys_values()[0]
                got = cache.keys_values()[0]
                assert mx.array_equal(got, expected[:, :, -got.shape[2] :])
        expected = vk.sliding_window_attention(*(a[:, :, : position + 1] for a in (Q, K, V)), window=window)[:, :, -1:]
        after, without = (attend(c, position, position + 1) for c in (cache, plain))
        assert mx.array_equal(after, without) or mx.abs(after - without).max() <= 2e-5
        assert mx.abs(after - expected).max() <= (2e-5 if bits == 16 else 0.1)


@settings(deadline=None, max_examples=12)
@given(
    window=st.sampled_from(WINDOWS),
    steps=st.lists(st.tuples(st.integers(1, 9), st.sampled_from([0, 0, 1, 4, 30])), min_size=1, max_size=5),
    backend=st.sampled_from(["native", "composed"]),
)
def test_several_calls_may_be_pending(window, steps, backend):
    """Appends and withdrawals in any order; the attention of each call is computed at the very end."""
    with vk.use_backend(backend):
        cache, plain = make(window), make(window)
        for c in (cache, plain):
            attend(c, 0, 30)
        cache.hold()
        position, outs, expected = 30, [], []
        for n, back in steps:
            outs.append(attend(cache, position, position + n))
            whole = vk.sliding_window_attention(*(a[:, :, : position + n] for a in (Q, K, V)), window=window)
            expected.append(whole[:, :, -n:])
            back = min(back, cache.pending)
            cache.rollback(back)
            position += n - back
        cache.accept()
        if position > 30:
            attend(plain, 30, position)
        assert same(cache, plain)
        outs.append(attend(cache, position, position + 2))
        expected.append(
            vk.sliding_window_attention(*(a[:, :, : position + 2] for a in (Q, K, V)), window=window)[:, :, -2:]
        )
        for out, right in zip(outs, expected, strict=True):
            assert mx.abs(out - right).max() <= 2e-5


def test_a_draft_reaches_the_ring_only_once_accepted():
    for window in (8, None):
        cache = make(window)
        mx.eval(attend(cache, 0, 30))
        before = mx.array(cache._ring)
        mx.eval(before)
        cache.hold()
        mx.eval(attend(cache, 30, 45), attend(cache, 45, 46), cache.state)
        assert cache._ring_end == 30
        assert mx.array_equal(cache._ring, before)
        cache.rollback(10)
        cache.accept()
        mx.eval(cache.state)
        assert (cache._ring_end, cache._tail) == (36, None)


def test_withdrawing_more_than_is_pending_is_refused_and_changes_nothing():
    cache = vk.RingKVCache(8)
    attend(cache, 0, 5)
    expected = (
        r"^\[RingKVCache\] n: expected at most {}, the positions appended since hold\(\) "
        r"and not yet accepted, got {}\.$"
    )
    with pytest.raises(ValueError, match=expected.format(0, 1)):
        cache.rollback(1)
    cache.hold()
    attend(cache, 5, 8)
    cache.rollback(1)
    before = cache.keys_values()
    with pytest.raises(ValueError, match=expected.format(2, 3)):
        cache.rollback(3)
    for bad in (-1, 1.5, True, "1", None):
        with pytest.raises(ValueError, match=r"^\[RingKVCache\] n: expected an integer >= 0, got "):
            cache.rollback(bad)
    assert (cache.offset, cache.pending) == (7, 2)
    assert all(mx.array_equal(a, b) for a, b in zip(before, cache.keys_values(), strict=True))
    cache.accept()
    with pytest.raises(ValueError, match=expected.format(0, 2)):
        cache.rollback(2)
    with pytest.raises(ValueError, match=r"^\[LinearKVCache\] n: expected at most 0,"):
        vk.LinearKVCache().rollback(1)


@pytest.mark.parametrize("backend", ["native", "composed"])
@pytest.mark.parametrize("bits", [16, 8])
def test_a_copy_has_a_draft_of_its_own(backend, bits):
    with vk.use_backend(backend):
        cache = make(20, bits)
        attend(cache, 0, 33)
        cache.hold()
        out = attend(cache, 33, 39, wrong=4)
        twin = copy.deepcopy(cache)
        twin.rollback(6)
        twin.accept()
        assert (cache.pending, twin.pending, twin.offset) == (6, 0, 33)
        cache.rollback(4)
        cache.accept()
        plain = make(20, bits)
        attend(plain, 0, 33)
        assert same(twin, plain)
        first = attend(twin, 33, 35)
        assert mx.abs(first - out[:, :, :2]).max() <= 2e-5
        assert same(twin, cache)


def test_reset_and_appends_and_a_second_hold():
    cache = vk.RingKVCache(8)
    cache.hold()
    cache.append(K[:, :, :3], V[:, :, :3])
    cache.hold()
    assert cache.pending == 3
    cache.rollback(2)
    cache.accept()
    cache.accept()
    plain = vk.RingKVCache(8)
    plain.append(K[:, :, :1], V[:, :, :1])
    assert same(cache, plain)
    cache.hold()
    attend(cache, 1, 4)
    cache.reset()
    assert (cache.offset, cache.pending, cache.nbytes) == (0, 0, 0)
    attend(cache, 0, 4)
    assert cache._draft is None


@pytest.mark.soak
@pytest.mark.parametrize("bits", [16, 8])
def test_on_the_emulator(bits):
    """Before and behind the wrap; a pass longer than the window."""
    with vk.use_backend("emulator"):
        cache, plain = make(5, bits), make(5, bits)
        position = 0
        for right, wrong in ((4, 0), (2, 3), (0, 4), (6, 2), (1, 1)):
            cache.hold()
            out = attend(cache, position, position + right + wrong, wrong)
            cache.rollback(wrong)
            cache.accept()
            if right:
                expected = attend(plain, position, position + right)
                assert mx.abs(out[:, :, :right] - expected).max() <= 2e-5
            position += right
            assert same(cache, plain)


def test_a_change_of_backend_in_the_middle():
    """A tail from before, and a draft, that different backends attended."""
    cache, plain = vk.RingKVCache(12), vk.RingKVCache(12)
    with vk.use_backend("composed"):
        outs, _ = ([attend(c, n, n + 1) for n in range(22)] for c in (cache, plain))
        assert cache._ring_end > 0
        assert cache._tail_length > 0
        cache.hold()
        outs.append(attend(cache, 22, 26))
    with vk.use_backend("native"):
        outs.append(attend(cache, 26, 31, wrong=3)[:, :, :2])
        cache.rollback(3)
        cache.accept()
        attend(plain, 22, 28)
        assert same(cache, plain)
        outs.append(attend(cache, 28, 30))
    expected = vk.sliding_window_attention(*(a[:, :, :30] for a in (Q, K, V)), window=12)
    assert mx.abs(mx.concatenate(outs, axis=2) - expected).max() <= 2e-5


@pytest.mark.parametrize("backend", ["native", "composed"])
def test_attention_that_is_computed_late_reads_the_ring_as_it_was(backend):
    """The write in place waits for every call that was pending, not only for the last."""
    with vk.use_backend(backend):
        cache = vk.RingKVCache(17)
        attend(cache, 0, 30)
        cache.hold()
        outs = [attend(cache, 30, 35), attend(cache, 35, 60)]
        cache.accept()
        mx.eval(cache.state, cache.keys_values())
        expected = vk.sliding_window_attention(*(a[:, :, :60] for a in (Q, K, V)), window=17)[:, :, 30:]
        assert mx.abs(mx.concatenate(outs, axis=2) - expected).max() <= 2e-5
