"""The command ``emulate``: Metal files checked, run and counted on the CPU."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

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

    given = work.Given(entry or (), _folders(include or []), _version(language_version), isolate, seed, time_limit)
    action, files = _split(arguments)
    for file in files:
        work.require_file(file, given)
    jobs = [_job(action, file, toml) for file in files]
    _require_writable(output, [*files, *(job.toml for job in jobs if job.toml)])
    outcomes = [outcome for job in jobs for outcome in job.outcomes(given)]
    actions = {job.action for job in jobs}
    text = words.told(outcomes, actions.pop() if len(actions) == 1 else "run", str(form))
    if output is None:
        print_text(text)
    else:
        output.write_text(text, encoding="utf-8")
    if any(outcome.findings for outcome in outcomes):
        raise typer.Exit(1)


def _split(arguments: list[str]) -> tuple[str, list[Path]]:
    """The action ("" for none) and the files, each once."""
    action = arguments[0] if arguments[0] in ACTIONS else ""
    names = arguments[1:] if action else arguments
    if not all(names) or not names:
        raise ValueError("[emulate] FILE: expected a Metal file, got none.")
    by_place: dict[str, Path] = {}
    for name in names:
        by_place.setdefault(os.path.realpath(name), Path(name))
    return action, list(by_place.values())


def _folders(given: list[str]) -> list[str]:
    for folder in given:
        if not Path(folder).is_dir() or not folder:
            raise ValueError(f"[emulate] -I: expected a folder, got {folder!r}, which is none.")
    return given


def _version(given: str | None) -> str | None:
    if given is not None:
        from ..emulator import dialect

        dialect.require_version(given, "[emulate] --language-version")
    return given


def _require_writable(output: Path | None, given: list[Path]) -> None:
    """Tells before the runs what would lose their findings, or a file that was given."""
    if output is None:
        return
    if os.path.realpath(output) in {os.path.realpath(file) for file in given}:
        raise ValueError(f"[emulate] -o: expected another file than those given, got {output}.")
    if not output.parent.is_dir() or output.is_dir():
        raise ValueError(f"[emulate] -o: expected a file in a folder that is there, got {output}.")
    if not os.access(output if output.exists() else output.parent, os.W_OK):
        raise ValueError(f"[emulate] -o: expected a file that may be written, got {output}.")


@dataclass(frozen=True)
class _Job:
    """What to do with a file; ``spec`` is read before anything runs."""

    action: str
    file: Path
    toml: Path | None = None
    spec: Any = None

    def outcomes(self, given: Any) -> list[Any]:
        from ..emulator import suite

        if self.action == "check":
            return suite.check(self.file, given)
        return (suite.run if self.action == "run" else suite.counters)(self.file, self.spec, given)


def _job(action: str, file: Path, toml: Path | None) -> _Job:
    from ..emulator import suite

    described = toml or file.with_suffix(".toml")
    if action == "check" or (not action and not toml and not described.is_file()):
        return _Job("check", file)
    if not described.is_file():
        what = "--toml: expected a file" if toml else f"{file}: expected {described} beside it"
        raise ValueError(
            f"[emulate] {what}, which says what to run, got {f'{toml}, which is none' if toml else 'none'}."
        )
    return _Job(action or "run", file, described, suite.read_spec(described))
