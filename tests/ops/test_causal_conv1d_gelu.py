"""The public functions: chunking, states, errors. Values: test_cases.py."""

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voxtral_kernels as vk

RNG = np.random.default_rng(0)


def normal(*shape):
    return mx.array(RNG.normal(size=shape).astype(np.float32))


X, WEIGHT, BIAS = normal(2, 40, 6), normal(5, 3, 6), normal(5)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), stride=st.sampled_from([1, 2]), kernel=st.sampled_from([2, 3, 5]))
def test_any_chunking_gives_the_same_frames(data, stride, kernel):
    weight = normal(5, kernel, 6)
    whole, _ = vk.causal_conv1d_gelu(X, weight, BIAS, stride=stride)
    assert whole.shape[1] == 40 // stride if kernel == 3 else whole.shape[1] > 0
    cuts = sorted(data.draw(st.lists(st.integers(0, 40), max_size=12)))
    state, parts = None, []
    for start, stop in zip([0, *cuts], [*cuts, 40], strict=True):
        y, state = vk.causal_conv1d_gelu(X[:, start:stop], weight, BIAS, stride=stride, state=state)
        parts.append(y)
    chunked = mx.concatenate(parts, axis=1)
    assert chunked.shape == whole.shape
    assert mx.abs(chunked - whole).max() <= 1e-5


def test_one_frame_chunks_two_in_a_row_with_stride_two():
    y1, state = vk.causal_conv1d_gelu(X[:, :1], WEIGHT, BIAS, stride=2)
    y2, state = vk.causal_conv1d_gelu(X[:, 1:2], WEIGHT, BIAS, stride=2, state=state)
    assert (y1.shape, y2.shape) == ((2, 0, 5), (2, 1, 5))
    assert state.shape == (2, 1, 6)


def test_no_frames_give_no_frames():
    y, state = vk.causal_conv1d_gelu(X[:, :0], WEIGHT, BIAS)
    assert (y.shape, state.shape) == ((2, 0, 5), (2, 2, 6))


@settings(deadline=None, max_examples=15, derandomize=True)
@given(lengths=st.lists(st.sampled_from([0, 2, 4, 6]), min_size=1, max_size=5), joins=st.integers(0, 4))
@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16], ids=str)
@pytest.mark.parametrize("backend", ["native", "composed"])
def test_several_streams_in_one_call(backend, dtype, lengths, joins):
    """Each at its own frames, one that joins later too: bit for bit what it gives alone on the extension."""
    weight, bias = WEIGHT.astype(dtype), BIAS.astype(dtype)
    streams = [normal(1, sum(lengths), 6).astype(dtype) for _ in range(3)]
    states, alone, at = [None] * 3, [None] * 3, [0] * 3
    with vk.use_backend(backend):
        for turn, length in enumerate(lengths):
            who = range(2 if turn < joins else 3)
            x = mx.concatenate([streams[i][:, at[i] : at[i] + length] for i in who])
            y, after = vk.causal_conv1d_gelu(x, weight, bias, stride=2, state=[states[i] for i in who])
            for i in who:
                part = streams[i][:, at[i] : at[i] + length]
                expected, alone[i] = vk.causal_conv1d_gelu(part, weight, bias, stride=2, state=alone[i])
                close = 0 if backend == "native" else 1e-6 if dtype == mx.float32 else 0.02
                assert y[i : i + 1].shape == expected.shape
                assert y.size == 0 or mx.abs(y[i : i + 1] - expected).max() <= close
                assert mx.array_equal(after[i], alone[i])
                states[i], at[i] = after[i], at[i] + length


def test_symmetric_form_is_torch_and_whisper_padding():
    padded = mx.pad(X, [(0, 0), (1, 1), (0, 0)])
    expected = mx.conv1d(padded, WEIGHT, stride=2) + BIAS
    assert mx.allclose(vk.conv1d_gelu(X, WEIGHT, BIAS, stride=2, padding=1, gelu=False), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": X[0]}, r"x: expected \[B, T, C_in\] \(3 axes\), got shape \(40, 6\)\."),
        ({"weight": normal(5, 3, 7)}, r"weight: expected \[C_out, K, 6\], got shape \(5, 3, 7\)\."),
        ({"weight": WEIGHT.astype(mx.float16)}, r"weight: expected float32, got float16\."),
        ({"bias": normal(4)}, r"bias: expected shape \(5,\), got \(4,\)\."),
        ({"stride": 0}, r"stride: expected an integer >= 1, got 0\."),
        ({"stride": 4}, r"stride: expected at most K = 3, got 4\."),
        ({"stride": True}, r"stride: expected an integer >= 1, got True\."),
        ({"state": normal(1, 2, 6)}, r"state: expected shape \(2, 2, 6\), got \(1, 2, 6\)\."),
        ({"state": normal(2, 2, 5)}, r"state: expected shape \(2, 2, 6\), got \(2, 2, 5\)\."),
        ({"state": normal(2, 2, 6).astype(mx.bfloat16)}, r"state: expected float32, got bfloat16\."),
        ({"state": [None]}, r"state: expected B = 2 states, one for each stream, got 1\."),
        ({"state": [None, normal(1, 1, 6)]}, r"state: expected shape \(1, 2, 6\), got \(1, 1, 6\)\."),
        ({"state": [normal(1, 2, 6).astype(mx.float16), None]}, r"state: expected float32, got float16\."),
    ],
)
def test_error_names_the_argument(arguments, message):
    with pytest.raises(ValueError, match=r"^\[causal_conv1d_gelu\] " + message):
        vk.causal_conv1d_gelu(**{"x": X, "weight": WEIGHT, **arguments})


@pytest.mark.fault("wrong values: conv1d_gelu with a padding of 2**30 wrapped around")
@pytest.mark.parametrize("padding", [2**30, 2**30 - 20, 2**28, 10**30])
def test_a_padding_beyond_32_bits_is_refused(padding):
    expected = rf"\[conv1d_gelu\] padding: expected frames and results fewer than 2\*\*31, got {padding}\."
    with pytest.raises(ValueError, match=expected):
        vk.conv1d_gelu(X, WEIGHT, BIAS, padding=padding)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"padding": -1}, r"padding: expected an integer >= 0, got -1\."),
        ({"weight": normal(5, 3, 7)}, r"weight: expected \[C_out, K, 6\], got shape \(5, 3, 7\)\."),
        ({"bias": normal(4)}, r"bias: expected shape \(5,\), got \(4,\)\."),
    ],
)
def test_error_of_the_symmetric_form_names_it(arguments, message):
    with pytest.raises(ValueError, match=r"^\[conv1d_gelu\] " + message):
        vk.conv1d_gelu(**{"x": X, "weight": WEIGHT, **arguments})
