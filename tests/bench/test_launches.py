"""The launch counter's rule on graphs whose count is plain to see, and the gate of our layers."""

import mlx.core as mx
import mlx.nn as nn
import pytest

import voxtral_kernels as vk
from bench.measure.graph import launches as count
from bench.measure.graph import read
from bench.suites import launches

X = mx.ones((2, 3, 8))
W = mx.ones((4, 8))
HEADS = mx.ones((1, 4, 5, 32))
mx.eval(X, W, HEADS)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (lambda x: x @ W.T, {"matmul": 1}),
        (lambda x: mx.addmm(W[:, 0], x, W.T), {"matmul": 1}),
        (lambda x: mx.fast.rms_norm(x, None, 1e-5), {"mx.fast.rms_norm": 1}),
        (lambda x: mx.fast.rms_norm(x.transpose(1, 0, 2), None, 1e-5), {"mx.fast.rms_norm": 1, "copy": 1}),
        (lambda x: x.transpose(1, 0, 2)[:, :1][..., None], {}),
        (lambda x: x.transpose(1, 0, 2).reshape(6, 8), {"copy": 1}),
        (lambda x: x.reshape(6, 8)[:3], {}),
        (lambda x: mx.concatenate([x, x], axis=1), {"concatenate": 2}),
        (lambda x: nn.silu(x) + 1.0, {"fused elementwise": 1, "add": 1}),
        (lambda x: mx.split(x, 2, axis=-1)[0] * 2.0, {"multiply": 1}),
        (lambda x: vk.ada_rms_norm(x), {"kernel of ours": 1}),
        (lambda x: vk.ada_rms_norm(x.transpose(1, 0, 2)), {"kernel of ours": 1, "copy": 1}),
    ],
)
def test_rule(step, expected):
    assert {kind: n for kind, n in count(step, X).items() if n} == expected


@pytest.mark.parametrize(
    ("step", "floats"),
    [
        (lambda x: x + x, 48),
        (lambda x: (x + x) * x, 96),  # the product beside the sum
        (lambda x: mx.sqrt(mx.square((x + x) * x)), 96),  # the sum is gone by then
        (lambda x: (x + x).transpose(1, 0, 2)[:1] * x[0, 0], 48 + 16),  # a view holds no memory of its own
        (lambda x: (x + x).transpose(1, 0, 2).reshape(6, 8), 96),  # which no view can show
        (lambda x: x.reshape(6, 8), 0),
        (lambda x: mx.contiguous(x + x) * x, 96),  # it is already
        (lambda x: vk.ada_rms_norm(x), 48),
    ],
)
def test_bytes_of_temporaries(step, floats):
    assert read(step, X).peak_bytes == 4 * floats


def test_a_slice_update_counts_what_it_keeps_and_what_it_writes():
    def step(x):
        x[:, :1] = 0.0 * x[:, :1]
        return x

    assert count(step, X)["slice update"] == 2


def test_a_cached_call_counts_its_append_and_attention():
    cache = vk.RingKVCache(16, lazy=True)
    q, kv = HEADS, HEADS[:, :2]
    with vk.use_backend("composed"):
        vk.sliding_window_attention(q[:, :, :1], kv[:, :, :1], kv[:, :, :1], cache=cache)
    mx.eval(kv, cache.state)
    assert count(lambda q: vk.sliding_window_attention(q, kv, kv, cache=cache), q)["kernel of ours"] == 2


def test_our_layers_stay_within_the_gate():
    found = launches.ours()
    assert {layer: found[layer].total() <= gate for layer, gate in launches.GATES.items()} == dict.fromkeys(
        launches.GATES, True
    )


def test_voxmlx_is_counted_by_the_same_rule():
    found = launches.voxmlx()
    for layer, counts in launches.ours().items():
        assert found[layer]["matmul"] > counts["matmul"]  # separate projections
        assert found[layer].total() > counts.total()
