"""`RingSlots`: a stream's results do not depend on who else is in the call, comes or goes; one allocation for all."""

import copy

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voxtral_kernels as vk
from voxtral_kernels.backends import extension

H, KV, D = 4, 2, 32
FLOATS = [mx.float32, mx.bfloat16]


def stream_of(seed, length=400, dtype=mx.float32):
    rng = np.random.default_rng(seed)
    return [mx.array(rng.normal(size=(1, h, length, D)).astype(np.float32)).astype(dtype) for h in (H, KV, KV)]


def cut(stream, at, length):
    return [a[:, :, at : at + length] for a in stream]


def together(slots, streams, caches, at, length):
    """One call for all; each stream's result."""
    parts = [cut(s, a, length) for s, a in zip(streams, at, strict=True)]
    q, k, v = (mx.concatenate([p[i] for p in parts]) for i in range(3))
    out = vk.sliding_window_attention(q, k, v, cache=caches)
    return [out[i : i + 1] for i in range(len(streams))]


@st.composite
def schedules(draw):
    """Calls: how many positions, and which streams take part."""
    calls = draw(st.lists(st.tuples(st.sampled_from([1, 1, 1, 2, 4, 11]), st.sets(st.integers(0, 3))), max_size=40))
    return [(n, sorted(who)) for n, who in calls if who]


@settings(deadline=None, max_examples=12, derandomize=True)
@given(schedule=schedules(), window=st.sampled_from([1, 9, 64, 300]), dtype=st.sampled_from(FLOATS))
@pytest.mark.parametrize("bits", [16, 8])
@pytest.mark.parametrize("backend", ["native", "composed"])
def test_a_stream_is_as_it_is_alone(backend, bits, schedule, window, dtype):
    """Bit for bit where the kernels keep a row's order of sums; the composed form within rounding."""
    streams = [stream_of(i, dtype=dtype) for i in range(4)]
    slots = vk.RingSlots(window, bits=bits)
    caches = [slots.take() for _ in streams]
    alone = [vk.RingKVCache(window, bits=bits) for _ in streams]
    with vk.use_backend(backend):
        for length, who in schedule:
            at = [alone[i].offset for i in who]
            outs = together(slots, [streams[i] for i in who], [caches[i] for i in who], at, length)
            for i, a, out in zip(who, at, outs, strict=True):
                expected = vk.sliding_window_attention(*cut(streams[i], a, length), cache=alone[i])
                if backend == "native":
                    assert mx.array_equal(out, expected)
                else:
                    close = 2e-5 if dtype == mx.float32 else 3e-2
                    assert mx.abs(out - expected).max() <= close * max(1, mx.abs(expected).max())
    for cache, other in zip(caches, alone, strict=True):
        assert cache.offset == other.offset
        held, expected = cache.keys_values(), other.keys_values()
        assert (held is None) == (expected is None)
        assert held is None or all(mx.array_equal(a, b) for a, b in zip(held, expected, strict=True))


@pytest.mark.parametrize("backend", ["native", "composed"])
def test_who_comes_and_goes_changes_nothing(backend):
    """A stream beside others that join, leave and whose slots are taken again."""
    mine, others = stream_of(0), [stream_of(i) for i in range(1, 6)]
    slots, alone = vk.RingSlots(50), vk.RingKVCache(50)
    company = [slots.take()]
    cache, at = slots.take(), [0]
    with vk.use_backend(backend):
        for step in range(120):
            if step % 11 == 5 and company:
                company.pop(0).release()
                at.pop(0)
            if step % 7 == 3 and len(company) < 4:
                company.append(slots.take())
                at.append(0)
            out = together(slots, [*others[: len(company)], mine], [*company, cache], [*at, step], 1)[-1]
            at = [a + 1 for a in at]
            expected = vk.sliding_window_attention(*cut(mine, step, 1), cache=alone)
            assert mx.abs(out - expected).max() <= (0 if backend == "native" else 2e-5)


def test_it_grows_by_slots_and_is_freed_with_the_last():
    slots, streams = vk.RingSlots(64, lazy=True), [stream_of(i) for i in range(3)]
    slot = 2 * KV * 64 * D * 4
    caches = [slots.take()]
    together(slots, streams[:1], caches, [0], 1)
    assert (slots.streams, slots.nbytes) == (1, slot)
    caches += [slots.take(), slots.take()]
    together(slots, streams, caches, [1, 0, 0], 1)
    assert (slots.streams, slots.nbytes, caches[1].nbytes) == (3, 3 * slot, slot)
    caches[0].release()
    caches[0].release()
    again = slots.take()
    together(slots, streams[:1], [again], [0], 1)
    assert (slots.streams, slots.nbytes) == (3, 3 * slot)
    for cache in (again, *caches):
        cache.release()
    assert (slots.streams, slots.nbytes, again.nbytes) == (0, 0, 0)
    del caches, cache, again
    lost = slots.take()
    together(slots, streams[:1], [lost], [0], 1)
    del lost
    assert slots.streams == 0
    assert slots.take().nbytes == slots.nbytes == 0


def test_a_call_writes_its_own_rows_alone():
    """In place, whoever's: no ring is copied while streams go on."""
    slots, streams = vk.RingSlots(256, lazy=True), [stream_of(i) for i in range(3)]
    caches = [slots.take() for _ in streams]
    with vk.use_backend("native"):
        mx.eval(together(slots, streams, caches, [0] * 3, 300), [c.state for c in caches])
        rows, copied = extension.extension().commit_bytes()
        for i in range(10):
            mx.eval(together(slots, streams[1:], caches[1:], [300 + i] * 2, 1), [c.state for c in caches])
    rows_after, copied_after = extension.extension().commit_bytes()
    assert copied_after == copied
    assert rows_after - rows == 10 * 2 * 2 * KV * D * 4


