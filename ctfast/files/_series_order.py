"""From planes to volumes: which belong together, in which order they lie, and whether one affine says where.

The rules, each tested:

- Slices of one volume have the same series, frame of reference, modality, stack, size, pixel spacing (to one part in
  10,000, as it is decimal text) and orientation (direction cosines to 0.001). Where anything but orientation cuts a
  series, its parts say so. They lie in the order of their positions along the normal of Image Orientation; names,
  Instance Numbers and Slice Locations are not asked.
- Slices at one position (to 0.01 mm) with equal pixels are copies: one is kept, and the others are named. Where they
  differ, the series is split by the first of Temporal Position, Acquisition Number, kernel, Image Type and kVp that
  tells all of them apart; where none does, it is refused.
- The affine leads from the first position to the last. A slice may lie 0.15 mm (and a fifth of the spacing) off its
  place, as decimal positions are rounded; more than 0.01 mm is told. Gaps and unequal spacing are refused, because no
  affine is right for them.
- Slices further apart than their thickness, or than the header's spacing, are told: every other one may be missing.
- Gantry tilt (positions that run at an angle to the normal) is kept as a shear of the affine, and told.
- Slices of different kernel, kVp or origin (Image Type) that lie on one grid are one volume, which says so.
- A slice without orientation or position has no place among others: several of them are refused.
"""

from __future__ import annotations

import filecmp
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from ctfast.files._dicom_planes import Group, Plane
from ctfast.files.geometry import Geometry, from_plane

_SAME_DIRECTION: Final = 1e-3
_SAME_SPACING: Final = 1e-4
_SAME_PLACE: Final = 0.01
_TOLD: Final = 0.01
_ROUNDED: Final = 0.15
_CLEARLY: Final = 1.2
_SHARE_OF_SPACING: Final = 0.2

_OF_SERIES: Final = ("patient", "study", "series", "folder", "modality", "localizer")
_CUTS: Final = {"shape": "Rows and Columns", "frame_of_reference": "Frame of Reference", "stack": "Stack ID"}
"""Fields of groups: those of slices of one series, and those that cut it into volumes."""
_KINDS: Final = ("Convolution Kernel", "KVP", "Image Type")
"""What slices of one acquisition share."""

Same = Callable[[Plane, Plane], bool]
"""Whether the pixels of two planes are equal."""


@dataclass(slots=True)
class Volume:
    """Planes in order, and what is known or wrong about them; ``phase`` says which part of a split series it is."""

    planes: list[Plane]
    geometry: Geometry | None = None
    notes: list[str] = field(default_factory=list)
    problem: str = ""
    copies: list[tuple[Path, Path]] = field(default_factory=list)
    phase: str = ""


def volumes(planes: Iterable[Plane], same: Same) -> list[Volume]:
    """The volumes that planes of any files make up."""
    groups: dict[Group, list[list[Plane]]] = {}
    for plane in planes:
        clusters = groups.setdefault(plane.group, [])
        for cluster in clusters:
            if _parallel(cluster[0], plane) and _as_large(cluster[0], plane):
                cluster.append(plane)
                break
        else:
            clusters.append([plane])
    parts = [cluster for clusters in groups.values() for cluster in clusters]
    siblings: dict[tuple[object, ...], list[list[Plane]]] = {}
    for part in parts:
        siblings.setdefault(_series_of(part), []).append(part)
    result = []
    for part in parts:
        arranged = _arranged(part, same)
        if cut := _cut(part, siblings[_series_of(part)]):
            for volume in arranged:
                volume.notes.append(cut)
        result += arranged
    return result


def _series_of(part: list[Plane]) -> tuple[object, ...]:
    return tuple(getattr(part[0].group, name) for name in _OF_SERIES)


def _cut(part: list[Plane], siblings: list[list[Plane]]) -> str:
    """What keeps parallel slices of the same series out of this part, where they could lie on its grid."""
    own = part[0]
    others = [other for other in siblings if other is not part and _parallel(own, other[0])]
    if not others:
        return ""
    names = ["Pixel Spacing"] if not all(_as_large(own, other[0]) for other in others) else []
    names += [
        title
        for name, title in _CUTS.items()
        if any(getattr(other[0].group, name) != getattr(own.group, name) for other in others)
    ]
    return f"{sum(map(len, others))} slices of the series are volumes of their own, by {' and '.join(names)}"


