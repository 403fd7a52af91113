"""A folder that is whole or not there: written under another name beside the target, renamed when done."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from .. import _check


class PartialFolder:
    """A new folder beside ``target``, which nobody else's name can be; gone if it is not published.

    Args:
        op, argument: For errors.
        target: Does not exist, or is an empty folder, or a link to one.

    Raises:
        ValueError: another target, or one that cannot be written; also for an OSError while it is open.
    """

    def __init__(self, op: str, argument: str, target: Path) -> None:
        self._op, self._argument = op, argument
        self.target = target.expanduser()
        if self.target.is_symlink():
            self.target = self.target.resolve()
        if os.path.lexists(self.target) and not (self.target.is_dir() and not any(self.target.iterdir())):
            raise _check.fail(op, argument, "a folder that does not exist or is empty", repr(str(target)))
        self.path = self.target.with_name(f".{self.target.name}.{secrets.token_hex(8)}.partial")
        self._parents: list[Path] = []

    def __enter__(self) -> PartialFolder:
        try:
            missing = [p for p in self.path.parents if not p.exists()]
            for parent in reversed(missing):
                parent.mkdir()
                self._parents.append(parent)
            self.path.mkdir()
        except OSError as error:
            self._remove()
            raise self._error(error) from None
        return self

    def free_bytes(self) -> int:
        """Of the volume."""
        return shutil.disk_usage(self.path).free

    def publish(self) -> None:
        """Give the folder its name; one that is empty gives way."""
        self.path.replace(self.target)
        self._parents.clear()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()
        if isinstance(error, OSError):
            raise self._error(error) from None

    def _remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        for parent in reversed(self._parents):
            with suppress(OSError):
                parent.rmdir()

    def _error(self, error: OSError) -> ValueError:
        expected = "a folder that can be written"
        return _check.fail(self._op, self._argument, expected, f"{self.target}: {error.strerror or error}")
