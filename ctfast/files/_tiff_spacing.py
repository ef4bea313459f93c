"""How far pixels of a TIFF are apart, where ImageJ or OME-XML says it in a unit of length.

Resolution tags alone are the resolution of a print as often as not. ImageJ writes pixels per unit into them and names
the unit in the description; OME-XML has sizes of its own, in micrometres where it names no unit. Inches are the unit of
prints and scanners, and count as unknown.

Source: ImageJ's TiffDecoder and FileOpener (setCalibration, decodeDescriptionString); OME-XML 2016-06, Pixels.
"""

from __future__ import annotations

import html
import math
import re
from typing import Any, Final

from ctfast.files.lengths import length_of

_RESOLUTIONS: Final = (283, 282)  # rows, columns
_UNIT_TAG: Final = 296
_NO_UNIT, _CENTIMETRE = 1, 3
_PLANES: Final = re.compile(r"""\bSizeZ\s*=\s*["'](\d{1,9})["']""")
_SIZES: Final = re.compile(r"""\bPhysicalSize([XYZ])(Unit)?\s*=\s*["']([^"']*)["']""")


def said_spacing(tif: Any, elements: list[str], images: int) -> tuple[tuple[float, float] | None, float | None]:
    """Millimetres between rows and columns, and between images that all lie along z; None where nobody knows.

    Args:
        tif: A ``tifffile.TiffFile``.
        elements: The ``Pixels`` elements of its OME-XML.
        images: That are read of it.
    """
    if tif.is_imagej:
        frame, row, column = _of_imagej(tif)
        planes = (tif.imagej_metadata or {}).get("slices", 1)
    elif tif.is_ome and len(elements) == 1:
        frame, row, column = _of_ome(elements[0])
        planes = int(next(iter(_PLANES.findall(elements[0])), 1))
    else:
        return None, None
    return None if row is None or column is None else (row, column), frame if planes == images > 1 else None


def _of_imagej(tif: Any) -> list[float | None]:
    facts, tags = tif.imagej_metadata or {}, tif.pages[0].tags
    unit = str(facts.get("unit", "")).replace("\\u00B5", "\u00b5")
    length = length_of(unit) if unit.strip(" ?") else None
    tagged = tags.get(_UNIT_TAG)
    if tagged is not None and int(tagged.value) != _NO_UNIT and (int(tagged.value), length) != (_CENTIMETRE, 10.0):
        length = None  # two units
    rows, columns = (_quotient(tags.get(code)) for code in _RESOLUTIONS)
    return [_mm(facts.get("spacing"), length), _mm(rows, length), _mm(columns, length)]


def _quotient(tag: Any) -> float | None:
    """Units a pixel, of pixels a unit."""
    pixels, units = (0, 0) if tag is None else tag.value
    return units / pixels if pixels else None


def _of_ome(pixels: str) -> list[float | None]:
    found = {axis + unit: html.unescape(value) for axis, unit, value in _SIZES.findall(pixels)}
    units = {axis: found.get(f"{axis}Unit", "\u00b5m").strip() or "?" for axis in "ZYX"}
    return [_mm(found.get(axis), None if units[axis] == "?" else length_of(units[axis])) for axis in "ZYX"]


def _mm(number: Any, length: float | None) -> float | None:
    try:
        size = abs(float(number)) * (length or 0.0)
    except (TypeError, ValueError):
        return None
    return size if math.isfinite(size) and size > 0 else None
