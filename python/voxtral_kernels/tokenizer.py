"""Tokens of the Voxtral models: ids, the streaming prompt, text out of ids. All by mistral_common's Tekkenizer."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _tekken
from ._check import fail, shown

if TYPE_CHECKING:
    from mistral_common.tokens.tokenizers.audio import AudioConfig, AudioEncoder
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

OP = "tokenizer"
# The longest delay that the realtime model was trained for.
MAX_DELAY_MS = 2400


@dataclass(frozen=True)
class AudioTokens:
    """How audio maps to tokens: the audio section of tekken.json."""

    config: AudioConfig

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.config.sampling_rate

    @property
    def frame_rate(self) -> float:
        """Tokens of audio a second (12.5: one in 80 ms)."""
        return self.config.frame_rate

    @property
    def samples_per_token(self) -> int:
        """Samples of a token (1280)."""
        return self.config.raw_audio_length_per_tok

    @property
    def n_mels(self) -> int:
        """Mel bins (128)."""
        return self.config.encoding_config.num_mel_bins

    @property
    def hop(self) -> int:
        """Samples from one mel frame to the next (160)."""
        return self.config.encoding_config.hop_length

    @property
    def n_fft(self) -> int:
        """Samples of a mel window (400)."""
        return self.config.encoding_config.window_size

    @property
    def is_streaming(self) -> bool:
        """Whether the file belongs to a realtime model."""
        return self.config.is_streaming

    @property
    def default_delay_ms(self) -> float:
        """Delay of the text behind the audio unless asked otherwise (480); realtime models only."""
        return float(self._streaming().transcription_delay_ms or 0)

    @property
    def left_pad_tokens(self) -> int:
        """Tokens of silence before the audio (32); realtime models only."""
        return self._streaming().n_left_pad_tokens

    def right_pad_tokens(self, delay_ms: float | None = None) -> int:
        """Tokens of silence after the audio, ``(delay + 1) + 10``; realtime models only."""
        return self._streaming().n_right_pad_tokens(delay_ms)

    def _streaming(self) -> AudioConfig:
        if not self.config.is_streaming:
            raise fail(OP, "tekken.json", "the streaming audio section of a realtime model", "an offline one")
        return self.config


class Tokenizer:
    """A tekken.json.

    Args:
        tekken: mistral_common's tokenizer, with an audio section; ``Tokenizer.from_file`` makes it.
    """

    def __init__(self, tekken: Tekkenizer):
        if tekken.audio is None:
            raise fail(OP, "tekken.json", "an audio section", "none (is it of a Voxtral model?)")
        self.tekken = tekken
        self.audio = AudioTokens(tekken.audio)
        self._check_ids()

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Tokenizer:
        """Read a tekken.json.

        Raises:
            ValueError: there is no such file, it is no tekken.json, or it has no audio section.
        """
        return cls(_tekken.read(OP, Path(path)))

    def _check_ids(self) -> None:
        """Those of the prompt are special tokens; a damaged file may give them any value."""
        for name in ("<s>", "</s>", *(("[STREAMING_PAD]", "[STREAMING_WORD]") if self.audio.is_streaming else ())):
            token = self._special(name)
            if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < self.n_special:
                raise fail(OP, f"tekken.json {name}", f"an id from 0 to {self.n_special - 1}", shown(token))

    @property
    def bos_id(self) -> int:
        """Beginning of sequence."""
        return self.tekken.bos_id

    @property
    def eos_id(self) -> int:
        """End of sequence."""
        return self.tekken.eos_id

    @cached_property
    def pad_id(self) -> int:
        """[STREAMING_PAD]: no text in this 80 ms."""
        return self._special("[STREAMING_PAD]")

    @cached_property
    def word_id(self) -> int:
        """[STREAMING_WORD]: a word ends in this 80 ms, its text follows."""
        return self._special("[STREAMING_WORD]")

    @property
    def n_special(self) -> int:
        """Ids below this are special: never text."""
        return self.tekken.num_special_tokens

    @property
    def vocab_size(self) -> int:
        """Ids in all."""
        return self.tekken.n_words

    def delay_tokens(self, delay_ms: float | None = None) -> int:
        """A delay in tokens; None is the file's own.

        Raises:
            ValueError: not a multiple of 80 ms from 80 to 2400.
        """
        config = self.audio._streaming()
        if delay_ms is None:
            return config.get_num_delay_tokens()
        check_delay(delay_ms, config.frame_duration_ms)
        return config.get_num_delay_tokens(delay_ms)

    def realtime_prompt(self, delay_ms: float | None = None) -> list[int]:
        """[BOS] and a [STREAMING_PAD] for each token of left padding and of the delay.

        Raises:
            ValueError: as ``delay_tokens``; or an offline model's file.
        """
        self.delay_tokens(delay_ms)
        return [self.bos_id, *self._encoder.encode_streaming_tokens(delay_ms)]

    def token_bytes(self, token: int) -> bytes:
        """UTF-8 bytes of a token, perhaps a part of a character; nothing for a special one.

        Raises:
            ValueError: there is no such id.
        """
        if not 0 <= token < self.vocab_size:
            raise fail(OP, "token", f"an id from 0 to {self.vocab_size - 1}", token)
        return self.tekken.id_to_byte_piece(int(token))

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of ids, without the special ones. Bytes that are not UTF-8 become U+FFFD."""
        return b"".join(map(self.token_bytes, tokens)).decode("utf-8", errors="replace")

    @cached_property
    def _encoder(self) -> AudioEncoder:
        from mistral_common.tokens.tokenizers.mistral import load_audio_encoder

        return load_audio_encoder(self.audio.config, self.tekken)

    def _special(self, name: str) -> int:
        try:
            return self.tekken.get_special_token(name)
        except (LookupError, TypeError, ValueError):
            raise fail(OP, "tekken.json", f"the special token {name}", "a file without it") from None


def check_delay(delay_ms: Any, step_ms: float = 80.0) -> None:
    """Refuse a delay that is not a multiple of ``step_ms``, the length of a token, or beyond 2400 ms.

    Raises:
        ValueError: it is.
    """
    number = isinstance(delay_ms, (int, float)) and not isinstance(delay_ms, bool)
    if not number or not step_ms <= delay_ms <= MAX_DELAY_MS or delay_ms % step_ms:
        expected = f"a multiple of {step_ms:g} from {step_ms:g} to {MAX_DELAY_MS}"
        raise fail(OP, "delay_ms", expected, f"{delay_ms:g}" if number else repr(delay_ms))


class TextDecoder:
    """Text out of a stream of ids: ``"".join`` of all that it returns equals ``tokenizer.decode`` of all ids."""

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token: int) -> str:
        """The text that this id completes. Bytes of a character that goes on in a later id are held back."""
        return self._utf8.decode(self._tokenizer.token_bytes(token))

    def finish(self) -> str:
        """U+FFFD for a character that never ended, or nothing; the decoder can be used anew afterwards."""
        text = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        return text
