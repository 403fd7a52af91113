"""Offline Voxtral's text: prompts as mistral_common builds them, generation, where it stops, long audio."""

import dataclasses
import io
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
import soundfile

import voxtral_kernels as vk
from voxtral_kernels.models.sampling import nucleus, sampler
from voxtral_kernels.models.voxtral import Voxtral, prompt
from voxtral_kernels.models.voxtral.generate import generate
from voxtral_kernels.models.voxtral.heard import Chunks
from voxtral_kernels.models.voxtral.lookup import Lookup
from voxtral_kernels.tokenizer import Tokenizer

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "golden" / "voxtral"
GOLDEN = mx.load(str(FOLDER / "data.safetensors"))
IDS = GOLDEN["input_ids"][0].tolist()
GREEDY = GOLDEN["greedy"][0].tolist()
CHUNK = 480_000
RATE = 16_000


@pytest.fixture(scope="module")
def random_model(offline):
    return vk.load(offline)


@pytest.fixture(scope="module")
def golden_model():
    return Voxtral.load(FOLDER / "transformers")


@pytest.fixture(scope="module")
def embedded(golden_model):
    return golden_model.decoder.merge(IDS, GOLDEN["audio_embeds"].reshape(-1, 64), 24)


def noise(seconds, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def official(offline, samples):
    """mistral_common as its users call it, and the bytes of an audio file."""
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    wav = io.BytesIO()
    soundfile.write(wav, samples, RATE, format="WAV", subtype="FLOAT")
    return MistralTokenizer.from_file(offline / "tekken.json"), wav.getvalue()


@pytest.mark.parametrize("seconds", [0.001, 3.5, 30, 95])
@pytest.mark.parametrize("language", [None, "en", "fr"])
def test_transcription_prompt(offline, seconds, language):
    from mistral_common.protocol.transcription.request import TranscriptionRequest

    samples = noise(seconds)
    tokenizer, wav = official(offline, samples)
    expected = tokenizer.encode_transcription(TranscriptionRequest(audio=wav, language=language))
    got = prompt.transcription(Tokenizer.from_file(offline / "tekken.json"), len(samples), language)
    assert got.tokens == expected.tokens
    assert got.tokens.count(24) == 375 * -(-len(samples) // CHUNK)
    assert got.n_samples == len(expected.audios[0].audio_array)


@pytest.mark.parametrize("text", ["What is said?", " Résumé en français: trois points. ", "x"])
def test_question_prompt(offline, text):
    from mistral_common.protocol.instruct.chunk import AudioChunk, TextChunk
    from mistral_common.protocol.instruct.messages import UserMessage
    from mistral_common.protocol.instruct.request import ChatCompletionRequest

    samples = noise(31)
    tokenizer, wav = official(offline, samples)
    message = UserMessage(content=[AudioChunk(input_audio=wav), TextChunk(text=text)])
    expected = tokenizer.encode_chat_completion(ChatCompletionRequest(messages=[message]))
    got = prompt.question(Tokenizer.from_file(offline / "tekken.json"), len(samples), text)
    assert got.tokens == expected.tokens
    assert got.tokens.count(24) == 750


def test_the_model_reads_the_prompt(random_model, monkeypatch):
    """What `transcribe` and `ask` give to the decoder is the prompt of the tests above."""
    seen = []
    merge = type(random_model.decoder).merge
    monkeypatch.setattr(
        type(random_model.decoder), "merge", lambda self, ids, *rest: seen.append(ids) or merge(self, ids, *rest)
    )
    samples = noise(2)
    random_model.transcribe(samples, language="en", max_tokens=1)
    random_model.ask(samples, "Who speaks?", max_tokens=1)
    tokenizer = random_model.tokenizer
    assert seen[0] == prompt.transcription(tokenizer, len(samples), "en").tokens
    assert seen[1] == prompt.question(tokenizer, len(samples), "Who speaks?").tokens


def run(model, x, **options):
    options = {"end": -1, "max_tokens": 24} | options
    return list(generate(model.decoder, x, sampler(), **options))


def test_greedy_tokens(golden_model, embedded):
    steps = run(golden_model, embedded)
    assert [s.token for s in steps] == GREEDY
    assert [s.stop for s in steps] == [None] * 23 + ["max_tokens"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 24])
def test_what_stood_before_is_looked_up_and_changes_no_token(golden_model, embedded, limit):
    """Where the text repeats itself, where a draft is right at first only, and at the limit."""
    for before in (GREEDY, [*GREEDY[:5], 3, 4, *GREEDY[4:12], 9], GREEDY[::-1], []):
        lookup = Lookup(before)
        steps = run(golden_model, embedded, max_tokens=limit, lookup=lookup)
        assert [s.token for s in steps] == GREEDY[:limit]
        assert [s.stop for s in steps] == [None] * (limit - 1) + ["max_tokens"]
        assert lookup.passes.tokens == limit
        assert lookup.passes.made + lookup.passes.accepted == limit
        if before == GREEDY and limit == 24:
            assert lookup.passes.made <= 10
    lookup = Lookup(GREEDY)
    ended = run(golden_model, embedded, end=GREEDY[9], lookup=lookup)
    assert [s.token for s in ended] == GREEDY[: GREEDY.index(GREEDY[9]) + 1]
    assert ended[-1].stop == "eos"


def test_drafts_are_made_where_the_likeliest_is_taken(random_model):
    samples = noise(2)
    plain, drafts, drawn = (
        random_model.transcribe(samples, max_tokens=60, **o)
        for o in ({"drafts": False}, {}, {"temperature": 1.0, "seed": 1})
    )
    assert drafts.tokens == plain.tokens
    assert plain.passes.drafted == drawn.passes.drafted == 0
    assert drafts.passes.made + drafts.passes.accepted == len(drafts.tokens)


@pytest.mark.parametrize("piece", [1, 7, 36, 37])
def test_a_prompt_read_in_pieces(golden_model, embedded, monkeypatch, piece):
    monkeypatch.setattr("voxtral_kernels.models.voxtral.generate.PREFILL", piece)
    assert [s.token for s in run(golden_model, embedded)] == GREEDY


@pytest.mark.parametrize("bits", [16, 8])
def test_the_decoder_holds_its_keys_in_the_bits_asked_for(random_model, monkeypatch, bits):
    made, new = [], type(random_model.decoder).new_caches
    monkeypatch.setattr(
        type(random_model.decoder), "new_caches", lambda self, **o: made.append(new(self, **o)) or made[-1]
    )
    random_model.transcribe(noise(2), max_tokens=2, cache_bits=bits)
    random_model.ask(noise(2), "Who speaks?", max_tokens=2, cache_bits=bits)
    assert [{c.bits for c in caches} for caches in made] == [{bits}, {bits}]


def test_logits_with_keys_in_8_bits_are_close(golden_model, embedded):
    caches = golden_model.decoder.new_caches(bits=8)
    hidden = [golden_model.decoder(embedded[:, a:b], caches) for a, b in ((0, 36), (36, embedded.shape[1]))]
    got = golden_model.decoder.logits(mx.concatenate(hidden, axis=1))
    expected = golden_model.decoder.logits(golden_model.decoder(embedded))
    assert 0 < mx.abs(got - expected).max() < 0.02 * mx.abs(expected).max()


@pytest.mark.parametrize("call", ["transcribe", "ask"])
def test_bits_that_are_none(random_model, call):
    message = rf"^\[{call}\] cache_bits: expected 16 \(the dtype of the keys\) or 8, got 4\.$"
    with pytest.raises(ValueError, match=message):
        getattr(random_model, call)(np.zeros(9), *(["What?"] if call == "ask" else []), cache_bits=4)


def test_stops_at_the_end_of_sequence(golden_model, embedded):
    steps = run(golden_model, embedded, end=GREEDY[6])
    assert [s.token for s in steps] == GREEDY[:7]
    assert [s.stop for s in steps] == [None] * 6 + ["eos"]


def test_the_end_of_sequence_at_the_limit(golden_model, embedded):
    assert run(golden_model, embedded, end=GREEDY[2], max_tokens=3)[-1].stop == "eos"
    assert run(golden_model, embedded, end=GREEDY[6], max_tokens=3)[-1].stop == "max_tokens"


def test_temperature_zero_is_greedy():
    assert sampler()(mx.array([0.1, 3.0, 2.9])).item() == 1


def test_temperature_follows_the_softmax():
    logits = mx.log(mx.array([0.1, 0.2, 0.7]))
    draw = sampler(0.5, seed=1)
    counts = np.bincount([draw(logits).item() for _ in range(2000)], minlength=3) / 2000
    np.testing.assert_allclose(counts, np.array([0.01, 0.04, 0.49]) / 0.54, atol=0.03)


def test_the_seed_decides():
    logits = mx.zeros(1000)
    samplers = [sampler(1.0, seed=seed) for seed in (3, 3, 4)]
    first, again, other = ([draw(logits).item() for _ in range(8)] for draw in samplers)
    assert first == again != other


@pytest.mark.parametrize(
    ("top_p", "inside"), [(1.0, [0, 1, 2, 3]), (0.81, [1, 2, 3]), (0.75, [1, 3]), (0.5, [1]), (1e-9, [1])]
)
def test_nucleus(top_p, inside):
    logits = mx.log(mx.array([0.125, 0.5, 0.125, 0.25])) - mx.array([0.01, 0, 0, 0])
    kept = nucleus(logits, top_p)
    assert np.flatnonzero(np.isfinite(np.array(kept))).tolist() == inside
    assert mx.array_equal(kept[mx.array(inside)], logits[mx.array(inside)])


def test_a_nucleus_that_is_reached_exactly():
    assert np.isfinite(np.array(nucleus(mx.zeros(2), 0.5))).sum() == 1


def test_95_seconds_are_4_chunks(random_model):
    samples = noise(95)
    mel = random_model.log_mel(samples)
    assert mel.shape == (4, 3000, 128)
    assert random_model.embed_audio(mel).shape == (1500, 64)
    pieces = []
    result = random_model.transcribe(samples, max_tokens=5, on_text=pieces.append)
    assert (len(result.tokens), result.stop, result.duration_s, result.words) == (5, "max_tokens", 95, [])
    assert "".join(pieces) == result.text == random_model.tokenizer.decode(result.tokens)


@pytest.mark.parametrize("seconds", [0.001, 29.9, 30, 95.3])
def test_chunks_as_they_come_are_those_of_the_whole(random_model, seconds):
    samples = noise(seconds)
    chunks = Chunks(random_model.mel_config, CHUNK)
    for start in range(0, len(samples), 20_480):
        chunks.feed(samples[start : start + 20_480])
    assert np.array_equal(np.stack(chunks.finish()), random_model.log_mel(samples))
    assert chunks.n_samples == len(samples)


def test_the_encoders_memory_does_not_grow_with_the_audio(random_model, monkeypatch):
    held, stem = [], random_model.encoder.stem.__call__

    def begun(_, mel):
        mx.synchronize()
        held.append(mx.get_active_memory())
        return stem(mel)

    def peak(chunks):
        mel = np.random.default_rng(0).normal(size=(chunks, 3000, 128)).astype(np.float32)
        mx.clear_cache()
        mx.reset_peak_memory()
        return random_model.embed_audio(mel).nbytes, mx.get_peak_memory()

    monkeypatch.setattr(type(random_model.encoder.stem), "__call__", begun)
    (_, few), (embeddings, many) = peak(2), peak(6)
    assert held[7] - held[2] <= embeddings
    assert many < 1.1 * few


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"language": "english"}, """language: expected an ISO 639-1 code such as "en", or None, got 'english'."""),
        ({"language": 3}, 'language: expected an ISO 639-1 code such as "en", or None, got 3.'),
        ({"delay_ms": 480}, "delay_ms: expected None for Voxtral (offline), which has no delay, got 480."),
        ({"max_tokens": 0}, "max_tokens: expected an integer >= 1, got 0."),
        ({"max_tokens": 200_000}, "audio: expected audio and max_tokens within 131072 positions, got 380 and 200000."),
        ({"temperature": -1.0}, "temperature: expected a finite number >= 0, got -1.0."),
        ({"top_p": 0.0}, "top_p: expected a finite number > 0, got 0.0."),
        ({"top_p": 1.5}, "top_p: expected a number above 0 and at most 1, got 1.5."),
        ({"temperature": 1.0, "seed": -1}, "seed: expected an integer >= 0, got -1."),
        ({"batch": 0}, "batch: expected an integer >= 1, got 0."),
    ],
)
def test_transcribe_refuses(random_model, options, error):
    with pytest.raises(ValueError, match=r"^\[") as raised:
        random_model.transcribe(noise(1), **options)
    assert str(raised.value) == f"[{'embed_audio' if 'batch' in options else 'transcribe'}] {error}"


