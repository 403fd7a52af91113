"""A worker: it holds the model, and makes of each group of recordings a shard in the output folder."""

from __future__ import annotations

import json
import os
import platform
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .._version import __version__
from ..transcripts.formats import Transcript, as_dict
from . import hearing
from .hearing import Source, Told
from .journal import TRIES, Journal
from .manifest import Entry
from .plan import Group
from .shards import Folder, Form


@dataclass(frozen=True)
class Job:
    """What every worker is told.

    Args:
        model, revision: As for ``voxtral_kernels.load``.
        language: For recordings whose manifest says none.
        delay_ms: None: the model's own.
        form, out: Of the shards.
        folder: Where the manifest's relative paths start.
        threads: Of a worker.
        slots: Recordings that a worker hears at once.
        retry_errors: Recordings with an error are done again.
        run: Names this run of the command; a later one into the same folder ends its writing.
    """

    model: str
    out: str
    folder: str
    revision: str | None = None
    language: str | None = None
    delay_ms: float | None = None
    form: Form = Form.JSONL
    threads: int = 1
    slots: int = 1
    retry_errors: bool = False
    run: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def settings(self) -> dict[str, Any]:
        """What the output folder remembers."""
        values = {key: getattr(self, key) for key in ("model", "revision", "language", "delay_ms")}
        return {**values, "format": str(self.form), "version": __version__, "run": self.run}


@dataclass(frozen=True)
class Done:
    """What became of a group: its shard, recordings, those of them with an error, seconds of audio, and who did it."""

    shard: str
    files: int
    errors: int
    audio_s: float
    node: str


class Worker:
    """An actor of Ray Data's pool. Its process may have been restarted: what is there already is not done again.

    Args:
        job: What to do.
    """

    def __init__(self, job: Job) -> None:
        # Read when the libraries come, which is below.
        for variable in ("VOXTRAL_KERNELS_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[variable] = str(job.threads)
        self.job, self.out = job, Folder(job.out, job.form)
        self.load()

    def load(self) -> None:
        """The model."""
        from ..models import load

        self.model: Any = load(self.job.model, revision=self.job.revision)

    def do(self, group: Group) -> Done:
        """Make the group's shard, or what is missing of it."""
        rows = {row["id"]: row for row in self.out.rows(group.shard)} if self.out.has(group.shard) else {}
        redo = self.job.retry_errors
        left = [e for e in group.entries if e.id not in rows or (redo and rows[e.id]["error"] is not None)]
        if left:
            journal = Journal(self.out.scratch(group.shard), self.job.run, retry_errors=redo)
            found = {row["id"]: row for row in self._found(left, journal)}
            rows |= {entry.id: found[entry.id] for entry in left}
            self.out.write(group.shard, list(rows.values()), self.job.run)
            journal.remove()
        done = [rows[entry.id] for entry in group.entries]
        errors = sum(row["error"] is not None for row in done)
        return Done(group.shard, len(done), errors, sum(row["duration_s"] for row in done), platform.node())

    def _found(self, entries: Sequence[Entry], journal: Journal) -> Iterator[dict[str, Any]]:
        """The rows of recordings, of a worker that died since or of this one, as they come."""
        yield from (journal.rows[entry.id] for entry in entries if entry.id in journal.rows)
        left = [entry for entry in entries if entry.id not in journal.rows]
        # What a worker died in is heard alone: of several at once only one killed it.
        company = [e for e in left if not journal.deaths(e.id)] if self.job.slots > 1 else []
        for i, told in self.hear_together(company, journal) if len(company) > 1 else ():
            yield self._kept(company[i], told, journal)
        for entry in left:
            if entry.id in journal.rows:
                continue
            if (deaths := journal.deaths(entry.id)) >= TRIES:
                told = Told(Transcript(entry.path, complete=False), f"{deaths} workers died in it", 0.0)
            else:
                journal.begin(entry.id)
                told = self.hear(self._source(entry))
            yield self._kept(entry, told, journal)

    def hear(self, source: Source) -> Told:
        """One recording."""
        return hearing.alone(self.model, source, self.job.delay_ms)

    def hear_together(self, entries: Sequence[Entry], journal: Journal) -> Iterator[tuple[int, Told]]:
        """Several, by index, as they are over."""
        sources = [self._source(entry) for entry in entries]
        return hearing.together(
            self.model, sources, self.job.slots, self.job.delay_ms, lambda i: journal.begin(entries[i].id)
        )

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Groups as Ray Data has them: columns of arrays."""
        done = [self.do(unpack(shard, packed)) for shard, packed in zip(batch["shard"], batch["entries"], strict=True)]
        return {key: [asdict(d)[key] for d in done] for key in Done.__dataclass_fields__}

    def _language(self, entry: Entry) -> str | None:
        return entry.language or self.job.language

    def _source(self, entry: Entry) -> Source:
        location = entry.path if "://" in entry.path else os.path.join(self.job.folder, entry.path)
        return Source(entry.path, location, self._language(entry))

    def _kept(self, entry: Entry, told: Told, journal: Journal) -> dict[str, Any]:
        """The row of a recording, once it is in the journal."""
        row = self._row(entry, *told)
        journal.end(row)
        return row

    def _row(self, entry: Entry, transcript: Transcript, error: str | None, seconds: float) -> dict[str, Any]:
        values = as_dict(transcript)
        keys = ("source", "text", "words", "segments", "duration_s", "complete")
        return {
            "id": entry.id,
            **{key: values[key] for key in keys},
            "warnings": transcript.notes,
            "language": self._language(entry),
            "model": self.job.model,
            "delay_ms": transcript.settings.get("delay_ms"),
            "version": __version__,
            "seconds": round(seconds, 3),
            "error": error,
        }


def pack(group: Group) -> str:
    """A group's recordings as a text that any file system and process can hold."""
    return json.dumps([asdict(entry) for entry in group.entries])


def unpack(shard: str, packed: str) -> Group:
    """What was packed."""
    return Group(str(shard), [Entry(**values) for values in json.loads(str(packed))])
