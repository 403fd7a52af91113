"""Checkpoints: every layout gives the same model, and a converted one too."""

import json
import shutil

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten

import voxtral_kernels as vk
from voxtral_kernels.models.convert import convert
from voxtral_kernels.models.voxtral_realtime import weights
from voxtral_kernels.models.voxtral_realtime.model import VoxtralRealtime


def output(model, golden):
    """Logits of the golden's inputs."""
    x = model.decoder.embed(golden["input_ids"]) + model.embed_audio(golden["mel"])
    return model.decoder.logits(model.decoder(x, model.decoder.scales(6, mx.float32)))


def mlx_audio(folder, golden_folder, rewrite):
    """The golden model as mlx-audio stores it."""
    names = {
        "encoder.conv1.": "encoder.conv_layers_0_conv.conv.",
        "encoder.conv2.": "encoder.conv_layers_1_conv.conv.",
        "encoder.layers.": "encoder.transformer_layers.",
        "encoder.norm.": "encoder.transformer_norm.",
        "adapter.w_in.": "encoder.audio_language_projection_0.",
        "adapter.w_out.": "encoder.audio_language_projection_2.",
        "language_model.embed_tokens.": "decoder.tok_embeddings.",
        "language_model.": "decoder.",
        "attn_norm": "attention_norm",
        "q_proj": "wq",
        "k_proj": "wk",
        "v_proj": "wv",
        "o_proj": "wo",
        "mlp.gate_proj": "feed_forward_w1",
        "mlp.down_proj": "feed_forward_w2",
        "mlp.up_proj": "feed_forward_w3",
        "ada_norm.linear_in": "ada_rms_norm_t_cond.ada_down",
        "ada_norm.linear_out": "ada_rms_norm_t_cond.ada_up",
    }
    tensors = {}
    for name, x in mx.load(str(golden_folder / "converted" / "model.safetensors")).items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        tensors[name] = x
    params = json.loads((golden_folder / "mistral" / "params.json").read_text())
    encoder = params["multimodal"]["whisper_model_args"]["encoder_args"]
    config = {"model_type": "voxtral_realtime", "encoder_args": encoder, "decoder": params}
    folder.mkdir()
    mx.save_safetensors(str(folder / "model.safetensors"), tensors)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def module_names(folder, golden_folder, rewrite):
    """The transformers layout by the module's own names, as `state_dict()` has them."""
    shutil.copytree(golden_folder / "transformers", folder)

    def rename(tensors):
        for name in list(tensors):
            tensors[f"model.{name.replace('language_model.model.', 'language_model.')}"] = tensors.pop(name)
        tensors["lm_head.weight"] = tensors["model.language_model.embed_tokens.weight"]

    rewrite(folder, rename, "model.safetensors")
    return folder


def sharded(folder, golden_folder, rewrite):
    """The converted layout in two shards."""
    shutil.copytree(golden_folder / "converted", folder)
    tensors = mx.load(str(folder / "model.safetensors"))
    mx.eval(tensors)
    (folder / "model.safetensors").unlink()
    weight_map = {name: f"model-{i % 2}.safetensors" for i, name in enumerate(tensors)}
    for shard in set(weight_map.values()):
        part = {name: tensors[name] for name in tensors if weight_map[name] == shard}
        mx.save_safetensors(str(folder / shard), part)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


@pytest.mark.parametrize("make", [mlx_audio, module_names, sharded])
def test_other_layouts_agree(golden, golden_folder, golden_model, tmp_path, rewrite, make):
    model = VoxtralRealtime.load(make(tmp_path / "model", golden_folder, rewrite))
    assert mx.array_equal(output(model, golden), output(golden_model, golden))


@pytest.mark.parametrize("layout", ["mistral", "transformers", "converted"])
def test_convert(golden, golden_folder, golden_model, tmp_path, layout):
    written = convert(golden_folder / layout, tmp_path / "out")
    model = VoxtralRealtime.load(tmp_path / "out")
    assert model.config == golden_model.config
    assert mx.array_equal(output(model, golden), output(golden_model, golden))
    assert written == sum(x.nbytes for x in mx.load(str(tmp_path / "out" / "model.safetensors")).values())


