"""Voxtral Realtime: mel -> conv stem -> encoder -> adapter -> decoder -> tokens, by stages that a stream uses too."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import mlx.core as mx
from mlx.nn.layers.base import Module  # mlx.nn exports it to no strict type checker

from ... import _check
from ...audio.load import blocks, warn
from ...audio.mel import MelConfig
from ...backends import planned
from ...tokenizer import Tokenizer
from ..opening import opened, read_tokenizer, required, settled
from ..passes import CostTable
from ..ranks import Ranks, agreed
from ..result import Result
from ..section import OFFLINE, REALTIME
from . import weights
from .adapter import Adapter
from .audio_state import AudioState
from .batch import Batch
from .config import Config, check_tokenizer
from .conv_stem import ConvStem
from .decoder import Decoder
from .encoder import Encoder
from .many import Heard, hear, length, longest_first
from .stream import Stream, StreamEvent

if TYPE_CHECKING:
    from ...audio.types import Source

# Seconds of a recording that are taken at once: events come with each, and drafts end with it.
PIECE_S = 5.12


class VoxtralRealtime(Module):
    """The model.

    Args:
        config: Sizes.
        stem, encoder, adapter, decoder: The stages.
        tokenizer: Of the same checkpoint.
        dtype: Arithmetic of the stages.
        time_dtype: Arithmetic of the delay's time embedding.
    """

    family = REALTIME
    ranks: Ranks | None = None
    if TYPE_CHECKING:
        # nn.Module's lets a type checker take any name for an attribute.
        __getattr__: None  # type: ignore[assignment, misc]

    def __init__(
        self,
        config: Config,
        stem: ConvStem,
        encoder: Encoder,
        adapter: Adapter,
        decoder: Decoder,
        tokenizer: Tokenizer | None,
        *,
        dtype: mx.Dtype,
        time_dtype: mx.Dtype,
    ) -> None:
        super().__init__()
        self.config, self.tokenizer = config, tokenizer
        self.stem, self.encoder, self.adapter, self.decoder = stem, encoder, adapter, decoder
        self.dtype, self.time_dtype = dtype, time_dtype
        self.costs = CostTable()

    @classmethod
    def load(
        cls,
        folder: Path,
        dtype: mx.Dtype | None = None,
        *,
        time_dtype: mx.Dtype | None = None,
        ranks: Ranks | None = None,
    ) -> VoxtralRealtime:
        """The model of a folder; see ``voxtral_kernels.load``."""
        w = opened(ranks, lambda: weights.Weights(folder, dtype, ranks), time_dtype)
        tokenizer = read_tokenizer(ranks, folder, w.config, check_tokenizer)
        time_dtype, stages = time_dtype or w.stored_dtype, agreed(ranks, lambda: weights.build(w))
        model = cls(w.config, *stages, tokenizer, dtype=w.dtype, time_dtype=time_dtype)
        model.ranks = settled(ranks, w)
        planned.load_all()
        model.stem.warm(2 * w.config.downsample)
        model.encoder.warm(w.config.downsample, w.dtype)
        model.decoder.warm(1, w.dtype, scale=w.dtype)
        return model

    @property
    def mel_config(self) -> MelConfig:
        """Front-end of this model."""
        c = self.config
        return MelConfig(c.encoder.n_mels, c.n_fft, c.hop, c.sample_rate, c.log_mel_max)

    def new_audio_state(self, offset: int = 0, *, cache_bits: int = 16, lazy: bool = False) -> AudioState:
        """The state at the start of a stream.

        Args:
            offset: The first token's absolute position.
            cache_bits, lazy: See ``bits`` and ``lazy`` of `RingKVCache`.
        """
        caches = self.encoder.new_caches(offset * self.config.downsample, bits=cache_bits, lazy=lazy)
        return AudioState(caches=caches, lazy=lazy)

    def embed_audio(self, mel: mx.array, state: AudioState | None = None) -> mx.array:
        """Log-mel frames to audio embeddings.

        Args:
            mel: ``[B, F, n_mels]``, F a multiple of ``config.mel_per_token``.
            state: None for a whole clip; otherwise the frames follow those that the state has seen, and it is changed.

        Returns:
            ``[B, F / mel_per_token, D]``.
        """
        frames, stem_state = self.stem(mel.astype(self.dtype), state.stem if state else None)
        if state is not None:
            state.stem = stem_state
            if not state.lazy:
                mx.async_eval(stem_state)
        return self.adapter(self.encoder(frames, state.caches if state else None))

    def stream(
        self,
        delay_ms: float = 480,
        *,
        sample_rate: float | None = None,
        offset: int = 0,
        cache_bits: int = 16,
        drafts: bool | None = None,
        retry_blanks: bool = False,
        chunk_ms: int = 80,
        exact: bool = False,
    ) -> Stream:
        """A new stream.

        Args:
            delay_ms: How far the text runs behind the audio: a multiple of 80 from 80 to 2400.
            sample_rate: Of the samples that will be fed, in Hz; None for 16 kHz. Any other rate is resampled as one
                signal, however its blocks are cut.
            offset: Absolute position of the first token; the result does not depend on it.
            cache_bits: 8: keys and values are held in 8 bits, in half the memory; 16: in the model's dtype.
            drafts: Whether tokens whose audio is there already are proposed and verified several in a pass. None:
                where that gives the same tokens bit for bit: on the kernels of few rows, and not in caches of 8 bits.
                True: always; elsewhere a near tie may then fall otherwise. False: never.
            retry_blanks: At the end, what is `Stream.suspicious` is heard again by a fresh stream, and its text and
                words are put in their places; events and tokens stay as they were.
            chunk_ms: Audio that is waited for and taken at once: 80, 160 or 240. More reads the encoder's weights less
                often, and the text comes as much later; the tokens are the same.
            exact: Audio is always taken in the same pieces, of ``chunk_ms``, so that not even a rounding in 16 bits
                depends on how it was cut. A backlog then gains nothing from larger pieces.

        Raises:
            ValueError: another delay or chunk, a sample rate or bits that are none; or the model's folder had no
                tekken.json.
        """
        return Stream(
            self,
            self._tokenizer(),
            delay_ms,
            sample_rate=sample_rate,
            offset=offset,
            cache_bits=cache_bits,
            drafts=drafts,
            retry_blanks=retry_blanks,
            chunk_ms=chunk_ms,
            exact=exact,
        )

    def transcribe(
        self,
        audio: Source,
        delay_ms: float = 480,
        *,
        sample_rate: float | None = None,
        on_events: Callable[[list[StreamEvent]], None] | None = None,
        language: str | None = None,
        max_tokens: int | None = None,
        cache_bits: int = 16,
        drafts: bool | None = None,
        retry_blanks: bool = False,
        chunk_ms: int = 80,
        exact: bool = False,
    ) -> Result:
        """The text of a recording of any length: it is decoded as it is transcribed.

        Args:
            audio: Path, bytes of an audio file, a binary file object, samples ``[T]``, or `audio.load.blocks`.
            delay_ms, cache_bits, drafts, retry_blanks, chunk_ms: As for ``stream``.
            exact: The pieces, and so the tokens, of a stream with ``exact``. Slower, see docs/streaming.md.
            sample_rate: Of samples, in Hz; None for 16 kHz.
            on_events: Called with the events of each piece of the recording as soon as it is decoded.
            language, max_tokens: The offline model's; None here: this one writes whatever it hears, to the end.

        Warns:
            AudioWarning: as ``voxtral_kernels.load_audio``; ``.complete`` is False where the end is missing.

        Raises:
            ValueError: audio that cannot be read, or another delay.
        """
        for name, value in (("language", language), ("max_tokens", max_tokens)):
            if value is not None:
                raise _check.fail("transcribe", name, f"None for {REALTIME}, which is told none", _check.shown(value))
        stream = self.stream(
            delay_ms,
            cache_bits=cache_bits,
            drafts=drafts,
            retry_blanks=retry_blanks,
            chunk_ms=chunk_ms,
            exact=exact,
        )
        with blocks(audio, sample_rate=sample_rate, seconds=PIECE_S) as source:
            pieces = (events for block in source for events in stream.pieces(block))
            for events in itertools.chain(pieces, (stream.finish() for _ in range(1))):
                if on_events is not None:
                    on_events(events)
        warn(source)
        return replace(stream.result, complete=source.complete)

    def transcribe_many(
        self,
        sources: Iterable[Source],
        slots: int = 8,
        *,
        delay_ms: float = 480,
        sample_rate: float | None = None,
        on_events: Callable[[int, list[StreamEvent]], None] | None = None,
        cache_bits: int = 16,
        retry_blanks: bool = False,
        chunk_ms: int = 80,
    ) -> list[Result | Exception]:
        """The texts of several recordings, which share each reading of the weights (`Batch`); the longest begin.

        Args:
            sources: Each as for ``transcribe``.
            slots: Recordings at once at most, >= 1.
            delay_ms, cache_bits, retry_blanks, chunk_ms: As for ``stream``.
            sample_rate: Of samples, in Hz; None for 16 kHz.
            on_events: Called with a recording's index and its new events, as they are decoded.

        Returns:
            One for each recording, in their order. Where one fails, what would have been raised stands in its place,
            and the others go on.

        Warns:
            AudioWarning: as ``transcribe``.

        Raises:
            ValueError: slots, a delay or another option that are none.
        """
        recordings = list(sources)
        results: dict[int, Result | Exception] = {}
        openers = [
            (i, partial(blocks, recordings[i], sample_rate=sample_rate, seconds=PIECE_S))
            for i in longest_first([length(recording) for recording in recordings])
        ]
        with Batch(self, slots, cache_bits=cache_bits) as batch:
            new_stream = partial(
                batch.stream,
                delay_ms,
                cache_bits=cache_bits,
                retry_blanks=retry_blanks,
                chunk_ms=chunk_ms,
                exact=False,
            )
            new_stream().close()  # refuses wrong options at once
            for heard in hear(batch, openers, new_stream):
                if on_events is not None and heard.events:
                    on_events(heard.index, heard.events)
                if heard.done:
                    results[heard.index] = _outcome(heard)
        return [results[i] for i in range(len(recordings))]

    def ask(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: this family only transcribes."""
        raise _check.fail("ask", "model", f"one of {OFFLINE}", f"one of {REALTIME}: use transcribe or stream")

    def _tokenizer(self) -> Tokenizer:
        return required(self.tokenizer)


def _outcome(heard: Heard) -> Result | Exception:
    if isinstance(heard.error, Exception):
        return heard.error
    assert heard.blocks is not None
    assert heard.stream is not None
    warn(heard.blocks)
    return replace(heard.stream.result, complete=heard.blocks.complete)
