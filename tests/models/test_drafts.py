"""Drafts: whatever is proposed and whatever passes take, the tokens are those without."""

import contextlib
import itertools
import random

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import voxtral_kernels as vk
from bench.measure.scripted import Astray, scripted
from tests.models.test_recordings import DELAYS, NAMES
from voxtral_kernels.audio.load import load_audio
from voxtral_kernels.models import passes
from voxtral_kernels.models.passes import MOST, Costs, verified
from voxtral_kernels.models.voxtral_realtime.decoding import Decoding
from voxtral_kernels.models.voxtral_realtime.drafts import Drafts

RANDOM = settings(deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
PAD, WORD, TEXT = 32, 33, 1000
# Behind a wrong token nothing is right.
WRONG = Astray(1100, 1100)
# Of which passes are chosen: as measured, as if rows were free, as if each cost a tenth more.
FREE, DEAR = (lambda rows: 1.0), (lambda rows: 1 + 0.1 * max(0, rows - 1))


@contextlib.contextmanager
def costing(cost):
    """Passes seem to take so much; None: as they do."""
    if cost is None:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Costs, "__call__", lambda self, rows: cost(rows))
        patch.setattr(Costs, "wanted", lambda self, rows: None)
        patch.setattr(Costs, "note", lambda self, rows, seconds: None)
        patch.setattr(passes.CostTable, "here", lambda self: Costs())
        yield


@pytest.fixture(scope="module")
def models():
    return {"float32": vk.load("tiny", dtype=mx.float32), "bfloat16": vk.load("tiny")}


def both(model, samples, cost=FREE, **options):
    """Tokens with drafts and without, and the passes with."""
    with costing(cost):
        with_drafts = model.transcribe(samples, **options)
        without = model.transcribe(samples, drafts=False, **options)
    assert (with_drafts.text, with_drafts.words) == (without.text, without.words)
    assert without.passes.drafted == without.passes.accepted == 0
    assert without.passes.made == without.passes.tokens == len(without.tokens)
    assert with_drafts.passes.tokens == len(with_drafts.tokens)
    assert with_drafts.passes.made + with_drafts.passes.accepted == len(with_drafts.tokens)
    return with_drafts.tokens, without.tokens, with_drafts.passes


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("name", "delay"), [("human-card-1.wav", 480), ("human-card-4.wav", 960)])
def test_a_recording(models, examples, references, name, delay, dtype):
    tokens, without, made = both(models[dtype], load_audio(examples / name), delay_ms=delay)
    assert tokens == without
    if dtype == "float32":
        assert tokens == references[name]["transformers"][str(delay)]["tokens"]
    assert made.per_token < 0.5


