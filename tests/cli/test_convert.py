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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bits", "5"], "bits: expected 4, 6, 8 or None, got 5."),
        (["--group-size", "48"], "group_size: expected 32, 64 or 128, got 48."),
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
