"""A quick look at plain DICOM files: the wanted elements of an uncompressed little-endian data set, nothing else.

Most CT slices are such files, and pydicom spends 0.6 of 1.0 ms a slice on elements that nobody asks for; this walk
takes a tenth of that. It gives up on anything out of the ordinary (``None``), and pydicom then reads the file with all
its care: broken or unordered elements, wanted sequences, text beyond ASCII, other transfer syntaxes.

Source: DICOM PS3.5 7.1 (data elements), 7.5 (nested data sets), PS3.10 7.1 (file meta information).
"""

from __future__ import annotations

import struct
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from ctfast.files._dicom_tags import BINARY, TAGS

_PIXELS: Final = TAGS["PixelData"]
_WANTED: Final = frozenset(TAGS.values())
_BINARY: Final = frozenset(TAGS[name] for name in BINARY)
_FOR_PYDICOM: Final = frozenset(
    tag for name, tag in TAGS.items() if name.endswith("Sequence") or (name.endswith("PixelData") and tag != _PIXELS)
)
_SYNTAX: Final = 0x00020010
_ITEM, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE0DD
_UNDEFINED: Final = 0xFFFFFFFF
_VALUE_AT: Final = {
    **dict.fromkeys(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split(), 8),
    **dict.fromkeys(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split(), 12),
}
"""Bytes from an element's begin to its value, by its value representation: 16 or 32 bits of length."""
_MAX_DEPTH: Final = 16

_explicit = struct.Struct("<HH2sH").unpack_from
_implicit = struct.Struct("<HHI").unpack_from
_length = struct.Struct("<I").unpack_from


class PlainSyntax(NamedTuple):
    """A transfer syntax of plain files, with the attributes of pydicom's that readers use."""

    name: str
    is_implicit_VR: bool
    is_encapsulated: bool = False


_SYNTAXES: Final = {
    b"1.2.840.10008.1.2": PlainSyntax("Implicit VR Little Endian", True),
    b"1.2.840.10008.1.2.1": PlainSyntax("Explicit VR Little Endian", False),
}
"""PS3.6, Table A-1; importing pydicom's takes a third of a second."""


class Element(NamedTuple):
    """The bytes of one element, with the attributes of pydicom's raw elements that readers use."""

    value: bytes | memoryview
    length: int
    is_raw: bool = True
    is_little_endian: bool = True


@dataclass(slots=True)
class PlainDataSet:
    """What ``scan`` finds, to be used like a pydicom data set by tag."""

    implicit: bool
    file_meta: dict[str, Any]
    elements: dict[int, Element] = field(default_factory=dict)

    @property
    def original_encoding(self) -> tuple[bool, bool]:
        """``(implicit, little-endian)`` as in pydicom."""
        return self.implicit, True

    def get_item(self, tag: int) -> Element | None:
        """The element, or None."""
        return self.elements.get(tag)

    def __contains__(self, tag: int) -> bool:
        return tag in self.elements


def kind_of_wanted(tag: int) -> str:
    """What a wanted element is to the walk: ``"pixels"``, ``"refused"`` wherever it is, ``"binary"`` or ``"text"``."""
    if tag == _PIXELS:
        return "pixels"
    return "refused" if tag in _FOR_PYDICOM else "binary" if tag in _BINARY else "text"


class _OddError(Exception):
    """Something that is better left to pydicom."""


def scan(data: bytes, more: Set[int] = frozenset()) -> PlainDataSet | None:
    """Find the wanted elements of a DICOM file; None where pydicom should look.

    Args:
        data: all of the file, or as much as reaches to its pixels, where these are not asked for.
        more: tags of text that is wanted besides.
    """
    if data[128:132] != b"DICM":
        return None
    try:
        offset, syntax, _ = _meta(data)
        known = _SYNTAXES.get(syntax)
        if known is not None:
            ds = PlainDataSet(known.is_implicit_VR, {"TransferSyntaxUID": known})
            _walk(data, offset, ds, _WANTED | more)
            return ds
    except (_OddError, KeyError, struct.error):  # a key: an unknown value representation
        return None
    return None


