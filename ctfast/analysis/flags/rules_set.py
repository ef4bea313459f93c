"""The rules that compare slices with each other, and the list of all flags of a set."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ctfast.analysis.flags.rules import LEVELS, RULES, Flag
from ctfast.analysis.flags.rules_slice import flags_of
from ctfast.analysis.scan.records import Collection, SliceRecord
from ctfast.analysis.scan.statistics import BODY_TISSUES
from ctfast.analysis.scan.tissues import TISSUES

MOST_Z: Final = 3.5
FEWEST: Final = 8
MAJORITY: Final = 0.8
_NAMED: Final = {t.key: t.name for t in TISSUES}


def find_flags(collection: Collection) -> list[Flag]:
    """Every flag of a set, warnings first, in the order of the rules."""
    records = collection.records
    found = [flag for place, record in enumerate(records) for flag in flags_of(place, record)]
    for rule in (_rescale, _noise, _tissue, _duplicates, _label_leaks, _split_leaks, _odd_forms):
        found.extend(rule(records))
    order = {key: i for i, key in enumerate(RULES)}
    return sorted(found, key=lambda f: (LEVELS.index(f.rule.level), order[f.rule.key], f.slices))


def modified_z(values: Sequence[float | int | None]) -> NDArray[np.float64]:
    """Iglewicz and Hoaglin's ``0.6745 (x - median) / MAD``; NaN where a value is missing or fewer than 8 are there.

    Where the MAD is 0 (most values equal), their replacement ``(x - median) / (1.2533 mean absolute deviation)``.
    """
    x = np.array([np.nan if v is None else float(v) for v in values])
    known = x[~np.isnan(x)]
    if len(known) < FEWEST:
        return np.full(len(x), np.nan)
    away = np.abs(known - np.median(known))
    scale = float(np.median(away)) / 0.6745 or float(away.mean()) * 1.2533
    return (x - np.median(known)) / scale if scale else np.where(np.isnan(x), np.nan, 0.0)


def _noise(records: list[SliceRecord]) -> Iterator[Flag]:
    values = [r.stats.get("noise_sd") for r in records]
    known = [v for v in values if v is not None]
    for place, z in enumerate(modified_z(values)):
        if abs(z) > MOST_Z:
            value = f"{values[place]:.1f} HU against a median of {np.median(known):.1f} HU (z = {z:+.1f})"
            yield Flag(RULES["noise"], (place,), value)


def _tissue(records: list[SliceRecord]) -> Iterator[Flag]:
    """One flag a slice, naming every tissue that stands out."""
    told: dict[int, list[str]] = defaultdict(list)
    for key in BODY_TISSUES:
        values = [r.stats.get(f"body_{key}") for r in records]
        # Shares near 0 are skewed; their angular transform is not.
        angles = [None if v is None else float(np.arcsin(np.sqrt(v))) for v in values]
        for place, z in enumerate(modified_z(angles)):
            if abs(z) > MOST_Z:
                told[place].append(f"{_NAMED[key]} {values[place]:.1%} of the body (z = {z:+.1f})")
    for place, parts in told.items():
        yield Flag(RULES["tissue"], (place,), "; ".join(parts))


def _rescale(records: list[SliceRecord]) -> Iterator[Flag]:
    known = {
        i: (float(r.facts["rescale_slope"]), float(r.facts["rescale_intercept"]))  # type: ignore[arg-type]
        for i, r in enumerate(records)
        if r.facts.get("rescale_intercept") is not None and r.facts.get("rescale_slope") is not None
    }
    if len(known) < FEWEST:
        return
    (slope, intercept), _ = Counter(known.values()).most_common(1)[0]
    odd = {i: v for i, v in known.items() if v[1] != intercept or abs(v[0] - slope) > 0.01 * abs(slope)}
    if len(odd) > (1 - MAJORITY) * len(known):
        return
    for place, (s, i) in odd.items():
        yield Flag(RULES["rescale"], (place,), f"slope {s:g}, intercept {i:g}; the set has {slope:g}, {intercept:g}")


def _duplicates(records: list[SliceRecord]) -> Iterator[Flag]:
    for places in _groups([r.hash for r in records]):
        same = [records[p] for p in places]
        if len({r.format for r in same}) == len(same) and len({r.facts.get("id") for r in same}) == 1:
            key = "two_formats" if same[0].facts.get("id") is not None else "duplicate"
        else:
            key = "duplicate"
        labels = sorted({r.label for r in same if r.label})
        told = f"; labels {' and '.join(labels)}" if len(labels) > 1 else ""
        yield Flag(RULES[key], places, f"{' = '.join(r.id for r in same[:6])}{told}")


def _label_leaks(records: list[SliceRecord]) -> Iterator[Flag]:
    for places in _groups([str(r.facts.get("patient") or "") for r in records]):
        counted = Counter(records[p].label for p in places if records[p].label)
        if len(counted) > 1:
            shares = ", ".join(f"{n} {label}" for label, n in counted.most_common())
            yield Flag(RULES["label_leak"], places, f"patient {records[places[0]].facts['patient']}: {shares}")


def _split_leaks(records: list[SliceRecord]) -> Iterator[Flag]:
    told = set()
    for what, keys in (
        ("patient", [str(r.facts.get("patient") or "") for r in records]),
        ("identical pixels", [r.hash for r in records]),
    ):
        for places in _groups(keys):
            sides = sorted({str(records[p].facts["split"]) for p in places if records[p].facts.get("split")})
            if len(sides) > 1 and places not in told:
                told.add(places)
                name = f"patient {keys[places[0]]}" if what == "patient" else what
                yield Flag(RULES["split_leak"], places, f"{name} in {' and '.join(sides)}")


def _odd_forms(records: list[SliceRecord]) -> Iterator[Flag]:
    forms = [f"{r.shape[0]} x {r.shape[1]}, {r.dtype}" for r in records]
    if len(forms) < FEWEST:
        return
    common, number = Counter(forms).most_common(1)[0]
    if number < MAJORITY * len(forms):
        return
    for place, form in enumerate(forms):
        if form != common:
            yield Flag(RULES["odd_form"], (place,), f"{form}; the set has {common}")


def _groups(keys: list[str]) -> list[tuple[int, ...]]:
    """Places that share a key (not the empty one), where there are at least two of them."""
    groups: dict[str, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        if key:
            groups[key].append(place)
    return [tuple(places) for places in groups.values() if len(places) > 1]
