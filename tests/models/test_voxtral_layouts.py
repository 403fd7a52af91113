"""Offline checkpoints: every layout gives the same model, quantised ones too; what is wrong in one is named."""

import json
import shutil
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

import voxtral_kernels as vk
from voxtral_kernels.models.voxtral import Voxtral
from voxtral_kernels.models.voxtral_realtime.model import VoxtralRealtime
from voxtral_kernels.testing import assert_model_matches

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "golden" / "voxtral"
GOLDEN = mx.load(str(FOLDER / "data.safetensors"))
IDS = GOLDEN["input_ids"][0].tolist()
CONFIG = json.loads((FOLDER / "mlx" / "config.json").read_text())


def outputs(model):
    """Encoder frames and logits of the golden's inputs."""
    mel = GOLDEN["mel"].astype(model.dtype)
    return model.encoder(mel), model.logits(IDS, model.embed_audio(mel))


def tensors():
    """The golden weights by mlx-voxtral's names."""
    loaded = mx.load(str(FOLDER / "mlx" / "model.safetensors"))
    mx.eval(loaded)
    return loaded


def save(folder, weights, **changes):
    folder.mkdir()
    mx.save_safetensors(str(folder / "model.safetensors"), weights)
    (folder / "config.json").write_text(json.dumps(CONFIG | changes))
    return folder


def hub_names(weights):
    """By the names of the hub's files, which mlx-audio keeps."""
    weights = {name: x for name, x in weights.items() if not name.startswith("embed_tokens")}
    renamed = {name.replace("language_model.", "language_model.model."): x for name, x in weights.items()}
    return {f"language_model.{n}" if n.startswith("lm_head") else n: x for n, x in renamed.items()}


def module_names(weights):
    """By the names of transformers' module."""
    weights = {name: x for name, x in weights.items() if not name.startswith("embed_tokens")}
    return {n if n.startswith("lm_head") else f"model.{n}": x for n, x in weights.items()}


@pytest.fixture
def copy(tmp_path):
    """A copy of a golden folder."""
    return lambda layout: Path(shutil.copytree(FOLDER / layout, tmp_path / layout))


@pytest.mark.parametrize("layout", ["transformers", "mlx", "mistral"])
def test_layouts(layout):
    prefix = "mistral." if layout == "mistral" else ""
    for got, name in zip(outputs(vk.load(FOLDER / layout)), ("encoder", "logits"), strict=True):
        assert_model_matches(got, np.array(GOLDEN[prefix + name]), f"{layout} {name}")


@pytest.mark.parametrize("names", [hub_names, module_names])
@pytest.mark.parametrize("torch_conv", [False, True])
def test_other_names(tmp_path, names, torch_conv):
    weights = names(tensors())
    if torch_conv:
        weights = {n: x.swapaxes(1, 2) if x.ndim == 3 else x for n, x in weights.items()}
    model = vk.load(save(tmp_path / "m", weights))
    for got, expected in zip(outputs(model), outputs(vk.load(FOLDER / "mlx")), strict=True):
        assert mx.array_equal(got, expected)


def quantize(weights, packing):
    """The weights quantised, and the same in plain: ``packing`` gives bits and group size by name, or None."""
    packed, plain = {}, {}
    for name, x in weights.items():
        stem = name.removesuffix(".weight")
        if x.ndim != 2 or (q := packing(stem)) is None:
            packed[name] = plain[name] = x
            continue
        parts = mx.quantize(x, group_size=q["group_size"], bits=q["bits"])
        packed |= zip((name, f"{stem}.scales", f"{stem}.biases"), parts, strict=True)
        plain[name] = mx.dequantize(*parts, group_size=q["group_size"], bits=q["bits"])
    return packed, plain


@pytest.mark.parametrize("bits", [4, 6, 8])
@pytest.mark.parametrize("positions", [False, True], ids=["plain_positions", "packed_positions"])
def test_quantised(tmp_path, bits, positions):
    q = {"group_size": 32, "bits": bits}
    packed, plain = quantize(tensors(), lambda stem: q if positions or "positions" not in stem else None)
    model = vk.load(save(tmp_path / "q", packed, quantization=q))
    assert model.decoder.blocks[0].attention.qkv.matrix.quantization.bits == bits
    expected = outputs(vk.load(save(tmp_path / "p", plain)))
    for got, reference in zip(outputs(model), expected, strict=True):
        assert_model_matches(got, np.array(reference), f"{bits} bits")


