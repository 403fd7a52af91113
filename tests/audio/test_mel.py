"""Log-mel: against float64, against transformers, and the stream against the batch bit for bit."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from voxtral_kernels.audio.mel import BLOCK, MelConfig, MelStream, _log_power, log_mel

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "mel.npz"
CONFIGS = [
    MelConfig(),
    MelConfig(log_mel_max=None),
    MelConfig(n_mels=80, n_fft=320),  # a window of two hops
]
RNG = np.random.default_rng(7)
NOISE = (RNG.standard_normal(6_000) * np.repeat(10.0 ** -np.arange(6), 1_000)).astype(np.float32)


def oracle(samples, config):
    """The definition, one frame at a time, with a plain DFT matrix and triangles drawn from the Slaney scale."""
    n_fft, n_bins = config.n_fft, config.n_fft // 2 + 1
    padded = np.pad(samples.astype(np.float64), n_fft // 2, mode="reflect")
    dft = np.exp(-2j * np.pi * np.outer(np.arange(n_bins), np.arange(n_fft)) / n_fft)
    hann = np.sin(np.pi * np.arange(n_fft) / n_fft) ** 2

    def hertz(mel):
        return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

    top_mel = 15 + 27 * np.log(8) / np.log(6.4)  # 8000 Hz
    edges = [hertz(m) for m in np.linspace(0, top_mel, config.n_mels + 2)]
    frequency = np.arange(n_bins) * config.sample_rate / n_fft
    triangles = np.array(
        [
            np.clip(np.minimum((frequency - low) / (mid - low), (high - frequency) / (high - mid)), 0, None)
            * 2
            / (high - low)
            for low, mid, high in zip(edges, edges[1:], edges[2:], strict=False)
        ]
    )
    starts = range(0, len(samples) // config.hop * config.hop, config.hop)
    power = np.array([np.abs(dft @ (hann * padded[i : i + n_fft])) ** 2 for i in starts]).reshape(-1, n_bins)
    log_power = np.log10(np.maximum(power @ triangles.T, 1e-10))
    top = log_power.max() if config.log_mel_max is None else config.log_mel_max
    return (np.maximum(log_power, top - 8) + 4) / 4


@pytest.mark.parametrize("config", CONFIGS, ids=["realtime", "whisper", "window-of-two-hops"])
def test_matches_float64(config):
    expected = oracle(NOISE, config)
    mel = log_mel(NOISE, config)
    assert mel.shape == (len(NOISE) // config.hop, config.n_mels)
    assert mel.dtype == np.float32
    # Rounded to float32 once: half a unit in the last place of values below 2.
    np.testing.assert_allclose(mel, expected, rtol=0, atol=2**-24)


@pytest.mark.parametrize("config", CONFIGS, ids=["realtime", "whisper", "window-of-two-hops"])
def test_taps_without_zeros_are_all_taps_in_their_order(config):
    taps, places = config.dense_taps
    sums = [np.zeros(0)] * config.n_mels
    for bins, weights in taps:
        for i, pair in enumerate(zip(bins, weights, strict=True)):
            sums[i] = np.append(sums[i], pair)
    for mel, (bins, weights) in enumerate(zip(*(a.T for a in config.taps), strict=True)):
        pairs = sums[places[mel]].reshape(-1, 2)
        n = len(pairs)
        assert np.array_equal(pairs, np.stack([bins, weights], axis=1)[:n])
        assert not weights[n:].any()


@pytest.mark.parametrize("n", [160, 161, 200, 201, 319, 320, 360, 399, 400, 401, 560, 561])
def test_ends_are_mirrored(n):
    np.testing.assert_allclose(log_mel(NOISE[:n]), oracle(NOISE[:n], MelConfig()), rtol=0, atol=2**-24)


def test_too_short_for_a_frame():
    for n in (0, 1, 159):
        assert log_mel(NOISE[:n]).shape == (0, 128)
        assert log_mel(NOISE[:n], MelConfig(log_mel_max=None)).shape == (0, 128)


def test_levels():
    """Silence sits on the floor: (1.5 - 8 + 4) / 4 for realtime, its own maximum less nothing for Whisper."""
    assert (log_mel(np.zeros(1_600)) == np.float32(-0.625)).all()
    assert (log_mel(np.zeros(1_600), MelConfig(log_mel_max=None)) == -1.5).all()


@pytest.mark.parametrize("kind", ["realtime", "whisper"])
def test_matches_transformers(kind):
    """Values of transformers' feature extractors, which compute in float32: the bound is their noise near the floor."""
    golden = np.load(GOLDEN)
    samples = soundfile.read(ROOT / "examples" / "human-card-1.wav", dtype="float32")[0]
    mel = log_mel(samples, MelConfig(log_mel_max=1.5 if kind == "realtime" else None))
    expected = golden[kind]
    assert mel.shape[0] == golden[f"{kind}_frames"]
    np.testing.assert_allclose(mel[golden["rows"]], expected, rtol=0, atol=2e-5)


