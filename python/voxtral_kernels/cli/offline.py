"""Recordings through an offline model, for ``transcribe`` and ``ask``."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .._errors import fail, integer
from ..transcripts.formats import Format
from ..transcripts.subtitles import join
from .console import readable
from .delivery import Output, Show
from .live import LiveView
from .options import Asked, Loaded
from .recordings import Recording

if TYPE_CHECKING:
    import numpy as np

    from ..models.result import Result

OP = "transcribe"
# Text of recordings up to this length comes from one prompt, as the model's card has it; that of longer ones in pieces.
WHOLE_S = 1800.0


def method(loaded: Loaded, asked: Asked) -> Callable[[Recording, Output], None]:
    """What fills a transcript from a recording.

    Raises:
        ValueError: an option that the model has not, or a value that it does not take.
    """
    from ..models.voxtral.prompt import check_language

    if asked.retry_blanks:
        raise fail(OP, "--retry-blanks", f"none for {loaded.model.family}", "it")
    for option, value in (("--delay-ms", asked.delay_ms), ("--chunk-ms", asked.chunk_ms)):
        if value is not None:
            raise fail(OP, option, f"none for {loaded.model.family}", value)
    check_language(asked.language)
    if asked.max_tokens is not None:
        integer(OP, "max_tokens", asked.max_tokens, 1)

    options: dict[str, Any] = {
        "language": asked.language,
        "max_tokens": asked.max_tokens,
        "cache_bits": asked.cache_bits,
        "drafts": asked.drafts,
    }

    def fill(recording: Recording, output: Output) -> None:
        output.transcript.settings = {"model": loaded.name, "language": asked.language, "stop": None}
        with recording.heard(output.transcript):
            transcribe(recording, output)

    def transcribe(recording: Recording, output: Output) -> None:
        begun, rest = ([], recording.blocks) if output.form is not Format.TEXT else _up_to(recording.blocks, WHOLE_S)
        if begun and rest is None:
            begun.reverse()

            def generate(on_text: Show) -> Result:
                heard = hear((begun.pop() for _ in range(len(begun))), output)
                return loaded.model.transcribe(heard, on_text=on_text, **options)

            run(output, generate)
        else:
            blocks = itertools.chain(begun, rest or ())
            _in_pieces(loaded, blocks, recording, output, options)

    return fill


def run(output: Output, generate: Callable[[Show], Result]) -> None:
    """Fill a transcript, up to date at every moment, from one prompt; then a note of facts.

    Args:
        output: Of the transcript.
        generate: Gives the model's result; takes what is called with each piece of text.
    """
    import mlx.core as mx

    transcript = output.transcript
    mx.reset_peak_memory()
    # It hears all at once: there is no position to show.
    with LiveView(transcript.source, None, shows=not output.is_live) as view:

        def show(text: str) -> None:
            transcript.text += text
            output.show(text)
            view.update(transcript.text, transcript.duration_s)

        result = generate(show)
    transcript.text, transcript.tokens = result.text, result.tokens
    transcript.settings["stop"], transcript.duration_s = result.stop, result.duration_s
    _note_facts(output, f"{result.chunks} chunks", result.audio_tokens or 0)


def _in_pieces(
    loaded: Loaded,
    blocks: Iterator[np.ndarray],
    recording: Recording,
    output: Output,
    options: dict[str, Any],
) -> None:
    """Fill a transcript piece by piece: each is timed, and the memory is that of one."""
    import mlx.core as mx

    from ..models.voxtral.pieces import transcribe_pieces

    transcript = output.transcript
    pieces: list[tuple[str, float, float]] = []
    tokens: list[int] = []
    audio_tokens, stop = 0, None
    transcript.pieces, transcript.tokens = pieces, tokens
    mx.reset_peak_memory()
    with LiveView(transcript.source, recording.blocks.duration_s, shows=not output.is_live) as view:

        def begin(start_s: float, end_s: float) -> None:
            pieces.append(("", start_s, end_s))
            transcript.duration_s = end_s

        def show(text: str) -> None:
            before, start_s, end_s = pieces[-1]
            text = text if before else text.lstrip()
            pieces[-1] = (before + text, start_s, end_s)
            whole = transcript.text + text if before else join(transcript.text, text)
            output.show(whole[len(transcript.text) :])
            transcript.text = whole
            view.update(whole, start_s)

        for piece in transcribe_pieces(loaded.model, blocks, on_piece=begin, on_text=show, **options):
            pieces[-1] = (pieces[-1][0], piece.start_s, piece.end_s)
            tokens += piece.result.tokens
            audio_tokens += piece.result.audio_tokens or 0
            stop = piece.result.stop
    if not pieces:
        raise fail(OP, recording.name, "at least one sample", "none")
    transcript.settings["stop"] = stop
    _note_facts(output, f"{len(pieces)} piece{'s' * (len(pieces) > 1)}", audio_tokens)


def hear(blocks: Iterable[np.ndarray], output: Output) -> Iterator[np.ndarray]:
    """The blocks, and how far the transcript's audio reaches."""
    from ..audio import SAMPLE_RATE

    count = 0
    for block in blocks:
        count += len(block)
        output.transcript.duration_s = count / SAMPLE_RATE
        yield block


def _up_to(blocks: Iterator[np.ndarray], seconds: float) -> tuple[list[np.ndarray], Iterator[np.ndarray] | None]:
    """The beginning of a recording, and the rest; None if there is none."""
    from ..audio import SAMPLE_RATE

    begun: list[np.ndarray] = []
    length = 0
    for block in blocks:
        begun.append(block)
        length += len(block)
        if length > seconds * SAMPLE_RATE:
            return begun, blocks
    return begun, None


def _note_facts(output: Output, parts: str, audio_tokens: int) -> None:
    import mlx.core as mx

    transcript = output.transcript
    n = len(transcript.tokens)
    ending = "the model ended" if transcript.settings["stop"] == "eos" else f"cut off by --max-tokens {n}"
    heard = f"{transcript.duration_s:.1f} s in {parts}, {audio_tokens} audio tokens"
    peak = f"peak memory {mx.get_peak_memory() / 1e6:.0f} MB"
    transcript.notes.append(f"{readable(transcript.source)}: {heard}; {n} tokens, {ending}; {peak}")
