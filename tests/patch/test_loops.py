"""The hosts' own loops, unmodified, over recordings: their transcripts before and after beside our own."""

import asyncio
import itertools
import json
from concurrent.futures import ThreadPoolExecutor

import jiwer
import mlx.core as mx
import numpy as np
import pytest

import voxtral_kernels as vk
from bench import hosts
from bench.hosts import loops
from voxtral_kernels.audio.load import load_audio
from voxtral_kernels.audio.mel import MelConfig, log_mel

EXAMPLES = hosts.FOLDER.parents[1] / "examples"
REFERENCES = json.loads((EXAMPLES / "references.json").read_text())
# Recordings on which every unaccelerated loop errs, or that show a whole sentence; `bench drop-in` runs all.
SOME = ["human-card-2.wav", "human-go-forward.wav"]
LOOPS = [(host, name) for host, loops in loops.LOOPS.items() for name in loops]


def transcripts(host, name, loaded, recordings):
    return {r: loops.LOOPS[host][name](loaded, EXAMPLES / r) for r in recordings}


def errors(texts):
    spoken = [REFERENCES[r]["text"] for r in texts]
    measured = jiwer.process_words(spoken, [text or " " for text in texts.values()])
    return measured.substitutions + measured.deletions + measured.insertions


def show(host, name, before, after, reference):
    for recording, text in REFERENCES.items():
        if recording in after:
            print(f"\n{recording}: {text['text']}")
            for who, texts in ((host, before), ("accelerated", after), ("ours", reference)):
                print(f"  {who:16}{texts[recording]}")
    print(f"{host} {name}: word errors {errors(before)} before, {errors(after)} after, {errors(reference)} ours")


@pytest.fixture(scope="module")
def reference(ours):
    return {r: ours.transcribe(EXAMPLES / r).text for r in SOME}


@pytest.mark.parametrize(("host", "name"), LOOPS, ids=["-".join(loop).replace(" ", "-") for loop in LOOPS])
def test_a_hosts_own_loop_says_what_our_model_says(host, name, reference):
    loaded = loops.tiny(host)
    before = transcripts(host, name, loaded, SOME)
    with vk.accelerate(loaded, decoder_window=64):
        after = transcripts(host, name, loaded, SOME)
    show(host, name, before, after, reference)
    assert after == reference


@pytest.mark.parametrize("accelerated", [True, False])
def test_an_accelerated_processor_makes_the_whole_recordings_mel(accelerated):
    loaded = loops.tiny("whisperlivekit")
    heard, encode = [], loaded.model.encode_incremental
    loaded.model.encode_incremental = lambda mel, *state: heard.append(mel) or encode(mel, *state)
    processor = hosts.host("whisperlivekit.voxtral_mlx_asr").VoxtralMLXOnlineProcessor(loaded)
    samples = np.random.default_rng(2).normal(0, 0.1, 30_000).astype(np.float32)
    patched = vk.accelerate(processor if accelerated else loaded.model)
    for start, stop in itertools.pairwise((0, 5_000, 11_000, 12_000, 30_000)):
        processor.insert_audio_chunk(samples[start:stop], 0.0)
        processor._step(False)
    patched.undo()
    assert "_encode_pending" not in vars(processor)
    whole = log_mel(np.pad(samples[: 23 * 1280], (32 * 1280, 0)), MelConfig()).T
    streamed = np.array(mx.concatenate(heard, axis=1))
    off = np.abs(streamed - whole[:, : streamed.shape[1]]).max()
    assert streamed.shape[1] == whole.shape[1] - 1
    assert (off < 0.01) == accelerated


@pytest.mark.fault("threads: three clients of an accelerated WhisperLiveKit died")
@pytest.mark.parametrize("backend", ["native", "composed"])
def test_eight_clients_of_an_accelerated_processor(backend):
    """As WhisperLiveKit's server does: a processor a connection, each step by asyncio.to_thread."""
    loaded = loops.tiny("whisperlivekit")
    samples = load_audio(EXAMPLES / SOME[1])[:40_000]
    make = hosts.host("whisperlivekit.voxtral_mlx_asr").VoxtralMLXOnlineProcessor
    vk.accelerate(loaded, decoder_window=64)

    def started():
        processor = make(loaded)
        vk.accelerate(processor)
        return processor

    async def client():
        processor, words = await asyncio.to_thread(started), []
        for start in range(0, len(samples), 4000):
            processor.insert_audio_chunk(samples[start : start + 4000], start / 16000)
            words += (await asyncio.to_thread(processor._step, False))[0]
        words += (await asyncio.to_thread(processor.finish))[0]
        return "".join(word.text for word in words)

    async def clients(n):
        return await asyncio.gather(*[client() for _ in range(n)])

    with vk.use_backend(backend):
        (expected,) = asyncio.run(clients(1))
        assert expected
        assert asyncio.run(clients(8)) == [expected] * 8


def test_an_accelerated_session_of_mlx_audio_steps_in_any_thread():
    loaded = loops.tiny("mlx-audio")
    samples = load_audio(EXAMPLES / SOME[0])

    def texts(call):
        session = call(loaded.create_streaming_session)
        found = []
        for start in range(0, len(samples), 4000):
            session.feed(samples[start : start + 4000])
            found += call(session.step)
        session.close()
        while not session.done:
            found += call(session.step)
        return "".join(found)

    def elsewhere(function):
        with ThreadPoolExecutor(1) as worker:
            return worker.submit(function).result()

    with vk.accelerate(loaded):
        assert texts(elsewhere) == texts(lambda function: function())


def test_a_second_call_inside_a_processor_is_refused():
    loaded = loops.tiny("whisperlivekit")
    processor = hosts.host("whisperlivekit.voxtral_mlx_asr").VoxtralMLXOnlineProcessor(loaded)
    encode, errors = processor._encode_pending, []

    def nested():
        with pytest.raises(RuntimeError, match=r"^\[accelerate\] thread: expected one call at a time, got") as error:
            processor._step(False)
        errors.append(error)
        encode()

    vk.accelerate(processor)
    processor._encode_pending = nested
    processor._step(False)
    assert len(errors) == 1


def test_a_processor_in_the_middle_of_a_stream_is_refused():
    loaded = loops.tiny("whisperlivekit")
    processor = hosts.host("whisperlivekit.voxtral_mlx_asr").VoxtralMLXOnlineProcessor(loaded)
    loops.whisperlivekit_processor(loaded, EXAMPLES / SOME[0], processor)
    with pytest.raises(ValueError, match="one in the middle of a stream"):
        vk.accelerate(processor)
    assert vk.accelerate(loaded).report().replaced


@pytest.mark.soak
@pytest.mark.parametrize(("host", "name"), LOOPS, ids=["-".join(loop).replace(" ", "-") for loop in LOOPS])
def test_every_recording(host, name, ours):
    loaded = loops.tiny(host)
    reference = {r: ours.transcribe(EXAMPLES / r).text for r in REFERENCES}
    before = transcripts(host, name, loaded, REFERENCES)
    with vk.accelerate(loaded, decoder_window=64):
        after = transcripts(host, name, loaded, REFERENCES)
    show(host, name, before, after, reference)
    # WhisperLiveKit starts anew after 20 s, in the middle of words.
    assert errors(after) <= errors(reference) + (6 if host == "whisperlivekit" else 1)
