"""Symbols and sections of an ELF file (64 bit, little endian): shared objects of g++ and cubins of NVRTC alike."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple


class Section(NamedTuple):
    """One section: its name, kind, place in memory and bytes."""

    name: str
    kind: int
    address: int
    data: bytes
    size: int
    link: int
    info: int


class Symbol(NamedTuple):
    """One symbol with the name of its section (empty where it has none)."""

    name: str
    value: int
    size: int
    section: str


SYMTAB, NOBITS = 2, 8


@dataclass(frozen=True)
class Elf:
    """What was read."""

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]

    def section(self, name: str) -> Section | None:
        """The section of that name."""
        return next((s for s in self.sections if s.name == name), None)


def _text(table: bytes, start: int) -> str:
    return table[start : table.index(b"\0", start)].decode()


def read(data: bytes) -> Elf:
    """Parse ``data``; raises ValueError where it is no 64-bit ELF file."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    offset = struct.unpack_from("<Q", data, 40)[0]
    size, number, names = struct.unpack_from("<HHH", data, 58)
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, offset + i * size) for i in range(number)]
    text = data[headers[names][4] : headers[names][4] + headers[names][5]]
    sections = []
    for name, kind, _, address, start, length, link, info, *_ in headers:
        body = b"" if kind == NOBITS else data[start : start + length]
        sections.append(Section(_text(text, name), kind, address, body, length, link, info))
    symbols = []
    for section in sections:
        if section.kind == SYMTAB:
            strings = sections[section.link].data
            for name, _, _, home, value, length in struct.iter_unpack("<IBBHQQ", section.data):
                where = sections[home].name if 0 < home < number else ""
                symbols.append(Symbol(_text(strings, name), value, length, where))
    return Elf(tuple(sections), tuple(symbols))
