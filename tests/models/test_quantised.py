"""The tiny checkpoint converted to 8, 6 and 4 bits: how many of its tokens and words stay those of bfloat16."""

import jiwer
import mlx.core as mx
import pytest

import voxtral_kernels as vk
from tests.models.test_recordings import NAMES
from voxtral_kernels.models import hub
from voxtral_kernels.models.convert import convert


@pytest.fixture(scope="module")
def truth(examples):
    model = vk.load("tiny", dtype=mx.bfloat16)
    return {name: model.transcribe(examples / name) for name in NAMES}


@pytest.mark.soak
@pytest.mark.parametrize(("bits", "alike"), [(8, 18), (6, None), (4, None)])
def test_tokens_and_words(tmp_path, examples, references, truth, bits, alike):
    convert(hub.find("tiny"), tmp_path / "q", bits=bits, group_size=32)
    model = vk.load(tmp_path / "q", dtype=mx.bfloat16)
    found = {name: model.transcribe(examples / name) for name in NAMES}
    same = sum(found[name].tokens == truth[name].tokens for name in NAMES)
    said = [references[name]["transformers"]["480"]["text"] for name in NAMES]
    errors = {what: jiwer.wer(said, [r[n].text for n in NAMES]) for what, r in (("quantised", found), ("bf16", truth))}
    print(f"{bits} bits: tokens of bfloat16 on {same} of {len(NAMES)} recordings; word errors {errors}")
    assert alike is None or same >= alike