def test_quantised_per_matrix(tmp_path):
    """As mlx-voxtral's mixed mode: a default, other values for single matrices, some not quantised at all."""

    def packing(stem):
        if "audio_tower" in stem:
            return None if "positions" in stem else {"group_size": 32, "bits": 6}
        if stem == "lm_head":
            return {"group_size": 64, "bits": 8}
        return {"group_size": 32, "bits": 6 if "layers.0.mlp" in stem else 4}

    weights = tensors()
    packed, plain = quantize(weights, packing)
    stems = [name.removesuffix(".weight") for name, x in weights.items() if x.ndim == 2]
    single = {stem: packing(stem) or False for stem in stems if packing(stem) != {"group_size": 32, "bits": 4}}
    model = vk.load(save(tmp_path / "q", packed, quantization={"group_size": 32, "bits": 4} | single))
    assert model.decoder.head.quantization.bits == 8
    expected = outputs(vk.load(save(tmp_path / "p", plain)))
    for got, reference in zip(outputs(model), expected, strict=True):
        assert_model_matches(got, np.array(reference), "mixed")


@pytest.mark.parametrize("said", [None, True])
def test_a_tied_head(tmp_path, said):
    weights = {name: x for name, x in tensors().items() if name != "lm_head.weight"}
    text = CONFIG["text_config"] | {"tie_word_embeddings": said}
    if said is None:
        del text["tie_word_embeddings"]
    model = vk.load(save(tmp_path / "m", weights, text_config=text))
    assert_model_matches(outputs(model)[1], np.array(GOLDEN["tied_logits"]), "tied logits")


def test_a_head_that_is_there_is_used(tmp_path):
    text = CONFIG["text_config"] | {"tie_word_embeddings": True}
    model = vk.load(save(tmp_path / "m", tensors(), text_config=text))
    assert_model_matches(outputs(model)[1], np.array(GOLDEN["logits"]), "logits")


def test_a_head_that_is_not_there(tmp_path):
    weights = {name: x for name, x in tensors().items() if name != "lm_head.weight"}
    text = CONFIG["text_config"] | {"tie_word_embeddings": False}
    with pytest.raises(
        ValueError, match=r"^\[load\] weights: expected the \d+ tensors .*, got missing: lm_head\.weight\.$"
    ):
        vk.load(save(tmp_path / "m", weights, text_config=text))


@pytest.mark.parametrize("dtype", [None, "float16", "bfloat16"])
def test_dtype(dtype):
    model = vk.load(FOLDER / "transformers", dtype)
    assert outputs(model)[1].dtype == getattr(mx, dtype or "float32")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda w: w.pop("audio_tower.conv1.bias"), r"missing: audio_tower\.conv1\.bias\."),
        (lambda w: w.update(x=mx.zeros(1)), r"unexpected: x\."),
        (lambda w: w.update({"audio_tower.embed_positions.weight": mx.zeros((41, 32))}), r"wrongly shaped: .*posit"),
        (lambda w: w.update({"audio_tower.conv2.weight": mx.zeros((32, 5, 32))}), r"wrongly shaped: .*conv2"),
        (lambda w: w.update({"lm_head.weight": mx.zeros((96, 64), mx.int32)}), r"lm_head\.weight: expected F32, F16"),
    ],
)  # fmt: skip
def test_wrong_tensors(tmp_path, change, match):
    weights = tensors()
    change(weights)
    with pytest.raises(ValueError, match=r"^\[load\] .*" + match):
        vk.load(save(tmp_path / "m", weights))


