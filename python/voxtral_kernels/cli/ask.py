"""``voxtral-kernels ask``: a question about a recording, or an instruction, to an offline model."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from .._errors import fail
from ..transcripts.formats import Format, Transcript
from . import ending, offline
from .delivery import Output, Show, before_work, deliver, deliver_lost
from .ending import Mode
from .options import CacheBits, MaxTokens, Raw, Revision, check_cache_bits, load_model
from .output import targets
from .recordings import check_file, open_recording

if TYPE_CHECKING:
    from ..models.result import Result

OP = "ask"


class AnswerFormat(StrEnum):
    """What an answer, which has no times, can be written as."""

    TEXT = "text"
    JSON = "json"


File = Annotated[str, typer.Argument(metavar="FILE", help="A recording; - reads standard input.")]
Question = Annotated[str, typer.Argument(metavar="QUESTION", help="What to ask about it, or to do with it.")]
Model = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", metavar="PATH|ID", help="A folder or a hub id; if not given, one that fits this machine."
    ),
]
Temperature = Annotated[float, typer.Option("--temperature", help="Above 0 draws at random; 0 takes the likeliest.")]
TopP = Annotated[float, typer.Option("--top-p", help="Draw from the likeliest tokens of this share only.")]
Seed = Annotated[int | None, typer.Option("--seed", help="The same seed draws the same answer.")]
FormatOption = Annotated[AnswerFormat, typer.Option("--format", "-f", help="What to write.", case_sensitive=False)]


def ask(
    file: File,
    question: Question,
    model: Model = None,
    revision: Revision = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = 0.0,
    top_p: TopP = 1.0,
    seed: Seed = None,
    cache_bits: CacheBits = 16,
    form: FormatOption = AnswerFormat.TEXT,
    raw: Raw = False,
) -> None:
    """Ask an offline Voxtral model about a recording."""
    check_file(OP, file)
    check_cache_bits(OP, cache_bits)
    targets([file], Format(form), None)
    output = Output(Transcript(file), None, Format(form))
    with before_work(output):
        recording = open_recording(OP, file, raw)
        loaded = load_model(model, revision, offline=True)
        if not loaded.offline:
            raise fail(OP, "--model", "a Voxtral (offline) model", f"{loaded.name}, which is {loaded.model.family}")
    output.transcript.settings = {"model": loaded.name, "question": question, "stop": None}

    def answer() -> None:
        with recording.heard(output.transcript):

            def generate(on_text: Show) -> Result:
                return loaded.model.ask(
                    offline.hear(recording.blocks, output),
                    question,
                    max_tokens=max_tokens,
                    temperature=temperature,
                    top_p=top_p,
                    seed=seed,
                    cache_bits=cache_bits,
                    on_text=on_text,
                )

            offline.run(output, generate)

    if loaded.model.ranks is not None:
        loaded.model.ranks.watch.farewell = lambda: deliver_lost(output)
    with ending.mode(Mode.RAISE):
        deliver(answer, output)
