"""The bytes of a recording, wherever they are: a file, a pipe, memory, a file object."""

from __future__ import annotations

import io
import os
import re
import stat
import tempfile
from pathlib import Path
from typing import IO, Any

from .._check import fail
from . import header

OP = "load_audio"
# Looked at before decoding: from a pipe what must come anyway, from a file what its chunks may push the sizes behind.
PIPE_HEAD, FILE_HEAD = 512, 1 << 16


class Source:
    """What FFmpeg reads from: the head with mended sizes, then the file.

    Attributes:
        title: The name that messages call it by, printable.
        head: Its first bytes.
        size: Bytes in all; None for a pipe.
        promised_s: The length that its header states, where FFmpeg would not tell; None elsewhere.
        failure: What reading it raised.
    """

    def __init__(self, file: IO[bytes], title: str, *, name: str = "", argument: str, owned: bool) -> None:
        self.title, self._argument, self._owned = title, argument, owned
        # FFmpeg goes by the ending where the content says too little.
        self.name = "audio" + (match[0] if (match := re.search(r"\.[A-Za-z0-9]{1,8}$", name)) else "")
        self._file, self._base, self.size = file, 0, None
        self._position = 0
        self.failure: BaseException | None = None
        if _seekable(file):
            self._base = file.tell()
            self.size = file.seek(0, io.SEEK_END) - self._base
            file.seek(self._base)
        try:
            self.head = self._read_head(PIPE_HEAD if self.size is None else FILE_HEAD)
            if self.size is None and self.head[4:8] == b"ftyp":
                self._spool()
        except OSError as error:
            self.close()
            reason = error.strerror or type(error).__name__
            raise fail(OP, argument, "a readable file", f"{title} ({reason})") from None
        self.promised_s, mended = header.read(self.head, self.size)
        self._mended = bytes(mended)

    def seekable(self) -> bool:
        """For FFmpeg."""
        return self.size is not None

    def readable(self) -> bool:
        """For FFmpeg."""
        return True

    def tell(self) -> int:
        """The position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position; one before the start is the start."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size or 0}[whence]
        self._position = max(0, base + offset)
        if self._position >= len(self._mended):
            self._file.seek(self._base + self._position)
        return self._position

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes, from a pipe those that are there; none at the end and once something failed.

        An exception must not pass through FFmpeg: ``failure`` keeps it, Ctrl-C included.
        """
        try:
            return b"" if self.failure else self._read(size)
        except BaseException as error:
            self.failure = error
            return b""

    def _read(self, size: int) -> bytes:
        inside = self._position < len(self._mended)
        data = self._mended[self._position : self._position + size] if inside else self._take(size)
        self._position += len(data)
        if inside and self._position == len(self._mended) and self.size is not None:
            self._file.seek(self._base + self._position)
        return data

    def ends_in_a_page(self) -> bool:
        """Whether an Ogg file ends without its last page."""
        if self.size is None:
            return False
        start = max(0, self.size - header.OGG_TAIL)
        self._file.seek(self._base + start)
        return header.ogg_is_cut(self._file.read(header.OGG_TAIL))

    def close(self) -> None:
        """Closes the file if it was opened here."""
        if self._owned:
            self._file.close()

    def _take(self, size: int) -> bytes:
        take = getattr(self._file, "read1", self._file.read) if self.size is None else self._file.read
        data = take(size)
        if not isinstance(data, bytes):
            got = f"one that reads {type(data).__name__}"
            raise fail(OP, self._argument, "a file object opened in binary mode", got)
        if len(data) > size:
            raise fail(OP, self._argument, f"read({size}) to give at most {size} bytes", f"{len(data)}")
        return data

    def _read_head(self, size: int) -> bytes:
        head = b""
        while len(head) < size and (data := self._take(size - len(head))):
            head += data
        return head

    def _spool(self) -> None:
        """An MP4's index may stand at its end: what comes through a pipe waits in a temporary file."""
        spool = tempfile.TemporaryFile()  # noqa: SIM115
        spool.write(self.head)
        while data := self._take(1 << 20):
            spool.write(data)
        self.close()
        self._file, self._owned, self.size = spool, True, spool.tell()
        spool.seek(len(self.head))


def open_source(source: Any, argument: str) -> Source | None:
    """A path, the bytes of a file or a binary file object; None for anything else.

    Raises:
        ValueError: there is no such file, it is none, or it cannot be read.
    """
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        return Source(_open(path, argument), repr(str(path)), name=path.name, argument=argument, owned=True)
    if isinstance(source, (bytes, bytearray)) or (isinstance(source, memoryview) and source.format in "bBc"):
        data = bytes(source)
        return Source(io.BytesIO(data), f"{len(data)} bytes", argument=argument, owned=True)
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        name = name if isinstance(name, str) else ""
        title = repr(name) if name else "a file object" if argument == "audio" else argument
        return Source(source, title, name=name, argument=argument, owned=False)
    return None


def _open(path: Path, argument: str) -> IO[bytes]:
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            return path.open("rb")
        if stat.S_ISFIFO(mode):
            return path.open("rb", buffering=0)
        kind = "folder" if stat.S_ISDIR(mode) else "device"
        raise fail(OP, argument, "an audio file", f"the {kind} {str(path)!r}")
    except FileNotFoundError:
        raise fail(OP, argument, "a file that exists", repr(str(path))) from None
    except OSError as error:
        raise fail(OP, argument, "a readable file", f"{str(path)!r} ({error.strerror})") from None


def _seekable(file: Any) -> bool:
    try:
        return bool(file.seekable())
    except (AttributeError, ValueError):
        return False
