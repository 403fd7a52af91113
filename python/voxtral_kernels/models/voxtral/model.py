"""Voxtral offline: mel -> encoder -> projector -> the prompt's placeholders -> decoder -> text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import mlx.core as mx
import numpy as np
from mlx.nn.layers.base import Module  # mlx.nn exports it to no strict type checker

from ... import _check
from ...audio.load import blocks, warn
from ...audio.mel import MelConfig, log_mel
from ...caches import check_bits
from ...tokenizer import TextDecoder, Tokenizer
from ..opening import opened, read_tokenizer, required, settled
from ..ranks import Ranks, agreed, checked_drafts, common_seed, watched
from ..result import Passes, Result
from ..sampling import Sampler, sampler
from ..section import OFFLINE, REALTIME
from . import prompt as prompts
from . import weights
from .config import Config, check_tokenizer
from .decoder import Decoder
from .encoder import Encoder
from .generate import LIMIT, generate
from .heard import Chunks, Heard
from .lookup import Lookup
from .projector import Projector
from .prompt import Prompt

if TYPE_CHECKING:
    from ...audio.types import Source

# Tokens of an answer unless asked otherwise.
ANSWER_TOKENS = 1024


class Voxtral(Module):
    """The model.

    Args:
        config: Sizes.
        encoder, projector, decoder: The stages.
        tokenizer: Of the same checkpoint; None: only the stages can be used.
        dtype: Arithmetic of the stages.
    """

    family = OFFLINE
    ranks: Ranks | None = None
    if TYPE_CHECKING:
        # nn.Module's lets a type checker take any name for an attribute.
        __getattr__: None  # type: ignore[assignment, misc]

    def __init__(
        self,
        config: Config,
        encoder: Encoder,
        projector: Projector,
        decoder: Decoder,
        tokenizer: Tokenizer | None,
        *,
        dtype: mx.Dtype,
    ) -> None:
        super().__init__()
        self.config, self.tokenizer, self.dtype = config, tokenizer, dtype
        self.encoder, self.projector, self.decoder = encoder, projector, decoder

    @classmethod
    def load(cls, folder: Path, dtype: mx.Dtype | None = None, *, ranks: Ranks | None = None) -> Voxtral:
        """The model of a folder; see ``voxtral_kernels.load``."""
        w = opened(ranks, lambda: weights.Weights(folder, dtype, ranks))
        tokenizer = read_tokenizer(ranks, folder, w.config, check_tokenizer)
        model = cls(w.config, *agreed(ranks, lambda: weights.build(w)), tokenizer, dtype=w.dtype)
        model.ranks = settled(ranks, w)
        model.decoder.warm(1, w.dtype)
        return model

    def stream(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: this family transcribes whole recordings."""
        raise _check.fail("stream", "model", f"one of {REALTIME}", f"one of {OFFLINE}: use transcribe or ask")

    @property
    def mel_config(self) -> MelConfig:
        """Front-end of this model: the clip's own maximum sets the floor."""
        c = self.config
        return MelConfig(c.encoder.n_mels, c.n_fft, c.hop, c.sample_rate, log_mel_max=None)

    def log_mel(self, samples: np.ndarray) -> np.ndarray:
        """Log-mel of a clip padded with silence to whole chunks.

        Args:
            samples: ``[T]``, T >= 1.

        Returns:
            ``[n_chunks, chunk_frames, n_mels]`` float32. The clip is transformed as a whole, then cut.

        Raises:
            ValueError: no samples.
        """
        if len(samples) == 0:
            raise _check.fail("log_mel", "samples", "at least one", "none")
        padded = np.pad(samples, (0, -len(samples) % self.config.chunk_samples))
        mel = log_mel(padded, self.mel_config)
        return mel.reshape(-1, self.config.chunk_frames, self.config.encoder.n_mels)

    def embed_audio(self, mel: np.ndarray | mx.array | list[np.ndarray], *, batch: int = 1) -> mx.array:
        """Audio embeddings of chunks; the encoder's memory is that of ``batch`` chunks, however many there are.

        Args:
            mel: ``[n_chunks, F, n_mels]``, from `log_mel`; or a list of the chunks.
            batch: Chunks encoded at once, >= 1.

        Returns:
            ``[n_chunks * F / (2 * downsample), D]``.

        Raises:
            ValueError: no chunk, or frames that the encoder or the projector refuses.
        """
        batch = _check.integer("embed_audio", "batch", batch, 1)
        shape = (len(mel), *mel[0].shape) if isinstance(mel, list) else mel.shape
        if len(shape) != 3 or min(shape) < 1:
            raise _check.fail("embed_audio", "mel", "[n_chunks, F, n_mels], each at least 1", f"shape {shape}")
        parts = []
        for start in range(0, len(mel), batch):
            some = mel[start : start + batch]
            chunks = mx.array(np.stack(some) if isinstance(some, list) else some)
            # No name for what comes between: one batch's activations are gone before the next one's are made.
            parts.append(mx.flatten(self.projector(self.encoder(chunks.astype(self.dtype))), 0, 1))
            mx.eval(parts[-1])
        return mx.concatenate(parts) if len(parts) > 1 else parts[0]

    def logits(self, ids: list[int], audio: mx.array) -> mx.array:
        """Logits of a whole prompt.

        Args:
            ids: L ids, with a placeholder for each audio embedding.
            audio: ``[N, D]``, from `embed_audio`.

        Returns:
            ``[1, L, vocab_size]``.

        Raises:
            ValueError: the prompt has not N placeholders.
        """
        x = self.decoder.merge(ids, audio, self.config.audio_token)
        return self.decoder.logits(self.decoder(x))

    def transcribe(
        self,
        audio: Source,
        *,
        sample_rate: float | None = None,
        language: str | None = None,
        max_tokens: int | None = None,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        batch: int = 1,
        cache_bits: int = 16,
        drafts: bool | None = None,
        on_text: Callable[[str], None] | None = None,
        delay_ms: float | None = None,
    ) -> Result:
        """The text of a recording of any length: chunks of 30 s in one prompt.

        Args:
            audio: Path, bytes of an audio file, a binary file object, samples ``[T]``, or `audio.load.blocks`.
            sample_rate: Of samples, in Hz; None for 16 kHz.
            language: ISO 639-1 code, e.g. ``"en"``; None lets the model find out.
            max_tokens: Most tokens to generate; None for one every 80 ms of audio (more than any speech needs), as far
                as the decoder's context goes.
            temperature, top_p, seed: See `sampling.sampler`; temperature 0 takes the likeliest token.
            batch: Chunks encoded at once.
            drafts: Whether several tokens are verified in a pass: as for `VoxtralRealtime.stream`; never at random.
            cache_bits: 8: the decoder's keys and values are held in 8 bits; 16: in the model's dtype.
            on_text: Called with each new piece of text.
            delay_ms: Voxtral Realtime's; None here.

        Returns:
            ``.stop`` says why it ended: ``"eos"`` or ``"max_tokens"``.

        Raises:
            ValueError: audio that cannot be read, an argument out of its range, or more audio and tokens than the
                decoder's context holds.
        """
        if delay_ms is not None:
            raise _check.fail("transcribe", "delay_ms", f"None for {OFFLINE}, which has no delay", delay_ms)
        prompts.check_language(language)
        cache_bits = check_bits("transcribe", "cache_bits", cache_bits)
        heard = self._hear("transcribe", audio, sample_rate)
        built = prompts.transcription(self._tokenizer(), heard.n_samples, language)
        limit = self._limit("transcribe", built, max_tokens, built.tokens.count(self.config.audio_token))
        draw = sampler(temperature, top_p, common_seed(self.ranks, seed), op="transcribe")
        lookup = self._lookup(built, cache_bits, drafts, temperature)
        return self._run(heard, built, limit, draw, batch, cache_bits, lookup, on_text)

    def ask(
        self,
        audio: Source,
        question: str,
        *,
        sample_rate: float | None = None,
        max_tokens: int | None = None,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        batch: int = 1,
        cache_bits: int = 16,
        drafts: bool | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Result:
        """The answer to a question about a recording, or what an instruction asks for.

        Args:
            audio, sample_rate: As for `transcribe`.
            question: The text.
            max_tokens: Most tokens to generate; None for 1024.
            temperature, top_p, seed, batch, cache_bits, drafts, on_text: As for `transcribe`.

        Raises:
            ValueError: as `transcribe`; or no question.
        """
        cache_bits = check_bits("ask", "cache_bits", cache_bits)
        heard = self._hear("ask", audio, sample_rate)
        built = prompts.question(self._tokenizer(), heard.n_samples, question)
        limit = self._limit("ask", built, max_tokens, ANSWER_TOKENS)
        draw = sampler(temperature, top_p, common_seed(self.ranks, seed), op="ask")
        lookup = self._lookup(built, cache_bits, drafts, temperature)
        return self._run(heard, built, limit, draw, batch, cache_bits, lookup, on_text)

    def _hear(self, op: str, audio: Any, sample_rate: float | None) -> Heard:
        """The mel chunks of a recording: what it is read in is forgotten as it comes."""
        with blocks(audio, sample_rate=sample_rate) as source:
            chunks = Chunks(self.mel_config, self.config.chunk_samples)
            for block in source:
                chunks.feed(block)
                n, most = len(chunks.done) * self.config.chunk_tokens, 2 * self.config.decoder.max_context
                if n > most:
                    expected = f"audio and max_tokens within {self.config.decoder.max_context} positions"
                    raise _check.fail(op, "audio", expected, f"more than {n} of audio")
            done = chunks.finish()
        warn(source, stacklevel=4)
        return Heard(done, chunks.n_samples, source.complete)

    def _limit(self, op: str, built: Prompt, max_tokens: int | None, default: int) -> int:
        """Most tokens to generate: as asked, or the default as far as the context goes."""
        context, length = self.config.decoder.max_context, len(built.tokens)
        limit = (
            min(default, context - length) if max_tokens is None else _check.integer(op, "max_tokens", max_tokens, 1)
        )
        if limit < 1 or length + limit > context:
            expected = f"audio and max_tokens within {context} positions"
            raise _check.fail(op, "audio", expected, f"{length} and {max(1, limit)}")
        return limit

    def _run(
        self,
        heard: Heard,
        built: Prompt,
        max_tokens: int,
        draw: Sampler,
        batch: int,
        cache_bits: int,
        lookup: Lookup | None,
        on_text: Callable[[str], None] | None,
    ) -> Result:
        tokenizer, mel = self._tokenizer(), heard.chunks
        text, tokens, stop, pieces = TextDecoder(tokenizer), list[int](), LIMIT, list[str]()
        options: Any = {"end": tokenizer.eos_id, "max_tokens": max_tokens, "cache_bits": cache_bits, "lookup": lookup}
        with watched(self.ranks):
            embeddings = self.embed_audio(mel, batch=batch)
            x = self.decoder.merge(built.tokens, embeddings, self.config.audio_token)
            for step in generate(self.decoder, x, draw, **options):
                tokens.append(step.token)
                stop = step.stop or stop
                pieces.append(text.push(step.token))
                if on_text is not None and pieces[-1]:
                    on_text(pieces[-1])
        pieces.append(text.finish())
        return Result(
            "".join(pieces),
            tokens,
            duration_s=heard.n_samples / self.config.sample_rate,
            stop=stop,
            complete=heard.complete,
            passes=lookup.passes if lookup is not None else Passes(len(tokens), len(tokens)),
            chunks=len(mel),
            audio_tokens=len(embeddings),
        )

    def _lookup(self, built: Prompt, cache_bits: int, drafts: bool | None, temperature: float) -> Lookup | None:
        drafts = checked_drafts(self.ranks, drafts)
        wanted = cache_bits == 16 and self.decoder.rows_alone(self.dtype) if drafts is None else drafts
        return Lookup([t for t in built.tokens if t != self.config.audio_token]) if wanted and not temperature else None

    def _tokenizer(self) -> Tokenizer:
        return required(self.tokenizer)
