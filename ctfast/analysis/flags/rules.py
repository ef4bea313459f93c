"""Flags: what in a slice or a set deserves a person's look. Each carries its rule, threshold, value and source.

A flag is a pointer, never a diagnosis: it says that a number passed a limit, not why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Level = Literal["warning", "check", "note"]
LEVELS: Final[tuple[Level, ...]] = ("warning", "check", "note")

DISCLAIMER: Final = (
    "Flags are pointers for a person to look, by simple rules on pixel values and headers. They are never a diagnosis. "
    "ctfast is not a medical device."
)


@dataclass(frozen=True, slots=True)
class Rule:
    """What is looked for, at which limit, and why."""

    key: str
    title: str
    level: Level
    threshold: str
    explanation: str
    source: str


@dataclass(frozen=True, slots=True)
class Flag:
    """A rule that some slices met: ``slices`` are positions in the collection, ``value`` is what was found."""

    rule: Rule
    slices: tuple[int, ...]
    value: str


_RULES: Final = (
    Rule("padding", "Padding below the HU scale", "note", "a pixel below -1024 HU",
         "Pixels outside the scan hold a filling value: leave them out of ranges, value_range=(-1024, None).",
         "DICOM PS3.3 C.7.5.1.1.2 (Pixel Padding Value); 12-bit CT with intercept -1024 starts at -1024 HU"),
    Rule("padding_unused", "Declared padding value is not used", "note", "declared value in 0 pixels",
         "The header declares a padding value that no pixel holds; masking by the header would miss the padding.",
         "DICOM PS3.3 C.7.5.1.1.2 (Pixel Padding Value)"),
    Rule("saturation", "Saturated at the top of the scale", "check", "a pixel at 3071 HU or above",
         "Values were cut off at the largest 12-bit number: the true ones are unknown (metal, dense contrast, teeth).",
         "12 bits and intercept -1024: 4095 - 1024 = 3071 HU"),
    Rule("hu_range", "HU outside the 12-bit scale", "check",
         "a pixel above 3072 HU, or more than 3 different values below -1024 HU",
         "Extended-range CT, a wrong rescale, or values that are no HU.",
         "12-bit scale -1024 to 3071 HU (a slope of 1.000244 reaches 3072)"),
    Rule("metal", "Metal or other very dense matter", "check", "10 pixels at 2500 HU or above",
         "Implants, clips, leads or dense contrast agent; streaks may disturb the values around them.",
         "above compact bone in the tissue table; the number of pixels is ctfast's choice"),
    Rule("near_constant", "Empty or near-constant slice", "warning",
         "standard deviation below 5, or one value in 98 % of the pixels",
         "There is hardly any picture in it: a blank, a scout margin or a failed export.", "ctfast's choice"),
    Rule("no_air", "No air in a slice of HU", "warning", "minimum above -200 HU",
         "Every CT of a body holds some air. Stored values may have been taken for HU without their intercept.",
         "air is -1000 HU by definition of the scale"),
    Rule("non_finite", "NaN or infinite pixels", "warning", "1 pixel", "They are left out of all figures.", "IEEE 754"),
    Rule("window", "Window of the header does not fit the pixels", "check",
         "width below 1, or window and central 98 % of the values do not meet",
         "A viewer that trusts the header shows a black or white picture.", "DICOM PS3.3 C.11.2.1.2 (Window Width)"),
    Rule("not_hu", "Values not known to be HU", "note", "no rescale to HU in the file, or another unit",
         "No tissue is named for such values. If they are HU, say so with --values hu.", "DICOM PS3.3 C.11.1.1.2"),
    Rule("lung_cluster", "Isolated dense cluster in lung", "check",
         "6 to 30 mm across, mean above -100 HU, surrounded by lung in this slice, compact",
         "A round dense spot inside aerated lung: a vessel cut across, a nodule or anything else. A person must judge "
         "it with the neighbouring slices.",
         "size limits after the Fleischner Society: 6 mm (MacMahon et al., Radiology 284, 2017) and 30 mm (Hansell et "
         "al., Radiology 246, 2008)"),
    Rule("rescale", "Rescale differs from the set", "warning",
         "another intercept (or a slope off by 1 %) than 80 % of the slices",
         "The odd one out may be shifted by 1024 HU, or be the only one that is right.",
         "DICOM PS3.3 C.11.1.1.2 (Rescale Intercept); the share is ctfast's choice"),
    Rule("noise", "Noise far from the group", "check", "modified z-score beyond 3.5, 8 slices or more",
         "Another reconstruction kernel, dose, thickness or smoothing than the rest.",
         "Iglewicz and Hoaglin 1993 (modified z-score); noise after Christianson et al., AJR 205 (2015)"),
    Rule("tissue", "Tissue fractions far from the group", "check",
         "modified z-score of a share of the body (angular transform) beyond 3.5, 8 slices or more",
         "Another body region, contrast phase or patient than most, or something unusual.",
         "Iglewicz and Hoaglin 1993 (modified z-score)"),
    Rule("duplicate", "Identical pixels", "warning", "every pixel equal",
         "Copies must not stand on both sides of a train/test split, nor count twice.", "128-bit hash of the values"),
    Rule("two_formats", "One slice in two file formats", "note", "every pixel equal, same id, another format",
         "The same image is in the inputs twice: give one of the two folders to count it once.",
         "128-bit hash of the values"),
    Rule("label_leak", "Patient with several labels", "warning", "slices of one PatientID in 2 classes",
         "Split by patient: otherwise a model can know the patient instead of the class.",
         "DICOM PatientID (0010,0020) against the label of name or table"),
    Rule("split_leak", "Patient or copy on both sides of a split", "warning",
         "one PatientID (or identical pixels) in 2 of the folders train, validation, test",
         "Scores on the other side are too good.", "folder names"),
    Rule("odd_form", "Shape or dtype unlike the rest", "note", "differs from 80 % of the slices",
         "Batches need one shape and dtype.", "ctfast's choice"),
)  # fmt: skip

RULES: Final[dict[str, Rule]] = {rule.key: rule for rule in _RULES}
