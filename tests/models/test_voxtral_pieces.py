"""Offline recordings in pieces: where they are cut, what each is given, and what comes of a bad end."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxtral_kernels.models.result import Result
from voxtral_kernels.models.voxtral.pieces import cut, speech, transcribe_pieces

RATE = 16_000


def noise(seconds, level=0.1, seed=0):
    return np.random.default_rng(seed).normal(scale=level, size=round(seconds * RATE)).astype(np.float32)


def with_pauses(seconds, *pauses):
    samples = noise(seconds)
    for start, length in pauses:
        samples[round(start * RATE) : round((start + length) * RATE)] *= 0.001
    return samples


@pytest.mark.parametrize(
    ("seconds", "pauses", "cuts"),
    [
        (30, [(20, 1)], []),
        (31, [(20, 0.5)], [20.25]),
        (70, [(10, 1), (29, 0.5), (45, 0.4), (58, 0.4)], [29.25, 58.2]),
        (45, [(17, 0.3), (27, 1.0)], [27.5]),
        (0.01, [], []),
    ],
    ids=str,
)
def test_it_is_cut_in_the_pauses(seconds, pauses, cuts):
    samples = with_pauses(seconds, *pauses)
    pieces = list(cut(np.array_split(samples, 7), RATE))
    assert np.array_equal(np.concatenate(pieces), samples)
    found = np.cumsum([len(p) for p in pieces])[:-1] / RATE
    assert found == pytest.approx(cuts, abs=0.2)
    assert all(15 <= len(p) / RATE <= 30 for p in pieces[:-1])


@settings(max_examples=30)
@given(st.lists(st.integers(0, 40 * RATE), max_size=4), st.booleans())
def test_no_sample_is_lost_for_any_blocks(sizes, silent):
    blocks = [np.full(n, 0.0 if silent else i + 1, np.float32) for i, n in enumerate(sizes)]
    pieces = list(cut(iter(blocks), RATE))
    assert np.array_equal(np.concatenate([*pieces, []]), np.concatenate([*blocks, []]))
    assert all(0 < len(p) <= 30 * RATE for p in pieces)


def test_an_error_comes_after_the_samples_before_it():
    def blocks():
        yield noise(40)
        raise OSError("gone")

    pieces = cut(blocks(), RATE)
    heard = len(next(pieces)) + len(next(pieces))
    assert heard == 40 * RATE
    with pytest.raises(OSError, match="gone"):
        next(pieces)


def test_speech_is_between_the_quiet():
    samples = np.concatenate([noise(2, 1e-4), noise(3), noise(1, 1e-4), noise(2), noise(5, 1e-4)])
    assert np.array(speech(samples, RATE)) / RATE == pytest.approx([2, 8], abs=0.04)
    assert speech(np.zeros(1000, np.float32), RATE) == (0, 1000)
    assert speech(noise(0.001), RATE) == (0, 16)


class Model:
    """Gives four tokens a piece and remembers what it was asked."""

    config = SimpleNamespace(sample_rate=RATE)

    def __init__(self):
        self.asked = []

    def transcribe(self, samples, *, language, max_tokens, cache_bits, drafts, on_text):
        assert (cache_bits, drafts) == (8, False)
        self.asked.append((samples, language, max_tokens))
        n = 4 if max_tokens is None else min(4, max_tokens)
        on_text(f"piece {len(self.asked)}")
        return Result(f"piece {len(self.asked)}", list(range(n)), stop="eos" if n == 4 else "max_tokens")


@pytest.mark.parametrize(("limit", "counts"), [(None, [4, 4, 4]), (6, [4, 2]), (4, [4])], ids=str)
def test_each_piece_is_a_prompt_of_its_own(limit, counts):
    samples = np.concatenate([noise(1, 1e-4), noise(24), noise(1, 1e-4), noise(24), noise(20, 1e-4)])
    model, begun, said = Model(), [], []
    options = {"cache_bits": 8, "drafts": False, "on_piece": lambda *times: begun.append(times), "on_text": said.append}
    found = list(transcribe_pieces(model, np.array_split(samples, 5), language="en", max_tokens=limit, **options))
    assert [len(p.result.tokens) for p in found] == counts
    assert [asked[1:] for asked in model.asked] == [
        ("en", limit and limit - sum(counts[:i])) for i in range(len(counts))
    ]
    assert said == [p.result.text for p in found]
    assert begun[0][0] == 0
    assert all(a[1] == b[0] for a, b in pairwise(begun))
    assert all(np.array_equal(a[0], p) for a, p in zip(model.asked, cut([samples], RATE), strict=False))
    assert (found[0].start_s, found[0].end_s) == pytest.approx((1, 25), abs=0.05), "without the quiet around it"
