"""What the emulator reads of a compiled kernel's file: ELF, and Mach-O where the kernel is for macOS."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_MACH_O = b"\xcf\xfa\xed\xfe"
_SEGMENT, _SYMBOLS = 0x19, 0x02
_AT_LOAD = {
    "elf": (b".preinit_array", b".init_array", b".fini_array", b".ctors", b".dtors", b".init", b".fini"),
    "mach-o": (b"__mod_init_func", b"__init_offsets", b"__mod_term_func", b"__thread_init"),
}
_RUN_BY_TAG = {12: "_init", 13: "_fini"}  # what an ELF file's table for the loader names as functions of their own
_CODE = {
    "elf": (b".text", b".rodata", b".data"),
    "mach-o": (b"__text", b"__const", b"__cstring", b"__literal4", b"__literal8", b"__literal16", b"__data"),
}


@dataclass(frozen=True)
class _Section:
    name: bytes
    address: int
    offset: int
    size: int
    relocations: tuple[int, int] = (0, 0)  # where, and how many


@dataclass(frozen=True)
class Symbol:
    """A symbol of a Mach-O file: ``section`` counts from 1, 0 for one that is not defined there."""

    name: str
    section: int
    address: int


def is_mach_o(image: bytes) -> bool:
    """Whether it is a 64-bit Mach-O file; ELF is the other kind there is."""
    return image[:4] == _MACH_O


def code(image: bytes) -> list[bytes]:
    """Its instructions and constants, by which two compilations are the same code."""
    return [_bytes(image, s) for name in _CODE[_kind(image)] for s in _sections(image) if s.name == name]


def run_at_load(image: bytes) -> dict[str, int]:
    """The sections whose functions the system calls when it loads the file or lets it go, and their sizes in bytes."""
    names = _AT_LOAD[_kind(image)]
    found = {s.name.decode(): s.size for s in _sections(image) if s.name in names and s.size}
    table = next((_bytes(image, s) for s in _sections(image) if s.name == b".dynamic"), b"")
    return found | {_RUN_BY_TAG[tag]: 8 for tag, _ in struct.iter_unpack("<qQ", table) if tag in _RUN_BY_TAG}


def line_program(image: bytes) -> bytes:
    """DWARF's line table with its relocations applied; empty where there is none."""
    name = b"__debug_line" if is_mach_o(image) else b".debug_line"
    found = next((s for s in _sections(image) if s.name == name), None)
    if found is None:
        return b""
    data, symbols = bytearray(_bytes(image, found)), symbols_of(image) if found.relocations[1] else []
    at, count = found.relocations
    for i in range(count):
        where, word = struct.unpack_from("<II", image, at + 8 * i)
        number, is_named, kind = word & 0xFFFFFF, word >> 27 & 1, word >> 28
        if is_named and kind == 0:  # an address relative to a symbol; others stand as they are
            (offset,) = struct.unpack_from("<q", data, where)
            struct.pack_into("<Q", data, where, symbols[number].address + offset)
    return bytes(data)


def symbols_of(image: bytes) -> list[Symbol]:
    """All symbols of a Mach-O file, debugging entries with them as undefined ones without a name."""
    symbols = []
    for command, at, _ in _commands(image):
        if command != _SYMBOLS:
            continue
        table, count, strings, _ = struct.unpack_from("<4I", image, at + 8)
        for i in range(count):
            name_at, kind, number, _, value = struct.unpack_from("<IBBHQ", image, table + 16 * i)
            is_debugging, is_here = bool(kind & 0xE0), kind & 0x0E == 0x0E
            name = image[strings + name_at : image.index(b"\0", strings + name_at)].decode()
            symbols.append(Symbol("" if is_debugging else name, number if is_here else 0, value))
    return symbols


def text_symbols(image: bytes) -> dict[str, int]:
    """Address of each symbol among a Mach-O file's instructions."""
    numbers = {i for i, s in enumerate(_sections(image), 1) if s.name == b"__text"}
    return {s.name: s.address for s in symbols_of(image) if s.name and s.section in numbers}


def undefined(image: bytes) -> list[str]:
    """What a Mach-O library takes from others, which a kernel's must not."""
    return sorted(s.name for s in symbols_of(image) if s.name and not s.section and s.name != "dyld_stub_binder")


def _kind(image: bytes) -> str:
    return "mach-o" if is_mach_o(image) else "elf"


def _bytes(image: bytes, section: _Section) -> bytes:
    return image[section.offset : section.offset + section.size]


def _sections(image: bytes) -> list[_Section]:
    return list(_mach_o_sections(image) if is_mach_o(image) else _elf_sections(image))


def _elf_sections(elf: bytes) -> Iterator[_Section]:
    """Those of a 64-bit little-endian file."""
    (headers,) = struct.unpack_from("<Q", elf, 0x28)
    size, count, names = struct.unpack_from("<HHH", elf, 0x3A)
    entries = [struct.unpack_from("<IIQQQQ", elf, headers + i * size) for i in range(count)]
    strings = entries[names][4] if entries else 0
    for label, kind, _, address, start, length in entries:
        name = elf[strings + label : elf.index(b"\0", strings + label)]
        yield _Section(name, address, start, 0 if kind == 8 else length)  # 8: zeros that take no room


def _mach_o_sections(image: bytes) -> Iterator[_Section]:
    for command, at, _ in _commands(image):
        if command != _SEGMENT:
            continue
        (count,) = struct.unpack_from("<I", image, at + 64)
        for start in range(at + 72, at + 72 + 80 * count, 80):
            address, size, offset, _, relocations, many, flags = struct.unpack_from("<QQIIIII", image, start + 32)
            name = image[start : start + 16].rstrip(b"\0")
            yield _Section(name, address, offset, 0 if flags & 0xFF == 1 else size, (relocations, many))


def _commands(image: bytes) -> Iterator[tuple[int, int, int]]:
    (count,) = struct.unpack_from("<I", image, 16)
    at = 32
    for _ in range(count):
        command, size = struct.unpack_from("<2I", image, at)
        yield command, at, size
        at += size
