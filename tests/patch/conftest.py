"""The hosts' packages, apart from the environment; a host that cannot be imported fails its tests."""

import json
import shutil
import warnings

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten

import voxtral_kernels as vk
from bench import hosts
from voxtral_kernels.audio.load import load_audio
from voxtral_kernels.audio.mel import MelConfig, log_mel

EXAMPLES = hosts.FOLDER.parents[1] / "examples"


@pytest.fixture(scope="session", autouse=True)
def _installed():
    hosts.install()


@pytest.fixture(params=hosts.REALTIME, ids=lambda host: host.name)
def host(request):
    """One host of a realtime model."""
    return request.param


@pytest.fixture(scope="session")
def mel():
    """Log-mel ``[128, T]`` of a recording with the model's padding: past the tiny model's windows."""
    samples = load_audio(EXAMPLES / "human-go-forward.wav")
    padded = np.pad(samples, (32 * 1280, -len(samples) % 1280 + 17 * 1280))
    return mx.array(log_mel(padded, MelConfig()).T)


@pytest.fixture(scope="session")
def noise():
    """Random mel ``[128, 320]``: 40 tokens."""
    return mx.array(np.random.default_rng(1).standard_normal((128, 320)).astype(np.float32))


@pytest.fixture(scope="session")
def ours():
    """Our own model of the tiny checkpoint in float32."""
    return vk.load("tiny", dtype="float32")


@pytest.fixture(scope="session")
def quantized(tmp_path_factory):
    """The tiny checkpoint in 4 bits, in the converted layout, written from voxmlx's own quantised model."""
    folder = tmp_path_factory.mktemp("tiny-4bit")
    model = hosts.Voxmlx().tiny()
    quantization = hosts.host("voxmlx.convert")._quantize_model(model, 32, 4)
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(folder / "model.safetensors"), weights)
    params = json.loads((hosts.TINY / "params.json").read_text())
    (folder / "config.json").write_text(json.dumps(params | {"quantization": quantization}))
    shutil.copy(hosts.TINY / "tekken.json", folder)
    return folder


@pytest.fixture(scope="session")
def quantized_by_mlx_audio(tmp_path_factory):
    """A 4-bit tiny model of mlx-audio, quantised where that host quantises, and its folder in mlx-audio's layout."""
    folder = tmp_path_factory.mktemp("tiny-mlx-audio")
    model = hosts.MlxAudio().tiny()
    wanted = model.model_quant_predicate
    predicate = lambda path, module: hasattr(module, "to_quantized") and wanted(path, module)  # noqa: E731
    nn.quantize(model, group_size=32, bits=4, class_predicate=predicate)
    mx.save_safetensors(str(folder / "model.safetensors"), dict(tree_flatten(model.parameters())))
    params = json.loads((hosts.TINY / "params.json").read_text())
    encoder = params["multimodal"]["whisper_model_args"]["encoder_args"]
    config = {"model_type": "voxtral_realtime", "encoder_args": encoder, "decoder": params}
    config["quantization"] = {"group_size": 32, "bits": 4}
    (folder / "config.json").write_text(json.dumps(config))
    return model, folder


@pytest.fixture(autouse=True)
def _no_stray_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield
