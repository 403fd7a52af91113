"""Files of a model's folder that are there and yet are not: links to nothing, Git LFS pointers."""

from __future__ import annotations

from pathlib import Path

from ._check import fail

_LFS_POINTER = b"version https://git-lfs"


def exists(op: str, file: Path) -> bool:
    """Whether there is such a file.

    Raises:
        ValueError: it is a link to nothing.
    """
    if file.is_symlink() and not file.exists():
        got = f"a link to {file.readlink()}, which is not there: copy or download the file again"
        raise fail(op, file.name, "a file", got)
    return file.is_file()


def refuse_pointer(op: str, file: Path) -> None:
    """Refuse what Git leaves in place of a large file that was not fetched.

    Raises:
        ValueError: it is that.
    """
    try:
        with file.open("rb") as stream:
            start = stream.read(len(_LFS_POINTER))
    except OSError:
        return  # what reads the file will say so
    if start == _LFS_POINTER:
        got = "a Git LFS pointer: run `git lfs install` and `git lfs pull` in the folder, or download the file"
        raise fail(op, file.name, "the file itself", got)
