"""``read_image``: format by content, one reader a format, one kind of error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ctfast.errors import ArgumentError
from ctfast.files._guard import decoding
from ctfast.files.dicom import read_dicom
from ctfast.files.image import Image, Limits, Values
from ctfast.files.nifti import read_nifti
from ctfast.files.npy import read_npy
from ctfast.files.sniff import TITLES, check_format, read_head
from ctfast.files.tiff import read_tiff

_DEFAULT_LIMITS = Limits()


def read_image(path: str | Path, *, values: Values = "auto", limits: Limits = _DEFAULT_LIMITS) -> Image:
    """Read a CT image file: TIFF, DICOM (extra ``dicom``), NIfTI (extra ``nifti``) or ``.npy``.

    Args:
        path: The file. Its content decides on the format; a known extension must agree.
        values: ``"auto"``: HU where the file (or the Kaggle name) says so; ``"hu"``: the caller knows that the values
            are HU (a DICOM rescale is still applied); ``"stored"``: the numbers as stored, nothing applied.
        limits: Sizes beyond which nothing is decoded.

    Returns:
        The image; see ``Image`` for shape, dtype and meaning.

    Raises:
        OSError: If the file is not there or cannot be opened.
        FileFormatError: If it cannot be read as what it claims to be; names the file and the reason.
        MissingDependencyError: If an optional package is needed; names the pip command.
        ArgumentError: For another ``values``.
    """
    if values not in ("auto", "hu", "stored"):
        raise ArgumentError(f"values={values!r}; 'auto', 'hu' and 'stored' are allowed")
    path = Path(path)
    head = read_head(path)
    kind = check_format(path, head)
    with decoding(path, TITLES[kind]):
        if kind == "tiff":
            image = read_tiff(path, limits, values)
        elif kind == "dicom":
            image = read_dicom(path, head, limits, values)
        elif kind == "nifti":
            image = read_nifti(path, limits, values)
        else:
            image = read_npy(path, limits)
    if not image.pixels.flags.writeable:  # a view of the file's bytes; read-only arrays would compile kernels anew
        image = replace(image, pixels=image.pixels.copy())
    return image if values == "auto" else replace(image, meaning=values)
