"""The manifest: a line or row a recording, JSONL or Parquet, read as a stream and checked before any work."""

from __future__ import annotations

import itertools
import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import IO, Any

import numpy as np

from .._errors import fail, shown
from .extra import OP, file_system, need

# Rows of Parquet that are held at once.
ROWS = 4096
LONGEST_ID = 1000
COLUMNS = ("id", "path", "language")
DIGEST = 16


@dataclass(frozen=True)
class Entry:
    """A recording of the manifest.

    Args:
        id: Its name in the output; the path, if the manifest gives none.
        path: Or URL, as written.
        language: Of what is spoken, if the manifest says.
        place: ``"line 3"`` or ``"row 3"``, for errors.
    """

    id: str
    path: str
    language: str | None
    place: str


class Manifest:
    """A manifest that is there.

    Args:
        url: Path or fsspec URL; Parquet if it ends in ``.parquet``, else JSONL.

    Raises:
        ValueError: there is no such file.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        # Each language and where it first stands, once it was checked.
        self.languages: dict[str, str] = {}
        self._fs, self._path = file_system(url, "MANIFEST")
        if not self._fs.isfile(self._path):
            got = f"the folder {url!r}" if self._fs.isdir(self._path) else repr(url)
            raise fail(OP, "MANIFEST", "a file that exists", got)

    @property
    def folder(self) -> str:
        """Where relative paths start: the manifest's own folder, absolute."""
        return self._fs.unstrip_protocol(self._path).rpartition("/")[0].removeprefix("file://") or "/"

    def __iter__(self) -> Iterator[Entry]:
        """Its recordings, in order.

        Raises:
            ValueError: a row is not what it should be; its line is named.
        """
        try:
            with self._fs.open(self._path, "rb") as file:
                yield from itertools.starmap(_entry, _parquet(file) if self.url.endswith(".parquet") else _jsonl(file))
        except OSError as error:
            raise fail(OP, "MANIFEST", "a readable file", f"{self.url!r} ({error})") from None

    def groups(self, size: int) -> Iterator[list[Entry]]:
        """The recordings, ``size`` at a time."""
        entries = iter(self)
        while group := list(itertools.islice(entries, size)):
            yield group

    def check(self) -> int:
        """Read all of it; returns how many recordings there are. 16 bytes a row are held.

        Raises:
            ValueError: it is empty, a row is wrong, two have one id, or a URL is of a protocol that nothing opens.
        """
        ids, protocols = array("B"), {""}
        for entry in self:
            ids.frombytes(digest(entry.id))
            if entry.language is not None:
                self.languages.setdefault(entry.language, entry.place)
            protocol = entry.path.partition("://")[0] if "://" in entry.path else ""
            if protocol not in protocols:
                protocols.add(protocol)
                file_system(entry.path, f"MANIFEST {entry.place}, path")
        if not ids:
            raise fail(OP, "MANIFEST", "at least one recording", f"none in {self.url!r}")
        digests = Digests(ids)
        if (twice := digests.twice()) is not None:
            self._refuse(twice)
        return len(digests)

    def _refuse(self, twice: bytes) -> None:
        first: Entry | None = None
        for entry in self:
            if digest(entry.id) != twice:
                continue
            if first is not None:
                got = f"{shown(entry.id)} again, as in {first.place}"
                raise fail(OP, f"MANIFEST {entry.place}, id", "an id that no other recording has", got)
            first = entry


def digest(name: str) -> bytes:
    """16 bytes that stand for an id."""
    return blake2b(name.encode(), digest_size=DIGEST).digest()


class Digests:
    """Digests of many ids, in 16 bytes each.

    Args:
        data: The digests, one after the other.
    """

    def __init__(self, data: array[int]) -> None:
        halves = np.frombuffer(data, ">u8").reshape(-1, 2).astype("u8")
        order = np.lexsort((halves[:, 1], halves[:, 0]))
        self._high, self._low = halves[order, 0], halves[order, 1]

    def __len__(self) -> int:
        return len(self._high)

    def __contains__(self, wanted: bytes) -> bool:
        high, low = (np.uint64(int.from_bytes(half, "big")) for half in (wanted[:8], wanted[8:]))
        first, last = np.searchsorted(self._high, high, "left"), np.searchsorted(self._high, high, "right")
        return bool((self._low[first:last] == low).any())

    def twice(self) -> bytes | None:
        """One that is there more than once."""
        same = np.flatnonzero((self._high[1:] == self._high[:-1]) & (self._low[1:] == self._low[:-1]))
        if not same.size:
            return None
        return b"".join(int(half[same[0]]).to_bytes(8, "big") for half in (self._high, self._low))


def _jsonl(file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(file, 1):
        text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if not text.strip():
            continue
        place = f"line {number}"
        try:
            yield place, json.loads(text)
        except (ValueError, RecursionError) as error:
            raise fail(OP, f"MANIFEST {place}", "a JSON object", f"{shown(text)} ({error})") from None


def _parquet(file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    parquet, lib = need("pyarrow.parquet", "MANIFEST"), need("pyarrow", "MANIFEST")
    try:
        table = parquet.ParquetFile(file)
    except lib.ArrowInvalid as error:
        raise fail(OP, "MANIFEST", "a Parquet file", str(error)) from None
    names = table.schema_arrow.names
    if "path" not in names:
        raise fail(OP, "MANIFEST", "a column path", ", ".join(names) or "none")
    number = 0
    for batch in table.iter_batches(ROWS, columns=[c for c in COLUMNS if c in names]):
        for row in batch.to_pylist():
            number += 1
            yield f"row {number}", row


def _entry(place: str, row: Any) -> Entry:
    if not isinstance(row, dict):
        raise fail(OP, f"MANIFEST {place}", "a JSON object", shown(row))
    path, language, name = row.get("path"), row.get("language"), row.get("id")
    if not isinstance(path, str) or not path:
        raise fail(OP, f"MANIFEST {place}, path", "a path or a URL", "none" if path is None else shown(path))
    if language is not None and (not isinstance(language, str) or not language):
        raise fail(OP, f"MANIFEST {place}, language", 'a language such as "en", or none', shown(language))
    name = path if name is None else name
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_ID:
        raise fail(OP, f"MANIFEST {place}, id", f"a text of 1 to {LONGEST_ID} characters, or an integer", shown(name))
    for key, value in (("path", path), ("language", language or ""), ("id", name)):
        try:
            value.encode()
        except UnicodeEncodeError:  # half of a pair of \\u escapes
            raise fail(OP, f"MANIFEST {place}, {key}", "a text that UTF-8 can hold", shown(value)) from None
    return Entry(name, path, language, place)