def test_convert_in_shards(golden, golden_folder, golden_model, tmp_path, monkeypatch):
    monkeypatch.setattr("voxtral_kernels.models.convert.SHARD_BYTES", 100_000)
    convert(golden_folder / "mistral", tmp_path / "out", dtype="float16")
    assert len(list((tmp_path / "out").glob("model-*-of-*.safetensors"))) > 2
    model = VoxtralRealtime.load(tmp_path / "out")
    assert model.dtype == mx.float16


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_quantised_weights_are_their_dequantised_values(golden, golden_folder, tmp_path, bits):
    convert(golden_folder / "mistral", tmp_path / "q", bits=bits, group_size=32)
    config = json.loads((tmp_path / "q" / "config.json").read_text())
    assert config.pop("quantization") == {"group_size": 32, "bits": bits}
    quantised = mx.load(str(tmp_path / "q" / "model.safetensors"))
    plain = {}
    for name, x in quantised.items():
        stem = name.removesuffix("weight")
        if f"{stem}scales" in quantised and name == f"{stem}weight":
            x = mx.dequantize(x, quantised[f"{stem}scales"], quantised[f"{stem}biases"], group_size=32, bits=bits)
        if not name.endswith((".scales", ".biases")):
            plain[name] = x
    assert len(plain) < len(quantised)
    (tmp_path / "plain").mkdir()
    mx.save_safetensors(str(tmp_path / "plain" / "model.safetensors"), plain)
    (tmp_path / "plain" / "config.json").write_text(json.dumps(config))
    got, expected = (output(VoxtralRealtime.load(tmp_path / name), golden) for name in ("q", "plain"))
    assert mx.abs(got - expected).max() <= 1e-4 * mx.abs(expected).max()


def test_the_tiny_checkpoint_quantised_transcribes(tmp_path, examples, references):
    assert convert("tiny", tmp_path / "q", bits=8, group_size=32) < 0.6 * convert("tiny", tmp_path / "plain")
    model = vk.load(tmp_path / "q", dtype="float32")
    name = "human-card-5.wav"
    assert model.transcribe(examples / name).text == references[name]["transformers"]["480"]["text"]


def test_dtypes(golden_folder):
    assert VoxtralRealtime.load(golden_folder / "mistral").dtype == mx.float32
    tiny = vk.load("tiny")
    assert tiny.dtype == tiny.time_dtype == mx.bfloat16
    tiny = vk.load("tiny", dtype=mx.float16, time_dtype="float32")
    assert (tiny.dtype, tiny.time_dtype) == (mx.float16, mx.float32)
    assert tiny.decoder.blocks[0].attention.qkv.matrix.weight.dtype == mx.float16
    assert vk.load("tiny", dtype="float32").time_dtype == mx.bfloat16


def test_projections_are_packed(golden_model):
    block = golden_model.encoder.blocks[0]
    assert block.attention.qkv.matrix.weight.shape == (3 * 64, 48)
    assert not block.attention.qkv.bias[64:128].any()
    assert block.mlp.gate_up.matrix.weight.shape == (2 * 64, 48)


def test_every_tensor_has_a_place(golden_folder):
    """No tensor of the configuration is forgotten: each one changes the weights that the stages hold."""
    w = weights.Weights(golden_folder / "mistral")
    model = VoxtralRealtime(w.config, *weights.build(w), None, dtype=w.dtype, time_dtype=w.dtype)
    # The packed biases count the zeros of k's as well.
    padding = w.config.encoder.n_layers * w.config.encoder.n_heads * w.config.encoder.head_dim
    held = sum(x.size for _, x in tree_flatten(model.parameters()))
    assert held - padding == sum(x.size for _, x in w.items())


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"bits": 3}, r"\[convert\] bits: expected 4, 6, 8 or None, got 3\."),
        ({"bits": 4, "group_size": 16}, r"\[convert\] group_size: expected 32, 64 or 128, got 16\."),
        ({"dtype": "int8"}, r"\[load\] dtype: expected float32, float16, bfloat16 or None, got int8\."),
    ],
)
def test_convert_refuses(golden_folder, tmp_path, arguments, match):
    with pytest.raises(ValueError, match=match):
        convert(golden_folder / "mistral", tmp_path / "out", **arguments)
    assert not list(tmp_path.iterdir())


def test_convert_refuses_to_quantise_nothing(golden_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("voxtral_kernels.models.convert._divides", lambda name, shape, q: False)
    with pytest.raises(
        ValueError, match=r"\[convert\] group_size: expected a divisor of the rows of some matrix, got 64\."
    ):
        convert(golden_folder / "mistral", tmp_path / "out", bits=4)


def test_convert_overwrites_nothing(golden_folder, tmp_path):
    (tmp_path / "file").touch()
    for target in (tmp_path, tmp_path / "file"):
        with pytest.raises(ValueError, match=r"\[convert\] target: expected a folder that does not exist or is empty"):
            convert(golden_folder / "mistral", target)
    convert(golden_folder / "mistral", tmp_path / "q", bits=8, group_size=32)
    with pytest.raises(ValueError, match=r"\[convert\] bits: expected None for weights that are quantised already"):
        convert(tmp_path / "q", tmp_path / "q2", bits=4)


def test_loading_takes_little_more_memory_than_the_model(golden_folder):
    vk.load("tiny")
    mx.clear_cache()
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    model = vk.load("tiny")
    size = sum(x.nbytes for _, x in tree_flatten(model.parameters()))
    assert mx.get_active_memory() - before <= 1.05 * size
    assert mx.get_peak_memory() - before <= 1.3 * size