@pytest.mark.soak
@pytest.mark.parametrize("cost", [None, FREE, DEAR], ids=["measured", "free", "dear"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("delay", DELAYS)
@pytest.mark.parametrize("name", NAMES)
def test_every_recording(models, examples, references, name, delay, dtype, cost):
    tokens, without, _ = both(models[dtype], load_audio(examples / name), cost, delay_ms=delay)
    assert tokens == without
    if dtype == "float32":
        assert tokens == references[name]["transformers"][str(delay)]["tokens"]


@pytest.mark.soak
@pytest.mark.parametrize("chunk_ms", [80, 160, 240])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("delay", DELAYS)
@pytest.mark.parametrize("name", NAMES)
def test_every_recording_live(models, examples, name, delay, dtype, chunk_ms):
    """In feeds of 80 ms, taken so many at once."""
    samples = load_audio(examples / name)
    with costing(FREE):
        streams = [
            models[dtype].stream(delay, chunk_ms=chunk_ms, exact=True, drafts=drafts) for drafts in (None, False)
        ]
        for stream in streams:
            for start in range(0, len(samples), 1280):
                stream.feed(samples[start : start + 1280])
            stream.finish()
    assert streams[0].tokens == streams[1].tokens
    made = streams[0].passes
    if chunk_ms == 80:
        assert made.drafted == 0  # the next token's audio is never there
    else:
        assert made.accepted > 0
        assert made.made < streams[1].passes.made


@settings(RANDOM, max_examples=3)
@given(
    sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=6).filter(lambda s: sum(s) > 3000),
    costs=st.lists(st.floats(0.1, 3), min_size=MOST + 1, max_size=MOST + 1),
    dtype=st.sampled_from(["float32", "bfloat16"]),
)
def test_any_split_and_any_costs(models, examples, sizes, costs, dtype):
    samples = load_audio(examples / "human-card-1.wav")
    with costing(costs.__getitem__):
        streams = [models[dtype].stream(drafts=drafts) for drafts in (None, False)]
        for stream in streams:
            start = 0
            for size in itertools.cycle(sizes):
                if start >= len(samples):
                    break
                stream.feed(samples[start : start + size])
                start += size
            stream.finish()
    assert streams[0].tokens == streams[1].tokens


@settings(RANDOM, max_examples=3)
@given(seed=st.integers(0, 1000), cost=st.sampled_from([FREE, DEAR]))
def test_a_random_model(random_model, seed, cost):
    """It says everything but pads; pads are pushed to a third of its tokens, so that drafts are made and refused."""
    noise = np.random.default_rng(seed).normal(size=16000).astype(np.float32) * 0.1
    chosen = random.Random(seed)
    pads = {n for n in range(200) if chosen.random() < 0.5}

    def token(n):
        return PAD if n in pads else WORD if n % 7 == 0 else 1000 + n % 50

    # Behind a wrong token: now what comes, now something else.
    def astray(n):
        return Astray(token(n), 1000 + n % 50) if n % 3 else WRONG

    with scripted(random_model.decoder, token, 1e-3, astray):
        tokens, without, made = both(random_model, noise, cost)
    assert tokens == without
    assert 0 < made.accepted < made.drafted
    tokens, without, _ = both(random_model, noise, FREE)
    assert tokens == without


def test_silence_and_speech_without_a_pause(models):
    model, second = models["bfloat16"], np.zeros(16000 * 8, np.float32)
    with scripted(model.decoder, lambda n: PAD):
        *_, made = both(model, second, FREE)
    assert made.per_token < 0.12
    with scripted(model.decoder, lambda n: 1000 + n % 7, astray=lambda n: WRONG):
        tokens, _, made = both(model, second, DEAR)
    assert 0.1 * made.drafted <= 0.03 * len(tokens)  # what it costs in all


def test_where_rows_depend_on_each_other_nothing_is_drafted_unasked(models, examples):
    samples = load_audio(examples / "human-card-1.wav")[:12000]
    with vk.use_backend("composed"):
        assert both(models["float32"], samples)[2].drafted == 0
        with costing(FREE):
            asked = models["float32"].transcribe(samples, drafts=True)
        assert asked.passes.accepted > 0
        assert asked.tokens == models["float32"].transcribe(samples, drafts=False).tokens
    assert models["float32"].transcribe(samples, cache_bits=8).passes.drafted == 0


def test_a_stream_of_single_steps_is_as_ever_and_a_backlog_is_not(models):
    with costing(FREE):
        stream, backlog = (models["float32"].stream() for _ in range(2))
        for _ in range(40):
            stream.feed(np.zeros(1280, np.float32))
        assert stream.passes.drafted == 0
        backlog.feed(np.zeros(1280 * 40, np.float32))
        assert backlog.passes.accepted > 0
        assert backlog.tokens == stream.tokens


class Ended(BaseException):
    pass


@pytest.mark.parametrize("backend", ["native", "composed"])
def test_a_pass_that_is_ended_leaves_the_caches_where_they_were(models, backend):
    with vk.use_backend(backend):
        decoder = models["float32"].decoder
        scales = decoder.scales(6, mx.float32)
        audio = mx.random.normal((1, 90, decoder.config.dim))

        def run(ids, start, caches, ends=False):
            hidden = decoder(decoder.embed(ids) + audio[:, start : start + ids.shape[1]], scales, caches)
            if ends:
                raise Ended
            return mx.argmax(decoder.logits(hidden), axis=-1)

        caches, others = decoder.new_caches(), decoder.new_caches()
        for c in (caches, others):
            mx.eval(run(mx.array([[1] * 70]), 0, c))
        with pytest.raises(Ended):
            verified(lambda ids: run(ids, 70, caches, ends=True), caches, [1, PAD, PAD, PAD])
        assert {(c.offset, c.pending) for c in caches} == {(70, 0)}
        said = [verified(lambda ids, c=c: run(ids, 70, c), c, [1, PAD, PAD, PAD]) for c in (caches, others)]
        assert said[0] == said[1]
        assert {c.offset for c in caches} == {c.offset for c in others} == {70 + len(said[0])}


@pytest.mark.parametrize(("stop", "backend"), [*((n, "native") for n in (1, 2, 3, 4, 6, 9)), (3, "composed")], ids=str)
def test_passes_that_are_ended_leave_what_was_read_and_nothing_else(models, stop, backend):
    """In the middle of the layers of a pass, of one that was made ahead too; behind it all goes on as ever."""
    model, prompt = models["float32"], [PAD] * 39
    audio = mx.random.normal((1, 39 + 60, model.config.decoder.dim))

    def decoding(proposed):
        made = Decoding(model, prompt, 6, offset=0, cache_bits=16, drafts=proposed, always=True)
        return made, [token for token, _ in made.decode(audio[:, :39])]

    script = {n: PAD if n % 9 < 6 else WORD if n % 9 == 6 else 1000 + n for n in range(200)}
    with vk.use_backend(backend), costing(FREE), scripted(model.decoder, script.__getitem__, 1e-3, lambda n: WRONG):
        plain, expected = decoding(None)
        expected += [token for token, _ in plain.decode(audio[:, 39:])]
        ended, made = decoding(Drafts(PAD, WORD, TEXT))
        cache, calls = ended.caches[1], iter(range(1, 1000))
        attend = cache._attend

        def attends(*args):
            if next(calls) == stop:
                raise Ended
            return attend(*args)

        cache._attend = attends
        with pytest.raises(Ended):
            made.extend(token for token, _ in ended.decode(audio[:, 39:]))
        assert {(c.offset, c.pending) for c in ended.caches} == {(ended.position, 0)}
        assert made == expected[: len(made)]
        assert len(made) == ended.position - 38
        made += [token for token, _ in ended.decode(audio[:, ended.position :])]
        assert made == expected
        assert ended.passes.accepted > 10
        for ours, theirs in zip(ended.caches, plain.caches, strict=True):
            mine, its = ours.keys_values(), theirs.keys_values()
            assert all(mx.abs(a - b).max() <= 1e-5 for a, b in zip(mine, its, strict=True))
