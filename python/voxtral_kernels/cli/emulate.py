"""The command ``emulate``: Metal files checked, run and counted on the CPU."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .console import print_text

ACTIONS = ("check", "run", "counters")


class Format(StrEnum):
    """What comes out."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


def emulate(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="[check|run|counters] FILE.metal...",
            help="check: compile, and what Apple's compiler refuses. run: launch what the TOML beside the file says, "
            "every access checked. counters: the same, and count what moves. Without a word: run where there is a "
            "TOML, check where there is none.",
            show_default=False,
        ),
    ],
    entry: Annotated[list[str] | None, typer.Option("--entry", "-e", help="Only these entry points.")] = None,
    toml: Annotated[Path | None, typer.Option("--toml", help="What to run, in place of FILE.toml.")] = None,
    include: Annotated[list[str] | None, typer.Option("--include", "-I", help="Where #include looks too.")] = None,
    language_version: Annotated[str | None, typer.Option(help="Of Metal; the TOML's, or 3.1.")] = None,
    form: Annotated[Format, typer.Option("--format", "-f", help="Findings as this.")] = Format.TEXT,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Schedule of the lanes, in place of the TOML's.")] = None,
    isolate: Annotated[bool, typer.Option(help="Compiler and launches in processes without network and files.")] = True,
    time_limit: Annotated[float, typer.Option(min=0.1, help="Seconds that a launch may take.")] = 120.0,
) -> None:
    """Run and check Metal kernels on the CPU. Status: 0 no findings, 1 findings, 2 wrong input."""
    from ..emulator.suite import words, work

    given = work.Given(entry or (), include or (), _version(language_version), isolate, seed, time_limit)
    action, files = _split(arguments)
    outcomes = []
    actions = set()
    for file in files:
        done = action or ("run" if toml or _beside(file).is_file() else "check")
        actions.add(done)
        outcomes += _outcomes(done, file, toml, given)
    text = words.told(outcomes, actions.pop() if len(actions) == 1 else "run", str(form))
    if output is None:
        print_text(text)
    else:
        output.write_text(text, encoding="utf-8")
    if any(outcome.findings for outcome in outcomes):
        raise typer.Exit(1)


def _split(arguments: list[str]) -> tuple[str, list[Path]]:
    """The action ("" for none) and the files, which are there."""
    action = arguments[0] if arguments[0] in ACTIONS else ""
    files = [Path(name) for name in (arguments[1:] if action else arguments)]
    if not files:
        raise ValueError("[emulate] FILE: expected a Metal file, got none.")
    for file in files:
        if not file.is_file():
            raise ValueError(f"[emulate] FILE: expected a Metal file, got {file}, which is none.")
    return action, files


def _version(given: str | None) -> str | None:
    import re

    if given is not None and not re.fullmatch(r"\d\.\d", given):
        raise ValueError(f"[emulate] --language-version: expected a version, 3.1 say, got {given}.")
    return given


def _beside(file: Path) -> Path:
    return file.with_suffix(".toml")


def _outcomes(action: str, file: Path, toml: Path | None, given):  # type: ignore[no-untyped-def]  # of the emulator
    from ..emulator import suite

    if action == "check":
        return suite.check(file, given)
    described = toml or _beside(file)
    if not described.is_file():
        raise ValueError(f"[emulate] {file}: expected {described} beside it, which says what to run, got none.")
    spec = suite.read_spec(described)
    return suite.run(file, spec, given) if action == "run" else suite.counters(file, spec, given)
