"""Where the time of a pass over a draft goes: on the host, and until what runs is done."""

from __future__ import annotations

import time
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

import mlx.core as mx

from voxtral_kernels.models.passes import MOST, Chain, Costs
from voxtral_kernels.models.voxtral_realtime.decoding import heard
from voxtral_kernels.models.voxtral_realtime.drafts import Drafts

# Positions that are heard before, so that the window is full, and those of the audio.
_BEFORE, _HELD = 90, 4096


class Parts(NamedTuple):
    """Microseconds, the median of several passes.

    Attributes:
        choose: The host finds a draft.
        make: It makes the pass; on a CPU that runs meanwhile.
        wait: Until it is done and read.
        caches: They go on behind what is right.
        take_over: What was said becomes known.
    """

    choose: float
    make: float
    wait: float
    caches: float
    take_over: float


def parts(model: Any, rows: int, passes: int = 100) -> Parts:
    """Of a pass of so many rows, whose draft is pads, in a stream whose window is full.

    Args:
        model: A realtime model.
        rows: From 1 to `MOST`.
        passes: How many are timed.
    """
    assert 1 <= rows <= MOST
    decoder, tokenizer = model.decoder, model.tokenizer
    scales, caches = decoder.scales(tokenizer.delay_tokens(480), model.time_dtype), decoder.new_caches(lazy=True)
    audio = mx.random.normal((1, _HELD, decoder.config.dim)).astype(model.dtype)
    mx.eval(heard(decoder, mx.zeros((1, _BEFORE), mx.int32), audio[:, :_BEFORE], scales, caches))
    drafts = Drafts(tokenizer.pad_id, tokenizer.word_id, tokenizer.n_special)
    drafts.costs = Costs()
    while (size := drafts.costs.wanted(MOST)) is not None:
        drafts.costs.note(size, 1 + 0.05 * size)

    def run(ids: mx.array, at: int, alone: bool) -> tuple[mx.array, mx.array]:
        hidden = heard(decoder, ids, audio[:, at : at + ids.shape[1]], scales, caches, at_once=alone)
        both: tuple[mx.array, mx.array] = decoder.likeliest_and_text(hidden, tokenizer.n_special)
        return both

    chain, at, last, found = Chain(run, caches), _BEFORE, tokenizer.pad_id, list[list[float]]()
    draft = [tokenizer.pad_id] * (rows - 1)
    for _ in range(passes):
        times = [time.perf_counter()]
        if not drafts.plain(MOST):
            drafts.next(MOST)
        times.append(time.perf_counter())
        chain.begin(last, draft, at)
        times.append(time.perf_counter())
        mx.eval(chain._running[0] if chain._running else [])
        times.append(time.perf_counter())
        said, behind = chain.read()
        times.append(time.perf_counter())
        drafts.hear(draft, said, *behind, timed=False)
        for last in said:
            drafts.push(last)
        times.append(time.perf_counter())
        found.append([1e6 * (b - a) for a, b in pairwise(times)])
        at = at + len(said) if at + 2 * MOST < _HELD else _BEFORE
    return Parts(*(median(column) for column in zip(*found, strict=True)))
