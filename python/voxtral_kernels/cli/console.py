"""What goes to the standard streams: text, notes, errors on one line; no control character acts on a terminal."""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import TextIO

from ..transcripts.plain import readable as readable
from ..transcripts.plain import visible

# Standard streams that were closed when the command started.
_closed: set[int] = set()
_mute = False


class Unwritable(Exception):  # noqa: N818 - it names a state of standard output; `reason` is the error
    """Standard output cannot be written any more; ``reason`` is the error."""

    def __init__(self, reason: OSError):
        super().__init__(str(reason))
        self.reason = reason


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Closed standard streams (``2>&-``) lead to /dev/null: whatever is opened next would get their numbers."""
    global _mute
    _closed.clear()
    _mute = False
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
        if getattr(sys, name) is None:
            _closed.add(number)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - for the life of the process
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a transcript is not lost to a terminal that lacks a letter
    yield


def is_closed(number: int) -> bool:
    """Whether this standard stream was closed when the command started."""
    return number in _closed


def mute() -> None:
    """From now on nothing is said or written but errors: another process speaks."""
    global _mute
    _mute = True


def is_mute() -> bool:
    """Whether another process speaks."""
    return _mute


def print_text(text: str) -> None:
    """To standard output, at once.

    Raises:
        BrokenPipeError: its reader is gone.
        Unwritable: it cannot be written.
    """
    if _mute:
        return
    try:
        _write(sys.stdout, text)
    except BrokenPipeError:
        abandon_stdout()
        raise
    except OSError as reason:
        abandon_stdout()
        raise Unwritable(reason) from None


def print_note(text: str) -> None:
    """One line on standard error that is no error."""
    if not _mute:
        print_line(f"voxtral-kernels: {text}")


def print_line(text: str) -> None:
    """One line on standard error, as it is."""
    _to_stderr(f"{' '.join(text.split())}\n")


def print_error(error: BaseException | str) -> None:
    """One line on standard error: house errors and usage errors as they are, others with their type."""
    print_line(f"voxtral-kernels: error: {error if isinstance(error, str) else message(error)}")


def rescue(text: str) -> None:
    """A transcript that could not be written where it should go: to standard error, or else to standard output."""
    if not _mute and (is_closed(2) or not _to_stderr(text)):
        print_text(text)


def _write(stream: TextIO, text: str) -> None:
    """All of it, control characters made visible. Python's own write drops what a full disk did not take at once if
    PYTHONUNBUFFERED is set."""
    text = visible(text)
    stream.flush()
    if not isinstance(stream, io.TextIOWrapper):
        stream.write(text)
        stream.flush()
        return
    data = memoryview(text.encode(stream.encoding, stream.errors or "strict"))
    while data:
        written = stream.buffer.write(data)
        if written is None:  # a pipe that does not block, full for now
            select.select([], [stream], [])
        data = data[written or 0 :]
    stream.buffer.flush()


def _to_stderr(text: str) -> bool:
    """Whether it could be written: a terminal may be gone."""
    try:
        _write(sys.stderr, text)
    except OSError:
        return False
    return True


def abandon_stdout() -> None:
    """What is still buffered goes nowhere; Python would complain once more when it flushes at exit."""
    with contextlib.suppress(OSError, ValueError):  # replaced by something without a descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def message(error: BaseException) -> str:
    """What an error says, without its traceback."""
    if hasattr(error, "format_message"):  # a usage error of typer
        return error.format_message()
    if isinstance(error, Unwritable):
        return f"[stdout] output: expected a place to write to, got {error}."
    if isinstance(error, (ValueError, OSError)) and str(error):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
