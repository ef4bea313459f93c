"""What a user must know of a set that was read, in sentences with names."""

from __future__ import annotations

from collections import Counter
from typing import Final

from ctfast.files import Unread
from ctfast.files.asked import mixed_orientation
from ctfast.model.data.decoding import Decoded
from ctfast.model.data.labels import Sample, listed
from ctfast.model.data.preprocessing import Preprocessing

_MOST_NOTES: Final = 10


def reading_warnings(
    good: list[tuple[Sample, Decoded]], unread: tuple[Unread, ...], preprocessing: Preprocessing
) -> list[str]:
    """Files that can't be read, values that may not be HU, notes of readers, orientation, sizes and aspect ratios."""
    warnings = []
    if unread:
        why = "; ".join(f"{u.name}: {u.reason}" for u in unread[:3])
        warnings.append(f"{listed([u.name for u in unread])} can't be read and are left out: {why}")
    doubtful = [s.name for s, d in good if not d.trusted]
    if doubtful:
        warnings.append(
            f"{listed(doubtful)} do not say that their values are HU, but the pipeline windows HU; "
            "units='hu' (--units hu) confirms that they are"
        )
    noted: dict[str, list[str]] = {}
    for sample, decoded in good:
        for note in filter(None, decoded.notes.split("; ")):
            noted.setdefault(note, []).append(sample.name)
    often = sorted(noted.items(), key=lambda item: -len(item[1]))
    warnings += [f"{listed(names)}: {note}" for note, names in often[:_MOST_NOTES]]
    if len(often) > _MOST_NOTES:
        warnings.append(f"... {len(often) - _MOST_NOTES} more notes on files: ctfast report names each")
    if mixed := mixed_orientation(Counter(d.in_plane for _, d in good)):
        warnings.append(mixed)
    shapes = sorted({d.shape for _, d in good})
    rows, columns = preprocessing.image_size
    if len(shapes) > 1:
        sizes = ", ".join(f"{h} x {w}" for h, w in shapes[:5])
        more = ", ..." if len(shapes) > 5 else ""
        warnings.append(f"slices of {len(shapes)} sizes ({sizes}{more}): all are resized to {rows} x {columns}")
    bent = [s.name for s, d in good if d.shape[0] * columns != d.shape[1] * rows]
    if bent:
        warnings.append(f"{listed(bent)} of another aspect ratio than {rows} x {columns}: stretched")
    return warnings


def patient_warnings(good: list[tuple[Sample, Decoded]]) -> list[str]:
    """Slices that nothing ties to a patient."""
    unknown = [s.name for s, d in good if s.group is None and not d.patient]
    if not unknown:
        return []
    return [
        f"no patient is known for {listed(unknown)}: slices of one patient may land on both sides of a split, and "
        "results look better than they are; give groups= (a column of the table of labels), or DICOM files"
    ]
