"""Makes ``docs/guesses.md``: what readers of medical images give for files that leave something open, by running them.

``python docs/site/guesses.py`` writes the page anew. Every file is made here of made-up values, whose right reading is
known from the standard or from how the file was made. Libraries that are not installed are named as such.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import logging
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "kernels"), str(ROOT)]

from ctfast.files import Image, read_image  # noqa: E402

PAGE: Final = ROOT / "docs" / "guesses.md"
HU: Final = np.arange(-1000, 1000, dtype=np.int16).reshape(40, 50)
"""A made-up slice: air, water, bone, every value once."""

Answer = Callable[[Any], Any]
"""The answer in what a library gives for a file."""


@dataclass(frozen=True)
class Case:
    """A situation.

    Attributes:
        name: As the table shows it.
        question: What the numbers in the row are.
        right: The right answer.
        make: Writes the file into a folder.
        ctfast: The answer in the image that ctfast reads.
        others: Answers of other libraries, by name.
    """

    name: str
    question: str
    right: Any
    make: Callable[[Path], Path]
    ctfast: Answer
    others: dict[str, Answer]


def dicom(pixels: np.ndarray, **elements: Any) -> Callable[[Path], Path]:
    """Writes a CT slice whose stored values these are."""

    def make(folder: Path) -> Path:
        from pydicom.dataset import FileDataset, FileMetaDataset
        from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

        path, meta = folder / "slice.dcm", FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, "1.2.3.4"
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        values = {
            "SOPClassUID": CTImageStorage, "SOPInstanceUID": "1.2.3.4", "Modality": "CT", "PatientID": "P",
            "Rows": pixels.shape[-2], "Columns": pixels.shape[-1], "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15,
            "PixelRepresentation": int(pixels.dtype.kind == "i"), "RescaleSlope": "1", "RescaleIntercept": "0",
            "PixelData": pixels.tobytes(), **elements,
        }  # fmt: skip
        for keyword, value in values.items():
            setattr(ds, keyword, value)
        ds["PixelData"].VR = "OW"
        if "PixelPaddingValue" in elements:
            ds["PixelPaddingValue"].VR = "US"  # as writers have it, also where the pixels are signed
        ds.save_as(path, enforce_file_format=True)
        if elements.get("RescaleIntercept") == _POINT:
            path.write_bytes(path.read_bytes().replace(_POINT.encode(), _POINT.replace(".", ",").encode()))
        return path

    return make


_POINT: Final = "-1024.50"
"""An intercept that is written with a comma instead, as some writers' locale has it; pydicom refuses to write that."""


def nifti(*, left_to_right: bool, suffix: str = ".nii") -> Callable[[Path], Path]:
    """Writes the slice as NIfTI; its axes run to the patient's left or right, and to the front."""

    def make(folder: Path) -> Path:
        import nibabel

        stored = HU[::-1, ::-1].T if left_to_right else HU[::-1].T
        affine = np.diag([1.0 if left_to_right else -1.0, 1.0, 1.0, 1.0])
        image = nibabel.Nifti1Image(stored[..., np.newaxis], affine)
        path = folder / f"volume{suffix}"
        path.write_bytes(gzip.compress(image.to_bytes()) if suffix == ".nii" and not left_to_right else b"")
        if not path.stat().st_size:
            nibabel.save(image, path)
        return path

    return make


def tiff(pixels: np.ndarray, **options: Any) -> Callable[[Path], Path]:
    """Writes a TIFF by tifffile."""

    def make(folder: Path) -> Path:
        import tifffile

        tifffile.imwrite(folder / "image.tif", pixels, **options)
        return folder / "image.tif"

    return make


def imagej_stack(folder: Path) -> Path:
    """Six images behind one directory, as ImageJ writes large stacks."""
    path = tiff(np.stack([HU + k for k in range(6)]), imagej=True)(folder)
    data = bytearray(path.read_bytes())
    order = "little" if data[:2] == b"II" else "big"
    first = int.from_bytes(data[4:8], order)
    count = int.from_bytes(data[first : first + 2], order)
    data[first + 2 + 12 * count : first + 6 + 12 * count] = bytes(4)  # no further directory
    path.write_bytes(data)
    return path


OPENED: Final[dict[str, Callable[[Path], Any]]] = {
    "pydicom": lambda path: import_module("pydicom").dcmread(path),
    "SimpleITK": lambda path: import_module("SimpleITK").ReadImage(str(path)),
    "nibabel": lambda path: import_module("nibabel").load(path),
    "tifffile": lambda path: import_module("tifffile").imread(path),
    "Pillow": lambda path: import_module("PIL.Image").open(path),
    "MONAI": lambda path: np.asarray(import_module("monai.transforms").LoadImage(image_only=True)(str(path))),
}
"""What each library gives for a file; a case's answers are taken from that."""


def hu_of(ds: Any) -> Any:
    """The first pixel as pydicom rescales it."""
    from pydicom.pixels import apply_rescale

    return np.ravel(apply_rescale(ds.pixel_array, ds))[0]


def sitk_first(image: Any) -> Any:
    """The first pixel of SimpleITK's array."""
    import SimpleITK

    return SimpleITK.GetArrayFromImage(image).ravel()[0]


def first(array: Any) -> Any:
    """The first number of an array."""
    return np.ravel(array)[0]


def ours(image: Image) -> Any:
    """The first pixel."""
    return image.pixels.ravel()[0]


