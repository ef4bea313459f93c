"""The rules that look at one slice."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Final

from ctfast.analysis.flags.rule import Flag, Records, Rule, each_hu_slice, each_slice
from ctfast.analysis.scan.dense import CLOSING_MM, DENSE_HU, DENSE_MM, THINNEST_MM
from ctfast.analysis.scan.padding import LOWEST_HU
from ctfast.analysis.scan.records import SliceRecord
from ctfast.analysis.scan.regions import CLUSTER_HU, CLUSTER_MM, assumed_spacing
from ctfast.analysis.scan.statistics import HIGHEST_HU, METAL_HU
from ctfast.analysis.wording import CONFIRM_HU, not_hu_because, plural, text_of


def _statistic(record: SliceRecord, key: str) -> float:
    """A number of the slice; NaN, which meets no limit, where there is none."""
    value = record.stats.get(key)
    return math.nan if value is None else float(value)


def _padding(record: SliceRecord) -> str | None:
    if _statistic(record, "min") < LOWEST_HU:
        share = record.stats["padding_share"]
        return f"{record.stats['padding_value']:g} HU; {share:.1%} of the pixels below {LOWEST_HU}"
    return None


def _padding_values(records: Records, flags: Sequence[Flag]) -> str:
    values = Counter(text_of(records[f.slices[0]].stats["padding_value"]) for f in flags)
    listed = ", ".join(f"{value} HU in {plural(n, 'slice')}" for value, n in values.most_common(4))
    return f"{plural(len(flags), 'slice')} ({listed})"


PADDING: Final = Rule(
    "padding", "Padding below the HU scale", "note", each_hu_slice(_padding),
    threshold=f"a pixel below {LOWEST_HU} HU",
    explanation=f"Pixels outside the scan hold a filling value: leave them out of ranges, value_range=({LOWEST_HU}, "
    "None).",
    source="DICOM PS3.3 C.7.5.1.1.2 (Pixel Padding Value); 12-bit CT with intercept -1024 starts at -1024 HU",
    summarize=_padding_values,
)  # fmt: skip


def _padding_unused(record: SliceRecord) -> str | None:
    lowest = _statistic(record, "min")
    if record.stats["declared_padding_pixels"] == 0 and not math.isnan(lowest):
        return f"declared {record.stats['declared_padding']:g} HU, minimum {lowest:g} HU"
    return None


PADDING_UNUSED: Final = Rule(
    "padding_unused", "Declared padding value is not used", "note", each_hu_slice(_padding_unused),
    threshold="declared value in 0 pixels",
    explanation="The header declares a padding value that no pixel holds; masking by the header would miss the "
    "padding.",
    source="DICOM PS3.3 C.7.5.1.1.2 (Pixel Padding Value)",
)  # fmt: skip


def _saturation(record: SliceRecord) -> str | None:
    if record.stats["saturated_pixels"]:
        return f"{record.stats['saturated_pixels']} pixels, maximum {record.stats['max']:g} HU"
    return None


SATURATION: Final = Rule(
    "saturation", "Saturated at the top of the scale", "check", each_hu_slice(_saturation),
    threshold=f"a pixel at {HIGHEST_HU} HU or above",
    explanation="Values were cut off at the largest 12-bit number: the true ones are unknown (metal, dense contrast, "
    "teeth).",
    source="12 bits and intercept -1024: 4095 - 1024 = 3071 HU",
)  # fmt: skip

# Padding is one value, with a second one where reconstruction and export each add theirs; more are data.
MOST_PADDING_VALUES: Final = 3
# A slope a little above 1 (1.000244 is seen) takes the largest stored number one HU further.
HIGHEST_WITH_SLOPE: Final = HIGHEST_HU + 1


def _hu_range(record: SliceRecord) -> str | None:
    if _statistic(record, "max") > HIGHEST_WITH_SLOPE:
        return f"maximum {record.stats['max']:g} HU"
    if _statistic(record, "padding_values") > MOST_PADDING_VALUES:
        lowest = record.stats["min"]
        return f"{record.stats['padding_values']} values below {LOWEST_HU} HU, minimum {lowest:g} HU"
    return None


HU_RANGE: Final = Rule(
    "hu_range", "HU outside the 12-bit scale", "check", each_hu_slice(_hu_range),
    threshold=f"a pixel above {HIGHEST_WITH_SLOPE} HU, or more than {MOST_PADDING_VALUES} different values below "
    f"{LOWEST_HU} HU",
    explanation="Extended-range CT, a wrong rescale, or values that are no HU.",
    source="12-bit scale -1024 to 3071 HU (a slope of 1.000244 reaches 3072)",
)  # fmt: skip

METAL_PIXELS: Final = 10


def _metal(record: SliceRecord) -> str | None:
    if _statistic(record, "metal_pixels") >= METAL_PIXELS:
        return f"{record.stats['metal_pixels']} pixels, maximum {record.stats['max']:g} HU"
    return None


METAL: Final = Rule(
    "metal", "Metal or other very dense matter", "check", each_hu_slice(_metal),
    threshold=f"{METAL_PIXELS} pixels at {METAL_HU:g} HU or above",
    explanation="Implants, clips, leads or dense contrast agent; streaks may disturb the values around them.",
    source="above compact bone in the tissue table; the number of pixels is ctfast's choice",
)  # fmt: skip

CONSTANT_SD: Final = 5.0
CONSTANT_SHARE: Final = 0.98


def _near_constant(record: SliceRecord) -> str | None:
    sd, share = _statistic(record, "sd"), _statistic(record, "mode_share")
    is_hu = record.units == "hu"  # in other units a small deviation may be a small scale
    if not math.isnan(sd) and (share >= CONSTANT_SHARE or (is_hu and sd < CONSTANT_SD)):
        return f"sd {sd:.2g}{' HU' if is_hu else ''}, {share:.1%} of the pixels are {record.stats['mode']:g}"
    return None


NEAR_CONSTANT: Final = Rule(
    "near_constant", "Empty or near-constant slice", "warning", each_slice(_near_constant),
    threshold=f"standard deviation below {CONSTANT_SD:g}, or one value in {100 * CONSTANT_SHARE:g} % of the pixels",
    explanation="There is hardly any picture in it: a blank, a scout margin or a failed export.",
    source="ctfast's choice",
)  # fmt: skip

NO_AIR_HU: Final = -200.0


def _no_air(record: SliceRecord) -> str | None:
    lowest = _statistic(record, "min")
    return f"minimum {lowest:g} HU" if lowest > NO_AIR_HU else None


NO_AIR: Final = Rule(
    "no_air", "No air in a slice of HU", "warning", each_hu_slice(_no_air),
    threshold=f"minimum above {NO_AIR_HU:g} HU",
    explanation="Every CT of a body holds some air. Stored values may have been taken for HU without their intercept.",
    source="air is -1000 HU by definition of the scale",
)  # fmt: skip


def _non_finite(record: SliceRecord) -> str | None:
    count = int(record.stats["non_finite"] or 0)
    return plural(count, "pixel") if count else None


NON_FINITE: Final = Rule(
    "non_finite", "NaN or infinite pixels", "warning", each_slice(_non_finite),
    threshold="1 pixel",
    explanation="They are left out of all statistics.",
    source="IEEE 754",
)  # fmt: skip

NARROWEST_WINDOW: Final = 1


def _window(record: SliceRecord) -> str | None:
    center, width = record.facts.get("window_center"), record.facts.get("window_width")
    low, high = record.stats.get("p1"), record.stats.get("p99")
    if not isinstance(center, (int, float)) or not isinstance(width, (int, float)) or low is None or high is None:
        return None
    if width < NARROWEST_WINDOW or center + width / 2 < low or center - width / 2 > high:
        return f"center {center:g}, width {width:g}; values {low:g} to {high:g} HU"
    return None


WINDOW: Final = Rule(
    "window", "Window of the header does not fit the pixels", "check", each_hu_slice(_window),
    threshold=f"width below {NARROWEST_WINDOW}, or window and central 98 % of the values do not meet",
    explanation="A viewer that trusts the header shows a black or white picture.",
    source="DICOM PS3.3 C.11.2.1.2 (Window Width)",
)  # fmt: skip


def _not_hu(record: SliceRecord) -> str | None:
    return None if record.units == "hu" else not_hu_because(record)


NO_HU: Final = Rule(
    "not_hu", "Values not known to be HU", "note", each_slice(_not_hu),
    threshold="no rescale to HU in the file, or another unit",
    explanation=f"No tissue is named for such values. {CONFIRM_HU}",
    source="DICOM PS3.3 C.11.1.1.2",
)  # fmt: skip


def _loss(record: SliceRecord) -> str | None:
    return str(record.facts["loss"]) if record.facts.get("loss") else None


LOSS: Final = Rule(
    "loss", "Compressed with loss", "check", each_slice(_loss),
    threshold="the header or the compressed stream says so",
    explanation="Values are near those of the scanner, not equal: noise, textures and small details have changed. The "
    "mark stays when the file is decompressed.",
    source="DICOM PS3.3 C.7.6.1.1.5 (Lossy Image Compression)",
)  # fmt: skip


def _regions(number: str, largest: str, digits: int, record: SliceRecord) -> str | None:
    if not record.stats.get(number):
        return None
    assumed = "" if record.spacing else f" (spacing unknown, {assumed_spacing(record.shape)[0]:.2g} mm a pixel assumed)"
    return f"{record.stats[number]}, largest {record.stats[largest]:.{digits}f} mm across{assumed}"


LUNG_CLUSTER: Final = Rule(
    "lung_cluster", "Isolated dense cluster in lung", "check",
    each_hu_slice(partial(_regions, "lung_clusters", "largest_cluster_mm", 1)),
    threshold=f"{CLUSTER_MM[0]:g} to {CLUSTER_MM[1]:g} mm across, mean above {CLUSTER_HU:g} HU, surrounded by lung in "
    "this slice, compact",
    explanation="A round dense spot inside aerated lung: a vessel cut across, a nodule or anything else. A person must "
    "judge it with the neighbouring slices.",
    source="size limits after the Fleischner Society: 6 mm (MacMahon et al., Radiology 284, 2017) and 30 mm (Hansell "
    "et al., Radiology 246, 2008)",
)  # fmt: skip


DENSE_REGION: Final = Rule(
    "dense_region", "Larger dense region that reaches into a lung", "check",
    each_hu_slice(partial(_regions, "dense_regions", "largest_dense_mm", 0)),
    threshold=f"a hollow of a lung's outline that a disc of {2 * CLOSING_MM:g} mm closes, above {DENSE_HU:g} HU, at "
    f"least {DENSE_MM:g} mm across and {THINNEST_MM:g} mm thick",
    explanation="A mass at the chest wall or mediastinum, consolidated lung, fluid, or a normal hilum: a person must "
    "judge. Masses around which the lung's outline is even, and those beyond the lung, are not seen.",
    source="closing and opening: Serra, Image Analysis and Mathematical Morphology, 1982; sizes are ctfast's choice",
)  # fmt: skip

SLICE_RULES: Final = (
    PADDING, PADDING_UNUSED, SATURATION, HU_RANGE, METAL, NEAR_CONSTANT, NO_AIR, NON_FINITE, WINDOW, NO_HU,
    LOSS, LUNG_CLUSTER, DENSE_REGION,
)  # fmt: skip
