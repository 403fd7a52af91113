"""Drafts on the shaders, emulated: a verified pass reads every weight once, and says the tokens of plain decoding."""

import mlx.core as mx
import pytest

import voxtral_kernels as vk
from tests.models.test_drafts import FREE, PAD, costing
from voxtral_kernels import emulator
from voxtral_kernels.audio.load import load_audio
from voxtral_kernels.backends import emulated, select
from voxtral_kernels.models.passes import verified

# Kernels outlive the test that built them, and tell of their launches here.
found = []


@pytest.fixture
def reports(monkeypatch):
    """Of every launch inside, counted; a finding raises."""
    plain = emulator.metal_kernel

    def metal_kernel(**description):
        built = plain(**description | {"mode": "counted"})

        def run(**arguments):
            out = built(**arguments)
            assert not built.report.findings
            found.append(built.report.counters.get("buffers", {}))
            return out

        return run

    monkeypatch.setattr(emulator, "metal_kernel", metal_kernel)
    select.forget()
    found.clear()
    yield found
    monkeypatch.undo()
    select.forget()


@pytest.mark.soak
def test_a_verified_pass_of_four_rows_reads_the_weights_once(reports):
    model = vk.load("tiny")
    decoder = model.decoder
    audio = mx.random.normal((1, 8, decoder.config.dim)).astype(model.dtype)
    weights = sum(
        linear.matrix.weight.nbytes
        for block in decoder.blocks
        for linear in (block.attention.qkv, block.attention.out, block.mlp.gate_up, block.mlp.down)
    )
    weights += decoder.embedding.weight.nbytes  # the head
    read = {}
    with vk.use_backend("emulator"), emulated.settings(mode="counted"):
        scales = decoder.scales(6, model.time_dtype)
        for rows in (1, 4):
            caches = decoder.new_caches()
            at = [0]

            def run(ids, caches=caches, at=at):
                n = ids.shape[1]
                hidden = decoder(decoder.embed(ids) + audio[:, at[0] : at[0] + n], scales, caches)
                at[0] += n
                return mx.argmax(decoder.logits(hidden), axis=-1)

            mx.eval(run(mx.array([[1, PAD, PAD, PAD]])))
            reports.clear()
            said = verified(run, caches, [1, *[PAD] * (rows - 1)])
            read[rows] = sum(r["weight"]["bytes_read"] for r in reports if "weight" in r)
            assert caches[0].offset == 4 + len(said)
    # Norms have weights too: a vector each, read once a row at most.
    gains = (2 * len(decoder.blocks) + 1) * decoder.config.dim * 2
    assert weights <= read[1] <= 1.02 * (weights + gains)
    assert weights <= read[4] <= 1.02 * (weights + 4 * gains)


@pytest.mark.soak
@pytest.mark.parametrize("delay", [480, 960])
def test_the_tiny_model_with_drafts_says_the_same(delay, examples):
    model, samples = vk.load("tiny"), load_audio(examples / "human-card-1.wav")
    with vk.use_backend("emulator"), emulated.settings(mode="checked"), costing(FREE):
        drafts = model.transcribe(samples, delay_ms=delay)
        plain = model.transcribe(samples, delay_ms=delay, drafts=False)
    assert drafts.tokens == plain.tokens
    assert drafts.passes.accepted > 5