CASES: Final = (
    Case(
        "Padding 63536 declared in a signed slice",
        "the padding value, in HU",
        -2000,
        dicom(np.where(HU < -900, np.int16(-2000), HU), PixelPaddingValue=63536),
        lambda image: image.padding,
        {
            "pydicom": lambda ds: ds.PixelPaddingValue,
            "SimpleITK": lambda image: image.GetMetaData("0028|0120") or "nothing",
        },
    ),
    Case(
        "Rescale Type Z_EFF (effective atomic numbers)",
        "what the values are",
        "Z_EFF",
        dicom(HU, RescaleType="Z_EFF"),
        lambda image: image.units,
        {
            "pydicom": lambda ds: f"numbers, {ds.RescaleType} in the header",
            "SimpleITK": lambda image: "numbers",
            "MONAI": lambda array: "numbers",
        },
    ),
    Case(
        "Air that wrapped around to +3096",
        "what the values are",
        "unknown",
        dicom(np.where(HU < -300, 4096 + HU, HU).astype(np.int16), BitsStored=13, HighBit=12),
        lambda image: image.units,
        {
            "pydicom": lambda ds: "numbers, no word",
            "SimpleITK": lambda image: "numbers, no word",
            "MONAI": lambda array: "numbers, no word",
        },
    ),
    Case(
        "Number of Frames 0",
        "the first pixel",
        -1000,
        dicom(HU, NumberOfFrames=0),
        ours,
        {
            "pydicom": hu_of,
            "SimpleITK": sitk_first,
            "MONAI": first,
        },
    ),
    Case(
        "Rescale Intercept with a decimal comma",
        "the first pixel in HU",
        -2024.5,
        dicom(HU, RescaleIntercept=_POINT),
        ours,
        {
            "pydicom": hu_of,
            "SimpleITK": sitk_first,
            "MONAI": first,
        },
    ),
    Case(
        "NIfTI whose rows run to the right (RAS)",
        "the upper left pixel as radiologists look at it",
        -1000,
        nifti(left_to_right=True),
        ours,
        {
            "nibabel": lambda image: np.asarray(image.dataobj)[0, 0, 0],
            "SimpleITK": sitk_first,
            "MONAI": first,
        },
    ),
    Case(
        "gzip under the name .nii",
        "the upper left pixel as radiologists look at it",
        -1000,
        nifti(left_to_right=False),
        ours,
        {
            "nibabel": lambda image: np.asarray(image.dataobj)[0, -1, 0],
            "SimpleITK": sitk_first,
            "MONAI": lambda array: array[0, -1].ravel()[0],
        },
    ),
    Case(
        "ImageJ stack: one directory for six images",
        "images",
        6,
        imagej_stack,
        lambda image: len(image.pixels),
        {
            "tifffile": len,
            "SimpleITK": lambda image: image.GetSize()[2] if image.GetDimension() > 2 else 1,
            "Pillow": lambda image: image.n_frames,
        },
    ),
    Case(
        "Big-endian int16 TIFF, compressed",
        "the first pixel",
        -1000,
        tiff(HU, byteorder=">", compression="zlib"),
        ours,
        {
            "tifffile": lambda array: array[0, 0],
            "SimpleITK": sitk_first,
            "Pillow": lambda image: np.asarray(image)[0, 0],
        },
    ),
    Case(
        "TIFF of half floats",
        "the first pixel",
        -1000,
        tiff(HU.astype(np.float16)),
        ours,
        {
            "tifffile": lambda array: array[0, 0],
            "SimpleITK": sitk_first,
            "Pillow": lambda image: np.asarray(image)[0, 0],
        },
    ),
)


def told(answer: Any, right: Any) -> str:
    """A cell: the answer, in bold where it is right."""
    text, wanted = (f"{x:g}" if isinstance(x, int | float | np.number) else str(x) for x in (answer, right))
    return f"**{text}**" if text == wanted else text


def asked(case: Case, library: str, path: Path) -> str:
    """A library's cell for a file."""
    if library not in case.others:
        return ""
    try:
        return told(case.others[library](OPENED[library](path)), case.right)
    except ImportError:
        return "not installed"
    except Exception as error:  # what a library says to a file that it does not read is what the table is about
        return f"refused: {type(error).__name__}"


def rows() -> list[list[str]]:
    """The table: situation, question, what each library answers, what ctfast does."""
    table = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            path = case.make(Path(folder))
            image = read_image(path)
            notes = str(image.meta.get("notes", ""))
            own = told(case.ctfast(image), case.right) + (f" ({notes})" if notes else "")
            others = [asked(case, library, path) for library in OPENED]
            table.append([case.name, case.question, *others, own])
    return table


def page() -> str:
    """The page as Markdown."""
    versions = []
    for library in OPENED:
        try:
            versions.append(f"{library} {importlib.metadata.version(library)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{library} is not installed")
    head = ["Situation", "Asked for", *OPENED, "ctfast"]
    lines = [head, ["---"] * len(head), *rows()]
    table = "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
    return (
        "# What ctfast does where others guess\n\n"
        "Files that leave something open, made by `docs/site/guesses.py`, and what libraries give for them with their "
        "defaults. Right answers are bold; a number that is not bold came without any error or warning that stops a "
        f"program. An empty cell: the library does not read this format, or was not asked.\n\n{table}\n\n"
        f"Run with {', '.join(versions)}.\n"
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    PAGE.write_text(page(), encoding="utf-8")
