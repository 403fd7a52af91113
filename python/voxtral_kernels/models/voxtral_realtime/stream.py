"""A live transcription: samples in, text events out; offline transcription is one stream fed in large pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from ... import _forked
from ..._exclusive import Exclusive
from ...audio.samples import as_samples
from ...caches import evaluate
from ...tokenizer import Tokenizer
from .. import chunk
from ..ranks import checked_drafts, watched
from .transcription import OP, StreamEvent, Transcription

if TYPE_CHECKING:
    from ...audio.types import Samples
    from .model import VoxtralRealtime

__all__ = ["OP", "Stream", "StreamEvent"]


class Stream(Transcription):
    """State of one transcription; made by ``model.stream``.

    Any thread may call it, one call at a time: a second call while one is inside raises RuntimeError and changes
    nothing. ``text``, ``words`` and ``tokens`` may be read at any time.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        delay_ms: How far the text runs behind the audio.
        sample_rate: Of the samples that are fed, in Hz; None for 16 kHz. Others are resampled as they come.
        offset: Absolute position of the first token.
        cache_bits: Of the keys and values held: 16 (the model's dtype) or 8.
        drafts: True: tokens are proposed and verified together; False: never; None: where the tokens are the same.
        retry_blanks: At the end, suspicious blanks are heard again by a fresh stream.
        chunk_ms: Audio taken at once at least.
        exact: The audio is always taken in the same pieces.
    """

    def __init__(
        self,
        model: VoxtralRealtime,
        tokenizer: Tokenizer,
        delay_ms: float,
        *,
        sample_rate: float | None = None,
        offset: int = 0,
        cache_bits: int = 16,
        drafts: bool | None = None,
        retry_blanks: bool = False,
        chunk_ms: int = 80,
        exact: bool = False,
    ) -> None:
        drafts = checked_drafts(model.ranks, drafts)
        options: Any = {"cache_bits": cache_bits, "drafts": drafts, "chunk_ms": chunk_ms, "exact": exact}
        super().__init__(
            model,
            tokenizer,
            delay_ms,
            sample_rate=sample_rate,
            offset=offset,
            retry_blanks=retry_blanks,
            again=lambda: Stream(model, tokenizer, delay_ms, **options),
            **options,
        )
        self._inside = Exclusive(OP)

    def feed(self, samples: Samples) -> list[StreamEvent]:
        """Take any number of samples.

        Args:
            samples: ``[T]`` at the stream's ``sample_rate``, float in [-1, 1] or int16.

        Returns:
            An event for each token decoded by them.

        Raises:
            ValueError: samples that are not one-dimensional or not finite (the stream is unchanged then); or the
                stream was finished.
            RuntimeError: another call is inside the stream (which is unchanged then).
        """
        return [event for events in self.pieces(samples) for event in events]

    def pieces(self, samples: Samples) -> Iterator[list[StreamEvent]]:
        """As ``feed``, the events of one bounded piece of the samples after another."""
        self._refuse_if_finished()
        samples = as_samples(samples, op=OP, argument="samples")
        step = round(chunk.PIECE * self._model.config.token_s * self._rate)
        return (self._feed(samples[i : i + step]) for i in range(0, len(samples), step))

    def finish(self) -> list[StreamEvent]:
        """Pads the end so that the last word comes out, and flushes; a second call does nothing."""
        with self._inside:
            if self._finished:
                return []
            self._finished = True
            self._take_end()
            events = self._run()
            events[-1] = self._flushed(events[-1])
            return events

    def _feed(self, samples: np.ndarray) -> list[StreamEvent]:
        with self._inside:
            _forked.refuse(OP)
            self._refuse_if_finished()
            self._n_fed += len(samples)
            self._take(self._resampler.push(samples))
            return self._run()

    def _run(self) -> list[StreamEvent]:
        """Everything that the mel frames at hand allow, in whole tokens; leaves nothing uncomputed."""
        per_token, ready = self._model.config.mel_per_token, self._ready()
        if not self._finished:
            ready -= ready % self._chunk
        events: list[StreamEvent] = []
        if ready:
            frames, end = self._take_frames(ready), 0
            with watched(self._model.ranks):
                while end < ready:
                    start, end = end, min(end + next(self._pieces), ready)
                    piece = frames[start * per_token : end * per_token]
                    audio = self._model.embed_audio(mx.array(piece)[None], self._audio)
                    events += [self._event(*told) for told in self._decoding.decode(audio)]
                # MLX's streams belong to a thread, and the next call may come from another.
                evaluate([*self._audio.caches, *self._decoding.caches], self._audio.stem, self._decoding.last)
        return events
