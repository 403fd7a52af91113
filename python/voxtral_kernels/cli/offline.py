"""Whole recordings through an offline model, for ``transcribe`` and ``ask``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .._check import fail
from .console import LiveView, print_note
from .formats import Transcript
from .options import Loaded

if TYPE_CHECKING:
    import numpy as np

    from ..models.result import Result


def transcription(
    loaded: Loaded,
    file: str,
    audio: np.ndarray | Iterator[np.ndarray],
    delay_ms: float | None,
    language: str | None,
    max_tokens: int | None,
) -> tuple[Transcript, Callable[[], None]]:
    """A transcript to be, and what fills it."""
    if delay_ms is not None:
        raise fail("transcribe", "--delay-ms", f"none for {loaded.model.family}", delay_ms)
    transcript = Transcript(file, settings={"model": loaded.name, "language": language})

    def transcribe(samples: np.ndarray, on_text: Callable[[str], None]) -> Result:
        return loaded.model.transcribe(samples, language=language, max_tokens=max_tokens, on_text=on_text)

    return transcript, lambda: run(audio, transcript, transcribe)


def run(audio: np.ndarray | Iterator[np.ndarray], transcript: Transcript, generate: Callable[..., Result]) -> None:
    """Generate a transcript, up to date at every moment; then one line of facts on standard error.

    Args:
        audio: Samples, or blocks of them.
        transcript: Is filled.
        generate: From ``samples`` and ``on_text`` to the model's result.
    """
    import mlx.core as mx

    from ..audio import SAMPLE_RATE

    samples = _whole(audio, transcript.source)
    transcript.duration_s = len(samples) / SAMPLE_RATE
    transcript.settings["stop"] = None
    mx.reset_peak_memory()
    with LiveView(transcript.source, None) as view:  # it hears all at once: there is no position to show

        def show(text: str) -> None:
            transcript.text += text
            view.update(transcript.text, transcript.duration_s)

        result = generate(samples, on_text=show)
    transcript.text, transcript.tokens = result.text, result.tokens
    transcript.settings["stop"] = result.stop
    ending = "the model ended" if result.stop == "eos" else f"cut off by --max-tokens {len(result.tokens)}"
    heard = f"{transcript.duration_s:.1f} s in {result.chunks} chunks, {result.audio_tokens} audio tokens"
    peak = f"peak memory {mx.get_peak_memory() / 1e6:.0f} MB"
    print_note(f"{transcript.source}: {heard}; {len(result.tokens)} tokens, {ending}; {peak}")


def _whole(audio: Any, name: str) -> np.ndarray:
    """All samples at once."""
    if not isinstance(audio, Iterator):
        return audio
    import numpy as np

    blocks = list(audio)
    if not blocks:
        raise fail("transcribe", name, "at least one sample", "none")
    return np.concatenate(blocks)
