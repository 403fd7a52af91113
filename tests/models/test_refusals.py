"""What is wrong in a checkpoint is named in one line, before anything is loaded."""

import json
import shutil
import struct
from pathlib import Path

import mlx.core as mx
import pytest

import voxtral_kernels as vk
from voxtral_kernels.models import hub
from voxtral_kernels.models.checkpoint import Checkpoint
from voxtral_kernels.models.convert import convert
from voxtral_kernels.models.voxtral_realtime.model import VoxtralRealtime

ENCODER = "mm_streams_embeddings.embedding_module.whisper_encoder.transformer."
TINY = hub.find("tiny")


@pytest.fixture
def folder(golden_folder, tmp_path):
    """A copy of the golden model in the original layout, to be damaged."""
    return Path(shutil.copytree(golden_folder / "mistral", tmp_path / "model"))


@pytest.fixture
def refuses(folder, monkeypatch):
    """Asserts that loading raises this one-line error and reads no tensor."""

    def nothing_is_loaded(self):
        raise AssertionError("tensors were loaded before the checks had ended")

    def check(match):
        with monkeypatch.context() as patch:
            patch.setattr(Checkpoint, "load", nothing_is_loaded)
            with pytest.raises(ValueError, match=match) as caught:
                vk.load(folder)
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith("[load] ")

    return check


def test_missing_unexpected_and_wrongly_shaped_tensors_are_named_at_once(folder, refuses, rewrite):
    def damage(tensors):
        del tensors["norm.weight"], tensors[f"{ENCODER}norm.weight"]
        tensors["surplus.weight"] = mx.zeros(3)
        tensors["layers.0.ffn_norm.weight"] = mx.zeros(63)

    rewrite(folder, damage)
    refuses(
        rf"weights: expected the \d+ tensors of this configuration, got missing: {ENCODER}norm.weight, norm.weight; "
        r"unexpected: surplus.weight; wrongly shaped: layers.0.ffn_norm.weight \[63\] for \[64\]\."
    )


def test_many_missing_tensors_are_counted(folder, refuses, rewrite):
    rewrite(folder, lambda tensors: [tensors.pop(name) for name in list(tensors)[:20]])
    refuses(r"missing: ([\w.]+, ){3}[\w.]+ and 16 more\.")


def test_tensors_of_another_dtype(folder, refuses, rewrite):
    rewrite(folder, lambda t: t.update({"norm.weight": mx.zeros(64, mx.int32)}))
    refuses(r"norm\.weight: expected F32, F16, BF16, got I32\.")


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda data: data[:-100], r"expected \d+ bytes as its header says, got \d+: truncated or damaged\."),
        (lambda data: data + b"\0", r"truncated or damaged\."),
        (lambda data: data[:1000], r"expected a whole safetensors file, got 1000 bytes"),
        (lambda data: b"", r"expected a whole safetensors file, got 0 bytes"),
        (lambda data: struct.pack("<Q", 1 << 60) + data[8:], r"expected a whole safetensors file"),
        (lambda data: data[:8] + b"x" + data[9:], r"expected a readable safetensors file, got JSONDecodeError"),
        (lambda data: data[:8] + b"[" + data[9:], r"expected a readable safetensors file"),
        (lambda data: data.replace(b'"F32"', b'"F99"', 1), r"expected a known dtype, a shape and the bytes they need"),
        (lambda data: data.replace(b'"F32"', b'"F16"', 1), r"expected a known dtype, a shape and the bytes they need"),
        (lambda data: data.replace(b"[0,", b"[4,", 1), r"expected a known dtype|expected data at byte 0"),
    ],
    ids=["cut", "longer", "cut header", "empty", "huge header", "no JSON", "no object", "dtype", "size", "offset"],
)
def test_damaged_files(folder, refuses, damage, match):
    file = folder / "consolidated.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    refuses(rf"consolidated\.safetensors.*: {match}")


def header(tensors):
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text


