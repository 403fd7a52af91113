"""``voxtral-kernels convert``: what it writes transcribes."""

import json

import pytest


@pytest.fixture
def card(examples):
    return examples / "human-card-1.wav"


def test_converted_model_gives_the_same_tokens(run, card, tmp_path):
    target = tmp_path / "out"
    status, out, err = run("convert", "tiny", target)
    assert (status, err) == (0, "")
    assert out == f"{target}: 4.7 MB of weights\n"
    results = [json.loads(run("transcribe", card, "-m", model, "-f", "json")[1]) for model in ("tiny", target)]
    assert results[0]["tokens"] == results[1]["tokens"]


def test_quantised(run, card, tmp_path):
    target = tmp_path / "out"
    status, _, err = run("convert", "tiny", target, "--bits", "8", "--group-size", "32", "--dtype", "float32")
    assert (status, err) == (0, "")
    quantization = json.loads((target / "config.json").read_text())["quantization"]
    assert quantization == {"bits": 8, "group_size": 32}
    assert run("transcribe", card, "--model", target) == (0, "ten of clubs\n", "")


def test_a_mode_of_mlx(run, card, tmp_path):
    status, _, err = run("convert", "tiny", tmp_path / "out", "--mode", "mxfp8")
    assert (status, err) == (0, "")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["quantization"]["mode"] == "mxfp8"
    assert run("transcribe", card, "--model", tmp_path / "out") == (0, "ten of clubs\n", "")


def test_an_offline_model(run, offline, card, tmp_path):
    assert run("convert", offline, tmp_path / "out")[0] == 0
    results = [run("transcribe", card, "-m", m, "-f", "json", "--max-tokens", "4") for m in (offline, tmp_path / "out")]
    tokens = [json.loads(out)["tokens"] for _, out, _ in results]
    assert tokens[0] == tokens[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bits", "5"], "bits: expected 4, 6, 8 or None, got 5."),
        (["--group-size", "48"], "group_size: expected 32, 64 or 128, got 48."),
        (["--mode", "mxfp4", "--bits", "8"], "bits: expected 4 or None, as mxfp4 has, got 8."),
        (["--mode", "fp3"], "'fp3' is not one of 'affine', 'mxfp4', 'mxfp8', 'nvfp4'"),
        (["--revision", "v1"], "revision: expected none for what is not on the hub, got 'v1'."),
        (["--dtype", "int8"], "'int8' is not one of 'float32', 'float16', 'bfloat16'"),
    ],
)
def test_bad_options(fails, tmp_path, arguments, message):
    assert message in fails("convert", "tiny", tmp_path / "out", *arguments)
    assert not (tmp_path / "out").exists()


def test_bad_folders(fails, tmp_path):
    (tmp_path / "file").write_text("x")
    assert "expected a folder that does not exist or is empty" in fails("convert", "tiny", tmp_path)
    assert "expected" in fails("convert", tmp_path / "none", tmp_path / "out")
    assert (tmp_path / "file").read_text() == "x"
