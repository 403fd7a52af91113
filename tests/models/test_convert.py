"""``convert``: both families, every mode of MLX's; nothing that it did not make is touched."""

import json
import os
import shutil
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

import voxtral_kernels as vk
from voxtral_kernels.models.convert import convert
from voxtral_kernels.testing import assert_model_matches

ROOT = Path(__file__).resolve().parents[2]
REALTIME, OFFLINE = (ROOT / "tests" / "golden" / name for name in ("voxtral_realtime", "voxtral"))
MODES = {"mxfp4": (32, 4), "mxfp8": (32, 8), "nvfp4": (16, 4)}


def outputs(model):
    """What a model makes of its family's golden inputs."""
    if hasattr(model, "projector"):
        data = mx.load(str(OFFLINE / "data.safetensors"))
        return model.logits(data["input_ids"][0].tolist(), model.embed_audio(data["mel"].astype(model.dtype)))
    data = mx.load(str(REALTIME / "data.safetensors"))
    x = model.decoder.embed(data["input_ids"]) + model.embed_audio(data["mel"])
    return model.decoder.logits(model.decoder(x, model.decoder.scales(6, mx.float32)))


def plain_twin(folder, target):
    """The same model with each quantised matrix in its dequantised values."""
    config = json.loads((folder / "config.json").read_text())
    q = config.pop("quantization")
    mode = {"group_size": q["group_size"], "bits": q["bits"], "mode": q.get("mode", "affine")}
    packed = mx.load(str(folder / "model.safetensors"))
    plain = {}
    for name, x in packed.items():
        stem = name.removesuffix("weight")
        if name.endswith("weight") and f"{stem}scales" in packed:
            x = mx.dequantize(x, packed[f"{stem}scales"], packed.get(f"{stem}biases"), **mode, dtype=mx.float32)
        if not name.endswith((".scales", ".biases")):
            plain[name] = x
    assert len(plain) < len(packed)
    target.mkdir()
    mx.save_safetensors(str(target / "model.safetensors"), plain)
    (target / "config.json").write_text(json.dumps(config))
    return target


@pytest.mark.fault("models: offline models were not converted")
@pytest.mark.parametrize("layout", ["mistral", "transformers", "mlx"])
def test_offline_layouts(tmp_path, layout):
    size = convert(OFFLINE / layout, tmp_path / "out")
    got, expected = (vk.load(folder) for folder in (tmp_path / "out", OFFLINE / layout))
    assert got.config == expected.config
    assert mx.array_equal(outputs(got), outputs(expected))
    stored = mx.load(str(tmp_path / "out" / "model.safetensors"))
    assert size == sum(x.nbytes for x in stored.values())
    assert "audio_tower.embed_positions.weight" in stored
    assert "language_model.model.layers.0.self_attn.q_proj.weight" in stored


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("source", [REALTIME / "mistral", OFFLINE / "mlx"], ids=["realtime", "offline"])
@pytest.mark.fault("models: mxfp4, mxfp8 and nvfp4 were not read")
def test_modes_of_mlx(tmp_path, source, mode):
    convert(source, tmp_path / "q", mode=mode)
    quantization = json.loads((tmp_path / "q" / "config.json").read_text())["quantization"]
    assert quantization == dict(zip(("group_size", "bits"), MODES[mode], strict=True)) | {"mode": mode}
    got, expected = vk.load(tmp_path / "q"), vk.load(plain_twin(tmp_path / "q", tmp_path / "plain"))
    assert got.dtype == mx.float32
    assert got.decoder.embedding.take(mx.array([1, 2])).dtype == mx.float32
    assert_model_matches(outputs(got), np.array(outputs(expected)), mode)


def test_offline_quantised(tmp_path):
    """Affine; the positions stay as they are, and what is quantised is converted as it is."""
    convert(OFFLINE / "mlx", tmp_path / "q", bits=8, group_size=32)
    assert "audio_tower.embed_positions.scales" not in mx.load(str(tmp_path / "q" / "model.safetensors"))
    expected = outputs(vk.load(plain_twin(tmp_path / "q", tmp_path / "plain")))
    got = outputs(vk.load(tmp_path / "q"))
    assert_model_matches(got, np.array(expected), "8 bits")
    convert(tmp_path / "q", tmp_path / "again")
    assert mx.array_equal(outputs(vk.load(tmp_path / "again")), got)


def test_single_matrices_keep_their_own_quantisation(tmp_path):
    """mlx-voxtral's mixed form: its names and widths come over, by the names that are written."""
    convert(OFFLINE / "mlx", tmp_path / "q", mode="mxfp4")
    tensors = mx.load(str(tmp_path / "q" / "model.safetensors"))
    config = json.loads((tmp_path / "q" / "config.json").read_text())
    head = mx.load(str(OFFLINE / "mlx" / "model.safetensors"))["lm_head.weight"]
    packed = mx.quantize(head, group_size=64, bits=8)
    stem = "language_model.lm_head"
    tensors |= dict(zip((f"{stem}.weight", f"{stem}.scales", f"{stem}.biases"), packed, strict=True))
    config["quantization"][stem] = {"group_size": 64, "bits": 8, "mode": "affine"}
    (tmp_path / "mixed").mkdir()
    mx.save_safetensors(str(tmp_path / "mixed" / "model.safetensors"), tensors)
    (tmp_path / "mixed" / "config.json").write_text(json.dumps(config))
    model = vk.load(tmp_path / "mixed")
    assert (model.decoder.head.quantization.bits, model.decoder.embedding.quantization.mode) == (8, "mxfp4")
    convert(tmp_path / "mixed", tmp_path / "out")
    written = json.loads((tmp_path / "out" / "config.json").read_text())["quantization"]
    assert written[stem] == {"group_size": 64, "bits": 8}
    assert mx.array_equal(outputs(vk.load(tmp_path / "out")), outputs(model))