def test_overlapping_and_repeated_tensors(tmp_path):
    one = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(header({"x": one}) + b"\0" * 4)
    with pytest.raises(ValueError, match=r"\[load\] b: expected no second x, got one as in a\."):
        Checkpoint([tmp_path / "a", tmp_path / "b"])
    (tmp_path / "c").write_bytes(header({"x": one, "y": one}) + b"\0" * 4)
    with pytest.raises(ValueError, match=r"\[load\] c y: expected data at byte 4, got 0\."):
        Checkpoint([tmp_path / "c"])


WHISPER = "multimodal.whisper_model_args"


@pytest.mark.parametrize(
    ("path", "value", "match"),
    [
        ("n_layers", 10**9, r"params.json n_layers: expected an integer from 1 to 512, got 1000000000\."),
        ("dim", -1, r"params.json dim: expected an integer from 1 to 65536, got -1\."),
        ("dim", 10**7, r"params.json dim: "),
        ("dim", "64", r"params.json dim: expected .*, got '64'\."),
        ("dim", None, r"params.json dim: expected .*, got None\."),
        ("dim", True, r"params.json dim: expected .*, got True\."),
        ("head_dim", 31, r"params.json head_dim: expected an even number, got 31\."),
        ("n_kv_heads", 3, r"params.json n_kv_heads: expected a divisor of n_heads 4, got 3\."),
        ("sliding_window", 0, r"params.json sliding_window: "),
        ("sliding_window", None, r"params.json sliding_window: "),
        ("vocab_size", 1 << 40, r"params.json vocab_size: "),
        ("rope_theta", float("nan"), r"params.json rope_theta: expected a number from 1 to 1e\+12, got nan\."),
        ("norm_eps", -1, r"params.json norm_eps: "),
        ("tied_embeddings", False, r"params.json tied_embeddings: expected True, got False\."),
        ("multimodal", [], r"params.json multimodal: expected a JSON object, got list\."),
        (f"{WHISPER}.encoder_args.dim", 1 << 30, rf"params.json {WHISPER}.encoder_args.dim: "),
        (f"{WHISPER}.encoder_args.causal", False, r"encoder_args.causal: expected True, got False\."),
        (f"{WHISPER}.encoder_args.pos_embed", "sinusoidal", r"pos_embed: expected 'rope', got 'sinusoidal'\."),
        (f"{WHISPER}.encoder_args.n_kv_heads", 1, r"n_kv_heads: expected 2, got 1\."),
        (f"{WHISPER}.encoder_args.audio_encoding_args.num_mel_bins", 0, r"num_mel_bins: "),
        (f"{WHISPER}.downsample_args.downsample_factor", 0, r"downsample_factor: "),
        # Sizes that are possible, but not those of the weights.
        ("n_layers", 3, r"missing: layers\.2\."),
        ("n_layers", 1, r"unexpected: layers\.1\."),
        ("hidden_dim", 97, r"wrongly shaped: layers\.0\.feed_forward"),
        ("ada_rms_norm_t_cond", None, r"expected the configuration of Voxtral Realtime or Vox.*, got another model\."),
    ],
)
def test_absurd_configurations(folder, refuses, edit, path, value, match):
    edit(folder, path, value)
    refuses(match)


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "\xff\xfe", "[" * 100_000], ids=["empty", "cut", "list", "bytes", "deep"]
)
def test_a_config_that_is_no_json_object(folder, refuses, text):
    (folder / "params.json").write_bytes(text.encode("latin-1"))
    refuses(r"params\.json: expected a (readable JSON file|JSON object), got ")


def test_another_model_family_is_named(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "whisper"}))
    with pytest.raises(
        ValueError, match=r"expected the configuration of Voxtral Realtime or Voxtral .*, got whisper\."
    ):
        vk.load(tmp_path)


