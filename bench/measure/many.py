"""Streams side by side without audio files or a tokenizer: what `bench many` times."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from voxtral_kernels.caches import evaluate
from voxtral_kernels.models.voxtral_realtime.audio_state import AudioState
from voxtral_kernels.models.voxtral_realtime.batch import Batch
from voxtral_kernels.models.voxtral_realtime.decoding import Decoding
from voxtral_kernels.models.voxtral_realtime.rows import Piece, Rows, Turn
from voxtral_kernels.models.voxtral_realtime.slots import Slots

TOKEN_S = 0.08


class Streams:
    """Some streams of a model, behind their prompts; each `step` takes a token from every one.

    Args:
        model: A realtime model.
        count: Streams.
        clock: Seconds.
    """

    def __init__(self, model: Any, count: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        rng, config = np.random.default_rng(0), model.config
        self._rows = Rows(model)
        self._mel = rng.standard_normal((config.mel_per_token, model.mel_config.n_mels)).astype(np.float32)
        slots = Slots(model)
        taken = [slots.take(16) for _ in range(count)]
        self._states = [AudioState(caches=audio, lazy=True) for audio, _ in taken]
        self._decodings = [
            Decoding(model, [1], 6, offset=0, cache_bits=16, drafts=None, always=False, caches=text)
            for _, text in taken
        ]
        for _ in range(3):
            self.step()

    def step(self) -> float:
        """Seconds of a step."""
        start = self._clock()
        audio = self._rows.embed([Piece(self._mel, state) for state in self._states])
        turns = [Turn(d.known(1), a, d) for d, a in zip(self._decodings, audio, strict=True)]
        for turn, token in zip(turns, self._rows.said(turns), strict=True):
            turn.decoding.advance(1, token)
        caches = [c for s, d in zip(self._states, self._decodings, strict=True) for c in (*s.caches, *d.caches)]
        evaluate(caches, [state.stem for state in self._states])
        return self._clock() - start


def live(model: Any, samples: np.ndarray, count: int, seconds: float) -> list[float]:
    """Streams that are fed 80 ms at a time by the clock, each at another moment of them.

    Returns:
        For every token the seconds from the feed that it was waiting for to its event.
    """
    step = round(TOKEN_S * 16000)
    with Batch(model, slots=count) as batch:
        streams = [batch.stream() for _ in range(count)]
        while batch.step():
            pass
        fed: list[list[float]] = [[] for _ in streams]
        heard, waited = [0] * count, list[float]()
        start = time.perf_counter()
        due = [start + TOKEN_S * i / count for i in range(count)]
        while (now := time.perf_counter()) < start + seconds:
            for i, stream in enumerate(streams):
                if now >= due[i]:
                    at = len(fed[i]) * step % (len(samples) - step)
                    stream.feed(samples[at : at + step])
                    fed[i].append(due[i])
                    due[i] += TOKEN_S
            if batch.step():
                now = time.perf_counter()
                for i, stream in enumerate(streams):
                    done = stream._decoding.position - stream._tokenizer.audio.left_pad_tokens
                    # The spectrogram looks a little ahead: a token's last frames come with the audio behind it.
                    waited += [now - fed[i][min(n + 1, len(fed[i]) - 1)] for n in range(max(heard[i], 0), max(done, 0))]
                    heard[i] = done
            else:
                time.sleep(max(0.0, min(min(due) - time.perf_counter(), 0.002)))
    return waited
