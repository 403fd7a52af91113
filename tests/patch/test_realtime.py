"""Realtime hosts: the host's numbers or the right ones, whole, streamed, step by step and in chunks, and undone."""

import mlx.core as mx
import numpy as np
import pytest

import voxtral_kernels as vk
from bench import hosts
from voxtral_kernels.testing import assert_model_matches

PREFILL = 20


def outputs(host, model, mel, chunks=(8, 16)):
    """Embeddings whole and streamed, then logits after a prefill step by step, and in chunks of five."""
    whole = host.embed(model, mel)
    streamed, _ = host.embed_stream(model, mel, chunks)
    cache = host.new_cache(model, 4096)
    steps = [host.decode(model, whole[:PREFILL], cache)]
    steps += [host.decode(model, whole[i : i + 1], cache) for i in range(PREFILL, whole.shape[0])]
    cache = host.new_cache(model, 4096)
    fives = [host.decode(model, whole[i : i + 5], cache) for i in range(0, whole.shape[0], 5)]
    result = {"whole": whole, "streamed": streamed, "steps": mx.concatenate(steps), "chunks": mx.concatenate(fives)}
    mx.eval(result)
    return result


@pytest.mark.parametrize("bits", ["float32", "4-bit"])
def test_host_semantics_give_the_hosts_numbers_and_undo_the_hosts_bits(host, noise, bits):
    model = host.small()
    if bits == "4-bit":
        host.quantize(model)
    before = outputs(host, model, noise)
    with vk.accelerate(model, semantics="host"):
        for name, out in outputs(host, model, noise).items():
            assert_model_matches(out, np.array(before[name], np.float64), f"{host.name} {name}")
    for name, out in outputs(host, model, noise).items():
        assert mx.array_equal(out, before[name]), f"{name} after undo()"


@pytest.fixture(scope="module")
def reference(ours, mel):
    return our_outputs(ours, mel)


def test_right_semantics_equal_our_own_model_past_both_windows(host, mel, reference):
    model = host.tiny()
    plain = prefill_and_steps(host, model, host.embed(model, mel))
    with vk.accelerate(model, decoder_window=64) as patched:
        whole = host.embed(model, mel)
        streamed, _ = host.embed_stream(model, mel, (8,))
        logits = prefill_and_steps(host, model, whole)
    assert patched.report().changes
    assert_model_matches(whole, reference[0], "whole")
    assert_model_matches(streamed, reference[0], "streamed")
    assert_model_matches(logits, reference[1], "logits")
    assert np.abs(np.array(plain) - reference[1]).max() > 1e-3 * np.abs(reference[1]).max(), "nothing to put right"


@pytest.mark.parametrize("host", hosts.REALTIME[:2], ids=lambda h: h.name)
def test_a_quantised_host_equals_our_own_quantised_model(host, mel, quantized):
    loader = {"voxmlx": "voxmlx.weights", "whisperlivekit": "whisperlivekit.voxtral_mlx.loader"}[host.name]
    load = "load_model" if host.name == "voxmlx" else "_load_converted_weights"
    model = getattr(hosts.host(loader), load)(quantized)[0]
    assert_matches_ours(host, model, quantized, mel)


def test_a_quantised_mlx_audio_model_equals_our_own(mel, quantized_by_mlx_audio):
    model, folder = quantized_by_mlx_audio
    host = hosts.MlxAudio()
    assert_matches_ours(host, model, folder, mel)


def assert_matches_ours(host, model, folder, mel):
    reference = our_outputs(vk.load(folder, dtype="float32"), mel)
    with vk.accelerate(model, decoder_window=64):
        whole = host.embed(model, mel)
        assert_model_matches(whole, reference[0], "embeddings")
        assert_model_matches(prefill_and_steps(host, model, whole), reference[1], "logits")


def our_outputs(ours, mel):
    embeds = ours.embed_audio(mel.T[None])
    hidden = ours.decoder(embeds, ours.decoder.scales(hosts.DELAY, mx.float32))
    return np.array(embeds[0], np.float64), np.array(ours.decoder.logits(hidden)[0], np.float64)


def prefill_and_steps(host, model, embeds):
    cache = host.new_cache(model, 8192)
    logits = [host.decode(model, embeds[:39], cache)]
    logits += [host.decode(model, embeds[i : i + 1], cache) for i in range(39, embeds.shape[0])]
    return mx.concatenate(logits)


