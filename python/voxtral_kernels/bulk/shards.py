"""The output: shards of rows, each named after the ids that it holds and there as a whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from typing import Any

from .._errors import fail, printable, shown
from .extra import OP, file_system, is_local, need

# Of files that are not finished; whoever reads *.jsonl does not see them.
PREFIX = ".voxtral-kernels-"
SETTINGS = f"{PREFIX}bulk.json"
LOCK = f"{PREFIX}lock"
# Of file systems that know no locks.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
# What may not differ between the shards of a folder.
KEPT = ("model", "revision", "language", "delay_ms", "format")


class Form(StrEnum):
    """The values of ``--format``, which are the shards' endings too."""

    JSONL = "jsonl"
    PARQUET = "parquet"


def name(ids: Iterable[str]) -> str:
    """The name of the shard of these ids, without its ending."""
    state = blake2b(digest_size=16)
    for text in ids:
        data = text.encode()
        state.update(len(data).to_bytes(8, "big") + data)
    return state.hexdigest()


@contextlib.contextmanager
def writable(url: str) -> Iterator[None]:
    """What the system says inside ``with`` is told as a refusal of ``--out``.

    Raises:
        ValueError: a folder or file cannot be read, made or written; the disk is full.
    """
    try:
        yield
    except OSError as error:
        got = f"{url!r} ({error.strerror or printable(str(error))})"
        raise fail(OP, "--out", "a folder that can be written", got) from None


