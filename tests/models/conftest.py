"""What the model tests share: the tiny checkpoint, its references, the goldens."""

import json
from pathlib import Path

import mlx.core as mx
import pytest

import voxtral_kernels as vk
from voxtral_kernels.models.voxtral_realtime.model import VoxtralRealtime

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