def _as_large(a: Plane, b: Plane) -> bool:
    if a.spacing is None or b.spacing is None:
        return a.spacing == b.spacing
    return all(abs(x - y) <= _SAME_SPACING * x for x, y in zip(a.spacing, b.spacing))


def _parallel(a: Plane, b: Plane) -> bool:
    if not (a.orientation and b.orientation):
        return a.orientation == b.orientation
    return bool(np.allclose(a.orientation, b.orientation, rtol=0, atol=_SAME_DIRECTION))


def _arranged(planes: list[Plane], same: Same) -> list[Volume]:
    if len(planes) == 1:
        return [Volume(planes, _geometry(planes))]
    lost = [plane for plane in planes if not (plane.orientation and plane.position)]
    if lost:
        problem = (
            f"{len(lost)} of {len(planes)} slices have no Image Position and Orientation ({lost[0].name}): "
            "their order is not known; run them without --series"
        )
        return [Volume(planes, problem=problem)]
    places = _by_place(planes)
    copies: list[tuple[Path, Path]] = []
    places = _without_copies(places, lambda a, b: a.instance == b.instance and same(a, b), copies)
    parts = _phases(places)
    if len(parts) == 1:
        places = _without_copies(places, same, copies)
        parts = [("", [plane for place in places for plane in place])]
    result = [_volume(part, phase) for phase, part in parts]
    result[0].copies = copies
    if copies:
        result[0].notes.append(f"{len(copies)} slices are copies of others and left out")
    return result


def _normal(plane: Plane) -> np.ndarray:
    return np.cross(plane.orientation[:3], plane.orientation[3:])


def _by_place(planes: list[Plane]) -> list[list[Plane]]:
    """Planes at one position together, in the order of positions along the normal."""
    normal = _normal(planes[0])
    places: list[list[Plane]] = []
    last = -np.inf
    for distance, plane in sorted(
        ((float(np.dot(plane.position, normal)), plane) for plane in planes),
        key=lambda item: (item[0], str(item[1].path), item[1].frame),
    ):
        if distance - last > _SAME_PLACE:
            places.append([])
            last = distance
        places[-1].append(plane)
    return places


def _without_copies(places: list[list[Plane]], same: Same, copies: list[tuple[Path, Path]]) -> list[list[Plane]]:
    kept: list[list[Plane]] = []
    for place in places:
        kept.append([])
        for plane in place:
            original = next((other for other in kept[-1] if same(other, plane)), None)
            if original is None:
                kept[-1].append(plane)
            else:
                copies.append((plane.path, original.path))
    return kept


def _phases(places: list[list[Plane]]) -> list[tuple[str, list[Plane]]]:
    """Parts with one plane a position, each with what tells it apart; one part of everything where nothing does."""
    planes = [plane for place in places for plane in place]
    if len(planes) > len(places):
        for name in planes[0].phases:
            parts: dict[str, list[Plane]] = {}
            for plane in planes:
                parts.setdefault(plane.phases.get(name, ""), []).append(plane)
            if len(parts) > 1 and all(len({plane.phases.get(name, "") for plane in p}) == len(p) for p in places):
                return [(f"{name} {value or 'not given'}", part) for value, part in parts.items()]
    return [("", planes)]


def _volume(planes: list[Plane], phase: str) -> Volume:
    volume = Volume(planes, phase=phase)
    if phase:
        volume.notes.append(f"positions occur more than once: split by {phase}")
    along = np.array([plane.position for plane in planes]) @ _normal(planes[0])
    if len(planes) > 1:
        volume.problem = _unevenness(planes, along) or ""
        _tell(volume)
    if not volume.problem:
        volume.geometry = _geometry(planes)
        if volume.geometry is None:
            volume.notes.append("the place in the patient is not known: no usable Pixel Spacing or Orientation")
    return volume


def _steps(planes: list[Plane]) -> tuple[np.ndarray, np.ndarray]:
    """The step from slice to slice, and how far each slice lies off the place that it gives, in mm."""
    positions = np.array([plane.position for plane in planes])
    step = (positions[-1] - positions[0]) / (len(planes) - 1)
    return step, np.linalg.norm(positions - positions[0] - np.arange(len(planes))[:, None] * step, axis=1)