@pytest.mark.parametrize("backend", ["native", "composed"])
def test_a_slot_is_a_cache(backend):
    """By itself, in pieces of any length, restored, copied, forgotten."""
    stream, slots, alone = stream_of(0), vk.RingSlots(70), vk.RingKVCache(70)
    slots.take()
    cache, at = slots.take(offset=5), 0
    assert cache.keys_values() is None
    with vk.use_backend(backend):
        for length in (3, 1, 90, 1, 17, 1):
            out = vk.sliding_window_attention(*cut(stream, at, length), cache=cache)
            expected = vk.sliding_window_attention(*cut(stream, at, length), cache=alone)
            assert mx.abs(out - expected).max() <= 2e-5
            at += length
        assert cache.offset == at + 5
        twin, other = copy.copy(cache), slots.take()
        other.append(*cache.keys_values())
        step = cut(stream, at, 2)
        expected = vk.sliding_window_attention(*step, cache=alone)
        for held in (twin, other, cache):
            assert mx.abs(vk.sliding_window_attention(*step, cache=held) - expected).max() <= 2e-5
        assert isinstance(twin, vk.RingKVCache)
        cache.reset()
        assert (cache.offset, cache.nbytes, cache.keys_values()) == (5, 0, None)
        whole = vk.sliding_window_attention(*cut(stream, 0, 4))
        assert mx.abs(vk.sliding_window_attention(*cut(stream, 0, 4), cache=cache) - whole).max() <= 2e-5


@pytest.mark.soak
@pytest.mark.parametrize("bits", [16, 8])
@pytest.mark.parametrize(("window", "length", "dim"), [(600, 1, 32), (600, 4, 32), (64, 1, 32), (24, 13, 64)], ids=str)
def test_on_the_shaders_a_stream_is_as_it_is_alone(window, length, dim, bits):
    """Emulated and checked: bit for bit, though one stream's keys are few and another's cut in splits."""
    rng = np.random.default_rng(0)

    def normal(*shape):
        return mx.array(rng.normal(size=shape).astype(np.float32)).astype(mx.bfloat16)

    slots, alone = vk.RingSlots(window, bits=bits), [vk.RingKVCache(window, bits=bits) for _ in range(3)]
    caches = [slots.take() for _ in alone]
    for cache, other, past in zip(caches, alone, (0, 530, 1300), strict=True):
        if past:
            k, v = normal(1, KV, past, dim), normal(1, KV, past, dim)
            cache.append(k, v)
            other.append(k, v)
    with vk.use_backend("emulator"):
        for who in ([0, 1, 2], [0, 2], [2, 1, 0]):
            q, k, v = (normal(len(who), heads, length, dim) for heads in (H, KV, KV))
            out = vk.sliding_window_attention(q, k, v, cache=[caches[i] for i in who])
            for j, i in enumerate(who):
                own = (a[j : j + 1] for a in (q, k, v))
                assert mx.array_equal(out[j : j + 1], vk.sliding_window_attention(*own, cache=alone[i]))


def call(cache, batch=1, dim=D, kv=KV):
    q, k = mx.zeros((batch, H, 1, dim)), mx.zeros((batch, kv, 1, dim))
    return vk.sliding_window_attention(q, k, k, cache=cache)


def test_errors_name_the_argument_and_change_nothing():
    slots = vk.RingSlots(8)
    one, two = slots.take(), slots.take()
    call([one, two], 2)
    different = r"^\[sliding_window_attention\] cache: expected caches of different streams of one RingSlots, got "
    for caches, got in (
        ([], "none"),
        ([one, vk.RingKVCache(8)], "RingKVCache, SlotKVCache"),
        ([one, vk.RingSlots(8).take()], "those of several"),
        ([one, one], "one twice"),
    ):
        with pytest.raises(ValueError, match=different + got):
            call(caches, len(caches) or 1)
    with pytest.raises(ValueError, match=r"q: expected B = 2, as many as caches, got 1"):
        call([one, two], 1)
    with pytest.raises(ValueError, match=r"k: expected Hkv, D = \(2, 32\) in float32 as the slots hold, got \(2, 16\)"):
        call([one, two], 2, dim=16)
    with pytest.raises(ValueError, match=r"window: expected the cache's 8 or None, got 9\."):
        vk.sliding_window_attention(*[mx.zeros((1, KV, 1, D))] * 3, cache=[one], window=9)
    with pytest.raises(ValueError, match=r"^\[RingSlots\] hold: expected a RingKVCache"):
        one.hold()
    assert one.offset == two.offset == 1
    two.release()
    with pytest.raises(ValueError, match="a slot that is taken, got one that was given back"):
        call([one, two], 2)
    for options in ({"window": 0}, {"bits": 4}):
        with pytest.raises(ValueError, match=r"^\[RingSlots\] " + next(iter(options))):
            vk.RingSlots(**{"window": 8, **options})
    with pytest.raises(ValueError, match="phase"):
        slots.take(phase=1)
    with slots.inside, pytest.raises(RuntimeError, match="one call at a time"):
        call([one])


def test_no_derivative_through_a_cache():
    one = vk.RingSlots(8).take()
    q = mx.zeros((1, KV, 1, D))
    with pytest.raises(ValueError, match="cache: expected None inside"):
        mx.grad(lambda a: vk.sliding_window_attention(a, a, a, cache=[one]).sum())(q)