@pytest.mark.parametrize("chunks", [(1,), (3, 5), (1, 2, 7)], ids=str)
def test_any_chunking_gives_the_whole_recordings_frames(host, noise, chunks):
    model = host.small()
    with vk.accelerate(model):
        whole = host.embed(model, noise)
        streamed, _ = host.embed_stream(model, noise, chunks)
    assert_model_matches(streamed, np.array(whole, np.float64), f"chunks of {chunks}")


@pytest.mark.parametrize("chunks", [(3, 5), (5,)], ids=str)
def test_host_semantics_lose_the_frames_that_the_host_loses(host, noise, chunks):
    model = host.small()
    before, _ = host.embed_stream(model, noise, chunks)
    with vk.accelerate(model, semantics="host"):
        after, _ = host.embed_stream(model, noise, chunks)
    assert before.shape[0] < host.embed(model, noise).shape[0], "the host loses none"
    assert_model_matches(after, np.array(before, np.float64), f"chunks of {chunks}")


def test_a_long_recording_loses_no_frame_in_mlx_audio(noise):
    host = hosts.MlxAudio()
    model = host.small()
    frames = model.encoder.conv_stem(noise)
    frames = mx.tile(frames, (3, 1))[:450]
    model.encoder.config.sliding_window = 30  # no multiple of 4, as 750 is none
    lost = _in_pieces(model, frames)
    with vk.accelerate(model):
        kept = _in_pieces(model, frames)
        assert_model_matches(
            kept, np.array(model.encoder.downsample_and_project(_whole(model, frames)), np.float64), ""
        )
    assert (lost.shape[0], kept.shape[0]) == (105, 112)


def _in_pieces(model, frames):
    encoder = model.encoder
    return mx.concatenate([encoder.downsample_and_project(x) for x in encoder.encode_chunks(frames)])


def _whole(model, frames):
    for layer in model.encoder.transformer_layers:
        frames = layer(frames, 0, None)
    return model.encoder.transformer_norm(frames)


def test_memory_is_flat_past_the_window(host, noise):
    from voxtral_kernels.patch._attention import nbytes

    model = host.small()
    with vk.accelerate(model):
        sizes = [nbytes(host.embed_stream(model, mx.tile(noise, (1, n)), (8,))[1]) for n in (1, 4)]
    assert sizes[1] <= sizes[0]


def test_caches_of_8_bits(host, noise):
    """Encoder and decoder hold bytes and give nearly the numbers of 16 bits."""
    from voxtral_kernels.patch import _attention

    model, made = host.small(), []
    with vk.accelerate(model):
        expected = outputs(host, model, noise)
    new = _attention.RingKVCache
    with pytest.MonkeyPatch.context() as patch, vk.accelerate(model, cache_bits=8) as patched:
        patch.setattr(_attention, "RingKVCache", lambda *a, **k: made.append(new(*a, **k)) or made[-1])
        found = outputs(host, model, noise)
    assert {cache.bits for cache in made} == {8}
    assert any("8 bits" in change for change in patched.report().changes)
    for name, out in found.items():
        error = mx.abs(out - expected[name]).max() / mx.abs(expected[name]).max()
        assert error < 0.03, name
        assert error > 0 or name == "whole", name


def test_a_weight_changed_after_the_first_step_is_used(host, noise):
    model = host.small()
    with vk.accelerate(model):
        before = outputs(host, model, noise)["steps"]
        hosts.randomize(model, seed=5)
        if host.name == "mlx-audio":
            model._ada_scale_delay = -1
            model._ensure_ada_scales(hosts.DELAY * 80)
        after = outputs(host, model, noise)["steps"]
    fresh = hosts.randomize(host.small(), seed=5)
    if host.name == "mlx-audio":
        fresh._ada_scale_delay = -1
        fresh._ensure_ada_scales(hosts.DELAY * 80)
    with vk.accelerate(fresh):
        expected = outputs(host, fresh, noise)["steps"]
    assert mx.array_equal(after, expected)
    assert not mx.allclose(after, before)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16], ids=str)
def test_sixteen_bit_models_run(host, noise, dtype):
    model = host.small()
    model.set_dtype(dtype)
    if host.name == "mlx-audio":
        model.decoder._ada_scales = [s.astype(dtype) for s in model.decoder._ada_scales]
    before = outputs(host, model, noise)
    with vk.accelerate(model, semantics="host"):
        after = outputs(host, model, noise)
    for name, out in after.items():
        assert out.dtype == before[name].dtype
        difference = mx.abs(out - before[name]).astype(mx.float32).max() / mx.abs(before[name]).astype(mx.float32).max()
        assert difference.item() < (0.02 if dtype == mx.float16 else 0.1), name
