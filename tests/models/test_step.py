"""A stream's step: what the host waits for, what replaced weights do, what loading plans."""

import json
from pathlib import Path

import mlx.core as mx
import pytest

import voxtral_kernels as vk
from voxtral_kernels.audio.load import load_audio
from voxtral_kernels.backends import plan
from voxtral_kernels.models.passes import Chain, Costs
from voxtral_kernels.models.section import Section
from voxtral_kernels.models.voxtral_realtime.config import from_mistral
from voxtral_kernels.models.voxtral_realtime.weights import tensor_shapes

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SAMPLES = load_audio(EXAMPLES / "one-minute.wav")
# What makes the host wait for an array, or starts its computation.
WAITS = {mx.array: ("item", "tolist", "__array__", "__bool__", "__int__", "__float__"), mx: ("eval", "synchronize")}
STARTS = {mx: ("async_eval",)}


@pytest.fixture
def trace(monkeypatch):
    """The order of what is built, started and waited for."""
    events = []

    def noted(name, function):
        def call(*args, **kwargs):
            events.append(name)
            return function(*args, **kwargs)

        return call

    for holder, names in [*WAITS.items(), *STARTS.items()]:
        for name in names:
            monkeypatch.setattr(holder, name, noted(name, getattr(holder, name)))
    return events, lambda target, name: monkeypatch.setattr(target, name, noted(name, getattr(target, name)))


def test_a_token_is_read_while_the_next_is_computed_and_nothing_else_waits(trace):
    events, watch = trace
    model = vk.load("tiny")
    stream = model.stream(drafts=False)
    stream.feed(SAMPLES[:64000])
    watch(type(model), "embed_audio")
    watch(type(model.decoder), "logits")
    events.clear()
    tokens = len(stream.feed(SAMPLES[64000 : 64000 + 10 * 1280]))
    assert tokens == 10
    step = ["logits", "async_eval"]
    # One wait for the state at the end of the call: any thread may make the next one.
    assert events == ["embed_audio", *step, *[*step, "item"] * (tokens - 1), "item", "eval"]


def test_a_pass_over_a_draft_runs_while_the_rest_of_it_is_made(trace, monkeypatch):
    events, watch = trace
    monkeypatch.setattr(Costs, "__call__", lambda self, rows: 1.0)
    monkeypatch.setattr(Costs, "wanted", lambda self, rows: None)
    model = vk.load("tiny")
    layers = len(model.decoder.blocks)
    stream = model.stream(drafts=True)
    stream.feed(SAMPLES[:64000])
    watch(type(model.decoder), "logits")
    watch(Chain, "begin")
    events.clear()
    stream.feed(SAMPLES[64000 : 64000 + 30 * 1280])
    begun = [i for i, name in enumerate(events) if name == "begin"]
    assert begun
    for i in begun:
        assert events[i + 1 :][: layers + 2] == [*["async_eval"] * layers, "logits", "async_eval"]


def test_loading_plans_what_a_stream_asks_for(monkeypatch):
    model = vk.load("tiny")
    before = {id(p): set(p.choices) for p in plan._plans.values()}
    stream = model.stream()
    for start in range(0, 48000, 1280):
        stream.feed(SAMPLES[start : start + 1280])
    steps = [p for p in plan._plans.values() if (p.length, p.stateful) in {(1, True), (4, True)}]
    assert {id(p) for p in steps} <= set(before)
    assert all(set(p.choices) == before[id(p)] for p in steps)


@pytest.mark.parametrize("backend", ["native", "composed"])
def test_replaced_weights_serve_the_next_step(backend):
    with vk.use_backend(backend):
        model = vk.load("tiny")
        x = mx.random.normal((1, 3, model.config.encoder.dim), key=mx.random.key(0)).astype(model.dtype)
        encoder = model.encoder
        before = encoder(x, encoder.new_caches())
        down = encoder.blocks[0].mlp.down.matrix
        down.weight = mx.zeros_like(down.weight)
        after = encoder(x, encoder.new_caches())
        assert not mx.allclose(before, after)
        # Another dtype than the rows': MLX's own rules, as ever; nothing that is made for one dtype serves it.
        block = encoder.blocks[0]
        linear, step = block.attention.out, encoder.step(1, 3, model.dtype)
        assert (block.fused(step.plans, None) is None) == (backend == "composed")
        rows = mx.ones((3, linear.matrix.columns), model.dtype)
        same = linear.product(rows, step)
        linear.matrix.weight = linear.matrix.weight.astype(mx.float32)
        assert block.fused(step.plans, None) is None
        other = linear.product(rows, step)
        assert (same.dtype, other.dtype) == (model.dtype, mx.float32)
        assert mx.allclose(other, same.astype(mx.float32), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("transform", [mx.compile, mx.grad])
def test_a_step_behind_caches_inside_a_transformation_is_refused(transform):
    model = vk.load("tiny")
    caches = model.encoder.new_caches()

    def total(x):
        return model.encoder(x, caches).sum()

    with pytest.raises(
        ValueError, match=r"cache: expected None inside mx.compile, mx.grad or mx.vmap, got RingKVCache"
    ):
        mx.eval(transform(total)(mx.ones((1, 2, model.config.encoder.dim), model.dtype)))
    assert caches[0].offset == 0
    whole = mx.grad(lambda x: model.encoder(x).astype(mx.float32).sum())
    assert mx.isfinite(whole(mx.ones((1, 2, model.config.encoder.dim), model.dtype))).all()


def test_loading_takes_little_more_than_the_checkpoint(tmp_path):
    """Projections are packed layer by layer: their separate parts are gone before the next ones are read."""
    part = {"head_dim": 32, "rope_theta": 1e6, "norm_eps": 1e-5, "causal": True, "sliding_window": 64}
    audio = {"num_mel_bins": 128, "hop_length": 160, "window_size": 400, "sampling_rate": 16000}
    encoder = part | {"n_layers": 32, "dim": 96, "n_heads": 3, "hidden_dim": 384, "audio_encoding_args": audio}
    whisper = {"encoder_args": encoder, "downsample_args": {"downsample_factor": 4}}
    decoder = part | {"n_layers": 26, "dim": 192, "n_heads": 8, "n_kv_heads": 2, "hidden_dim": 576, "vocab_size": 1482}
    params = decoder | {"multimodal": {"whisper_model_args": whisper}, "ada_rms_norm_t_cond": True}
    (tmp_path / "config.json").write_text(json.dumps(params))
    shapes = tensor_shapes(from_mistral(Section(params, "config.json")))
    tensors = {
        name: (mx.random.normal(shape) * shape[-1] ** -0.5).astype(mx.bfloat16) for name, shape in shapes.items()
    }
    mx.save_safetensors(str(tmp_path / "model.safetensors"), tensors)
    size = sum(a.nbytes for a in tensors.values())
    del tensors
    mx.clear_cache()
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    model = vk.load(tmp_path)
    assert mx.get_peak_memory() - before <= 1.1 * size
    gate_up = model.decoder.blocks[0].mlp.gate_up.matrix.weight
    stored = mx.load(str(tmp_path / "model.safetensors"))
    gate, up = (stored[f"language_model.layers.0.mlp.{name}_proj.weight"] for name in ("gate", "up"))
    assert mx.array_equal(gate_up[0::2], gate)
    assert mx.array_equal(gate_up[1::2], up)
