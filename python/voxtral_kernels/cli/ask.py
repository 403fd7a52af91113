"""``voxtral-kernels ask``: a question about a recording, or an instruction, to an offline model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from .._check import fail
from . import offline
from .formats import Format, Transcript
from .options import MaxTokens, load_model
from .output import deliver
from .transcribe import Raw, check_file, open_audio

if TYPE_CHECKING:
    import numpy as np

    from ..models.result import Result

OP = "ask"
DEFAULT_MODEL = "mistralai/Voxtral-Mini-3B-2507"

File = Annotated[str, typer.Argument(metavar="FILE", help="A recording; - reads standard input.")]
Question = Annotated[str, typer.Argument(metavar="QUESTION", help="What to ask about it, or to do with it.")]
Model = Annotated[
    str | None,
    typer.Option("--model", "-m", metavar="PATH|ID", help=f"A folder or a hub id; {DEFAULT_MODEL} if not given."),
]
Temperature = Annotated[float, typer.Option("--temperature", help="Above 0 draws at random; 0 takes the likeliest.")]
TopP = Annotated[float, typer.Option("--top-p", help="Draw from the likeliest tokens of this share only.")]
Seed = Annotated[int | None, typer.Option("--seed", help="The same seed draws the same answer.")]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="text or json.", case_sensitive=False)]


def ask(
    file: File,
    question: Question,
    model: Model = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = 0.0,
    top_p: TopP = 1.0,
    seed: Seed = None,
    form: FormatOption = Format.TEXT,
    raw: Raw = False,
) -> None:
    """Ask an offline Voxtral model about a recording."""
    if form not in (Format.TEXT, Format.JSON):
        raise fail(OP, "--format", "text or json", form.value)
    check_file(OP, file)
    audio = open_audio(file, raw)
    loaded = load_model(model, DEFAULT_MODEL)
    if not loaded.offline:
        raise fail(OP, "--model", "a Voxtral (offline) model", f"{loaded.name}, which is {loaded.model.family}")
    transcript = Transcript(file, settings={"model": loaded.name, "question": question})

    def answer(samples: np.ndarray, on_text: Callable[[str], None]) -> Result:
        return loaded.model.ask(
            samples,
            question,
            max_tokens=max_tokens,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
            on_text=on_text,
        )

    deliver(lambda: offline.run(audio, transcript, answer), transcript, None, form)