AUDIO, TEXT = "config.json audio_config", "config.json text_config"


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        ("audio_config.num_attention_heads", 3, f"{AUDIO}: expected a width that its 3 heads divide, got 32."),
        ("audio_config.hidden_size", 0, f"{AUDIO}.hidden_size: expected an integer from 1 to 65536, got 0."),
        ("audio_config.num_hidden_layers", 0, f"{AUDIO}.num_hidden_layers: expected an integer from 1 to 512, got 0."),
        ("audio_config.max_source_positions", 38, f"{AUDIO}.max_source_positions: expected a multiple of 4, got 38."),
        (
            "audio_config.max_source_positions",
            0,
            f"{AUDIO}.max_source_positions: expected an integer from 1 to 1048576",
        ),
        ("audio_config.num_mel_bins", 0, f"{AUDIO}.num_mel_bins: expected an integer from 1 to 1024, got 0."),
        ("audio_config.activation_function", "relu", f"{AUDIO}.activation_function: expected 'gelu', got 'relu'."),
        ("audio_config.scale_embedding", True, f"{AUDIO}.scale_embedding: expected False, got True."),
        ("projector_hidden_act", "silu", "config.json projector_hidden_act: expected 'gelu', got 'silu'."),
        (
            "text_config.num_key_value_heads",
            3,
            f"{TEXT}.num_key_value_heads: expected a divisor of num_attention_heads 4",
        ),
        ("text_config.head_dim", 31, f"{TEXT}.head_dim: expected an even number, got 31."),
        ("text_config.attention_bias", True, f"{TEXT}.attention_bias: expected False, got True."),
        ("text_config.rope_scaling", {"type": "yarn"}, f"{TEXT}.rope_scaling: expected None, got "),
        ("text_config.rope_parameters", {"rope_type": "yarn"}, f"{TEXT}.rope_parameters.rope_type: expected 'default'"),
        ("text_config.sliding_window", 4096, f"{TEXT}.sliding_window: expected None, got 4096."),
        ("text_config.tie_word_embeddings", "no", f"{TEXT}.tie_word_embeddings: expected true or false, got 'no'."),
        ("text_config", None, f"{TEXT}: expected a JSON object, got NoneType."),
        ("audio_token_id", -1, "config.json audio_token_id: expected an integer from 0 to "),
        (
            "model_type",
            "whisper",
            "config.json: expected the configuration of Voxtral Realtime or Voxtral (offline), got ",
        ),
    ],
)
def test_absurd_configurations(copy, edit, path, value, error):
    folder = copy("mlx")
    edit(folder, path, value, "config.json")
    with pytest.raises(ValueError, match=r"^\[load\] ") as raised:
        vk.load(folder)
    assert str(raised.value).startswith(f"[load] {error}")


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        ("n_kv_heads", 3, "params.json n_kv_heads: expected a divisor of n_heads 4, got 3."),
        ("use_biases", True, "params.json use_biases: expected False, got True."),
        ("multimodal", {}, "params.json multimodal.whisper_model_args: expected a JSON object, got NoneType."),
    ],
)
def test_absurd_original_configurations(copy, edit, path, value, error):
    folder = copy("mistral")
    edit(folder, path, value)
    with pytest.raises(ValueError, match=r"^\[load\] ") as raised:
        vk.load(folder)
    assert str(raised.value) == f"[load] {error}"


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        ("audio.chunk_length_s", 15.0, "chunk_length_s: expected 30.0, got 15.0."),
        (
            "audio.chunk_length_s",
            None,
            ": expected the audio section of an offline model, got one without chunk_length_s.",
        ),
        ("audio.frame_rate", 25.0, "samples_per_token: expected 1280, got 640."),
        ("audio.audio_encoding_config.num_mel_bins", 80, "n_mels: expected 128, got 80."),
        ("audio.sampling_rate", 8000, "sampling_rate: expected 16000, got 8000."),
    ],
)
def test_a_tokenizer_of_another_model(offline, tmp_path, edit, path, value, error):
    folder = Path(shutil.copytree(offline, tmp_path / "m"))
    edit(folder, path, value, "tekken.json")
    with pytest.raises(ValueError, match=r"^\[load\] tekken\.json") as raised:
        vk.load(folder)
    assert str(raised.value).endswith(error)


def test_the_realtime_models_tokenizer(offline, tmp_path):
    folder = Path(shutil.copytree(offline, tmp_path / "m"))
    shutil.copy(ROOT / "python" / "voxtral_kernels" / "data" / "tiny" / "tekken.json", folder)
    with pytest.raises(
        ValueError, match=r"expected the audio section of an offline model, got that of a realtime model"
    ):
        vk.load(folder)


def test_without_a_tokenizer_the_stages_serve():
    model = vk.load(FOLDER / "mlx")
    for call in (model.transcribe, lambda x: model.ask(x, "What?")):
        with pytest.raises(ValueError, match=r"^\[load\] model: expected tekken\.json in the folder, got none\.$"):
            call(np.zeros(16_000, np.float32))


def test_the_other_family_is_named():
    tiny = ROOT / "python" / "voxtral_kernels" / "data" / "tiny"
    offline = r"\[load\] (config|params)\.json: expected the configuration of Voxtral Realtime, got that of .*offline"
    for layout in ("mlx", "mistral", "transformers"):
        with pytest.raises(ValueError, match=offline):
            VoxtralRealtime.load(FOLDER / layout)
    with pytest.raises(
        ValueError, match=r"expected the configuration of Voxtral \(offline\), got that of .* Realtime\."
    ):
        Voxtral.load(tiny)
    with pytest.raises(ValueError, match=r"^\[load\] time_dtype: expected None, as Voxtral \(offline\) knows no delay"):
        vk.load(FOLDER / "mlx", time_dtype="float32")
