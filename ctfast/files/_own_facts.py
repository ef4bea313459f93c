"""What files of our own say of themselves: flat JSON in TIFF and Zarr, fields of our own in the formats of volumes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from ctfast.files.image import MetaValue, Units
from ctfast.files.units import is_unit


def facts_of_text(text: str) -> dict[str, MetaValue]:
    """Of a TIFF's description; empty for files of other programs."""
    if not text.startswith("{") or '"ctfast"' not in text:
        return {}
    try:
        return flat_facts(json.loads(text))
    except ValueError:
        return {}


def flat_facts(facts: object) -> dict[str, MetaValue]:
    """What is as we write it."""
    flat = str | int | float | bool | None
    known = facts if isinstance(facts, Mapping) else {}
    return {str(key): value for key, value in known.items() if isinstance(value, flat)}


def units_of(facts: Mapping[str, MetaValue]) -> Units:
    """The units of the values; files of early versions call them ``meaning``."""
    units = str(facts.get("units", facts.get("meaning")))
    return units if is_unit(units) else "unknown"


def spacing_of(facts: Mapping[str, MetaValue]) -> tuple[float, float] | None:
    """Row and column spacing in mm."""
    row, column = number(facts.get("spacing_row")), number(facts.get("spacing_column"))
    return None if row is None or column is None or min(row, column) <= 0 else (row, column)


def padding_text(facts: Mapping[str, MetaValue]) -> str:
    """The padding as a word, or two for the ends of a range; empty without one."""
    ends = (facts.get("padding"), facts.get("padding_range_limit"))
    return " ".join(repr(end) for end in ends if end is not None)


def padding_of_text(text: str) -> tuple[float | None, dict[str, MetaValue]]:
    """The reverse: the value, and what ``meta`` says of a range."""
    ends = [number(word) for word in text.split()]
    if None in ends or len(ends) not in (1, 2):
        return None, {}
    return ends[0], {"padding_range_limit": ends[1]} if len(ends) == 2 else {}


def number(value: object) -> float | None:
    """A finite number, from text too."""
    try:
        found = float(str(value).strip("\0 "))
    except ValueError:
        return None
    return found if math.isfinite(found) else None
