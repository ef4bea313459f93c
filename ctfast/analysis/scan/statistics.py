"""The statistics of one slice."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast import ops
from ctfast.analysis.scan.distributions import Distribution, distribution, whole_numbers
from ctfast.analysis.scan.padding import LOWEST_HU, darkened, is_padding
from ctfast.analysis.scan.regions import find_regions, noise_sd
from ctfast.analysis.scan.tissues import CONTRAST_BAND, TISSUES
from ctfast.errors import ShapeError
from ctfast.files.image import Units

HIGHEST_HU: Final = 3071
"""Highest HU of 12-bit CT with the usual intercept: 4095 - 1024."""
METAL_HU: Final = TISSUES[-1].low

Number = float | int | None

_LEVELS: Final = {"p1": 1.0, "q1": 25.0, "median": 50.0, "q3": 75.0, "p99": 99.0}

BODY_TISSUES: Final = ("lung", "fat", "water", "soft", "contrast", "spongy", "compact")
"""Tissues whose share of the body is a statistic; the others are no part of it, or too few pixels."""


def is_share(key: str) -> bool:
    """Whether a statistic is a share, from 0 to 1."""
    return key.endswith("_share") or key.startswith("body_")


@dataclass(frozen=True)
class SliceStatistics:
    """One slice in numbers.

    ``stats`` holds plain numbers (None where there is none); ``pixels`` counts the values, padding included, which
    lies below the scale of HU wherever the file has it.
    """

    stats: dict[str, Number]
    pixels: Distribution
    hash: str
    """Of shape and values: equal for equal pixels, whatever the file format or dtype."""


Measured = SliceStatistics
"""Its name before."""


def measure(
    pixels: NDArray[Any],
    *,
    units: Units = "hu",
    spacing: tuple[float, float] | None = None,
    padding: float | tuple[float, float] | None = None,
) -> SliceStatistics:
    """Intensity statistics, and for HU also tissues, regions and noise.

    Args:
        pixels: ``(H, W)``.
        units: tissues are only named for ``"hu"``.
        spacing: row and column spacing in mm, for areas.
        padding: declared value of padding pixels, or the range (low, high) of theirs.

    Mean, deviation and percentiles leave padding out (HU below -1024, and the declared value); ``min`` and ``max``
    are of all pixels. Shares are of all pixels too, and padding is what lies outside of the scan.

    Raises:
        ShapeError: for anything but one image.
    """
    if pixels.ndim != 2 or not pixels.size:
        raise ShapeError(f"shape {pixels.shape}: one image (H, W) is needed")
    is_hu, padding = units == "hu", (padding, padding) if isinstance(padding, int | float) else padding
    declared = None if padding is None else int(is_padding(pixels, padding).sum())
    counts = whole = distribution(pixels, step=1.0 if is_hu else None)
    stats: dict[str, Number] = {"pixels": pixels.size, "non_finite": int(pixels.size - counts.total)}
    low, high = counts.range() if counts.exact else _exact_range(pixels)
    stats |= {"min": low, "max": high, "distinct": int(np.count_nonzero(counts.counts))}
    hash_ = _hash(pixels)
    if is_hu and declared:
        pixels = darkened(pixels, padding, is_hu=True)
        counts = distribution(pixels, step=1.0)
    held = _without_padding(counts, is_hu, padding)
    moments = held.mean_and_sd() if counts.exact else _exact_moments(pixels, is_hu, padding)
    stats |= dict(zip(("mean", "sd", *_LEVELS), moments, strict=False))
    if counts.exact:
        stats |= dict(zip(_LEVELS, held.percentiles(tuple(_LEVELS.values())), strict=True))
    mode, often = held.most_frequent()
    stats |= {"mode": mode, "mode_share": often / max(held.total, 1)}
    if is_hu:
        stats |= {
            "declared_padding": None if padding is None else padding[0],
            "declared_padding_pixels": declared,
            **_padding_statistics(whole, padding, declared or 0),
            **_hu_statistics(pixels, counts, spacing),
        }
    return SliceStatistics(_finite(stats), counts, hash_)


def _without_padding(counts: Distribution, is_hu: bool, padding: tuple[float, float] | None) -> Distribution:
    held = counts.between(LOWEST_HU, np.inf) if is_hu else counts
    if padding is not None and not (is_hu and padding[1] < LOWEST_HU):
        is_padding = (held.values >= padding[0]) & (held.values <= padding[1])
        held = Distribution(held.low, held.step, np.where(is_padding, 0, held.counts), held.exact)
    return held if held.total else counts


def _padding_statistics(counts: Distribution, padding: tuple[float, float] | None, declared: int) -> dict[str, Number]:
    """The value that most padding has, and how many values lie below the scale."""
    below = counts.between(-np.inf, LOWEST_HU)
    value, often = below.most_frequent()
    if padding is not None and declared > often:
        value, often = padding[0], declared
    return {
        "padding_value": value if often else None,
        "padding_values": int(np.count_nonzero(below.counts)),
    }


def _hu_statistics(
    pixels: NDArray[Any], counts: Distribution, spacing: tuple[float, float] | None
) -> dict[str, Number]:
    total = max(counts.total, 1)
    below = counts.between(-np.inf, LOWEST_HU)
    stats: dict[str, Number] = {
        "padding_share": below.total / total,
        "saturated_pixels": counts.count(HIGHEST_HU, np.inf),
        "metal_pixels": counts.count(METAL_HU, np.inf),
        "contrast_band_share": _in_band(pixels, counts) / total,
    }
    areas = [counts.count(t.low, t.high) for t in TISSUES]
    stats |= {f"share_{t.key}": n / total for t, n in zip(TISSUES, areas, strict=True)}
    if spacing is not None:
        cm2 = spacing[0] * spacing[1] / 100
        stats |= {f"cm2_{t.key}": n * cm2 for t, n in zip(TISSUES, areas, strict=True)}
    return stats | _region_statistics(pixels, spacing) | {"noise_sd": noise_sd(pixels)}


def _region_statistics(pixels: NDArray[Any], spacing: tuple[float, float] | None) -> dict[str, Number]:
    regions = find_regions(pixels, spacing)
    labels = ops.label_tissue(np.ascontiguousarray(pixels[:: regions.every, :: regions.every]))
    body = np.bincount(labels[regions.body], minlength=256)
    inside = int(body.sum())
    shares = {t.key: int(body[t.label]) / inside if inside else None for t in TISSUES}
    return {
        "body_share": inside / labels.size,
        "lung_share": int(regions.lung.sum()) / labels.size,
        **{f"body_{key}": share for key, share in shares.items() if key in BODY_TISSUES},
        "lung_clusters": len(regions.clusters_mm),
        "largest_cluster_mm": regions.clusters_mm[0] if regions.clusters_mm else None,
        "dense_regions": len(regions.dense_mm),
        "largest_dense_mm": regions.dense_mm[0] if regions.dense_mm else None,
    }


def _in_band(pixels: NDArray[Any], counts: Distribution) -> int:
    low, high = CONTRAST_BAND
    if counts.exact:
        return counts.count(low, high + 1)
    return int(np.count_nonzero((pixels >= low) & (pixels <= high)))


# Fractional HU stand in bins of 1 HU: right for tissues and areas, whose limits are whole, too coarse for moments.


def _exact_moments(pixels: NDArray[Any], is_hu: bool, padding: tuple[float, float] | None) -> tuple[float, ...]:
    """Mean, deviation and percentiles of pixels that are no whole numbers, by the rule of ``_without_padding``."""
    finite = pixels[np.isfinite(pixels)].astype(np.float64)
    held = finite[finite >= LOWEST_HU] if is_hu else finite
    held = held if padding is None else held[(held < padding[0]) | (held > padding[1])]
    held = held if held.size else finite
    if not held.size:
        return (np.nan,) * (2 + len(_LEVELS))
    return float(held.mean()), float(held.std()), *np.percentile(held, tuple(_LEVELS.values())).tolist()


def _exact_range(pixels: NDArray[Any]) -> tuple[float, float]:
    finite = pixels[np.isfinite(pixels)]
    return (float(finite.min()), float(finite.max())) if finite.size else (np.nan, np.nan)


def _finite(stats: dict[str, Number]) -> dict[str, Number]:
    """Plain Python numbers; None for NaN."""
    return {k: v if isinstance(v, int) or v is None else float(v) if np.isfinite(v) else None for k, v in stats.items()}


def _hash(pixels: NDArray[Any]) -> str:
    whole = whole_numbers(pixels)
    same = np.ascontiguousarray(pixels if whole is None else whole)
    seen = hashlib.blake2b(f"{same.shape} {same.dtype}".encode(), digest_size=16)
    seen.update(same.data)
    return seen.hexdigest()
