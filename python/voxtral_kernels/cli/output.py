"""Where a transcript goes: standard output, a file, or one file for each recording in a folder."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from .._check import fail
from .console import Interrupted, print_text
from .formats import Format, Transcript, render

OP = "transcribe"
STDIN = "-"


def targets(files: Sequence[str], form: Format, out: str | None) -> list[Path | None]:
    """The file to write for each input; None: standard output. Checked before any work is done.

    Raises:
        ValueError: the folder is missing, an output would overwrite an input or another output, or subtitles of
            several recordings would run into each other.
    """
    if out is None:
        if len(files) > 1 and form in (Format.SRT, Format.VTT):
            raise fail(OP, "--output", f"a folder, one {form.value} file for each recording", "none")
        return [None] * len(files)
    path = Path(out)
    if not path.is_dir() and not out.endswith(os.sep) and len(files) == 1:
        return [_checked(path, files)]
    if not path.is_dir():
        raise fail(OP, "--output", "an existing folder", repr(out))
    paths = [path / (("stdin" if f == STDIN else Path(f).stem) + form.suffix) for f in files]
    for i, p in enumerate(paths):
        if p in paths[:i]:
            raise fail(OP, "FILE", "recordings of different names", f"two that would be written to {str(p)!r}")
    return [_checked(p, files) for p in paths]


def deliver(
    run: Callable[[], None], transcript: Transcript, path: Path | None, form: Format, *, several: bool = False
) -> None:
    """Fill a transcript and write it; after Ctrl-C, print what there is of it.

    Args:
        run: Fills it, and keeps it up to date at every moment.
        transcript: What is filled.
        path: File to write; None: standard output.
        form: Format.
        several: It is one of several: marked as such on standard output.

    Raises:
        Interrupted: Ctrl-C, with the text so far.
    """
    head = f"==> {transcript.source} <==\n" if several and path is None and form is Format.TEXT else ""
    one_line = several and path is None
    try:
        run()
    except KeyboardInterrupt:
        transcript.complete = False
        raise Interrupted(head + render(transcript, form, one_line=one_line)) from None
    text = render(transcript, form, one_line=one_line)
    if path is None:
        print_text(head + text)
    else:
        write_atomic(path, text)


def _checked(path: Path, files: Sequence[str]) -> Path:
    if not path.parent.is_dir():
        raise fail(OP, "--output", "a file in an existing folder", repr(str(path)))
    if any(f != STDIN and path.exists() and Path(f).exists() and path.samefile(f) for f in files):
        raise fail(OP, "--output", "another file than the recording", repr(str(path)))
    return path


def write_atomic(path: Path, text: str) -> None:
    """Write the whole file or leave what was there; a link stays a link, a pipe or device is written to as it is."""
    path = path.resolve()
    data = text.encode("utf-8")
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        path.write_bytes(data)
        return
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, _mode(path))
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _mode(path: Path) -> int:
    """The permissions of the file there, or those that a new one gets."""
    if path.exists():
        return stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