def _unevenness(planes: list[Plane], along: np.ndarray) -> str | None:
    """Why no affine is right for all slices; None where one is."""
    gaps = np.diff(along)
    typical = float(np.median(gaps))
    if gaps.min() < _SAME_PLACE:
        k = int(gaps.argmin())
        return (
            f"different slices at one position: {' and '.join(_told_apart(planes[k], planes[k + 1]))} at "
            f"{along[k]:.2f} mm; keep one of them, or run without --series"
        )
    if _steps(planes)[1].max() <= min(_ROUNDED, _SHARE_OF_SPACING * typical):
        return None
    missing = np.round(gaps / typical).astype(int) - 1
    if missing.any() and np.abs(gaps - (missing + 1) * typical).max() <= _SHARE_OF_SPACING * typical:
        k = int(missing.argmax())
        return (
            f"{missing.sum()} slices are missing at a spacing of {typical:.3g} mm, the first between "
            f"{' and '.join(_told_apart(planes[k], planes[k + 1]))} ({along[k]:.2f} and {along[k + 1]:.2f} mm); "
            "add them, or run without --series"
        )
    if gaps.max() - gaps.min() <= _SHARE_OF_SPACING * typical:
        return "slices are shifted against each other in their plane: no affine is right; run without --series"
    return (
        f"slices lie {gaps.min():.3g} to {gaps.max():.3g} mm apart: no affine is right for all; "
        "put slices of one spacing in a folder, or run without --series"
    )


def _told_apart(a: Plane, b: Plane) -> tuple[str, str]:
    """Names of two slices, with their folders where these alone differ."""
    return (a.name, b.name) if a.name != b.name else (str(a.path), str(b.path))


def _tell(volume: Volume) -> None:
    step, off = _steps(volume.planes)
    if volume.problem:
        return
    for name in _KINDS:
        counts = Counter(_kind(name, plane.phases.get(name, "")) for plane in volume.planes)
        if len(counts) > 1:
            listed = ", ".join(f"{value or 'not given'} in {count}" for value, count in counts.most_common())
            volume.notes.append(f"slices differ in {name}: {listed}")
    if contradiction := _thinner(volume.planes, float(step @ _normal(volume.planes[0]))):
        volume.notes.append(contradiction)
    if off.max() > _TOLD:
        volume.notes.append(f"slices lie up to {off.max():.2f} mm off even spacing (rounded positions?)")
    normal = _normal(volume.planes[0])
    shift = float(np.linalg.norm(step - (step @ normal) * normal))
    if shift * (len(volume.planes) - 1) > _ROUNDED:
        degrees = np.degrees(np.arctan2(shift, step @ normal))
        volume.notes.append(
            f"gantry tilt of {degrees:.1f} degrees: the affine is sheared, and programs that read spacing and "
            "directions alone show the volume skewed"
        )


def _thinner(planes: list[Plane], apart: float) -> str:
    """Where the header says that slices lie nearer than their positions do: every other one may be missing."""
    for which, name in ((1, "Spacing Between Slices"), (0, "Slice Thickness")):
        least = min((plane.declared[which] or apart for plane in planes), default=apart)
        if apart > _CLEARLY * least:
            return (
                f"slices lie {apart:.3g} mm apart, their {name} is {least:.3g} mm: a scan with gaps, or slices are "
                "missing evenly"
            )
    return ""


def _kind(name: str, value: str) -> str:
    """Of Image Type the first value alone, original or derived: the others number reconstructions."""
    if name == "KVP" and value:
        return f"{float(value):g}" if value.replace(".", "", 1).isdigit() else value
    return value.strip("[]").split(",")[0].strip("' ").upper() if name == "Image Type" else value


def _geometry(planes: list[Plane]) -> Geometry | None:
    first, size = planes[0], planes[0].spacing
    if size is None or not (first.orientation and first.position):
        return None
    step = first.thickness if len(planes) == 1 else _steps(planes)[0]
    return from_plane(first.orientation, first.position, size, step)


def same_bytes(a: Plane, b: Plane) -> bool:
    """Whether two planes are the same frame of files with equal contents."""
    return a.frame == b.frame and filecmp.cmp(a.path, b.path, shallow=False)
