"""The planes of a DICOM file by its header alone: one of a slice, one a frame of an enhanced multi-frame file.

Source: DICOM PS3.3 C.7.6.2 (image plane), C.7.6.16 (functional groups, stacks and temporal positions).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ctfast.errors import FileFormatError
from ctfast.files._decoder_errors import decoding
from ctfast.files._dicom_geometry import spacing, thickness
from ctfast.files._dicom_scan import PlainDataSet, scan
from ctfast.files._dicom_tags import TAGS, has, number, number_or_none, numbers, text
from ctfast.files.dicom import read_header
from ctfast.files.image import Limits

_MORE: Final = {
    "SeriesDescription": 0x0008103E,
    "SeriesNumber": 0x00200011,
    "AcquisitionNumber": 0x00200012,
    "FrameOfReferenceUID": 0x00200052,
    "TemporalPositionIdentifier": 0x00200100,
}
_TEXTS: Final = {**TAGS, **_MORE}
_BEGINNING: Final = 1 << 16
"""Bytes of a file in which most headers of slices end."""
_PHASES: Final = {
    "TemporalPositionIdentifier": "Temporal Position Identifier",
    "AcquisitionNumber": "Acquisition Number",
    "ConvolutionKernel": "Convolution Kernel",
    "ImageType": "Image Type",
    "KVP": "KVP",
}
"""What tells volumes of one series apart, of which one lies in the place of the other."""
_PHASES_OF_FRAMES: Final = {
    "TemporalPositionIndex": "Temporal Position Index",
    "FrameAcquisitionNumber": "Frame Acquisition Number",
}


@dataclass(frozen=True, slots=True)
class Group:
    """What slices of one volume share, besides their orientation. ``folder`` stands for a UID that is missing."""

    patient: str
    study: str
    series: str
    folder: str
    frame_of_reference: str
    modality: str
    localizer: bool
    stack: str
    shape: tuple[int, int]
    spacing: tuple[float, float] | None = field(compare=False)
    description: str = field(compare=False)
    number: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class Plane:
    """One slice.

    Attributes:
        path: its file.
        frame: its index there.
        group: what it shares with others of its volume.
        orientation: direction cosines of a row, then of a column; empty where not known.
        position: centre of the first pixel in mm; empty where not known.
        spacing: of rows and of columns in mm; None where not known.
        thickness: in mm, as far as it is known; else 1.
        declared: Slice Thickness and Spacing Between Slices in mm; None where the file does not say them.
        instance: SOP Instance UID.
        phases: names and values of what tells it from others at its position.
    """

    path: Path
    frame: int
    group: Group
    orientation: tuple[float, ...]
    position: tuple[float, ...]
    spacing: tuple[float, float] | None
    thickness: float
    declared: tuple[float | None, float | None]
    instance: str
    phases: dict[str, str]

    @property
    def name(self) -> str:
        """For people: of its file, and the number of the frame in it from the second on."""
        return f"{self.path.name} frame {self.frame}" if self.frame else self.path.name


def planes(path: Path, head: bytes, limits: Limits) -> list[Plane]:
    """The planes of a DICOM file; none for frames whose places it does not say one by one.

    Raises:
        FileFormatError: If the header cannot be read.
    """
    with decoding(path, "DICOM"):
        ds = _header(path, head, limits)
        if not (number(ds, "Rows") and number(ds, "Columns")):
            raise FileFormatError(
                "no Rows and Columns: no image, or a damaged header", "give the files of the images themselves"
            )
        frames = int(number(ds, "NumberOfFrames") or 1)
        per_frame = (ds.get("PerFrameFunctionalGroupsSequence") or []) if _is_enhanced(ds) else []
        if per_frame and len(per_frame) == frames:
            return _of_frames(path, ds, per_frame)
        return [] if frames > 1 or per_frame else [_of_slice(path, ds)]


def _header(path: Path, head: bytes, limits: Limits) -> Any:
    """The wanted elements, by the quick look where it will do, else by pydicom, which takes ten times as long."""
    with path.open("rb") as file:
        ds = scan(file.read(_BEGINNING), frozenset(_MORE.values()))
    return read_header(path, head, limits, list(_TEXTS.values())) if ds is None else ds


def _is_enhanced(ds: Any) -> bool:
    return has(ds, "PerFrameFunctionalGroupsSequence")


def _of_slice(path: Path, ds: Any) -> Plane:
    size, _ = spacing(ds)
    return Plane(
        path,
        0,
        _group(path, ds, "", size),
        _six(numbers(ds, "ImageOrientationPatient")),
        _three(numbers(ds, "ImagePositionPatient")),
        size,
        thickness(ds),
        _depths(ds),
        text(ds, "SOPInstanceUID"),
        {name: _word(ds, keyword) for keyword, name in _PHASES.items()},
    )


def _of_frames(path: Path, ds: Any, per_frame: list[Any]) -> list[Plane]:
    shared = (
        list(ds.get("SharedFunctionalGroupsSequence") or []) if has(ds, "SharedFunctionalGroupsSequence") else []
    )[:1]
    result = []
    for index, own in enumerate(per_frame):
        measures, plane, place, content = (
            _item([own, *shared], f"{name}Sequence")
            for name in ("PixelMeasures", "PlaneOrientation", "PlanePosition", "FrameContent")
        )
        pair = numbers(measures, "PixelSpacing") if measures is not None else ()
        size = (pair[0], pair[1]) if len(pair) == 2 else None
        result.append(
            Plane(
                path,
                index,
                _group(path, ds, _word(content, "StackID"), size),
                _six(numbers(plane, "ImageOrientationPatient") if plane is not None else ()),
                _three(numbers(place, "ImagePositionPatient") if place is not None else ()),
                size,
                (measures is not None and number_or_none(measures, "SliceThickness")) or 1.0,
                (None, None) if measures is None else _depths(measures),
                f"{text(ds, 'SOPInstanceUID')} frame {index}",
                {name: _word(content, keyword) for keyword, name in _PHASES_OF_FRAMES.items()},
            )
        )
    return result


def _group(path: Path, ds: Any, stack: str, size: tuple[float, float] | None) -> Group:
    series = text(ds, "SeriesInstanceUID")
    return Group(
        text(ds, "PatientID"),
        text(ds, "StudyInstanceUID"),
        series,
        "" if series else str(path.parent),
        _word(ds, "FrameOfReferenceUID"),
        text(ds, "Modality").upper(),
        "LOCALIZER" in text(ds, "ImageType").upper().split("/"),
        stack,
        (int(number(ds, "Rows") or 0), int(number(ds, "Columns") or 0)),
        size and (round(size[0], 5), round(size[1], 5)),
        _word(ds, "SeriesDescription"),
        _word(ds, "SeriesNumber"),
    )


def _depths(ds: Any) -> tuple[float | None, float | None]:
    depth, apart = (number_or_none(ds, name) for name in ("SliceThickness", "SpacingBetweenSlices"))
    return depth or None, abs(apart) if apart else None


def _item(groups: list[Any], sequence: str) -> Any:
    """The item of a frame's own functional groups, else of the shared ones."""
    return next((group.get(sequence)[0] for group in groups if group.get(sequence)), None)


def _word(ds: Any, keyword: str) -> str:
    """An element as text, several values as Python shows a list; empty where missing or unreadable."""
    if isinstance(ds, PlainDataSet):
        item = ds.get_item(_TEXTS[keyword])
        values = [] if item is None else bytes(item.value).decode("ascii").split("\\")
    else:
        try:
            value: Any = None if ds is None else ds.get(keyword)
        except (ValueError, TypeError, LookupError):
            value = None
        several = type(value).__name__ == "MultiValue"
        values = list(map(str, value)) if several else [] if value is None else [str(value)]
    words = [value.strip("\0 ") for value in values]
    return words[0] if len(words) == 1 else str(words) if words else ""


def _six(values: tuple[float, ...]) -> tuple[float, ...]:
    return values if len(values) == 6 else ()


def _three(values: tuple[float, ...]) -> tuple[float, ...]:
    return values if len(values) == 3 else ()
