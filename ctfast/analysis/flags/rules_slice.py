"""The rules that look at one slice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ctfast.analysis.flags.rules import RULES, Flag
from ctfast.analysis.scan.records import SliceRecord
from ctfast.analysis.scan.regions import ASSUMED_SPACING
from ctfast.analysis.scan.statistics import HIGHEST_HU, LOWEST_HU

METAL_PIXELS: Final = 10
NO_AIR_HU: Final = -200.0
CONSTANT_SD: Final = 5.0
CONSTANT_SHARE: Final = 0.98
MOST_PADDING_VALUES: Final = 3

NOT_HU: Final = {
    "stored": "stored values: the file names no rescale to HU",
    "unknown": "unit unknown: the file does not say that its values are HU",
}


def flags_of(place: int, record: SliceRecord) -> Iterator[Flag]:
    """The flags of one slice, which is number ``place`` of the collection."""
    for key, value in _found(record):
        yield Flag(RULES[key], (place,), value)


def _found(record: SliceRecord) -> Iterator[tuple[str, str]]:
    stats = record.stats
    sd, share = _number(stats.get("sd")), _number(stats.get("mode_share"))
    unit = " HU" if record.units == "hu" else ""
    if stats.get("sd") is not None and (share >= CONSTANT_SHARE or (sd < CONSTANT_SD and record.units == "hu")):
        yield "near_constant", f"sd {sd:.2g}{unit}, {share:.1%} of the pixels are {stats['mode']:g}"
    if stats["non_finite"]:
        yield "non_finite", f"{stats['non_finite']:,} pixels"
    if record.units != "hu":
        yield "not_hu", NOT_HU[record.units]
        return
    yield from _range_flags(record)
    yield from _header_flags(record)
    clusters = stats.get("lung_clusters")
    if clusters:
        mm = "" if record.spacing else f" (spacing unknown, {ASSUMED_SPACING[0]} mm a pixel assumed)"
        yield "lung_cluster", f"{clusters}, largest {stats['largest_cluster_mm']:.1f} mm across{mm}"


def _range_flags(record: SliceRecord) -> Iterator[tuple[str, str]]:
    stats = record.stats
    low, high = stats.get("min"), stats.get("max")
    if low is None or high is None:
        return
    if low < LOWEST_HU:
        yield "padding", f"{stats['padding_value']:g} HU; {stats['padding_share']:.1%} of the pixels below {LOWEST_HU}"
    if stats["declared_padding_pixels"] == 0:
        yield "padding_unused", f"declared {stats['declared_padding']:g} HU, minimum {low:g} HU"
    if stats["saturated_pixels"]:
        yield "saturation", f"{stats['saturated_pixels']} pixels, maximum {high:g} HU"
    if high > HIGHEST_HU + 1:
        yield "hu_range", f"maximum {high:g} HU"
    elif _number(stats["padding_values"]) > MOST_PADDING_VALUES:
        yield "hu_range", f"{stats['padding_values']} values below {LOWEST_HU} HU, minimum {low:g} HU"
    if _number(stats["metal_pixels"]) >= METAL_PIXELS:
        yield "metal", f"{stats['metal_pixels']} pixels, maximum {high:g} HU"
    if low > NO_AIR_HU:
        yield "no_air", f"minimum {low:g} HU"


def _header_flags(record: SliceRecord) -> Iterator[tuple[str, str]]:
    center, width = record.facts.get("window_center"), record.facts.get("window_width")
    low, high = record.stats.get("p1"), record.stats.get("p99")
    if not isinstance(center, (int, float)) or not isinstance(width, (int, float)) or low is None or high is None:
        return
    shown = f"center {center:g}, width {width:g}; values {low:g} to {high:g} HU"
    if width < 1 or center + width / 2 < low or center - width / 2 > high:
        yield "window", shown


def _number(value: float | int | None) -> float:
    return 0.0 if value is None else float(value)
