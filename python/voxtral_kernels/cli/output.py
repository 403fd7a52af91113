"""Where transcripts go: standard output, a file, or one file for each recording in a folder; proven before any work."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from .._errors import fail
from ..transcripts.formats import Format
from .console import is_closed, readable

OP = "transcribe"
STDIN = STDOUT = "-"
# Of the files that are made for a moment only.
PREFIX = ".voxtral-kernels-"
# What a folder must have room for before the work begins.
ROOM = 4096


def format_of(form: Format | None, out: str | None) -> Format:
    """The format asked for, or the one that the name of the output ends in, or text."""
    if form is None and out is not None:
        suffix = Path(out).suffix.lower()
        form = next((f for f in Format if f.suffix == suffix), None)
    return form or Format.TEXT


def targets(files: Sequence[str], form: Format, out: str | None) -> list[Path | None]:
    """The file to write for each input; None: standard output. Each is proven to be writable.

    Raises:
        ValueError: the folder is missing, an output cannot be written or would overwrite an input or another output,
            or subtitles of several recordings would run into each other.
    """
    if out is None or out == STDOUT:
        if len(files) > 1 and form in (Format.SRT, Format.VTT):
            raise fail(OP, "--output", f"a folder, one {form.value} file for each recording", out or "none")
        _prove_stdout()
        return [None] * len(files)
    try:
        return list(_files(files, form, out))
    except OSError as error:
        raise fail(
            OP, "--output", "a name that the file system takes", f"{readable(out)!r} ({error.strerror})"
        ) from None


def _files(files: Sequence[str], form: Format, out: str) -> list[Path]:
    """The file for each input, proven."""
    path = Path(out)
    if len(files) == 1 and not path.is_dir() and not out.endswith(os.sep):
        paths = [path]
    else:
        _make(path, out)
        paths = [path / (("stdin" if f == STDIN else Path(f).stem) + form.suffix) for f in files]
    for p in paths:
        _check(p, files)
    for folder in {p.resolve().parent for p in paths if p.is_file() or not p.exists()}:
        _prove_room(folder)
    for p in paths:
        _prove_name(p.resolve())
    for one, other in _same(paths):
        names = f"{readable(str(one))!r} and {readable(str(other))!r}, which are the same file"
        raise fail(OP, "FILE", "recordings of different names", f"two that would be written to {names}")
    return paths


def _make(folder: Path, out: str) -> None:
    """The folder for the outputs; one that is asked for as such, by a slash, is made."""
    if not folder.is_dir() and out.endswith(os.sep) and folder.parent.is_dir():
        with contextlib.suppress(OSError):
            folder.mkdir()
    if not folder.is_dir():
        raise fail(OP, "--output", "an existing folder", repr(readable(out)))


def _check(path: Path, files: Sequence[str]) -> None:
    name = repr(readable(str(path)))
    if not path.resolve().parent.is_dir():
        raise fail(OP, "--output", "a file in an existing folder", name)
    if path.is_dir():
        raise fail(OP, "--output", "a file", f"the folder {name}")
    if any(f != STDIN and path.exists() and Path(f).exists() and path.samefile(f) for f in files):
        raise fail(OP, "--output", "another file than the recording", name)
    if path.exists() and not os.access(path, os.W_OK):
        raise fail(OP, "--output", "a file that may be written", f"the read-only {name}")


def _prove_stdout() -> None:
    expected = "a file, as standard output"
    if is_closed(1):
        raise fail(OP, "--output", f"{expected} is closed", "none")
    try:
        os.write(1, b"")
        where, room = os.fstat(1), os.fstatvfs(1)
    except OSError as error:
        raise fail(OP, "--output", f"{expected} cannot be written", error.strerror) from None
    if stat.S_ISREG(where.st_mode) and room.f_blocks and not room.f_bfree:
        raise fail(OP, "--output", f"{expected} goes to a disk that is full", "none")


def _prove_room(folder: Path) -> None:
    """A file can be made in the folder and holds something."""
    try:
        with tempfile.TemporaryFile(prefix=PREFIX, dir=folder) as file:
            file.write(bytes(ROOM))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        got = f"{readable(str(folder))!r} ({error.strerror})"
        raise fail(OP, "--output", "a folder that can be written, with room", got) from None


def _prove_name(path: Path) -> None:
    """A file of this name can be made here: some file systems take UTF-8 only, or shorter names."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        path.unlink()


def _same(paths: Iterable[Path]) -> Iterable[tuple[Path, Path]]:
    """Pairs that are one file, also where capitals or the form of accents make no difference to the file system."""
    alike: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        alike[unicodedata.normalize("NFKC", str(path)).casefold()].append(path)
    for group in alike.values():
        yield from (pair for pair in pairwise(sorted(group)) if pair[0] == pair[1] or _is_one_file(*pair))


def _is_one_file(one: Path, other: Path) -> bool:
    if one.exists() or other.exists():
        return one.exists() and other.exists() and one.samefile(other)
    one.touch(exist_ok=False)
    try:
        return other.exists()
    finally:
        one.unlink()


def beside(path: Path) -> Path:
    """A name for a partial result that takes no other file's place: ``path`` itself if it is free."""
    names = (path.with_name(f"{path.stem}.partial{'' if n == 1 else f'-{n}'}{path.suffix}") for n in range(1, 10_000))
    return next((p for p in (path, *names) if not os.path.lexists(p)), path)


def write_atomic(path: Path, text: str) -> None:
    """Write the whole file or leave what was there; a link stays a link, a pipe or device is written to as it is."""
    path = path.resolve()
    data = text.encode("utf-8", "replace")
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        path.write_bytes(data)
        return
    handle, name = tempfile.mkstemp(prefix=PREFIX, dir=path.parent)
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
