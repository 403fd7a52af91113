"""Which line of the user's text an instruction came from: the DWARF 4 line table of a compiled kernel."""

from __future__ import annotations

import bisect
import struct
from pathlib import Path

from . import images


class LineTable:
    """Addresses of a shared library, relative to its start, to (path, line, column). Read when first asked."""

    def __init__(self, library: Path):
        self._library = library
        self._rows: list[_Row] | None = None

    def find(self, address: int) -> tuple[str, int, int] | None:
        """The place of the instruction at or before ``address``; None where the compiler left none."""
        if address < 0:
            return None
        if self._rows is None:
            self._rows = sorted(_rows_of(self._library), key=lambda row: row[0])
        at = bisect.bisect_right(self._rows, address, key=lambda row: row[0]) - 1
        if at < 0 or self._rows[at][2] == 0:
            return None
        return self._rows[at][1:]


_Row = tuple[int, str, int, int]  # address, path, line, column; line 0 ends a sequence


class _Reader:
    def __init__(self, data: bytes, at: int):
        self.data, self.at = data, at

    def take(self, form: str) -> int:
        (value,) = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return value

    def string(self) -> str:
        end = self.data.index(b"\0", self.at)
        text = self.data[self.at : end].decode()
        self.at = end + 1
        return text

    def uleb(self) -> int:
        value = shift = 0
        while True:
            byte = self.take("B")
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def sleb(self) -> int:
        start = self.at
        value = self.uleb()
        bits = 7 * (self.at - start)
        return value - (1 << bits) if self.data[self.at - 1] & 64 else value


def _rows_of(library: Path) -> list[_Row]:
    """The rows of a library. A Mach-O one has none: they stay in the object, at the object's own addresses."""
    image = library.read_bytes()
    if not images.is_mach_o(image):
        return _read_rows(images.line_program(image))
    object_ = library.with_suffix(".o").read_bytes()
    moved = images.text_symbols(image)
    functions = sorted((address, name) for name, address in images.text_symbols(object_).items() if name in moved)
    rows: list[_Row] = []
    for address, path, line, column in _read_rows(images.line_program(object_)):
        at = bisect.bisect_right(functions, address, key=lambda f: f[0]) - 1
        if at >= 0:
            start, name = functions[at]
            rows.append((moved[name] + address - start, path, line, column))
    return rows


def _read_rows(data: bytes) -> list[_Row]:
    rows: list[_Row] = []
    at = 0
    while at + 4 <= len(data):
        (length,) = struct.unpack_from("<I", data, at)
        rows += _read_unit(_Reader(data, at + 4), at + 4 + length)
        at += 4 + length
    return rows


def _read_files(r: _Reader) -> list[str]:
    """The paths of a unit's header; the first has number 1."""
    directories = [""]
    while directory := r.string():
        directories.append(directory)
    files = [""]
    while name := r.string():
        directory = directories[r.uleb()]
        r.uleb(), r.uleb()  # time, size
        files.append(f"{directory}/{name}" if directory and not name.startswith("/") else name)
    return files


def _read_unit(r: _Reader, end: int) -> list[_Row]:
    version, header_length = r.take("H"), r.take("I")
    if not 2 <= version <= 4:
        return []
    program = r.at + header_length
    step = r.take("B")
    if version == 4:
        r.take("B")  # operations per instruction
    r.take("B")  # default is_stmt
    line_base, line_range, opcode_base = r.take("b"), r.take("B"), r.take("B")
    lengths = [r.take("B") for _ in range(opcode_base - 1)]
    files = _read_files(r)
    r.at = program
    rows: list[_Row] = []
    address, file, line, column = 0, 1, 1, 0
    while r.at < end:
        opcode = r.take("B")
        if opcode >= opcode_base:
            adjusted = opcode - opcode_base
            address += adjusted // line_range * step
            line += line_base + adjusted % line_range
            rows.append((address, files[file], line, column))
        elif opcode == 0:
            size = r.uleb()
            after = r.at + size
            extended = r.take("B")
            if extended == 1:
                rows.append((address, "", 0, 0))
                address, file, line, column = 0, 1, 1, 0
            elif extended == 2:
                address = r.take("Q")
            r.at = after
        elif opcode == 1:
            rows.append((address, files[file], line, column))
        elif opcode == 2:
            address += r.uleb() * step
        elif opcode == 3:
            line += r.sleb()
        elif opcode == 4:
            file = r.uleb()
        elif opcode == 5:
            column = r.uleb()
        elif opcode == 8:
            address += (255 - opcode_base) // line_range * step
        elif opcode == 9:
            address += r.take("H")
        else:
            for _ in range(lengths[opcode - 1]):
                r.uleb()
    return rows
