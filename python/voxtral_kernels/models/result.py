"""What a transcription gives back: tokens, text, words with their times."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Word(NamedTuple):
    """A word and when it was spoken, in seconds from the start of the audio; the start is approximate."""

    text: str
    start_s: float
    end_s: float


class Passes(NamedTuple):
    """How a transcription was decoded.

    Attributes:
        made: Passes of the decoder over its weights.
        tokens: Tokens that came of them.
        drafted, accepted: Tokens that were proposed, and those of them that the model said too.
    """

    made: int = 0
    tokens: int = 0
    drafted: int = 0
    accepted: int = 0

    @property
    def per_token(self) -> float:
        """Passes a token: 1 without drafts, but for the prompt."""
        return self.made / self.tokens if self.tokens else 0.0

    def __str__(self) -> str:
        return (
            f"{self.per_token:.2f} passes a token ({self.made} for {self.tokens}), "
            f"{self.accepted} of {self.drafted} drafted tokens accepted"
        )


@dataclass(frozen=True)
class Result:
    """A finished transcription.

    Attributes:
        text: The text.
        tokens: Every generated id, control tokens included.
        words: The words of the text with their times; empty for a model that tells none.
        duration_s: Length of the audio.
        stop: Why the text ends: ``"eos"``, the model ended it; ``"max_tokens"``, the limit did; None: with the audio.
        complete: False if the audio goes on where it could not be read: it is cut off or damaged.
        passes: Readings of the decoder's weights, and what drafts saved of them.
        suspicious: Start and end, in seconds, of long blanks over audio that sounds like speech.
        chunks, audio_tokens: Pieces that the audio was encoded in, and its tokens in the prompt; None for a model that
            streams.
    """

    text: str
    tokens: list[int]
    words: list[Word] = field(default_factory=list)
    duration_s: float = 0.0
    stop: str | None = None
    complete: bool = True
    passes: Passes = field(default_factory=Passes)
    suspicious: list[tuple[float, float]] = field(default_factory=list)
    chunks: int | None = None
    audio_tokens: int | None = None
