"""Damaged params.json, safetensors headers and tekken.json: a right result or one line of ours, soon, in little memory.

`mutate.py` makes the damage; what failed once stands in ``tests/corpus``: a patch of the file (RFC 7396, ``"@N@"`` for
N lists in one another), or a header.
"""

import functools
import json
import resource
import shutil
import struct
import sys
import time
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

import voxtral_kernels as vk
from tests.models import mutate
from voxtral_kernels.cli import main
from voxtral_kernels.models import hub
from voxtral_kernels.models.section import Section
from voxtral_kernels.models.voxtral_realtime.config import check_tokenizer, from_transformers
from voxtral_kernels.models.voxtral_realtime.stream import Stream
from voxtral_kernels.tokenizer import Tokenizer

ROOT = Path(__file__).resolve().parents[2]
CORPUS = sorted(file for kind in mutate.KINDS for file in (ROOT / "tests" / "corpus" / kind).glob("*"))
SOURCES = dict.fromkeys(("params", "safetensors"), ROOT / "tests" / "golden" / "voxtral_realtime" / "mistral")
SOURCES["tekken"] = hub.find("tiny")
MIB = 1 << 20


@pytest.fixture
def damaged(tmp_path):
    """Puts a damaged file of a kind into a copy of its model; gives the folder."""

    def put(kind, data):
        folder = tmp_path / kind
        if not folder.exists():
            shutil.copytree(SOURCES[kind], folder)
        (folder / mutate.KINDS[kind][0]).write_bytes(data)
        return folder

    return put


def original(kind):
    return (SOURCES[kind] / mutate.KINDS[kind][0]).read_bytes()


@functools.cache
def tiny():
    """For mutations of its tokenizer alone."""
    return vk.load("tiny")


def use(kind, folder):
    """Load a model and take one step of everything that the damaged file decides."""
    if kind == "tekken":
        model, tokenizer = tiny(), Tokenizer.from_file(folder / "tekken.json")
        check_tokenizer(tokenizer, model.config)
        stream = Stream(model, tokenizer, tokenizer.audio.default_delay_ms)
        stream.feed(np.zeros(model.config.samples_per_token, np.float32))
        assert isinstance(tokenizer.decode(range(tokenizer.vocab_size)), str)
        return
    model = vk.load(folder)
    assert all(np.isfinite(taps).all() for taps in model.mel_config.taps)
    frames = mx.zeros((1, 2 * model.config.mel_per_token, model.config.encoder.n_mels))
    logits = model.decoder.logits(model.decoder(model.embed_audio(frames), model.decoder.scales(6, mx.float32)))
    assert logits.shape == (1, 2, model.config.decoder.vocab_size)


def is_ours(text):
    return text.startswith(("[load] ", "[tokenizer] ", "[stream] ", "[delay] ")) and text.isprintable()


def check(kind, folder):
    """Whether it is refused; anything but a right result or an error of ours fails."""
    start = time.process_time()  # not the clock's: other processes run beside this one
    said = None
    try:
        use(kind, folder)
    except ValueError as error:
        said = str(error)
    assert said is None or (is_ours(said) and len(said) < 1100), said
    assert time.process_time() - start < 2
    return said is not None


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def run(kind, damaged, seeds):
    data = original(kind)
    use(kind, damaged(kind, data))
    before, refused = peak_bytes(), 0
    for seed in seeds:
        try:
            refused += check(kind, damaged(kind, mutate.mutation(kind, data, seed)))
        except BaseException as error:
            error.add_note(f"{kind} {seed}")
            raise
    assert 0.5 * len(seeds) < refused < len(seeds)
    assert peak_bytes() - before < 64 * MIB


@pytest.mark.fault("mutations: damaged params.json, safetensors headers and tekken.json gave other errors than ours")
@pytest.mark.parametrize("kind", mutate.KINDS)
def test_two_hundred_mutations(kind, damaged):
    run(kind, damaged, range(200))


@pytest.mark.soak
@pytest.mark.parametrize("kind", mutate.KINDS)
def test_two_thousand_mutations(kind, damaged):
    run(kind, damaged, range(2000))


def merge(value, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    value = dict(value) if isinstance(value, dict) else {}
    for key, part in patch.items():
        if part is None:
            value.pop(key, None)
        else:
            value[key] = merge(value.get(key), part)
    return value


def from_corpus(file):
    kind = file.parent.name
    if kind == "safetensors":
        return file.read_bytes() + bytes(4)
    sys.set_int_max_str_digits(0)
    try:
        patched = merge(json.loads(original(kind)), json.loads(file.read_text()))
        return mutate.expanded(json.dumps(patched))
    finally:
        sys.set_int_max_str_digits(4300)


@pytest.mark.fault("errors: numbers too large in params.json gave Python's error")
@pytest.mark.fault("errors: deep nesting in tekken.json gave a RecursionError")
@pytest.mark.fault("errors: wrong types in a safetensors header gave Python's or MLX's error")
@pytest.mark.fault("errors: a mel filter bank that cannot be was found when the audio came")
@pytest.mark.parametrize("file", CORPUS, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_corpus(file, damaged):
    assert check(file.parent.name, damaged(file.parent.name, from_corpus(file)))


def test_the_command_says_one_line_with_status_2(damaged, capsys):
    for file in CORPUS[:: max(1, len(CORPUS) // 6)]:
        folder = damaged(file.parent.name, from_corpus(file))
        status = main(["transcribe", str(ROOT / "examples" / "human-card-1.wav"), "--model", str(folder)])
        out, err = capsys.readouterr()
        assert (status, out) == (2, "")
        assert err.count("\n") == 1
        assert err.startswith("voxtral-kernels: error: [")


def test_the_damage_is_the_same_in_every_run():
    data = original("safetensors")
    first, again = (mutate.mutation("safetensors", data, 7) for _ in range(2))
    assert first == again != data
    assert struct.unpack("<Q", data[:8])[0] < len(data)


@pytest.mark.parametrize(("n_mels", "right"), [(128, True), (80, True), (400, False), (1024, False)])
def test_filters_that_a_window_can_have(n_mels, right):
    config = json.loads((ROOT / "tests/golden/voxtral_realtime/transformers/config.json").read_text())
    config["audio_config"]["num_mel_bins"] = n_mels
    if right:
        assert from_transformers(Section(config, "config.json")).encoder.n_mels == n_mels
    else:
        with pytest.raises(ValueError, match=r"audio_config.num_mel_bins: expected filters that a window of 400"):
            from_transformers(Section(config, "config.json"))
