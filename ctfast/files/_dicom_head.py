"""What the first bytes of a file say about DICOM: a data set without preamble, or an object that is no image.

Source: DICOM PS3.5 7.1 (data elements), PS3.10 7.1 (file meta information), PS3.6 annex A (UIDs).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

# Explicit value representations of PS3.5 table 6.2-1.
_VRS: Final = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)
# What data sets start with: group length, character set, image type, instance date and time, classes, dates.
_FIRST_ELEMENTS: Final = frozenset({0x00, 0x01, 0x05, 0x08, 0x12, 0x13, 0x14, 0x16, 0x18, 0x20, 0x60})
_CLASS: Final = b"\x02\0\x02\0UI"  # (0002,0002) Media Storage SOP Class UID
_ROOT: Final = b"1.2.840.10008."
_WITHOUT_PIXELS: Final[dict[bytes, str]] = {
    b"1.3.10": "directory (an index of other files)",
    b"5.1.4.1.1.2.4": "basic text",
    b"5.1.4.1.1.9.": "waveform",
    b"5.1.4.1.1.11.": "presentation state",
    b"5.1.4.1.1.66": "raw data, registration or surface",
    b"5.1.4.1.1.67": "real world value mapping",
    b"5.1.4.1.1.88.": "structured report",
    b"5.1.4.1.1.104.": "encapsulated document",
    b"5.1.4.1.1.481.3": "RT structure set",
    b"5.1.4.1.1.481.4": "RT treatment record",
    b"5.1.4.1.1.481.5": "RT plan",
    b"5.1.4.1.1.481.": "RT record or plan",
}
_WITH_PIXELS: Final = (b"5.1.4.1.1.66.4", b"5.1.4.1.1.66.7", b"5.1.4.1.1.481.1", b"5.1.4.1.1.481.2")
"""Segmentations, RT images and RT doses."""


def is_bare(head: bytes) -> bool:
    """A data set without preamble: group 0002 or 0008, then a value representation or a small implicit length."""
    group = head[:2]
    if len(head) < 16 or group not in (b"\x02\0", b"\x08\0", b"\0\x08"):
        return False
    if head[4:6] in _VRS:
        return True
    # Without a value representation, many tables of small integers look alike, so the element must be a likely one.
    element, length = int.from_bytes(head[2:4], "little"), int.from_bytes(head[4:8], "little")
    return group == b"\x08\0" and element in _FIRST_ELEMENTS and (length == 4 if element == 0 else length < 1 << 16)


def object_without_pixels(head: bytes) -> str | None:
    """What the file is if its class holds no pixels, such as ``"DICOM RT structure set"``, else None."""
    start = head.find(_CLASS, 132)
    if start < 0:
        return None
    length = int.from_bytes(head[start + 6 : start + 8], "little")
    return _name_of(head[start + 8 : start + 8 + length])


@lru_cache(maxsize=64)
def _name_of(uid: bytes) -> str | None:
    kind = uid.rstrip(b"\0 ").removeprefix(_ROOT)
    for number, name in _WITHOUT_PIXELS.items():
        if kind.startswith(number) if number.endswith(b".") else kind == number or kind.startswith(number + b"."):
            return None if kind in _WITH_PIXELS else f"DICOM {name}"
    return None
