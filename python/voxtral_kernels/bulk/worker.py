"""A worker: it holds the model, and makes of each group of recordings a shard in the output folder."""

from __future__ import annotations

import json
import os
import platform
import time
import uuid
import warnings
from dataclasses import asdict, dataclass, field
from typing import Any

from .._errors import printable
from .._version import __version__
from ..transcripts.formats import Transcript, as_dict
from .extra import file_system
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
        retry_errors: Recordings with an error are done again.
        run: Names this run of the command.
    """

    model: str
    out: str
    folder: str
    revision: str | None = None
    language: str | None = None
    delay_ms: float | None = None
    form: Form = Form.JSONL
    threads: int = 1
    retry_errors: bool = False
    run: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def settings(self) -> dict[str, Any]:
        """What the output folder remembers."""
        values = {key: getattr(self, key) for key in ("model", "revision", "language", "delay_ms")}
        return {**values, "format": str(self.form), "version": __version__}


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
            journal = Journal(self.out.scratch(group.shard), self.job.run)
            rows |= {entry.id: self._once(entry, journal) for entry in left}
            self.out.write(group.shard, list(rows.values()))
            journal.remove()
        done = [rows[entry.id] for entry in group.entries]
        errors = sum(row["error"] is not None for row in done)
        return Done(group.shard, len(done), errors, sum(row["duration_s"] for row in done), platform.node())

    def _once(self, entry: Entry, journal: Journal) -> dict[str, Any]:
        """The row of a recording, of a worker that died since or of this one."""
        if entry.id in journal.rows:
            return journal.rows[entry.id]
        if (deaths := journal.deaths(entry.id)) >= TRIES:
            row = self._row(entry, Transcript(entry.path, complete=False), f"{deaths} workers died in it", 0.0)
        else:
            journal.begin(entry.id)
            row = self.row(entry)
        journal.end(row)
        return row

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Groups as Ray Data has them: columns of arrays."""
        done = [self.do(unpack(shard, packed)) for shard, packed in zip(batch["shard"], batch["entries"], strict=True)]
        return {key: [asdict(d)[key] for d in done] for key in Done.__dataclass_fields__}

    def row(self, entry: Entry) -> dict[str, Any]:
        """The row of a recording; what went wrong with it is in ``error``."""
        transcript, error, start = Transcript(entry.path), None, time.perf_counter()
        try:
            self.fill(entry, self._language(entry), transcript)
        except Exception as cause:
            error = printable(f"{cause}" if isinstance(cause, ValueError) else f"{type(cause).__name__}: {cause}")
            transcript = Transcript(entry.path, complete=False)
        return self._row(entry, transcript, error, time.perf_counter() - start)

    def _language(self, entry: Entry) -> str | None:
        return entry.language or self.job.language

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

    def fill(self, entry: Entry, language: str | None, transcript: Transcript) -> None:
        """Transcribe a recording, as ``voxtral-kernels transcribe --format json`` does."""
        from ..audio.load import blocks
        from ..models.section import OFFLINE
        from ..models.voxtral_realtime.model import PIECE_S

        with blocks(self._open(entry.path), seconds=PIECE_S, argument=entry.path) as audio:
            if self.model.family == OFFLINE:
                self._offline(audio, language, transcript)
            else:
                self._realtime(audio, transcript)
            transcript.notes += audio.warnings
            transcript.complete = audio.complete

    def _open(self, path: str) -> Any:
        """What the audio is read from: a path, or a file of fsspec."""
        url = path if "://" in path else os.path.join(self.job.folder, path)
        return file_system(url, path)[0].open(url, "rb") if "://" in url else url

    def _realtime(self, audio: Any, transcript: Transcript) -> None:
        delay, tokenizer = self.job.delay_ms, self.model.tokenizer
        if delay is None:
            delay = 480.0 if tokenizer is None else tokenizer.audio.default_delay_ms
        from ..audio import AudioWarning

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AudioWarning)  # they stand in the row
            result = self.model.transcribe(audio, delay_ms=delay)
        transcript.text, transcript.words = result.text, result.words
        transcript.duration_s, transcript.suspicious = result.duration_s, result.suspicious
        transcript.settings = {"delay_ms": float(delay)}

    def _offline(self, audio: Any, language: str | None, transcript: Transcript) -> None:
        from ..models.voxtral.pieces import transcribe_pieces
        from ..transcripts.subtitles import join

        pieces = []
        for piece in transcribe_pieces(self.model, audio, language=language):
            text = piece.result.text.lstrip()
            pieces.append((text, piece.start_s, piece.end_s))
            transcript.text = join(transcript.text, text)
        transcript.pieces, transcript.duration_s = pieces, audio.heard_s


def pack(group: Group) -> str:
    """A group's recordings as a text that any file system and process can hold."""
    return json.dumps([asdict(entry) for entry in group.entries])


def unpack(shard: str, packed: str) -> Group:
    """What was packed."""
    return Group(str(shard), [Entry(**values) for values in json.loads(str(packed))])
