"""What is left to do: groups of the manifest whose shards are not there."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from .manifest import Digests, Entry, Manifest, digest
from .shards import Folder, name


@dataclass(frozen=True)
class Group:
    """Recordings that are done by one worker and make one shard.

    Args:
        shard: Its name.
        entries: The recordings.
    """

    shard: str
    entries: list[Entry]


class Plan:
    """What of a manifest is done, and what is not.

    Groups are cut by the rows' places, whatever is done: started again, a group has the same name, and a worker of an
    earlier run that still writes it writes the same. Only shards that are no group of the manifest (it was changed, or
    another ``size``) are read, for their ids.

    Args:
        manifest: Checked.
        out: The shards that are there.
        size: Recordings a shard.
        retry_errors: A recording with an error is not done; it keeps its shard.
    """

    def __init__(self, manifest: Manifest, out: Folder, size: int, *, retry_errors: bool = False) -> None:
        self._manifest, self._size = manifest, size
        others = out.names()
        self._whole = set()
        for group in manifest.groups(size) if others else ():
            if (shard := _shard(group)) in others:
                self._whole.add(shard)
        ids = array("B")
        # Shards whose recordings with an error are to be done, by those recordings.
        self._again: dict[str, str] = {}
        for shard in others if retry_errors else others - self._whole:
            for row in out.rows(shard, ["id", "error"]):
                if shard not in self._whole:
                    ids.frombytes(digest(row["id"]))
                if retry_errors and row["error"] is not None:
                    self._again[row["id"]] = shard
        self._done = Digests(ids)

    def __iter__(self) -> Iterator[Group]:
        """The groups that are left, in the manifest's order; then what of other shards is done again."""
        again: dict[str, list[Entry]] = {}
        for group in self._manifest.groups(self._size):
            for entry in group if self._again else ():
                if (before := self._again.get(entry.id)) is not None:
                    again.setdefault(before, []).append(entry)
            if (shard := _shard(group)) in self._whole:
                continue
            left = [entry for entry in group if digest(entry.id) not in self._done] if self._done else group
            if left:
                yield Group(shard if len(left) == len(group) else _shard(left), left)
        yield from itertools.starmap(Group, again.items())

    def left(self) -> tuple[int, int]:
        """Groups and recordings that are left."""
        sizes = [len(group.entries) for group in self]
        return len(sizes), sum(sizes)


def _shard(group: list[Entry]) -> str:
    return name(entry.id for entry in group)
