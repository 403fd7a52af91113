"""``voxtral-kernels bulk``: an archive of recordings to shards of transcripts, on one machine or a Ray cluster."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from .._errors import fail, integer
from . import ending
from .bulk_progress import Progress
from .console import print_note
from .ending import Mode
from .options import Delay, Language, Model, Revision, check_delay, name_of

if TYPE_CHECKING:
    from ..bulk.manifest import Manifest
    from ..bulk.plan import Plan
    from ..bulk.shards import Folder, Form
    from ..bulk.worker import Job

OP = "bulk"
SOME_FAILED = 1
SHARD_FILES = 16

FormatOption = Annotated[str, typer.Option("--format", "-f", metavar="jsonl|parquet", help="Of the shards.")]


def bulk(
    manifest: Annotated[str, typer.Argument(metavar="MANIFEST", help="JSONL or Parquet: path, optional id, language.")],
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Folder or URL of the shards.")],
    ray: Annotated[
        str | None, typer.Option("--ray", metavar="ADDRESS", help="A Ray cluster, or auto; else this machine.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Processes that hold the model; else as many as fit."),
    ] = None,
    threads: Annotated[int, typer.Option(metavar="N", help="Threads of a worker.")] = 1,
    slots: Annotated[
        int, typer.Option(metavar="N", help="Recordings that a worker hears at once (realtime models).")
    ] = 1,
    model: Model = None,
    revision: Revision = None,
    language: Language = None,
    delay_ms: Delay = None,
    form: FormatOption = "jsonl",
    shard_files: Annotated[int, typer.Option(metavar="N", help="Recordings a shard.")] = SHARD_FILES,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Do recordings again whose row has an error.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, say what there is to do.")] = False,
) -> None:
    """Transcribe every recording of a manifest. Started again, it goes on where it ended.

    It needs the extra ray: pip install 'voxtral-kernels[ray]'.
    """
    from ..bulk.extra import need
    from ..bulk.manifest import Manifest
    from ..bulk.plan import Plan
    from ..bulk.shards import Folder

    _check_numbers(workers, threads, slots, shard_files)
    if ray is None and workers is not None:
        _check_cores(workers, threads)
    check_delay(delay_ms)
    recordings = Manifest(manifest)
    target = Folder(out, _form(form))
    total = recordings.check()
    if not dry_run:
        need("ray.data", OP)
    with ending.mode(Mode.RAISE):
        job = _job(recordings, target, model, revision, language, delay_ms, threads, slots, retry_errors)
        target.prepare(job.settings, write=not dry_run)
        plan = Plan(recordings, target, shard_files, retry_errors=retry_errors)
        groups, left = plan.left()
        print_note(f"{total} recordings, {total - left} done, {left} to do in {groups} shards of up to {shard_files}")
        if left and not dry_run and _work(plan, job, ray, workers, groups, left):
            raise typer.Exit(SOME_FAILED)


def _check_numbers(workers: int | None, threads: int, slots: int, shard_files: int) -> None:
    values = {"--workers": workers, "--threads": threads, "--slots": slots, "--shard-files": shard_files}
    for option, value in values.items():
        if value is not None:
            integer(OP, option, value, 1)
    if slots > shard_files:
        raise fail(OP, "--slots", f"at most the {shard_files} recordings of a shard (--shard-files)", slots)


def _check_cores(workers: int, threads: int) -> None:
    """Of this machine; a cluster is asked when it is connected."""
    from ..bulk import cluster

    if workers * threads > (have := cluster.cores()):
        raise fail(
            OP,
            "--workers",
            f"as many as this machine has cores for, which are {have}",
            f"{workers} of {threads} thread{'s' * (threads > 1)} each",
        )


def _form(form: str) -> Form:
    from ..bulk.shards import Form

    if form not in list(Form):
        raise fail(OP, "--format", " or ".join(Form), repr(form))
    return Form(form)


def _job(
    recordings: Manifest,
    out: Folder,
    model: str | None,
    revision: str | None,
    language: str | None,
    delay_ms: float | None,
    threads: int,
    slots: int,
    retry_errors: bool,
) -> Job:
    """What the workers are told. The model is found, or downloaded, and its family asked what it takes."""
    from ..bulk.worker import Job
    from ..models import hub
    from ..models.section import OFFLINE, Section

    name = name_of(model)
    folder = hub.find(name, revision)
    family = Section.of_model(folder).family
    if family == OFFLINE:
        _check_languages(recordings, language)
        if delay_ms is not None:
            raise fail(OP, "--delay-ms", f"none for {family}", delay_ms)
        if slots > 1:
            raise fail(OP, "--slots", f"1 for {family}", slots)
    elif language is not None:
        raise fail(OP, "--language", f"none for {family}", language)
    elif recordings.languages:
        print_note(f"the manifest's languages are copied to the output; {family} is told none")
    name = os.path.abspath(folder) if name != hub.TINY and os.path.isdir(name) else name
    return Job(
        name, out.absolute, recordings.folder, revision, language, delay_ms, out.form, threads, slots, retry_errors
    )


def _check_languages(recordings: Manifest, language: str | None) -> None:
    from ..models.voxtral.prompt import check_language

    check_language(language)
    for name, place in recordings.languages.items():
        try:
            check_language(name)
        except ValueError:
            raise fail(OP, f"MANIFEST {place}, language", 'an ISO 639-1 code such as "en"', repr(name)) from None


def _work(plan: Plan, job: Job, address: str | None, workers: int | None, groups: int, left: int) -> int:
    """Do it, with progress; returns the number of recordings with an error."""
    from ..bulk import cluster

    with cluster.connected(address, workers, job.threads) as count:
        each = f"{job.threads} thread{'s' * (job.threads > 1)}"
        each += f" and {job.slots} slots" * (job.slots > 1)
        print_note(f"{count} worker{'s' * (count > 1)} of {each}, {job.model}")
        with Progress(left) as progress:
            for done in cluster.run(plan, job, count, groups):
                progress.add(done)
        print_note(progress.last())
        return progress.errors
