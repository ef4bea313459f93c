"""What separates two classes: the area under the ROC curve of every statistic, confounds of the scanner included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ctfast.analysis.scan.records import Collection, SliceRecord
from ctfast.analysis.scan.statistics import BODY_TISSUES
from ctfast.analysis.scan.tissues import CONTRAST_BAND, TISSUES

FEWEST: Final = 5
"""Slices a class below which nothing is said: with 4 and 4, one ordering in 35 is perfect by chance."""

COMPARED: Final[dict[str, str]] = {
    "contrast_band_share": f"share of pixels in {CONTRAST_BAND[0]} to {CONTRAST_BAND[1]} HU",
    "mean": "mean",
    "sd": "standard deviation",
    "median": "median",
    "p99": "99th percentile",
    "max": "maximum",
    "noise_sd": "noise",
    "padding_share": "share of padding",
    "body_share": "share of the body",
    "lung_share": "share of lung",
    **{f"body_{t.key}": f"{t.name}, share of the body" for t in TISSUES if t.key in BODY_TISSUES},
    "age": "age",
    "slice_thickness": "slice thickness",
    "kvp": "tube voltage",
    "row_spacing": "pixel spacing",
}
"""Facts and statistics that are compared, with their names."""

CONFOUNDS: Final = ("age", "slice_thickness", "kvp", "row_spacing", "padding_share", "noise_sd")
"""Facts of acquisition: where they separate the classes, a model may learn the scanner."""


@dataclass(frozen=True, slots=True)
class Separation:
    """How well one statistic tells the first class from the second: 0.5 not at all, 1 or 0 without error."""

    key: str
    name: str
    auc: float
    medians: tuple[float, float]
    confound: bool

    @property
    def strength(self) -> float:
        """0 (none) to 1 (perfect), in either direction."""
        return abs(2 * self.auc - 1)


def auc(first: Sequence[float], second: Sequence[float]) -> float:
    """Probability that a value of ``first`` is larger than one of ``second``, ties half (Mann-Whitney U / n m)."""
    # Equal values share the mean of their ranks, which counts each tie between the classes as half.
    both = np.concatenate([np.asarray(first, float), np.asarray(second, float)])
    _, inverse, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n, m = len(first), len(second)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def separations(collection: Collection) -> tuple[tuple[str, str], list[Separation]] | None:
    """The two classes and every statistic that both have, strongest first; None for other than two classes."""
    labels = sorted(collection.labels)
    if len(labels) != 2:
        return None
    compared = []
    for key, name in COMPARED.items():
        values: dict[str, list[float]] = {label: [] for label in labels}
        for record in collection.records:
            value = _number(record, key)
            if record.label in values and value is not None:
                values[record.label].append(value)
        first, second = (values[label] for label in labels)
        if min(len(first), len(second)) >= FEWEST:
            medians = (float(np.median(first)), float(np.median(second)))
            compared.append(Separation(key, name, auc(first, second), medians, key in CONFOUNDS))
    compared.sort(key=lambda s: -s.strength)
    return (labels[0], labels[1]), compared


def _number(record: SliceRecord, key: str) -> float | None:
    if key == "row_spacing":
        return record.spacing[0] if record.spacing else None
    value = record.facts.get(key, record.stats.get(key))
    return float(value) if isinstance(value, (int, float)) else None
