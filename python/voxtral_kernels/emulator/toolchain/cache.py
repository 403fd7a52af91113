"""The folder where compiled kernels are kept. An entry is used only as it was written, and only its owner's."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path


def cache_dir() -> Path:
    """Where compiled kernels are kept: ``VOXTRAL_KERNELS_CACHE``, or the platform's folder for caches.

    Where that folder cannot be used a temporary one of this process is, with one warning.
    """
    given = os.environ.get("VOXTRAL_KERNELS_CACHE")
    if given:
        base = Path(given)
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches" / "voxtral-kernels"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voxtral-kernels"
    folder = base / "emulator"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return _instead(str(folder), error.strerror or str(error))
    return folder


@cache
def _instead(folder: str, why: str) -> Path:
    """A folder of this process, in place of one that cannot be used."""
    warnings.warn(f"[emulator] cache: {folder} cannot be used ({why}); nothing is kept", stacklevel=4)
    temporary = _temporary()
    return Path(temporary.name)


@cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="voxtral-kernels-")


def is_kept(entry: Path) -> bool:
    """Whether an entry is there as ``keep`` left it: whole, a file, and of this user. What is not is written over."""
    try:
        found = entry.lstat()
        is_ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & stat.S_IWOTH
        return is_ours and _sum_file(entry).read_text() == _digest(entry)
    except (OSError, UnicodeDecodeError):
        return False


def keep(made: str | os.PathLike[str], entry: Path) -> None:
    """Moves a file into its place among the entries. Several processes may: each writes what it made."""
    written = Path(f"{os.fspath(made)}.sha256")
    written.write_text(_digest(Path(made)))
    for source, target in ((made, entry), (written, _sum_file(entry))):
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        os.replace(source, target)


def mark(entry: Path) -> None:
    """An entry that says nothing but that it is there."""
    with tempfile.TemporaryDirectory(dir=entry.parent) as scratch:
        made = Path(scratch, "mark")
        made.write_text("kept")
        keep(made, entry)


def _sum_file(entry: Path) -> Path:
    return entry.with_name(f"{entry.name}.sha256")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
