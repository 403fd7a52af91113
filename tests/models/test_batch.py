"""`Batch`: streams that share the weights give the tokens that they give alone, come and go, and fail alone."""

import gc
import threading

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlx.utils import tree_flatten

import voxtral_kernels as vk
from voxtral_kernels.audio.load import load_audio
from voxtral_kernels.models.voxtral_realtime import batch as batches
from voxtral_kernels.models.voxtral_realtime import slots as seats

TOKEN = 1280
PIECES = 100  # of a stream's audio at most: feeds of one sample would make the plan longer than its turns
RANDOM = settings(deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def clip(examples):
    return load_audio(examples / "human-card-1.wav")


@pytest.fixture(scope="module")
def half():
    return vk.load("tiny", dtype=mx.bfloat16)


def alone(model, samples, delay_ms=480, **options):
    stream = model.stream(delay_ms, exact=True, drafts=False, **options)
    stream.feed(samples)
    stream.finish()
    return stream


@st.composite
def plans(draw, longest):
    """Slots, and of each stream: when it joins, its delay, its audio and how that is cut, whether it leaves early."""
    slots = draw(st.integers(1, 8))
    some = st.tuples(
        st.integers(0, 12),
        st.sampled_from([80, 240, 480, 960]),
        st.integers(0, longest // 2),
        st.integers(0, longest // 2),
        st.lists(st.integers(1, 4 * TOKEN), min_size=1, max_size=4),
        st.sampled_from([80, 80, 160, 240]),
        st.booleans(),
    )
    return slots, draw(st.lists(some, min_size=1, max_size=slots))


def play(model, clip, plan):
    """A plan, step by step: each stream must have said what it says alone, or if it left early a beginning of that."""
    slots, streams = plan
    playing = []
    with vk.Batch(model, slots) as batch:
        for turn in range(400):
            for join, delay_ms, begin, length, sizes, chunk_ms, leaves in streams:
                if turn == join:
                    samples = clip[begin : begin + length]
                    pieces = min(PIECES, 1 + len(samples) // min(sizes))
                    cut = np.split(samples, np.cumsum(np.resize(sizes, pieces)))
                    stream = batch.stream(delay_ms, chunk_ms=chunk_ms)
                    playing.append([stream, cut, leaves, samples, delay_ms, chunk_ms])
            for stream, cut, leaves, *_ in playing:
                if cut:
                    stream.feed(cut.pop(0))
                elif leaves:
                    stream.close()
                else:
                    stream.end()
            batch.step()
            if turn > 12 and not batch.streams:
                break
        assert not batch.streams
    for stream, _, leaves, samples, delay_ms, chunk_ms in playing:
        assert stream.error is None
        expected = alone(model, samples, delay_ms, chunk_ms=chunk_ms).tokens
        assert stream.tokens == (expected[: len(stream.tokens)] if leaves else expected)


@settings(RANDOM, max_examples=2)
@given(data=st.data())
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_company_changes_no_token(tiny, half, clip, dtype, data):
    play(tiny if dtype == "float32" else half, clip[:7000], data.draw(plans(7000)))


@pytest.mark.soak
@settings(RANDOM, max_examples=60)
@given(data=st.data())
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_company_changes_no_token_at_length(tiny, half, clip, dtype, data):
    play(tiny if dtype == "float32" else half, clip, data.draw(plans(len(clip))))


@pytest.mark.parametrize("bits", [4, 8])
def test_company_changes_no_token_of_a_quantised_model(tmp_path, clip, bits):
    from voxtral_kernels.models.convert import convert

    convert("tiny", tmp_path / "q", bits=bits, group_size=32)
    play(vk.load(tmp_path / "q"), clip[:6000], (3, [(i, 240, 900 * i, 2000, [1500], 80, False) for i in range(3)]))


def test_where_no_kernel_of_few_rows_serves(tiny, clip):
    with vk.use_backend("composed"):
        play(tiny, clip, (2, [(0, 80, 0, 1000, [600], 80, False), (3, 160, 500, 700, [900], 160, False)]))


def test_it_gives_what_a_stream_gives(tiny, clip):
    expected = alone(tiny, clip)
    with vk.Batch(tiny, slots=2) as batch:
        with batch.stream() as stream:
            events = stream.feed(clip)
            assert stream.backlog_s == pytest.approx(len(clip) / 16000)
            while batch.step():
                pass
            assert stream.backlog_s < 1
            events += stream.finish()
            assert stream.finish() == []
        assert stream.result == expected.result
        assert [e.token for e in events] == expected.tokens
        assert "".join(e.text for e in events) == stream.text == expected.text
        assert batch.streams == []
        stats = batch.stats()
        assert (stats.streams, stats.slots, stats.backlog_s) == (0, 2, 0)
        assert stats.steps > len(expected.tokens)
        assert stats.step_ms > 0


def test_a_silent_stream_holds_nobody_back(tiny, clip):
    with vk.Batch(tiny, slots=3) as batch:
        silent, one, another = (batch.stream() for _ in range(3))
        one.feed(clip)
        while batch.step():
            pass
        another.feed(clip)
        one.finish()
        another.finish()
        assert silent.tokens == []
        assert not silent.done
        assert one.tokens == another.tokens == alone(tiny, clip).tokens


def test_a_full_batch_refuses_or_waits(tiny, clip):
    batch = vk.Batch(tiny, slots=1)
    first = batch.stream()
    with pytest.raises(vk.BatchFull, match=r"^\[batch\] slots: expected one of 1 that is free, got none"):
        batch.stream()
    with pytest.raises(vk.BatchFull):
        batch.stream(block=0.01)
    threading.Timer(0.05, first.close).start()
    second = batch.stream(block=True)
    assert batch.streams == [second]
    with pytest.raises(ValueError, match=r"^\[batch\] feed: expected a stream that is not finished or closed"):
        first.feed(clip)
    with pytest.raises(ValueError, match=r"^\[batch\] finish: expected a stream that is not closed, got one that is"):
        first.finish()
    batch.close()
    with pytest.raises(ValueError, match="a batch that is not closed"):
        batch.stream()


def test_wrong_arguments_take_no_slot(tiny, offline):
    with pytest.raises(ValueError, match=r"^\[batch\] model: expected one of Voxtral Realtime, got Voxtral"):
        vk.Batch(vk.load(offline))
    for slots in (0, 1.5, "8"):
        with pytest.raises(ValueError, match=r"^\[batch\] slots: "):
            vk.Batch(tiny, slots)
    batch = vk.Batch(tiny, slots=1)
    for options in ({"delay_ms": 100}, {"chunk_ms": 90}, {"cache_bits": 4}, {"sample_rate": -1}, {"block": -1}):
        with pytest.raises(ValueError, match=next(iter(options))):
            batch.stream(**options)
    stream = batch.stream()
    with pytest.raises(ValueError, match=r"^\[batch\] samples: "):
        stream.feed([[0.0]])
    assert stream.duration_s == 0


def test_slots_that_do_not_fit_are_refused(tiny, monkeypatch):
    each, shorter = seats.slot_bytes(tiny, 16), seats.slot_bytes(tiny, 16, longest_s=0.1)
    weights = 500_000_000 + sum(
        a.nbytes
        for _, a in tree_flatten([s.parameters() for s in (tiny.stem, tiny.encoder, tiny.adapter, tiny.decoder)])
    )
    monkeypatch.setattr(seats, "available", lambda: weights + 3 * each)
    assert vk.Batch(tiny, slots=3).stream().backlog_s == 0
    with pytest.raises(
        ValueError, match=r"^\[batch\] slots: expected at most 3: a stream takes up to [0-9.]+ MB of .*, got 4\."
    ):
        vk.Batch(tiny, slots=4)
    assert shorter <= each
    half = vk.Batch(tiny, slots=4, cache_bits=8)
    assert half.stream()._bits == 8
    with pytest.raises(ValueError, match=r"^\[batch\] cache_bits: expected at most 8"):
        half.stream(cache_bits=16)
    for options in ({"cache_bits": 3}, {"longest_s": 0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            vk.Batch(tiny, **options)


def test_what_a_slot_takes_is_counted(tiny, clip):
    """By the rings that a stream has at full windows."""
    with vk.Batch(tiny, slots=2) as batch:
        stream = batch.stream()
        stream.feed(np.tile(clip, 4))
        for _ in range(150):
            batch.step()
        assert batch._slots.nbytes == seats.slot_bytes(tiny, 16)
        assert seats.slot_bytes(tiny, 16) > seats.slot_bytes(tiny, 8) > seats.slot_bytes(tiny, 16) / 4


def test_a_stream_that_fails_ends_alone(tiny, clip, monkeypatch):
    with vk.Batch(tiny, slots=2) as batch:
        good, bad = batch.stream(), batch.stream()
        for stream in (good, bad):
            stream.feed(clip)
        monkeypatch.setattr(bad, "_event", lambda *_: 1 / 0)
        good.finish()
        assert good.tokens == alone(tiny, clip).tokens
        assert batch.streams == []
        for call in (bad.finish, lambda: bad.feed(clip), bad.read):
            with pytest.raises(ZeroDivisionError):
                call()


def test_who_leaves_within_a_step_leaves_nothing_undone(tiny, clip, monkeypatch):
    """The ring is everybody's: what one wrote on another thread must be computed there."""
    with vk.Batch(tiny, slots=2) as batch:
        stays, leaves = batch.stream(), batch.stream()
        stays.feed(clip[:9000])
        leaves.feed(np.tile(clip, 8))
        for _ in range(60):
            batch.step()
        embed = batch._embed
        monkeypatch.setattr(batch, "_embed", lambda streams: (embed(streams), leaves.close()))
        thread = threading.Thread(target=batch.step)
        thread.start()
        thread.join()
        monkeypatch.undo()
        stays.feed(clip[9000:])
        stays.finish()
    assert stays.tokens == alone(tiny, clip).tokens


def test_a_newcomer_takes_few_rows_a_step(tiny, clip, monkeypatch):
    counts = []
    said = batches.Rows.said
    monkeypatch.setattr(
        batches.Rows, "said", lambda rows, turns: counts.append([len(t.ids) for t in turns]) or said(rows, turns)
    )
    with vk.Batch(tiny, slots=2) as batch:
        old = batch.stream()
        old.feed(np.tile(clip, 3))
        for _ in range(40):
            batch.step()
        batch.stream()
        seen = len(old.tokens)
        for _ in range(8):
            batch.step()
        assert len(old.tokens) == seen + 8
        assert counts[-8:] == [[1, 3]] * 8


def test_who_left_holds_no_keys_and_values(tiny, clip):
    """Streams that come and go leave nothing behind, though somebody keeps them for their text."""
    kept = []
    with vk.Batch(tiny, slots=2) as batch:
        for i in range(5):
            for finishes in (True, False):
                stream = batch.stream(240)
                stream.feed(clip[: 1500 + 100 * i])
                batch.step()
                if finishes:
                    stream.finish()
                else:
                    stream.close()
                kept.append(stream)
            gc.collect()
            if i == 2:
                before = mx.get_active_memory()
    assert mx.get_active_memory() - before < 1000  # the newest token of each
