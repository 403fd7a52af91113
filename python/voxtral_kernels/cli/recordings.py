"""Recordings as the commands read them: files, pipes and standard input, in blocks of samples."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._errors import fail
from . import ending
from .console import is_closed, readable
from .ending import Mode
from .output import STDIN

if TYPE_CHECKING:
    from ..audio.blocks import Blocks
    from ..transcripts.formats import Transcript

# The most of a raw pipe that is heard at once.
RAW_S = 0.2
# After a signal, what a pipe still holds is heard, for its writer got the same Ctrl-C: at most a pipe's buffer, and so
# long as it keeps coming.
LAST_BYTES = 65536
LAST_S = 0.3
# How often a silent pipe is left to look for a signal.
WAIT_S = 0.1


@dataclass
class Recording:
    """A recording that was opened.

    Args:
        name: As the user wrote it.
        blocks: Its samples, 16 kHz mono float32.
        pipe: What it comes through, if that ends at a signal by itself.
    """

    name: str
    blocks: Blocks
    pipe: Pipe | None = None

    @contextlib.contextmanager
    def heard(self, transcript: Transcript) -> Iterator[None]:
        """While it is heard. A signal ends a pipe, and what was heard is worked on; it ends the work on anything else.

        Args:
            transcript: Is told what was not as it should be.

        Raises:
            Ended: at the end, if a signal ended a pipe before its writer did.
        """
        try:
            with self.blocks, ending.mode(Mode.FINISH if self.pipe else Mode.RAISE):
                yield
        finally:
            self.note(transcript)
        if self.pipe is None or not self.pipe.at_end:
            ending.check()

    def note(self, transcript: Transcript) -> None:
        """Tell what was not as it should be."""
        transcript.notes += [f"warning: {text}" for text in self.blocks.warnings]
        if not self.blocks.complete:
            transcript.complete, transcript.reason = False, "no more can be read"


class Pipe:
    """A pipe, read as it is filled. The first signal is its end: the reader goes on with what there is.

    Args:
        fd: The descriptor.
        file: What it belongs to, which stays open.
    """

    def __init__(self, fd: int, file: Any = None):
        self._fd, self._file = fd, file
        self._deadline: float | None = None
        self._left = LAST_BYTES
        # Whether the writer ended it; no more than that can be heard.
        self.at_end = False

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes as soon as there are some; all of them if it is negative; nothing at the end."""
        if size < 0:
            return b"".join(iter(lambda: self.read(LAST_BYTES), b""))
        while not self.at_end:
            allowed = self._wait(size)
            if allowed == 0:
                break
            if allowed > 0:
                data = os.read(self._fd, allowed)
                self.at_end = not data
                self._left -= len(data) if self._deadline else 0
                return data
        return b""

    read1 = read

    def seekable(self) -> bool:
        """No."""
        return False

    def _wait(self, size: int) -> int:
        """Bytes that may be read; 0: no more, -1: none yet."""
        if ending.seen() and self._deadline is None:
            self._deadline = time.monotonic() + LAST_S
        if self._deadline is not None:
            size = min(size, self._left)
            wait = self._deadline - time.monotonic()
            if size == 0 or wait <= 0:
                return 0
        else:
            wait = WAIT_S
        return size if select.select([self._fd], [], [], min(wait, WAIT_S))[0] else -1


def check_file(op: str, file: str) -> None:
    """Refuse a file that does not exist."""
    if file != STDIN and not Path(file).exists():
        raise fail(op, "FILE", "a file that exists", repr(file))


def open_recording(op: str, file: str, raw: bool) -> Recording:
    """Open a recording; ``-`` is standard input. Its beginning is read, unless it is live.

    Args:
        op: The command, for errors.
        file: A path or ``-``.
        raw: It is headerless.

    Raises:
        ValueError: it cannot be read, or is no audio.
    """
    from ..audio.blocks import blocks, raw_blocks

    source, pipe = _source(op, file, raw)
    argument = "stdin" if file == STDIN else file
    if raw:
        return Recording(file, raw_blocks(source, seconds=RAW_S, title=readable(argument)), pipe)
    return Recording(file, blocks(source, argument=argument), pipe)


def _pipe(file: Any) -> Pipe | None:
    """The reader of a pipe, a device or a socket; None for anything else."""
    try:
        fd = file.fileno()
        mode = os.fstat(fd).st_mode
    except (OSError, AttributeError):  # in memory
        return None
    return Pipe(fd, file) if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode) else None


def _source(op: str, file: str, raw: bool) -> tuple[Any, Pipe | None]:
    """What the samples are read from, and the pipe if it is one."""
    if file == STDIN:
        if is_closed(0):
            raise fail(op, "FILE", "audio on standard input", "none: it is closed")
        if sys.stdin.isatty():
            raise fail(op, "FILE", "audio on standard input", "a terminal")
        pipe = _pipe(sys.stdin.buffer)
        return pipe or sys.stdin.buffer, pipe
    mode = Path(file).stat().st_mode
    if not raw and not stat.S_ISFIFO(mode):
        return file, None
    if stat.S_ISDIR(mode):
        raise fail(op, "FILE", "an audio file", f"the folder {file!r}")
    source = open(file, "rb", buffering=0)  # noqa: SIM115 - read until the end of the recording
    return (pipe, pipe) if (pipe := _pipe(source)) else (source, None)
