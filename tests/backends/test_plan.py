"""A plan is never stale: whatever changed before, a call gives what a fresh process gives, bit for bit."""

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest import mock

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voxtral_kernels as vk
from voxtral_kernels.backends import composed, emulated, plan, planned, select, selfcheck
from voxtral_kernels.backends.shaders import Kernels
from voxtral_kernels.models.block import Block
from voxtral_kernels.models.layers import Attention, Linear, Matrix, SwiGLU
from voxtral_kernels.models.stack import Stack
from voxtral_kernels.models.voxtral_realtime.conv_stem import ConvStem
from voxtral_kernels.ops.causal_conv1d_gelu import planned_causal
from voxtral_kernels.reference.rope_append import RopeAppend
from voxtral_kernels.reference.skinny_linear import SkinnyLinear
from voxtral_kernels.reference.sliding_window_attention import SlidingWindowAttention

ROOT = Path(__file__).resolve().parents[2]
DIM, HEAD_DIM, HIDDEN, MELS = 24, 16, 40, 6


@dataclass(frozen=True)
class Setting:
    """One call: two chunks through a conv stem and a stack of one layer, the second one looked at."""

    batch: int
    first: int
    length: int
    dtype: str
    window: int | None
    heads: tuple[int, int]
    eps: float
    scaled: bool
    cached: bool
    backend: str | None
    by_environment: bool


CALLS = st.builds(
    Setting,
    batch=st.sampled_from([1, 2]),
    first=st.sampled_from([1, 9]),
    length=st.sampled_from([1, 3]),
    dtype=st.sampled_from(["float32", "float16", "bfloat16"]),
    window=st.sampled_from([None, 4, 7]),
    heads=st.sampled_from([(4, 2), (2, 2)]),
    eps=st.sampled_from([1e-5, 1e-1]),
    scaled=st.booleans(),
    cached=st.booleans(),
    backend=st.sampled_from([None, "composed", "native", "planted"]),
    by_environment=st.booleans(),
)


class Planted(composed.Composed):
    """On a device of its own: three times the result, so that a choice from before shows."""

    def run(self, request, stream):
        result = super().run(request, stream)
        return tuple(3 * a for a in result) if isinstance(result, tuple) else 3 * result


@contextlib.contextmanager
def served(setting):
    """As the setting says: by name, by the environment, or by another device with a backend of its own."""
    with contextlib.ExitStack() as stack:
        if setting.backend == "planted":
            ops = (
                "ada_rms_norm",
                "causal_conv1d_gelu",
                "rope_append",
                "silu_mul",
                "skinny_linear",
                "sliding_window_attention",
            )
            planted = {("metal", op): Planted(op, composed.backend(op)._composed) for op in ops}
            stack.enter_context(mock.patch.dict(select._loaded, planted))
            stack.enter_context(mock.patch.object(select, "device_type", return_value=mx.gpu))
            stack.enter_context(mock.patch.dict(select.ORDER, {mx.gpu: ("metal",)}))
        elif setting.by_environment and setting.backend:
            stack.enter_context(mock.patch.dict(os.environ, {select.ENVIRONMENT: setting.backend}))
        elif setting.backend:
            stack.enter_context(vk.use_backend(setting.backend))
        yield


@dataclass
class Config:
    dim, hidden_dim, head_dim, rope_theta = DIM, HIDDEN, HEAD_DIM, 1e4
    norm_eps: float
    window: int | None


def outcome(setting):
    """The values of the second chunk."""
    rng, dtype = np.random.default_rng(0), getattr(mx, setting.dtype)

    def array(*shape):
        return mx.array(rng.normal(size=shape).astype(np.float32) * 0.3).astype(dtype)

    def linear(rows, columns):
        return Linear(Matrix(array(rows, columns)), array(rows))

    hq, hkv = setting.heads
    q, k, v = (linear(h * HEAD_DIM, DIM) for h in (hq, hkv, hkv))
    attention = Attention(q, k, v, linear(DIM, hq * HEAD_DIM), head_dim=HEAD_DIM, window=setting.window)
    mlp = SwiGLU(linear(HIDDEN, DIM), linear(HIDDEN, DIM), linear(DIM, HIDDEN))
    stack = Stack(
        Config(setting.eps, setting.window),
        [Block(array(DIM), attention, array(DIM), mlp, setting.eps)],
        array(DIM),
    )
    scales = [array(DIM)] if setting.scaled else None
    stem = ConvStem(array(DIM, 3, MELS), array(DIM), array(DIM, 3, DIM), array(DIM))
    chunks = [array(setting.batch, 2 * n, MELS) for n in (setting.first, setting.length)]
    with served(setting):
        caches, state = stack.new_caches() if setting.cached else None, None
        for chunk in chunks:
            frames, state = stem(chunk, state)
            y = stack(frames, caches, scales)
    return np.array(y.astype(mx.float32)).tobytes().hex()


