"""Options that commands share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from .._errors import fail
from .console import mute, print_note

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="tiny|PATH|ID",
        help="A folder, a hub id, or tiny; if not given, one that this machine can run in real time.",
    ),
]
Revision = Annotated[
    str | None, typer.Option(metavar="REV", help="Branch, tag or commit of a hub id; ID@REV says the same.")
]
Delay = Annotated[
    int | None,
    typer.Option(
        "--delay-ms",
        metavar="N",
        help="How far the text runs behind the audio: a multiple of 80 from 80 to 2400; 480 if not given.",
    ),
]
CacheBits = Annotated[
    int,
    typer.Option(
        "--cache-bits",
        metavar="N",
        help="8: hold keys and values in 8 bits, in half the memory; 16: as the model computes.",
    ),
]
NoDrafts = Annotated[
    bool,
    typer.Option("--no-drafts", help="One token a pass, where several are verified in one; the text is the same."),
]
RetryBlanks = Annotated[
    bool,
    typer.Option("--retry-blanks", help="Hear long blanks over what sounds like speech again, with fresh state."),
]
Slots = Annotated[
    int,
    typer.Option(
        "--slots",
        metavar="N",
        help="Recordings heard at once, where the model streams; 1: one after the other.",
        min=1,
    ),
]
ChunkMs = Annotated[
    int | None,
    typer.Option(
        "--chunk-ms",
        metavar="N",
        help="Audio taken at once: 80, 160 or 240 ms; more is less work, and the text as much later; 80 if not given.",
    ),
]
Language = Annotated[
    str | None,
    typer.Option(
        "--language", metavar="CODE", help="Language spoken, e.g. en, for offline models; they can find it out."
    ),
]
MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", metavar="N", help="Most tokens to generate; offline models only.")
]
Raw = Annotated[bool, typer.Option("--raw", help="The audio is headerless: 16-bit little-endian, 16 kHz, mono.")]


@dataclass(frozen=True)
class Asked:
    """What a user asked of a transcription; a family refuses what it has not. Fields: as the options of their names."""

    delay_ms: float | None
    language: str | None
    max_tokens: int | None
    cache_bits: int
    drafts: bool | None
    retry_blanks: bool
    chunk_ms: int | None


@dataclass
class Loaded:
    """A model and the name it was asked for by."""

    name: str
    model: Any

    @property
    def offline(self) -> bool:
        """Whether it takes whole recordings only."""
        from ..models.section import OFFLINE

        return self.model.family == OFFLINE


def load_model(name: str | None, revision: str | None = None, *, offline: bool = False) -> Loaded:
    """``vk.load``; None is the published model of a family for this machine, said in one line.

    Under ``mlx.launch`` each process loads its share; rank 0 speaks, the others say errors only.
    """
    from ..models import load, ranks

    group = ranks.launched()
    if group is not None and group.rank():
        mute()
    name = name_of(name, offline=offline)
    loaded = Loaded(name, load(name, revision=revision, group=group))
    if loaded.model.ranks is not None:
        for rank, share in enumerate(loaded.model.ranks.shares):
            print_note(f"rank {rank} of {loaded.model.ranks.size}: {share}")
    return loaded


def name_of(name: str | None, *, offline: bool = False) -> str:
    """The model that was asked for; None is the published model of a family for this machine, said in one line."""
    from ..models import machines
    from ..models.section import OFFLINE, REALTIME

    if name is not None:
        return name
    choice = machines.default(family=OFFLINE if offline else REALTIME)
    print_note(f"{choice.model.id} ({choice.reason}); --model chooses another")
    return choice.model.id


def new_stream(loaded: Loaded, delay_ms: float | None, cache_bits: int = 16, **options: Any) -> tuple[Any, float]:
    """A stream of a realtime model and its delay; None is the delay that the model's tokenizer file asks for.

    Args:
        loaded, delay_ms, cache_bits: Of the stream.
        **options: More of ``model.stream``.

    Raises:
        ValueError: another kind of model, or one without a tokenizer.
    """
    if loaded.offline:
        raise fail("stream", "--model", "a Voxtral Realtime model", f"{loaded.name}, which is {loaded.model.family}")
    delay_ms = default_delay(loaded, delay_ms)
    return loaded.model.stream(delay_ms=delay_ms, cache_bits=cache_bits, **options), delay_ms


def default_delay(loaded: Loaded, delay_ms: float | None) -> float:
    """A delay; None is the one that the model's tokenizer file asks for."""
    if delay_ms is None and loaded.model.tokenizer is not None:
        delay_ms = loaded.model.tokenizer.audio.default_delay_ms
    return 480.0 if delay_ms is None else float(delay_ms)


def check_cache_bits(op: str, bits: int) -> None:
    """Refuse bits that are none before a model is loaded."""
    from ..caches import check_bits

    check_bits(op, "--cache-bits", bits)


def check_chunk(op: str, chunk_ms: int | None) -> None:
    """Refuse a chunk that no model takes before one is loaded."""
    if chunk_ms is not None:
        from ..models.chunk import chunk_tokens

        chunk_tokens(op, "--chunk-ms", chunk_ms)


def check_delay(delay_ms: float | None) -> None:
    """Refuse a delay that no model takes before one is loaded."""
    if delay_ms is not None:
        from ..tokenizer import check_delay

        check_delay(delay_ms)