def test_the_context_bounds_the_text(random_model, monkeypatch):
    config = random_model.config
    short = dataclasses.replace(config, decoder=dataclasses.replace(config.decoder, max_context=383))
    monkeypatch.setattr(random_model, "config", short)
    result = random_model.transcribe(noise(1), seed=0)
    assert (len(result.tokens), result.stop) == (3, "max_tokens")  # 380 positions are the prompt's
    with pytest.raises(ValueError, match=r"^\[transcribe\] audio: expected .* within 383 positions, got 380 and 4\.$"):
        random_model.transcribe(noise(1), max_tokens=4)
    with pytest.raises(ValueError, match=r"^\[transcribe\] audio: expected .* within 383 positions, got 755 and 1\.$"):
        random_model.transcribe(noise(31))


@pytest.mark.parametrize("question", ["", "  ", None])
def test_ask_refuses_no_question(random_model, question):
    with pytest.raises(ValueError, match=r"^\[ask\] question: expected a text, got "):
        random_model.ask(noise(1), question)


def test_the_other_family_is_named(random_model):
    with pytest.raises(ValueError, match=r"^\[stream\] model: expected .* Realtime, got .* \(offline\): use t"):
        random_model.stream()
    with pytest.raises(ValueError, match=r"^\[ask\] model: expected .* \(offline\), got .* Realtime: use t"):
        vk.load("tiny").ask(noise(1), "What?")