class Folder:
    """The folder of the shards, or a prefix of fsspec.

    Args:
        url: A folder, or an fsspec URL.
        form: Of the shards.
    """

    def __init__(self, url: str, form: Form | str) -> None:
        if not url:
            raise fail(OP, "--out", "a folder, or a URL that fsspec opens", "''")
        self.url, self.form = url, Form(form)
        self._fs, self._root = file_system(url, "--out")
        if self.form is Form.PARQUET:
            need("pyarrow.parquet", "--format parquet")

    @property
    def absolute(self) -> str:
        """Its path or URL, whatever folder somebody works in."""
        return self._fs.unstrip_protocol(self._root).removeprefix("file://")

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine, or one that it shares."""
        return is_local(self._fs)

    def prepare(self, settings: dict[str, Any], *, write: bool = True) -> None:
        """See that its shards were made by the same settings; make it where it is missing, and write a file into it.

        From then on no shard of another ``settings["run"]`` is written: whoever plans afterwards sees all that is.

        Args:
            settings: By which its shards are made.
            write: False: nothing is made or written.

        Raises:
            ValueError: it is no folder, cannot be written, or has shards of other settings.
        """
        if self._fs.exists(self._root) and not self._fs.isdir(self._root):
            raise fail(OP, "--out", "a folder", f"the file {self.url!r}")
        with writable(self.url):
            if write and not self._fs.exists(self._root):
                self._fs.makedirs(self._root)
            with self._locked() if write else contextlib.nullcontext():
                before = self._settings()
                for key in KEPT if before else ():
                    if before.get(key) != settings.get(key):
                        got = f"one with {key} {before.get(key)!r}, not {settings.get(key)!r}"
                        raise fail(OP, "--out", "a folder that is new, or of the same settings", got)
                if write:
                    self._write(SETTINGS, (json.dumps(settings, indent=1) + "\n").encode())

    def _settings(self) -> dict[str, Any]:
        """Of the command that wrote into it last; none in a new folder."""
        if not self._fs.exists(self._at(SETTINGS)):
            return {}
        try:
            values = json.loads(self._read(SETTINGS))
        except (ValueError, RecursionError) as error:
            values = error
        if not isinstance(values, dict):
            got = f"{SETTINGS} ({printable(shown(values))}); remove it if all shards are of one model and delay"
            raise fail(OP, "--out", "settings as they were written", got)
        return values

    def names(self) -> set[str]:
        """The shards that are there."""
        if not self._fs.isdir(self._root):
            return set()
        self._fs.invalidate_cache()
        files = (path.rpartition("/")[2] for path in self._fs.ls(self._root, detail=False))
        ending = f".{self.form}"
        return {file.removesuffix(ending) for file in files if file.endswith(ending) and not file.startswith(".")}

    def has(self, shard: str) -> bool:
        """Whether a shard is there."""
        self._fs.invalidate_cache()
        return self._fs.exists(self._at(f"{shard}.{self.form}"))

    def rows(self, shard: str, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """The rows of a shard that is there.

        Args:
            shard: Its name.
            columns: Those that are wanted; None: all.

        Raises:
            ValueError: it is not what was written.
        """
        try:
            data = self._read(f"{shard}.{self.form}")
        except OSError as error:
            got = f"{shard}.{self.form} ({error.strerror or printable(str(error))})"
            raise fail(OP, "--out", "shards that can be read", got) from None
        try:
            if self.form is Form.PARQUET:
                table = need("pyarrow.parquet", "--format parquet").read_table(io.BytesIO(data), columns=columns)
                rows = table.to_pylist()
            else:
                rows = [json.loads(line) for line in data.splitlines()]
            for row in rows:
                if not isinstance(row["id"], str):
                    raise TypeError(f"an id is a text, not {shown(row['id'])}")
                row["id"].encode()
            return [{key: row[key] for key in columns} for row in rows] if columns else rows
        except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
            got = f"{shard}.{self.form} ({type(error).__name__}: {error}); remove it, and its recordings are done again"
            raise fail(OP, "--out", "shards as they were written", got) from None

    def scratch(self, shard: str) -> Path | None:
        """A file for what there is of a shard that is not finished; None where files cannot grow."""
        return Path(self._at(f"{PREFIX}{shard}.part")) if self.is_local else None

    def write(self, shard: str, rows: Sequence[dict[str, Any]], run: str | None = None) -> None:
        """Write a shard, whole or not at all; one of the same name is replaced.

        Args:
            shard: Its name.
            rows: At least one.
            run: Of the command that it is written for; None: whichever.

        Raises:
            ValueError: it cannot be written, or another command writes into the folder since; its plan may have the
                same recordings elsewhere.
        """
        data = _parquet(rows) if self.form is Form.PARQUET else _jsonl(rows)
        if run is None:
            self._write(f"{shard}.{self.form}", data)
            return
        with writable(self.url), self._locked():
            self._fs.invalidate_cache()
            if self._settings().get("run", run) != run:
                got = f"{self.url!r}, where another bulk command began since and does what is left"
                raise fail(OP, "--out", "a folder into which one command writes", got)
            self._write(f"{shard}.{self.form}", data)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Inside ``with``, no other process is; where files have no locks, as behind a URL, others may be."""
        if not self.is_local:
            yield
            return
        with open(self._at(LOCK), "ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
            yield

    def _at(self, file: str) -> str:
        return f"{self._root.rstrip('/')}/{file}"

    def _read(self, file: str) -> bytes:
        with self._fs.open(self._at(file), "rb") as stream:
            return stream.read()

    def _write(self, file: str, data: bytes) -> None:
        temporary = self._at(f"{PREFIX}{uuid.uuid4().hex}")
        try:
            with self._fs.open(temporary, "wb") as stream:
                stream.write(data)
                if self.is_local:
                    stream.flush()
                    os.fsync(stream.fileno())
            self._fs.mv(temporary, self._at(file))
        except BaseException:
            if self._fs.exists(temporary):
                self._fs.rm(temporary)
            raise


def _jsonl(rows: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n" for row in rows)


def _parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    rows = [json.loads(line) for line in _jsonl(rows).splitlines()]  # without what UTF-8 cannot hold
    arrow, parquet = need("pyarrow", "--format parquet"), need("pyarrow.parquet", "--format parquet")
    timed = arrow.list_(
        arrow.struct([("text", arrow.string()), ("start_s", arrow.float64()), ("end_s", arrow.float64())])
    )
    text, number, flag = arrow.string(), arrow.float64(), arrow.bool_()
    types = {
        "words": timed,
        "segments": timed,
        "warnings": arrow.list_(text),
        "duration_s": number,
        "seconds": number,
        "delay_ms": number,
        "complete": flag,
    }
    schema = arrow.schema([(key, types.get(key, text)) for key in rows[0]])
    out = io.BytesIO()
    parquet.write_table(arrow.Table.from_pylist(rows, schema=schema), out)
    return out.getvalue()
