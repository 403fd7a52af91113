"""What a stream promises: any split gives the same tokens, nothing is lost at the end, nothing ends it early."""

import contextlib
import itertools

import mlx.core as mx
import numpy as np
import pytest
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import voxtral_kernels as vk
from bench.measure import scripted as scripts
from voxtral_kernels.audio.load import load_audio
from voxtral_kernels.models import chunk
from voxtral_kernels.models.result import Word

TOKEN = 1280
CLIP = "human-card-1.wav"  # 17526 samples, "ten of clubs"
RANDOM = settings(deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def clip(examples):
    return load_audio(examples / CLIP)


@pytest.fixture(scope="module")
def expected(references):
    return references[CLIP]["transformers"]["480"]["tokens"]


@pytest.fixture
def scripted(tiny):
    """Makes the model generate given ids, then pads."""
    with contextlib.ExitStack() as stack:

        def script(ids):
            first = len(tiny.tokenizer.realtime_prompt(480)) - 1
            said = dict(enumerate(ids, start=first))
            stack.enter_context(scripts.scripted(tiny.decoder, lambda n: said.get(n, tiny.tokenizer.pad_id)))

        yield script


def silence(n_tokens):
    return np.zeros(n_tokens * TOKEN, np.float32)


def pieces_of(x, sizes):
    """x cut at these sizes in turn, over and over."""
    parts, start, i = [], 0, 0
    while start < len(x):
        size = sizes[i % len(sizes)]
        parts.append(x[start : start + size])
        start, i = start + size, i + 1
    return parts


SIZES = st.lists(
    st.one_of(st.sampled_from([0, 1, 159, 160, 161, 1279, 1281]), st.integers(0, 9000)), min_size=1, max_size=8
)


@settings(RANDOM, max_examples=8)
@given(ones=st.integers(0, 2000), sizes=SIZES.filter(lambda s: sum(s) > 300))
def test_any_split_gives_the_same_tokens(tiny, clip, expected, ones, sizes):
    stream = tiny.stream()
    events = []
    for part in [*clip[:ones, None], *pieces_of(clip[ones:], sizes)]:
        events += stream.feed(part)
    events += stream.finish()
    assert [e.token for e in events] == stream.tokens == expected


def test_one_sample_at_a_time(tiny, clip, expected):
    stream = tiny.stream()
    for sample in clip[:, None]:
        stream.feed(sample)
    stream.finish()
    assert stream.tokens == expected


@settings(RANDOM, max_examples=25)
@given(sizes=st.lists(st.integers(0, 7), min_size=1, max_size=6).filter(any))
def test_any_split_gives_the_same_stem_frames(golden, golden_model, sizes):
    mel, state, out = golden["mel"][:, :101], None, []
    for part in pieces_of(np.arange(101), sizes):
        frames, state = golden_model.stem(mel[:, part[0] : part[-1] + 1] if len(part) else mel[:, :0], state)
        out.append(frames)
    whole, _ = golden_model.stem(mel)
    assert whole.shape[1] == 50
    assert mx.allclose(mx.concatenate(out, axis=1), whole, atol=1e-5)


def test_events_come_as_their_tokens_are_decoded(tiny, clip):
    stream = tiny.stream(delay_ms=480)
    assert stream.feed(clip[: 7 * TOKEN + 39]) == []  # the first frame's last mel window ends 40 samples later
    (event,) = stream.feed(clip[7 * TOKEN + 39 : 7 * TOKEN + 40])
    assert (event.position, event.start_s, event.end_s) == (32 + 6, 0.0, 0.08)
    assert stream.tokens == [event.token]


@pytest.mark.parametrize("n_samples", [0, 1, 1279, 1280, 1281, 17526])
@pytest.mark.parametrize("delay", [80, 2400])
def test_as_many_tokens_as_audio(tiny, clip, n_samples, delay):
    stream = tiny.stream(delay_ms=delay)
    stream.feed(clip[:n_samples])
    stream.finish()
    assert len(stream.tokens) == -(-n_samples // TOKEN) + 11
    assert stream.duration_s == n_samples / 16000


def test_finish_once_and_for_all(tiny, clip):
    stream = tiny.stream()
    stream.feed(clip)
    assert stream.finish()
    text, tokens = stream.text, list(stream.tokens)
    assert stream.finish() == []
    assert (stream.text, stream.tokens) == (text, tokens)
    with pytest.raises(ValueError, match=r"\[stream\] feed: expected a stream that is not finished, got one that is\."):
        stream.feed(clip)


@pytest.mark.parametrize("bad", [[np.nan], [np.inf], [[0.0]], "text", None, [1 + 2j]], ids=repr)
def test_bad_samples_leave_the_stream_as_it_was(tiny, clip, expected, bad):
    stream = tiny.stream()
    stream.feed(clip[:9000])
    with pytest.raises(ValueError, match=r"^\[stream\] samples: expected .*, got .*\.$"):
        stream.feed(bad)
    stream.feed(clip[9000:])
    stream.finish()
    assert stream.tokens == expected


def test_streams_do_not_share_state(tiny, clip, expected):
    streams = [tiny.stream(), tiny.stream(delay_ms=960), tiny.stream()]
    for i in range(0, len(clip), 2000):
        for stream in streams:
            stream.feed(clip[i : i + 2000])
    for stream in streams:
        stream.finish()
    assert streams[0].tokens == streams[2].tokens == expected


def test_an_offset_of_a_million_changes_nothing(tiny, clip, expected, monkeypatch):
    seen = []
    logits = tiny.decoder.logits
    monkeypatch.setattr(tiny.decoder, "logits", lambda h: seen.append(logits(h)) or seen[-1])
    for offset in (0, 1_000_000):
        stream = tiny.stream(offset=offset, drafts=False)
        events = stream.feed(clip) + stream.finish()
        assert stream.tokens == expected
        assert events[0].position == offset + 38
    half = len(seen) // 2
    here, there = mx.stack(seen[:half]), mx.stack(seen[half:])
    assert mx.abs(here - there).max() <= 1e-4 * mx.abs(here).max()


def test_a_large_feed_is_processed_in_bounded_pieces(tiny, clip, monkeypatch):
    monkeypatch.setattr(chunk, "PIECE", 5)
    frames = []
    embed = type(tiny).embed_audio
    monkeypatch.setattr(type(tiny), "embed_audio", lambda m, mel, s: frames.append(mel.shape[1]) or embed(m, mel, s))
    result = tiny.transcribe(clip)
    assert max(frames) == 5 * 8
    assert sum(frames) == 8 * (32 + 14 + 17)
    assert result.text == "ten of clubs"


def test_every_delay(tiny):
    for delay in range(80, 2401, 80):
        tiny.stream(delay_ms=delay)
    for delay in (0, 79, 100, 2480, -80, True, "480", float("nan")):
        with pytest.raises(ValueError, match=r"delay_ms: expected a multiple of 80 from 80 to 2400, got .*\.$"):
            tiny.stream(delay_ms=delay)


def test_the_delay_conditions_the_decoder(tiny):
    scales = [mx.stack(tiny.decoder.scales(d, mx.float32)) for d in (1, 6, 30)]
    assert all(mx.abs(a - b).max() > 1e-2 for a, b in itertools.pairwise(scales))


def test_end_of_sequence_ends_nothing(tiny, scripted):
    scripted([tiny.tokenizer.eos_id] * 1000)
    stream = tiny.stream()
    stream.feed(silence(30))
    stream.finish()
    assert stream.tokens == [tiny.tokenizer.eos_id] * 41
    assert stream.text == ""


def test_split_characters_and_word_times(tiny, scripted):
    t = tiny.tokenizer
    byte = {b: t.n_special + b for b in range(256)}
    assert all(t.token_bytes(i) == bytes([b]) for b, i in byte.items())
    word, pad = t.word_id, t.pad_id
    spelled = [byte[b] for b in " é 你".encode()]
    scripted([pad, pad, word, *spelled, pad, word, byte[ord(" ")], byte[ord("a")], pad])
    stream = tiny.stream()
    events = stream.feed(silence(14)) + stream.finish()
    texts = [e.text for e in events]
    # " é 你" is 20, C3 A9, 20, E4 BD A0: text comes with a character's last byte, the first space is dropped.
    assert texts[:14] == ["", "", "", "", "", "é", " ", "", "", "你", "", "", " ", "a"]
    assert stream.text == "é 你 a"
    start, end, next_start, next_end = (0.08 * n for n in (1, 3, 10, 12))
    assert stream.words == [Word("é", start, end), Word("你", start, end), Word("a", next_start, next_end)]


def test_an_unfinished_character_comes_out_at_the_end(tiny, scripted):
    t = tiny.tokenizer
    scripted([t.pad_id] * 15 + [t.n_special + 0xC3])
    stream = tiny.stream()
    events = stream.feed(silence(5)) + stream.finish()
    assert stream.text == "".join(e.text for e in events) == "\ufffd"


def test_times_are_clamped_to_the_audio(tiny, scripted):
    t = tiny.tokenizer
    scripted([t.pad_id] * 9 + [t.word_id, t.n_special + ord("x")])
    stream = tiny.stream()
    events = stream.feed(silence(5)[:-100]) + stream.finish()
    duration = (5 * TOKEN - 100) / 16000
    assert stream.words == [Word("x", duration, duration)]
    assert max(e.end_s for e in events) == duration


def test_transcribe_tells_events_as_they_come(tiny, examples):
    told = []
    result = tiny.transcribe(examples / CLIP, on_events=told.append)
    assert [e.token for events in told for e in events] == result.tokens
    assert result.duration_s == 17526 / 16000
    assert [w.text for w in result.words] == ["ten", "of", "clubs"]
    assert all(0 <= w.start_s < w.end_s <= result.duration_s for w in result.words)


def test_transcribe_refuses_bad_audio(tiny, tmp_path):
    for audio in (tmp_path / "none.wav", np.zeros(0, np.float32), b"", [np.nan]):
        with pytest.raises(ValueError, match=r"^\[load_audio\] audio: expected .*, got .*\.$"):
            tiny.transcribe(audio)


def test_the_checkpoints_own_dtype(clip, expected):
    model = vk.load("tiny")
    assert model.dtype == model.time_dtype == mx.bfloat16
    stream = model.stream()
    stream.feed(clip)
    stream.finish()
    assert stream.text == "ten of clubs"
    assert blank_run(stream.tokens, model.tokenizer.pad_id) <= blank_run(expected, model.tokenizer.pad_id) + 2


def blank_run(tokens, pad):
    """Length of the longest run of pads: a model in a rut emits nothing else over speech."""
    text = "".join("p" if t == pad else "x" for t in tokens)
    return max(map(len, text.split("x")))


@pytest.mark.fault("errors: transcribe(language=...) of a realtime model was a TypeError")
def test_a_language_is_refused_in_words(tiny, clip):
    message = r"^\[transcribe\] language: expected None for Voxtral Realtime, which is told none, got 'en'\.$"
    with pytest.raises(ValueError, match=message):
        tiny.transcribe(clip, language="en")


@pytest.mark.fault("audio: a stream took 16 kHz alone, and users resampled block by block")
@pytest.mark.parametrize("rate", [48_000, 44_100, 8_000, 22_050.5])
def test_another_sample_rate_is_resampled_as_one_signal(tiny, clip, rate):
    at_rate = soxr.resample(clip, TOKEN / 0.08, rate)
    expected = tiny.transcribe(soxr.resample(at_rate, rate, TOKEN / 0.08))
    stream = tiny.stream(sample_rate=rate)
    events = [event for piece in pieces_of(at_rate, [1, 1023, 4801]) for event in stream.feed(piece)]
    assert abs(stream.duration_s - len(at_rate) / rate) < 1e-9
    events += stream.finish()
    assert stream.text == expected.text == "".join(event.text for event in events)
    assert (stream.tokens, stream.words) == (expected.tokens, expected.words)
    assert tiny.transcribe(at_rate, sample_rate=rate).tokens == stream.tokens


def test_a_stream_of_another_rate_is_heard_in_the_same_pieces(tiny, clip):
    """What bounds the memory of a large feed counts tokens, at any rate."""
    twice = np.repeat(np.tile(clip, 12), 2)
    pieces = list(tiny.stream(sample_rate=32_000).pieces(twice))
    assert len(pieces) == -(-len(twice) // (2 * TOKEN * chunk.PIECE))


@pytest.mark.parametrize("rate", [0, -16_000, float("nan"), "48000", True, 10**9])
def test_a_sample_rate_that_is_none(tiny, rate):
    with pytest.raises(ValueError, match=r"^\[stream\] sample_rate: expected a sample rate from \d+ to \d+ Hz, got "):
        tiny.stream(sample_rate=rate)
