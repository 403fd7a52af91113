"""Token ids, delays, the streaming prompt and text decoding, on the tokenizer of the tiny checkpoint."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
from mistral_common.tokens.tokenizers.tekken import Tekkenizer

import voxtral_kernels
from voxtral_kernels.tokenizer import TextDecoder, Tokenizer

TINY = Path(voxtral_kernels.__file__).parent / "data" / "tiny" / "tekken.json"
TOKENIZER = Tokenizer.from_file(TINY)
FIRST_BYTE = 1000  # ids 1000 .. 1255 are the bytes


def test_ids():
    t = TOKENIZER
    assert (t.bos_id, t.eos_id, t.pad_id, t.word_id, t.n_special, t.vocab_size) == (1, 2, 32, 33, 1000, 1482)


def test_audio_section():
    audio = TOKENIZER.audio
    assert (audio.sample_rate, audio.frame_rate, audio.samples_per_token) == (16_000, 12.5, 1280)
    assert (audio.n_mels, audio.hop, audio.n_fft) == (128, 160, 400)
    assert (audio.default_delay_ms, audio.left_pad_tokens, audio.right_pad_tokens()) == (480, 32, 17)
    assert audio.right_pad_tokens(80) == 12


def test_every_delay():
    assert [TOKENIZER.delay_tokens(80 * n) for n in range(1, 31)] == list(range(1, 31))
    assert TOKENIZER.delay_tokens() == 6
    for n in (1, 6, 30):
        assert TOKENIZER.realtime_prompt(80 * n) == [1] + [32] * (32 + n)
    assert TOKENIZER.realtime_prompt() == [1] + [32] * 38


@pytest.mark.parametrize("delay_ms", [0, 79, 100, 2401, 2480, -80, float("nan"), float("inf"), True, "480"])
def test_bad_delay(delay_ms):
    message = r"^\[tokenizer\] delay_ms: expected a multiple of 80 from 80 to 2400, got .*\.$"
    for call in (TOKENIZER.delay_tokens, TOKENIZER.realtime_prompt):
        with pytest.raises(ValueError, match=message):
            call(delay_ms)


def test_prompt_is_mistral_commons():
    """The prompt of a whole streaming request, built by mistral_common from a second of silence."""
    import numpy as np
    from mistral_common.protocol.transcription.request import StreamingMode, TranscriptionRequest
    from mistral_common.tokens.tokenizers.audio import Audio

    audio = Audio(np.zeros(16_000, np.float32), 16_000, "wav").to_base64("wav")
    request = TranscriptionRequest(audio=audio, streaming=StreamingMode.OFFLINE, target_streaming_delay_ms=960)
    encoded = MistralTokenizer.from_file(str(TINY)).encode_transcription(request)
    assert TOKENIZER.realtime_prompt(960) == encoded.tokens
    tokens = TOKENIZER.audio.left_pad_tokens + 13 + TOKENIZER.audio.right_pad_tokens(960)
    assert len(encoded.audios[0].audio_array) == tokens * TOKENIZER.audio.samples_per_token


def test_decode():
    ids = TOKENIZER.tekken.encode("go forward ten", bos=True, eos=True)
    assert TOKENIZER.decode([32, 33, *ids, 32]) == "go forward ten"
    assert TOKENIZER.decode([]) == ""
    assert [TOKENIZER.token_bytes(i) for i in (1, 32, 33, 999)] == [b""] * 4


@pytest.mark.parametrize("token", [-1, 1482])
def test_ids_out_of_range(token):
    with pytest.raises(ValueError, match=r"^\[tokenizer\] token: expected an id from 0 to 1481, got .*\.$"):
        TOKENIZER.token_bytes(token)


def test_a_split_character_is_held_back():
    decoder = TextDecoder(TOKENIZER)
    euro = [FIRST_BYTE + b for b in "€".encode()]
    assert [decoder.push(t) for t in (euro[0], 32, euro[1], 33, euro[2])] == ["", "", "", "", "€"]
    assert decoder.finish() == ""
    assert decoder.push(euro[0]) == ""
    assert decoder.finish() == "�"
    assert decoder.push(FIRST_BYTE + ord("a")) == "a"


@given(st.lists(st.one_of(st.integers(1000, 1255), st.integers(0, 1481)), max_size=30))
def test_decoder_equals_decode(ids):
    decoder = TextDecoder(TOKENIZER)
    assert "".join([decoder.push(i) for i in ids] + [decoder.finish()]) == TOKENIZER.decode(ids)


def write(tmp_path, **changes):
    data = json.loads(TINY.read_text()) | changes
    path = tmp_path / "tekken.json"
    path.write_text(json.dumps({k: v for k, v in data.items() if v is not None}))
    return path


@pytest.mark.parametrize("text", ["", "no json", "[]", "{}", '{"config": {"version": "v99"}}', "\0\xff"])
def test_not_a_tekken_json(tmp_path, text):
    path = tmp_path / "tekken.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"^\[tokenizer\] path: expected a tekken\.json, got '.*' \(.*\)\.$"):
        Tokenizer.from_file(path)


def test_missing_file_and_missing_sections(tmp_path):
    with pytest.raises(ValueError, match=r"expected a tekken\.json, got '.*', which is not a file\."):
        Tokenizer.from_file(tmp_path)
    with pytest.raises(ValueError, match=r"expected an audio section, got none"):
        Tokenizer.from_file(write(tmp_path, audio=None))


def test_an_offline_models_file(tmp_path):
    section = {
        "sampling_rate": 16000,
        "frame_rate": 12.5,
        "audio_encoding_config": {"num_mel_bins": 128, "hop_length": 160, "window_size": 400},
        "chunk_length_s": 30.0,
    }
    special = json.loads(TINY.read_text())["special_tokens"]
    special = [s | {"token_str": f"<SPECIAL_{s['rank']}>"} if "STREAMING" in s["token_str"] else s for s in special]
    offline = Tokenizer.from_file(write(tmp_path, audio=section, special_tokens=special))
    assert not offline.audio.is_streaming
    for call in (offline.realtime_prompt, offline.delay_tokens, offline.audio.right_pad_tokens):
        with pytest.raises(ValueError, match=r"expected the streaming audio section of a realtime model, got"):
            call()
    with pytest.raises(ValueError, match=r"expected the special token \[STREAMING_PAD\], got a file without it\."):
        _ = offline.pad_id


def test_tekkenizer_is_mistral_commons():
    assert isinstance(TOKENIZER.tekken, Tekkenizer)