def serve():
    """Answers each line of settings from a process that has made no plan before."""
    for line in sys.stdin:
        values = json.loads(line)
        read, write = os.pipe()
        if os.fork() == 0:
            os.write(write, outcome(Setting(**values | {"heads": tuple(values["heads"])})).encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as answer:
            print(answer.read(), flush=True)
        os.wait()


@pytest.fixture(scope="module")
def fresh():
    """The outcome of a setting in a fresh process."""
    command = [sys.executable, "-c", "from tests.backends import test_plan; test_plan.serve()"]
    known = {}
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(setting):
            if setting not in known:
                process.stdin.write(json.dumps(asdict(setting)) + "\n")
                process.stdin.flush()
                known[setting] = process.stdout.readline().strip()
            return known[setting]

        yield ask
        process.stdin.close()


@settings(max_examples=25)
@given(calls=st.lists(CALLS, min_size=2, max_size=5))
def test_a_plan_is_never_stale(fresh, calls):
    for call in calls:
        got = outcome(call)
        assert got
        assert got == fresh(call), call


def test_a_plan_is_made_once_and_again_after_a_change(monkeypatch):
    monkeypatch.setattr(plan, "_plans", {})  # whatever ran before may have filled it
    plan.plans(1, 1, mx.float32).norm(48, None, True)  # whatever ran before: the backends are loaded now
    with mock.patch.object(select, "select", wraps=select.select) as chosen:
        first = plan.plans(1, 1, mx.float32)
        first.norm(48, None, True)
        made = chosen.call_count
        assert plan.plans(1, 1, mx.float32) is first
        first.norm(48, None, True)
        assert chosen.call_count == made
    assert plan.plans(1, 2, mx.float32) is not first
    assert plan.plans(1, 1, mx.float16) is not first
    with vk.use_backend("composed"):
        other = plan.plans(1, 1, mx.float32)
        assert other is not first
        assert plan.plans(1, 1, mx.float32) is other
    assert plan.plans(1, 1, mx.float32) is first
    for change in (selfcheck.forget, select.forget):
        change()
        assert plan.plans(1, 1, mx.float32) is not first


def test_the_newest_plans_are_kept(monkeypatch):
    monkeypatch.setattr(plan, "_plans", {})
    monkeypatch.setattr(plan, "_KEPT", 3)
    made = [plan.plans(1, length, mx.float32) for length in range(1, 5)]
    assert [plan.plans(1, length, mx.float32) for length in range(2, 5)] == made[1:]
    assert plan.plans(1, 1, mx.float32) is not made[0]


def test_a_convolution_is_chosen_once_and_a_wrong_one_refused_each_time():
    x, weight = mx.ones((1, 4, 6)), mx.ones((5, 3, 6))
    planned.load_all()
    planned_causal(x, weight, None, stride=2)
    with mock.patch.object(select, "select", wraps=select.select) as chosen:
        y, state = planned_causal(x, weight, None, stride=2)
        assert chosen.call_count == 0
        expected, _ = vk.causal_conv1d_gelu(x, weight, stride=2)
        assert mx.array_equal(y, expected)
        planned_causal(x, weight, None, stride=2, state=state)
        assert chosen.call_count == 2
    for _ in range(2):
        with pytest.raises(ValueError, match=r"^\[causal_conv1d_gelu\] weight: expected \[C_out, K, 6\], got"):
            planned_causal(x, mx.ones((5, 3, 7)), None, stride=2)
        with pytest.raises(ValueError, match=r"^\[causal_conv1d_gelu\] x: expected .*, got list"):
            planned_causal([1.0], weight, None, stride=2)
    assert ("causal_conv1d_gelu", 0, "float32") in [entry[:3] for entry in planned.planned()]


def test_an_unknown_backend_of_the_environment_is_refused_below_the_public_ops_too(monkeypatch):
    plan.plans(1, 1, mx.float32)
    monkeypatch.setenv(select.ENVIRONMENT, "fastest")
    with pytest.raises(ValueError, match=r"VOXTRAL_KERNELS_BACKEND: expected one of .*, got 'fastest'\."):
        plan.plans(1, 1, mx.float32)
    monkeypatch.setenv(select.ENVIRONMENT, "")
    plan.plans(1, 1, mx.float32)


def test_a_cache_of_another_window_or_form_is_refused_and_unchanged():
    p = plan.plans(1, 1, mx.float32)
    heads = plan.Heads(2, 1, 16)
    qkv, rotation = mx.ones((1, 4 * 16)), mx.zeros((1, 8, 2))
    cache = vk.RingKVCache(8)
    with pytest.raises(ValueError, match=r"\] window: expected the cache's 8, got 9\."):
        cache._attend(p, heads, (qkv, None, None), rotation, 9, 0.25)
    cache._attend(p, heads, (qkv, None, None), rotation, 8, 0.25)
    other = plan.plans(1, 1, mx.float16)
    with pytest.raises(ValueError, match=r"\] k: expected float32, got float16\."):
        cache._attend(other, heads, (qkv.astype(mx.float16), None, None), rotation, 8, 0.25)
    with pytest.raises(
        ValueError, match=r"\] k: expected B, Hkv, D = \(1, 1, 16\) as the cache holds, got \(2, 1, 16\)"
    ):
        cache._attend(plan.plans(2, 1, mx.float32), heads, (mx.ones((2, 64)), None, None), rotation, 8, 0.25)
    assert cache.offset == 1


def test_one_plan_serves_tails_of_every_length():
    p = plan.Plans(1, 1, mx.float32, stateful=True)
    heads = plan.Heads(2, 1, 16)
    watched = mock.patch.object(composed.Composed, "prepare", autospec=True, side_effect=composed.Composed.prepare)
    with watched as made, vk.use_backend("composed"):
        first = p.attention(heads, 8, 8, 1)
        count = made.call_count
        assert all(p.attention(heads, 8, 8, n) is first for n in range(2, 20))
        assert made.call_count == count
        assert p.attention(heads, 8, 8, 0) is not first  # nothing to grow: another launch
        with mock.patch.object(composed.Composed, "any_tail", False):
            other = plan.Plans(1, 1, mx.float32, stateful=True)
            assert other.attention(heads, 8, 8, 1) is not other.attention(heads, 8, 8, 2)


def test_a_prepared_launch_follows_the_tail():
    pytest.importorskip("ziglang")
    rng = np.random.default_rng(0)

    def array(*shape):
        return mx.array(rng.normal(size=shape).astype(np.float32))

    turns, qkv, x, weight = array(1, 8, 2), array(1, 4 * 16), array(1, 12), array(4 * 16, 12)
    made = {}
    for n_tail in (3, 1, 40):
        tails = array(1, 1, n_tail, 16), array(1, 1, n_tail, 16)
        k, v = array(1, 1, n_tail + 1, 16), array(1, 1, n_tail + 1, 16)
        around = (None, None, None, None, None, 1e-5, None, None, False, 1)
        requests = {
            "rope_append": RopeAppend(qkv, None, None, turns, *tails, 2, 1),
            "skinny_linear": SkinnyLinear(x, weight, *around, turns, *tails, 2, 1),
            "sliding_window_attention": SlidingWindowAttention(array(1, 2, 1, 16), None, 0, k, v, 8, 0.25, True),
        }
        for op, request in requests.items():
            if op not in made:
                made[op] = Kernels(op, emulated.factory, "metal", checked=False).prepare(request)
            got = made[op](*(getattr(request, name) for name in request.__dataclass_fields__))
            expected = composed.backend(op).run(request, None)
            for a, b in zip(*((r if isinstance(r, (tuple, list)) else (r,)) for r in (got, expected)), strict=True):
                assert a.shape == b.shape, (op, n_tail)
                np.testing.assert_allclose(np.array(a), np.array(b), rtol=1e-5, atol=1e-5, err_msg=f"{op} {n_tail}")