def transfer_syntax(data: bytes) -> tuple[bytes, int]:
    """The UID of a file's transfer syntax and where it lies; empty where that is not clear."""
    if data[128:132] == b"DICM":
        try:
            _, syntax, at = _meta(data)
            return syntax, at
        except (_OddError, KeyError, struct.error):
            pass
    return b"", 0


def _meta(data: bytes) -> tuple[int, bytes, int]:
    """Where the data set starts, its transfer syntax and where that lies."""
    # The group length that should come first is often wrong, so the walk goes on as long as elements are of group 2.
    offset, syntax, at = 132, b"", 0
    while data[offset : offset + 2] == b"\x02\0":
        tag, start, length = _header(data, offset, implicit=False)
        offset = start + length
        if length == _UNDEFINED or offset > len(data):
            raise _OddError
        if tag == _SYNTAX:
            syntax, at = data[start:offset].rstrip(b"\0 "), start
    return offset, syntax, at


def _header(data: bytes, offset: int, *, implicit: bool) -> tuple[int, int, int]:
    """Tag, start and length of the value of the element at ``offset``."""
    if implicit:
        group, element, length = _implicit(data, offset)
        return group << 16 | element, offset + 8, length
    group, element, vr, length = _explicit(data, offset)
    start = offset + _VALUE_AT[vr]
    return group << 16 | element, start, length if start == offset + 8 else _length(data, offset + 8)[0]


def _walk(data: bytes, offset: int, ds: PlainDataSet, wanted: Set[int]) -> None:
    """Collect wanted elements up to and with the pixel data."""
    size, last, implicit = len(data), 0, ds.implicit
    while offset < size:
        if implicit:
            group, element, length = _implicit(data, offset)
            start = offset + 8
        else:  # as in ``_header``: a call for each of some 180 elements is a third of the walk
            group, element, vr, length = _explicit(data, offset)
            start = offset + _VALUE_AT[vr]
            if start != offset + 8:
                length = _length(data, offset + 8)[0]
        tag = group << 16 | element
        if tag <= last:  # elements ascend (PS3.5 7.1): anything else means that the walk has lost its way
            raise _OddError
        last = tag
        if length == _UNDEFINED:
            if tag in wanted:  # compressed pixels, or a sequence that the reader looks into
                raise _OddError
            offset = _after_sequence(data, start, implicit, 0)
            continue
        offset = start + length
        if tag not in wanted and offset <= size:
            continue
        if tag == _PIXELS:
            # A view, not a copy, and even where it is short: the reader names the bytes that are missing. What comes
            # after the pixels (padding, signatures) is of no interest.
            ds.elements[tag] = Element(memoryview(data)[start:offset], length)
            return
        if offset > size or tag in _FOR_PYDICOM:
            raise _OddError
        value = data[start:offset]
        if tag not in _BINARY and not value.isascii():  # needs the Specific Character Set
            raise _OddError
        ds.elements[tag] = Element(value, length)
    raise _OddError  # no pixel data


def _after_sequence(data: bytes, offset: int, implicit: bool, depth: int) -> int:
    """The end of a sequence of undefined length whose first item is at ``offset``.

    Its length is not in the file, so items are walked through; those of known length are stepped over whole.
    """
    if depth > _MAX_DEPTH:
        raise _OddError
    while True:
        tag, start, length = _header(data, offset, implicit=True)  # items have no value representation in any syntax
        if tag == _SEQUENCE_END:
            return start
        if tag != _ITEM:
            raise _OddError
        offset = _after_item(data, start, implicit, depth) if length == _UNDEFINED else start + length


def _after_item(data: bytes, offset: int, implicit: bool, depth: int) -> int:
    """The end of an item of undefined length whose first element is at ``offset``."""
    while True:
        if data[offset : offset + 4] == b"\xfe\xff\x0d\xe0":
            return offset + 8
        _, start, length = _header(data, offset, implicit=implicit)
        offset = _after_sequence(data, start, implicit, depth + 1) if length == _UNDEFINED else start + length
