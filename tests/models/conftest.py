"""What the model tests share: the tiny checkpoint, its references, the goldens."""

import json
import shutil
from pathlib import Path

import mlx.core as mx
import pytest

import voxtral_kernels as vk
from voxtral_kernels.models import hub
from voxtral_kernels.models.section import Section
from voxtral_kernels.models.voxtral_realtime.config import from_mistral
from voxtral_kernels.models.voxtral_realtime.model import VoxtralRealtime
from voxtral_kernels.models.voxtral_realtime.weights import tensor_shapes

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def examples():
    return ROOT / "examples"


@pytest.fixture(scope="session")
def references(examples):
    return json.loads((examples / "references.json").read_text())


@pytest.fixture(scope="session")
def tiny():
    return vk.load("tiny", dtype=mx.float32)


@pytest.fixture(scope="session")
def golden_folder():
    return ROOT / "tests" / "golden" / "voxtral_realtime"


@pytest.fixture(scope="session")
def golden(golden_folder):
    return mx.load(str(golden_folder / "data.safetensors"))


@pytest.fixture(scope="session")
def golden_model(golden_folder):
    return VoxtralRealtime.load(golden_folder / "mistral")


@pytest.fixture(scope="session")
def rewrite():
    """Saves a folder's tensors anew after a change to their dict."""

    def write(folder, change, name="consolidated.safetensors"):
        tensors = mx.load(str(folder / name))
        mx.eval(tensors)
        change(tensors)
        mx.save_safetensors(str(folder / name), tensors)

    return write


@pytest.fixture(scope="session")
def edit():
    """Sets one value of a folder's config file; its path is dotted."""

    def write(folder, path, value, name="params.json"):
        config = json.loads((folder / name).read_text())
        *parents, key = path.split(".")
        section = config
        for parent in parents:
            section = section[parent]
        section[key] = value
        (folder / name).write_text(json.dumps(config))

    return write


@pytest.fixture(scope="session")
def random_model(tmp_path_factory):
    """A small random model: the encoder's window as in the real one, the decoder's 82 s long; the tiny tokenizer."""
    part = {"n_layers": 2, "head_dim": 32, "hidden_dim": 96, "rope_theta": 1e6, "norm_eps": 1e-5, "causal": True}
    audio = {"num_mel_bins": 128, "hop_length": 160, "window_size": 400, "sampling_rate": 16000}
    encoder = part | {"dim": 32, "n_heads": 2, "sliding_window": 750, "audio_encoding_args": audio}
    whisper = {"encoder_args": encoder, "downsample_args": {"downsample_factor": 4}}
    decoder = part | {"dim": 64, "n_heads": 4, "n_kv_heads": 1, "sliding_window": 1024, "vocab_size": 1482}
    params = decoder | {"multimodal": {"whisper_model_args": whisper}, "ada_rms_norm_t_cond": True}
    folder = tmp_path_factory.mktemp("random")
    (folder / "config.json").write_text(json.dumps(params))
    shutil.copy(hub.find("tiny") / "tekken.json", folder)
    mx.random.seed(0)
    shapes = tensor_shapes(from_mistral(Section(params, "config.json")))
    tensors = {name: mx.random.normal(shape) * shape[-1] ** -0.5 for name, shape in shapes.items()}
    mx.save_safetensors(str(folder / "model.safetensors"), tensors)
    return vk.load(folder)
