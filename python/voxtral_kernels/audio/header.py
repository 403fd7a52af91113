"""Sizes in the headers of uncompressed audio, which FFmpeg believes or passes over in silence.

A recorder writes them last. One that died leaves zeros: they are replaced, so that all that is there is read. A file
that was cut off later states more than it holds: that is what tells the two apart.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

# What programs that write to a pipe put where they cannot know the size.
UNKNOWN = (0, 0x7FFFFFFF, 0x7FFFF000, 0x80000000, 0xFFFFFFFF)
# More than the largest page.
OGG_TAIL = 1 << 17
ASF, ASF_FILE = (
    bytes.fromhex(text) for text in ("3026b2758e66cf11a6d900aa0062ce6c", "a1dcab8c47a9cf118ee400c00c205365")
)
W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"


def read(head: bytes, size: int | None) -> tuple[float | None, bytes | bytearray]:
    """What the header states and what it should say.

    Args:
        head: The first bytes of the file.
        size: Bytes in all; None if nobody knows (a pipe).

    Returns:
        Seconds of sound that a RIFF, CAF or ASF header states (None for others, and where it does not), and ``head``
        with sizes of zero replaced.
    """
    try:
        if head[:4] in (b"RIFF", b"RF64", b"BW64"):
            return _riff(head, size)
        if head[:4] == b"caff":
            return _caf(head), head
        if head[:16] == ASF:
            return _asf(head), head
        if size is not None:
            mend = {b"FORM": _aiff, b".snd": _au, b"riff": _w64}.get(head[:4])
            return None, mend(bytearray(head), size) if mend else head
    except struct.error:  # cut off inside its header
        pass
    return None, head


def _chunks(head: bytes, start: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, offset of the content and stated size of the chunks that begin in ``head``."""
    while start + 8 <= len(head):
        name = head[start : start + 4]
        (size,) = struct.unpack_from(f"{order}I", head, start + 4)
        yield name, start + 8, size
        start += 8 + size + size % 2


def _riff(head: bytes, size: int | None) -> tuple[float | None, bytes | bytearray]:
    rate = large = 0
    for name, at, stated in _chunks(head, 12, "<"):
        if name == b"fmt ":
            (rate,) = struct.unpack_from("<I", head, at + 8)
        elif name == b"ds64":
            (large,) = struct.unpack_from("<Q", head, at + 8)
            if large == 0 and size is not None:
                mended = bytearray(head)
                struct.pack_into("<QQ", mended, at, max(0, size - 8), size)
                return None, mended
        elif name == b"data":
            stated = large or stated
            return (stated / rate if rate and stated not in UNKNOWN else None), head
    return None, head


def _caf(head: bytes) -> float | None:
    at, rate = 8, 0.0
    packet = frames = 0
    while at + 12 <= len(head):
        name, (stated,) = head[at : at + 4], struct.unpack_from(">q", head, at + 4)
        if name == b"desc":
            rate, _, _, packet, frames = struct.unpack_from(">dIIII", head, at + 12)
        elif name == b"data":
            constant = rate > 0 and packet > 0
            return (stated - 4) // packet * frames / rate if constant and stated > 4 else None
        at += 12 + max(0, stated)
    return None


def _asf(head: bytes) -> float | None:
    """Play time less preroll, where the recorder lived to write them."""
    at = head.find(ASF_FILE)
    if at < 0:
        return None
    play, _, preroll = struct.unpack_from("<QQQ", head, at + 64)
    return play / 1e7 - preroll / 1e3 if play else None


def _aiff(head: bytearray, size: int) -> bytearray:
    common = 0
    for name, at, stated in _chunks(bytes(head), 12, ">"):
        if name == b"COMM":
            common = at
        elif name == b"SSND" and stated == 0 and common:
            channels, _, bits = struct.unpack_from(">hIh", head, common)
            data = size - at
            struct.pack_into(">I", head, 4, min(size - 8, 0xFFFFFFFF))
            struct.pack_into(">I", head, at - 4, min(data, 0xFFFFFFFF))
            struct.pack_into(">I", head, common + 2, max(0, data - 8) // max(1, channels * (bits + 7) // 8))
            break
    return head


def _au(head: bytearray, size: int) -> bytearray:
    if struct.unpack_from(">I", head, 8) == (0,):
        struct.pack_into(">I", head, 8, 0xFFFFFFFF)  # "unknown", by its own definition
    return head


def _w64(head: bytearray, size: int) -> bytearray:
    at = head.find(W64_DATA)
    if at >= 0 and struct.unpack_from("<Q", head, at + 16) == (0,):
        struct.pack_into("<Q", head, 16, size)
        struct.pack_into("<Q", head, at + 16, size - at)
    return head


def ogg_is_cut(tail: bytes) -> bool:
    """Whether the last page in the last bytes of an Ogg file is incomplete, or is not marked as the last one."""
    at = tail.rfind(b"OggS")
    if at < 0 or len(tail) < at + 27:
        return True
    n = tail[at + 26]
    table = tail[at + 27 : at + 27 + n]
    return len(table) < n or len(tail) < at + 27 + n + sum(table) or not tail[at + 5] & 4
