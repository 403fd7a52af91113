"""A checkpoint of NaN is said: it would be transcribed as silence."""

import shutil

import mlx.core as mx
import numpy as np
import pytest

import voxtral_kernels as vk
from voxtral_kernels.models.convert import convert
from voxtral_kernels.models.weights import finite

PLACES = {
    "norm.weight": (3,),
    "layers.1.attention.wk.weight": (1, 2),
    "tok_embeddings.weight": (5, 7),
    "layers.0.ada_rms_norm_t_cond.2.weight": (0, 0),
    "whisper_encoder.conv_layers.0.conv.bias": (0,),
    "whisper_encoder.transformer.layers.0.feed_forward.w2.weight": (4, 4),
}


@pytest.fixture
def folder(golden_folder, tmp_path):
    return shutil.copytree(golden_folder / "mistral", tmp_path / "model")


@pytest.mark.fault("wrong values: a checkpoint of NaN was transcribed as silence")
@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=["nan", "inf"])
@pytest.mark.parametrize("place", PLACES)
def test_one_number_is_enough(folder, rewrite, place, value):
    def damage(tensors):
        name = next(n for n in tensors if n.endswith(place))
        tensors[name][PLACES[place]] = value

    rewrite(folder, damage)
    expected = rf"\[load\] weights: expected finite numbers in float32, got NaN or infinity in [\w.]*{place}: the"
    with pytest.raises(ValueError, match=expected):
        vk.load(folder)


@pytest.mark.parametrize(("mode", "bits"), [("affine", 4), ("mxfp4", 4), ("nvfp4", 4)])
def test_scales(golden_folder, tmp_path, rewrite, mode, bits):
    convert(golden_folder / "mistral", tmp_path / "q", mode=mode, group_size=32 if mode == "affine" else None)
    name = "language_model.layers.1.mlp.down_proj.scales"

    def damage(tensors):
        tensors[name][2, 0] = float("nan") if mode == "affine" else {"mxfp4": 0xFF, "nvfp4": 0x7F}[mode]

    rewrite(tmp_path / "q", damage, "model.safetensors")
    for call in (lambda: vk.load(tmp_path / "q"), lambda: convert(tmp_path / "q", tmp_path / "copy")):
        with pytest.raises(ValueError, match=rf"got NaN or infinity in {name}: the file is damaged"):
            call()
    assert not (tmp_path / "copy").exists()


def test_what_a_dtype_cannot_hold_is_another_cause(folder, rewrite):
    rewrite(folder, lambda t: t.update({"norm.weight": mx.full(64, 1e5)}))
    assert vk.load(folder).dtype == mx.float32
    with pytest.raises(ValueError, match=r"finite numbers in float16, got .* norm.weight: too large for this dtype\."):
        vk.load(folder, dtype="float16")


@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16], ids=str)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_matrix_is_asked_by_a_product(dtype, value):
    rng = np.random.default_rng(0)
    for rows, columns in ((1, 1), (33, 7), (64, 192), (5, 1000)):
        x = mx.array(rng.normal(size=(rows, columns)) * 1e4).astype(dtype)
        assert finite(x).item()
        x[rows - 1, columns // 2] = value
        assert not finite(x).item()