def stream(samples, cuts, config):
    mel = MelStream(config)
    ends = [0, *sorted(cuts), len(samples)]
    parts = [mel.feed(samples[a:b]) for a, b in pairwise(ends)]
    return np.concatenate([*parts, mel.finish()])


@settings(max_examples=60, deadline=None)
@given(data=st.data(), n=st.integers(0, 3_000), config=st.sampled_from([CONFIGS[0], CONFIGS[2]]))
def test_stream_equals_batch_bit_for_bit(data, n, config):
    cuts = data.draw(st.lists(st.integers(0, n), max_size=12))  # repeated cuts are empty feeds
    np.testing.assert_array_equal(stream(NOISE[:n], cuts, config), log_mel(NOISE[:n], config))


@pytest.mark.parametrize("size", [1, 7, 159, 160, 161, 240, 1280])
def test_stream_of_equal_feeds_equals_batch(size):
    samples = NOISE[:2_000]
    np.testing.assert_array_equal(stream(samples, range(size, 2_000, size), MelConfig()), log_mel(samples))


def test_stream_equals_batch_beyond_a_block():
    samples = np.tile(NOISE, 1 + (BLOCK + 10) * 160 // len(NOISE)).astype(np.float32)
    assert len(samples) // 160 > BLOCK
    np.testing.assert_array_equal(stream(samples, range(12_345, len(samples), 12_345), MelConfig()), log_mel(samples))


def test_a_frame_does_not_depend_on_its_company():
    """In float64 already, where a matrix product's order of sums would show."""
    frames = np.lib.stride_tricks.sliding_window_view(NOISE, 400)[::160]
    together = _log_power(frames, MelConfig())
    for first, last in [(0, 1), (1, 3), (5, 12), (3, len(frames))]:
        np.testing.assert_array_equal(_log_power(frames[first:last], MelConfig()), together[first:last])


def test_frames_come_as_soon_as_their_last_sample():
    mel, counts = MelStream(), []
    for sample in NOISE[:700]:
        counts.append(len(mel.feed([sample])))
    # Frame 0 also needs sample 200, the first of its mirror image; frame i ends with sample 160 i + 199.
    assert np.flatnonzero(counts).tolist() == [200, 359, 519, 679]


def test_a_long_stream_holds_no_past():
    mel = MelStream()
    for _ in range(50):
        mel.feed(NOISE)
    assert mel._frames.unread.base is None
    assert len(mel._frames.unread) < 560


def test_finish_twice_and_feed_after_finish():
    mel = MelStream()
    mel.feed(NOISE[:320])
    assert len(mel.finish()) == 1
    assert mel.finish().shape == (0, 128)
    with pytest.raises(ValueError, match=r"^\[mel_stream\] feed: expected a stream that is not finished, got"):
        mel.feed(NOISE)


def test_bad_samples_leave_the_stream_unchanged():
    mel = MelStream()
    head = mel.feed(NOISE[:1_000])
    for bad, message in [
        (np.array([np.nan]), r"expected finite samples, got nan at sample 0\."),
        (np.zeros((1, 9)), r"expected samples \[T\] \(1 axis, mono\), got shape \(1, 9\)\."),
    ]:
        with pytest.raises(ValueError, match=rf"^\[mel_stream\] samples: {message}$"):
            mel.feed(bad)
        with pytest.raises(ValueError, match=rf"^\[log_mel\] samples: {message}$"):
            log_mel(bad)
    parts = [head, mel.feed(NOISE[1_000:]), mel.finish()]
    np.testing.assert_array_equal(np.concatenate(parts), log_mel(NOISE))


def test_a_stream_needs_a_constant_maximum():
    with pytest.raises(ValueError, match=r"\[mel_stream\] config: expected a constant log_mel_max, got None"):
        MelStream(MelConfig(log_mel_max=None))