@pytest.mark.parametrize(
    ("quantization", "match"),
    [
        (None, r"quantization: expected group_size and bits, as the weights are quantised, got none\."),
        ({"group_size": 32, "bits": 5}, r"wrongly shaped: "),
        ({"group_size": 48, "bits": 4}, r"quantization.group_size: expected one of 32, 64, 128, got 48\."),
        ({"group_size": 32, "bits": 7}, r"quantization.bits: expected one of 2, 3, 4, 5, 6, 8, got 7\."),
        ({"group_size": 32, "bits": 4, "mode": "fp3"}, r"mode: expected one of affine, mxfp4, .*, got 'fp3'\."),
        ({"group_size": 32, "bits": 8, "mode": "mxfp4"}, r"quantization.bits: expected 4 as mxfp4 has, got 8\."),
        ({"mode": "nvfp4", "group_size": 32}, r"quantization.group_size: expected 16 as nvfp4 has, got 32\."),
        ({"mode": "mxfp8"}, r"unexpected: .*\.biases"),
        ({"quant_method": "bitsandbytes"}, r"expected MLX's quantisation .*, got that of bitsandbytes\."),
    ],
)
def test_quantisation_that_does_not_fit(golden_folder, tmp_path, edit, quantization, match):
    convert(golden_folder / "mistral", tmp_path / "q", bits=4, group_size=32)
    edit(tmp_path / "q", "quantization", quantization, "config.json")
    with pytest.raises(ValueError, match=match):
        VoxtralRealtime.load(tmp_path / "q")


def test_packed_projections_quantised_differently(golden_folder, tmp_path, rewrite):
    convert(golden_folder / "mistral", tmp_path / "q", bits=8, group_size=32)
    name = "language_model.layers.0.attention.k_proj."

    def damage(tensors):
        parts = [tensors.pop(f"{name}{part}") for part in ("weight", "scales", "biases")]
        tensors[f"{name}weight"] = mx.dequantize(*parts, group_size=32, bits=8)

    rewrite(tmp_path / "q", damage, "model.safetensors")
    with pytest.raises(ValueError, match=r"layers\.0\.attention\.v_proj\.weight quantised alike, got some of them\."):
        VoxtralRealtime.load(tmp_path / "q")


@pytest.mark.fault("models: shards were missing, and the error did not say what to do")
def test_shards_that_are_not_there(golden_folder, tmp_path):
    shutil.copytree(golden_folder / "converted", tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"expected model.safetensors or model.safetensors.index.json in the folder"):
        vk.load(tmp_path / "m")
    index = tmp_path / "m" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": "../converted/model.safetensors"}}))
    with pytest.raises(ValueError, match=r"index.json: expected the names of the shards beside it, got \.\./conv"):
        vk.load(tmp_path / "m")
    index.write_text(json.dumps({"weight_map": {"x": "gone-1.safetensors", "y": "gone-2.safetensors"}}))
    with pytest.raises(ValueError, match=r"model: expected the 2 shards .*, got gone-1.* missing: .*download it again"):
        vk.load(tmp_path / "m")


def test_a_tokenizer_that_does_not_fit(folder, refuses):
    shutil.copy(TINY / "tekken.json", folder)
    refuses(r"tekken\.json vocabulary: expected at most 96 ids as the model has, got 1482\.")


def test_a_model_without_a_tokenizer_says_so(golden_model):
    with pytest.raises(ValueError, match=r"\[load\] model: expected tekken.json in the folder, got none\."):
        golden_model.stream()


@pytest.mark.parametrize(
    "source", ["no-such-model", "./no/such/folder", "a/b/c", "", "owner/na me", "/nowhere", 5, None]
)
def test_a_source_that_is_none(source):
    with pytest.raises(ValueError, match=r'\[load\] model: expected "tiny", a folder that exists, or a hub id'):
        vk.load(source)


def test_a_file_is_no_model(folder):
    with pytest.raises(ValueError, match=r"\[load\] model: expected a model's folder, got the file"):
        vk.load(folder / "params.json")


@pytest.mark.parametrize("dtype", ["int8", "float64", mx.int32, 32])
def test_a_dtype_that_is_none_of_ours(dtype):
    with pytest.raises(ValueError, match=r"\[load\] dtype: expected float32, float16, bfloat16 or None, got \w+\."):
        vk.load("tiny", dtype=dtype)


def test_what_the_realtime_model_has_not():
    with pytest.raises(
        ValueError, match=r"^\[transcribe\] max_tokens: expected None for Voxtral Realtime, .* got 5\.$"
    ):
        vk.load("tiny").transcribe("never-opened.wav", max_tokens=5)
