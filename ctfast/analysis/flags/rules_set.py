"""The rules that compare the slices of a set with each other."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

import numpy as np

from ctfast.analysis.flags.outliers import FEWEST, LARGEST_Z, modified_z
from ctfast.analysis.flags.rule import Match, Records, Rule, name_groups
from ctfast.analysis.scan.records import SliceRecord
from ctfast.analysis.scan.statistics import BODY_TISSUES
from ctfast.analysis.scan.tissues import TISSUES
from ctfast.files.asked import in_plane

MAJORITY: Final = 0.8
"""Share of the slices that must agree before the others are the odd ones."""
SLOPE_SHARE: Final = 0.01
_MOST_NAMED: Final = 6
_TISSUE_NAMES: Final = {t.key: t.name for t in TISSUES}
_name_groups: Final = partial(name_groups, "group of slices", "groups of slices")


def _rescale(records: Records) -> Iterator[Match]:
    known = {
        i: (float(r.facts["rescale_slope"]), float(r.facts["rescale_intercept"]))  # type: ignore[arg-type]
        for i, r in enumerate(records)
        if r.facts.get("rescale_intercept") is not None and r.facts.get("rescale_slope") is not None
    }
    if len(known) < FEWEST:
        return
    (slope, intercept), _ = Counter(known.values()).most_common(1)[0]
    odd = {i: v for i, v in known.items() if v[1] != intercept or abs(v[0] - slope) > SLOPE_SHARE * abs(slope)}
    if len(odd) > (1 - MAJORITY) * len(known):
        return
    for index, (s, i) in odd.items():
        yield (index,), f"slope {s:g}, intercept {i:g}; the set has {slope:g}, {intercept:g}"


RESCALE: Final = Rule(
    "rescale", "Rescale differs from the set", "warning", _rescale,
    threshold=f"another intercept (or a slope off by {100 * SLOPE_SHARE:g} %) than {100 * MAJORITY:g} % of the slices",
    explanation="The odd one out may be shifted by 1024 HU, or be the only one that is right.",
    source="DICOM PS3.3 C.11.1.1.2 (Rescale Intercept); the share is ctfast's choice",
)  # fmt: skip


def _orientation(records: Records) -> Iterator[Match]:
    shown = {i: _in_plane(r) for i, r in enumerate(records) if r.facts.get("orientation")}
    if len(set(shown.values())) < 2:
        return
    usual, _ = Counter(shown.values()).most_common(1)[0]
    for index, directions in shown.items():
        if directions != usual:
            yield (index,), f"columns and rows run to {', '.join(directions)}; most of the set to {', '.join(usual)}"


def _in_plane(record: SliceRecord) -> str:
    """Letters that columns and rows of the pixels run to, after volumes were turned."""
    return in_plane(record.facts["orientation"], record.facts.get("turned"))


ORIENTATION: Final = Rule(
    "orientation", "Orientation differs from the set", "warning", _orientation,
    threshold="other directions of columns and rows in the patient than most slices that name them",
    explanation="Seen from another side, or the patient lay otherwise: left and right, or front and back, are swapped "
    "against the other slices.",
    source="DICOM PS3.3 C.7.6.2.1.1 (Image Orientation Patient)",
)  # fmt: skip


def _noise(records: Records) -> Iterator[Match]:
    values = [r.stats.get("noise_sd") for r in records]
    known = [v for v in values if v is not None]
    for index, z in enumerate(modified_z(values)):
        if abs(z) > LARGEST_Z:
            yield (index,), f"{values[index]:.1f} HU against a median of {np.median(known):.1f} HU (z = {z:+.1f})"


NOISE: Final = Rule(
    "noise", "Noise far from the group", "check", _noise,
    threshold=f"modified z-score beyond {LARGEST_Z:g}, {FEWEST} slices or more",
    explanation="Another reconstruction kernel, dose, thickness or smoothing than the rest.",
    source="Iglewicz and Hoaglin 1993 (modified z-score); noise after Christianson et al., AJR 205 (2015)",
)  # fmt: skip


def _tissue(records: Records) -> Iterator[Match]:
    """One match a slice, naming every tissue that stands out."""
    parts: dict[int, list[str]] = defaultdict(list)
    for key in BODY_TISSUES:
        shares = [r.stats.get(f"body_{key}") for r in records]
        # Shares near 0 are skewed; their angular transform is not.
        angles = [None if share is None else float(np.arcsin(np.sqrt(share))) for share in shares]
        for index, z in enumerate(modified_z(angles)):
            if abs(z) > LARGEST_Z:
                parts[index].append(f"{_TISSUE_NAMES[key]} {shares[index]:.1%} of the body (z = {z:+.1f})")
    for index, texts in parts.items():
        yield (index,), "; ".join(texts)


TISSUE: Final = Rule(
    "tissue", "Tissue fractions far from the group", "check", _tissue,
    threshold=f"modified z-score of a share of the body (angular transform) beyond {LARGEST_Z:g}, {FEWEST} slices or "
    "more",
    explanation="Another body region, contrast phase or patient than most, or something unusual.",
    source="Iglewicz and Hoaglin 1993 (modified z-score)",
)  # fmt: skip


def _identical(records: Records, *, one_slice: bool) -> Iterator[Match]:
    """Groups of equal pixels: of one slice in several formats, or of anything else."""
    for group in _groups([r.hash for r in records]):
        same = [records[i] for i in group]
        if _is_one_slice(same) == one_slice:
            labels = sorted({r.label for r in same if r.label})
            differ = f"; labels {' and '.join(labels)}" if len(labels) > 1 else ""
            yield group, f"{' = '.join(r.id for r in same[:_MOST_NAMED])}{differ}"


def _is_one_slice(same: Sequence[SliceRecord]) -> bool:
    ids = {r.facts.get("id") for r in same}
    return len(ids) == 1 and None not in ids and len({r.format for r in same}) == len(same)


DUPLICATE: Final = Rule(
    "duplicate", "Identical pixels", "warning", partial(_identical, one_slice=False),
    threshold="every pixel equal",
    explanation="Copies must not stand on both sides of a train/test split, nor count twice.",
    source="128-bit hash of the values",
    summarize=_name_groups,
)  # fmt: skip

TWO_FORMATS: Final = Rule(
    "two_formats", "One slice in two file formats", "note", partial(_identical, one_slice=True),
    threshold="every pixel equal, same id, another format",
    explanation="The same image is in the inputs twice: give one of the two folders to count it once.",
    source="128-bit hash of the values",
    summarize=_name_groups,
)  # fmt: skip


def _label_leaks(records: Records) -> Iterator[Match]:
    for group in _groups(_patients(records)):
        counted = Counter(records[i].label for i in group if records[i].label)
        if len(counted) > 1:
            shares = ", ".join(f"{n} {label}" for label, n in counted.most_common())
            yield group, f"patient {records[group[0]].facts['patient']}: {shares}"


LABEL_LEAK: Final = Rule(
    "label_leak", "Patient with several labels", "warning", _label_leaks,
    threshold="slices of one PatientID in 2 classes",
    explanation="Split by patient: otherwise a model can know the patient instead of the class.",
    source="DICOM PatientID (0010,0020) against the label of name or table",
    summarize=partial(name_groups, "patient", "patients"),
)  # fmt: skip


def _split_leaks(records: Records) -> Iterator[Match]:
    seen = set()
    patients = _patients(records)
    groups = [(group, f"patient {patients[group[0]]}") for group in _groups(patients)]
    groups += [(group, "identical pixels") for group in _groups([r.hash for r in records])]
    for group, name in groups:
        sides = sorted({str(records[i].facts["split"]) for i in group if records[i].facts.get("split")})
        if len(sides) > 1 and group not in seen:
            seen.add(group)
            yield group, f"{name} in {' and '.join(sides)}"


SPLIT_LEAK: Final = Rule(
    "split_leak", "Patient or copy on both sides of a split", "warning", _split_leaks,
    threshold="one PatientID (or identical pixels) in 2 of the folders train, validation, test",
    explanation="Scores on the other side are too good.",
    source="folder names",
    summarize=_name_groups,
)  # fmt: skip


def _odd_forms(records: Records) -> Iterator[Match]:
    forms = [f"{r.shape[0]} x {r.shape[1]}, {r.dtype}" for r in records]
    if len(forms) < FEWEST:
        return
    common, number = Counter(forms).most_common(1)[0]
    if number < MAJORITY * len(forms):
        return
    for index, form in enumerate(forms):
        if form != common:
            yield (index,), f"{form}; the set has {common}"


ODD_FORM: Final = Rule(
    "odd_form", "Shape or dtype unlike the rest", "note", _odd_forms,
    threshold=f"differs from {100 * MAJORITY:g} % of the slices",
    explanation="Batches need one shape and dtype.",
    source="ctfast's choice",
)  # fmt: skip


def _patients(records: Records) -> list[str]:
    return [str(r.facts.get("patient") or "") for r in records]


def _groups(keys: Sequence[str]) -> list[tuple[int, ...]]:
    """Positions that share a key (not the empty one), where there are at least two of them."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        if key:
            groups[key].append(index)
    return [tuple(group) for group in groups.values() if len(group) > 1]


SET_RULES: Final = (RESCALE, ORIENTATION, NOISE, TISSUE, DUPLICATE, TWO_FORMATS, LABEL_LEAK, SPLIT_LEAK, ODD_FORM)
