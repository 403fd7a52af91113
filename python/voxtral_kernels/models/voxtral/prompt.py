"""Prompts of offline Voxtral, built by mistral_common: a transcription, or a question about the audio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._check import fail
from ...tokenizer import Tokenizer

if TYPE_CHECKING:
    from mistral_common.protocol.transcription.request import TranscriptionRequest
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

# mistral_common wants the bytes of an audio file in a request; the encoder below answers with the samples themselves.
_HELD = b"samples held by the encoder"


@dataclass(frozen=True)
class Prompt:
    """What the decoder reads.

    Attributes:
        tokens: Ids, the audio's placeholders among them.
        n_samples: Of the audio that the placeholders stand for, padded with silence to whole chunks.
    """

    tokens: list[int]
    n_samples: int


def transcription(tokenizer: Tokenizer, n_samples: int, language: str | None = None) -> Prompt:
    """The prompt for a transcription.

    Args:
        tokenizer: Of an offline model.
        n_samples: Of the audio at 16 kHz, >= 1.
        language: ISO 639-1 code, e.g. ``"en"``; None lets the model find out.

    Raises:
        ValueError: a language that is no such code.
    """
    return _prompt(_assembled(tokenizer, n_samples).encode_transcription(_request(language)))


def check_language(language: str | None) -> None:
    """Refuse what is no language before there is audio.

    Raises:
        ValueError: it is neither an ISO 639-1 code nor None.
    """
    _request(language)


def question(tokenizer: Tokenizer, n_samples: int, text: str) -> Prompt:
    """The prompt for a question about the audio, or an instruction.

    Args:
        tokenizer: Of an offline model.
        n_samples: Of the audio at 16 kHz, >= 1.
        text: The question.

    Raises:
        ValueError: no text.
    """
    from mistral_common.protocol.instruct.chunk import AudioChunk, TextChunk
    from mistral_common.protocol.instruct.messages import UserMessage
    from mistral_common.protocol.instruct.request import ChatCompletionRequest

    if not isinstance(text, str) or not text.strip():
        raise fail("ask", "question", "a text", repr(text))
    message = UserMessage(content=[AudioChunk(input_audio=_HELD), TextChunk(text=text)])
    return _prompt(_assembled(tokenizer, n_samples).encode_chat_completion(ChatCompletionRequest(messages=[message])))


def _request(language: str | None) -> TranscriptionRequest:
    from mistral_common.protocol.transcription.request import TranscriptionRequest
    from pydantic import ValidationError

    try:
        return TranscriptionRequest.model_validate({"audio": _HELD, "language": language})
    except ValidationError:
        raise fail("transcribe", "language", 'an ISO 639-1 code such as "en", or None', repr(language)) from None


def _prompt(tokenized: Any) -> Prompt:
    return Prompt(list(tokenized.tokens), len(tokenized.audios[0].audio_array))


def _zeros(n: int) -> np.ndarray:
    return np.broadcast_to(np.float32(0), (n,))


def _assembled(tokenizer: Tokenizer, n_samples: int) -> MistralTokenizer:
    """What ``MistralTokenizer.from_file`` makes of the same tekken.json, but for audio of this length."""
    from mistral_common.protocol.instruct.normalize import get_normalizer
    from mistral_common.protocol.instruct.validator import ValidationMode, get_validator
    from mistral_common.tokens.tokenizers import instruct
    from mistral_common.tokens.tokenizers.audio import Audio, AudioEncoder, AudioEncoding
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer, load_audio_encoder

    class Held(AudioEncoder):
        """Encodes as many samples as there are, none of which takes memory: a prompt depends on their number alone."""

        def __call__(self, content: Any) -> AudioEncoding:
            return self.encode_audio(Audio(_zeros(n_samples), tokenizer.audio.sample_rate, "wav"))

        def pad(self, audio_array: np.ndarray, sampling_rate: int, *args: Any, **kwargs: Any) -> np.ndarray:
            return _zeros(self.next_multiple_of_chunk_frames(len(audio_array), sampling_rate))

    tekken, config = tokenizer.tekken, tokenizer.audio.config
    encoder = Held(config, load_audio_encoder(config, tekken).special_ids)
    versions = {v: getattr(instruct, f"InstructTokenizer{v.upper()}", None) for v in ("v7", "v11", "v13", "v15")}
    version = versions.get(tekken.version.value)
    if version is None:
        raise fail("tokenizer", "tekken.json", f"a version of {', '.join(versions)}", tekken.version.value)
    return MistralTokenizer(
        version(tekken, audio_encoder=encoder),
        validator=get_validator(tekken.version, mode=ValidationMode.test),
        request_normalizer=get_normalizer(tekken.version, tekken.model_settings_builder),
    )
