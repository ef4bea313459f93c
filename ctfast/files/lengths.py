"""Units of length, by the names that headers of volumes and stacks give them."""

from __future__ import annotations

from typing import Final

_LENGTHS: Final = {
    name: length
    for names, length in (
        ("? mm millimeter millimeters millimetre millimetres", 1.0),
        ("um \u00b5m \u03bcm micron microns micrometer micrometers micrometre micrometres", 1e-3),
        ("nm nanometer nanometers nanometre nanometres", 1e-6),
        ("cm centimeter centimeters centimetre centimetres", 10.0),
        ("m meter meters metre metres", 1000.0),
    )
    for name in names.split()
} | {"": 1.0}


def length_of(unit: str) -> float | None:
    """Millimetres of a unit of length, which is mm where the file names none; None for other words."""
    return _LENGTHS.get(unit.strip().lower())