@pytest.mark.fault("models: quantization_config without quantization was not read")
def test_quantization_config_alone(tmp_path):
    convert(REALTIME / "mistral", tmp_path / "q", bits=4, group_size=32)
    expected = outputs(vk.load(tmp_path / "q"))
    config = json.loads((tmp_path / "q" / "config.json").read_text())
    config["quantization_config"] = config.pop("quantization")
    (tmp_path / "q" / "config.json").write_text(json.dumps(config))
    assert mx.array_equal(outputs(vk.load(tmp_path / "q")), expected)


@pytest.mark.fault("convert: a folder <target>.partial of the user's was moved into the result or deleted")
@pytest.mark.parametrize("fails", [False, True])
def test_what_convert_did_not_make_is_not_touched(tmp_path, monkeypatch, fails):
    partial = tmp_path / "out.partial"
    partial.mkdir()
    (partial / "mine.txt").write_text("mine")
    if fails:
        monkeypatch.setattr(mx, "save_safetensors", full_disk)
        with pytest.raises(ValueError, match=r"\[convert\] target: expected a folder that can be written, got .*space"):
            convert(REALTIME / "mistral", tmp_path / "out")
    else:
        convert(REALTIME / "mistral", tmp_path / "out")
        assert not (tmp_path / "out" / "mine.txt").exists()
    assert {p.name for p in tmp_path.iterdir()} == {"out.partial"} | (set() if fails else {"out"})
    assert (partial / "mine.txt").read_text() == "mine"


@pytest.mark.fault("convert: a symbolic link <target>.partial was followed")
def test_a_link_of_the_partial_name_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out.partial").symlink_to(tmp_path / "elsewhere")
    convert(REALTIME / "mistral", tmp_path / "out")
    assert not list((tmp_path / "elsewhere").iterdir())
    assert (tmp_path / "out.partial").is_symlink()


def full_disk(*_, **__):
    raise OSError(28, "No space left on device")


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(mx, "save_safetensors", full_disk)
    with pytest.raises(ValueError, match=r"^\[convert\] target: expected a folder that can be written"):
        convert(REALTIME / "mistral", tmp_path / "new" / "deep" / "out")
    assert not list(tmp_path.iterdir())


def test_a_write_that_mlx_took_for_done(tmp_path, monkeypatch):
    monkeypatch.setattr(mx, "save_safetensors", lambda file, *_, **__: Path(file).write_bytes(b"cut"))
    with pytest.raises(ValueError, match=r"^\[convert\] target: .* No space left on device\.$"):
        convert(REALTIME / "mistral", tmp_path / "out")


def test_too_little_space_is_said_before_any_weight_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 100_000))
    monkeypatch.setattr(mx, "load", None)
    with pytest.raises(ValueError, match=r"^\[convert\] target: expected 0\.\d GB of free space, got 0\.0 GB\.$"):
        convert(REALTIME / "mistral", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_said_before_the_source_is_looked_for(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"^\[convert\] target: expected a folder that can be written"):
        convert("owner/never-asked-for", tmp_path / "file" / "out")


@pytest.mark.parametrize("link", [False, True])
def test_an_empty_folder_or_a_link_to_one_is_filled(tmp_path, link):
    (tmp_path / "real").mkdir()
    target = tmp_path / "real"
    if link:
        target = tmp_path / "link"
        target.symlink_to(tmp_path / "real")
    convert(REALTIME / "mistral", target)
    assert target.is_symlink() == link
    assert vk.load(tmp_path / "real").dtype == mx.float32


def test_permissions_are_those_of_any_new_folder(tmp_path):
    convert(REALTIME / "mistral", tmp_path / "out")
    (tmp_path / "usual").mkdir()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"mode": "mxfp4", "bits": 8}, r"bits: expected 4 or None, as mxfp4 has, got 8\."),
        ({"mode": "nvfp4", "group_size": 32}, r"group_size: expected 16 or None, as nvfp4 has, got 32\."),
        ({"mode": "int3"}, r"mode: expected affine, mxfp4, mxfp8, nvfp4 or None, got int3\."),
        ({"mode": "affine", "bits": 5}, r"bits: expected 4, 6, 8 or None, got 5\."),
    ],
)
def test_modes_that_are_none(tmp_path, arguments, match):
    with pytest.raises(ValueError, match=rf"^\[convert\] {match}$"):
        convert(REALTIME / "mistral", tmp_path / "out", **arguments)
    assert not os.listdir(tmp_path)
