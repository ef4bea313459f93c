"""SimpleITK images: spacing, origin, direction are kept, and meta data but of values that are no longer these."""

from __future__ import annotations

from typing import Any, Final

import SimpleITK

from ctfast.dispatch.containers import Task, put_back
from ctfast.errors import ArgumentError, DTypeError, ShapeError

_LINES_AND_WINDOWS: Final = ("1050", "1051", "1052", "1053", "1054", "1055", "1056")
_RANGES_AND_PADDING: Final = ("0106", "0107", "0108", "0109", "0120", "0121")
_OF_VALUES: Final = frozenset(
    [f"0028|{element}" for element in (*_LINES_AND_WINDOWS, *_RANGES_AND_PADDING)]
    + ["cal_min", "cal_max", "scl_inter", "scl_slope"]
)
"""Meta data of DICOM and NIfTI that say what pixels stand for."""
_APART: Final = 1e-3
"""Pixels, and parts of a direction, by which files round."""


def apply(task: Task, x: Any, out: Any) -> Any:
    """Run on a view of the pixels, ``(H, W)`` or ``(D, H, W)``.

    Raises:
        ArgumentError: ``out=``: SimpleITK gives no memory to write to.
        DTypeError: A label map, which has no pixels.
        ShapeError: An image of vectors (colour).
    """
    if out is not None:
        raise ArgumentError("out= with a SimpleITK image: leave it away, the result is an image of its own")
    if x.GetPixelIDTypeAsString().startswith("label"):  # SimpleITK ends the process when asked for their pixels
        raise DTypeError(
            f"a SimpleITK label map ({x.GetPixelIDTypeAsString()}), which has no pixels: take its image with "
            "SimpleITK.LabelMapToLabel(image)"
        )
    if x.GetNumberOfComponentsPerPixel() > 1:
        raise ShapeError(
            f"a SimpleITK image with {x.GetNumberOfComponentsPerPixel()} components per pixel: one is allowed; take it "
            "with SimpleITK.VectorIndexSelectionCast(image, k)"
        )
    return put_back(task.run(SimpleITK.GetArrayViewFromImage(x)), lambda result: _like(x, result, task.keeps_units))


def placed(x: Any, where: Any) -> Any:
    """A mask that lies where ``x`` does, as SimpleITK's own filters ask for.

    Raises:
        ArgumentError: Another origin, spacing or direction.
    """
    if not isinstance(where, SimpleITK.Image) or where.GetDimension() != x.GetDimension():
        return where
    some = min(x.GetSpacing())
    differing = [
        name
        for name, here, there, apart in (
            ("origin", x.GetOrigin(), where.GetOrigin(), _APART * some),
            ("spacing", x.GetSpacing(), where.GetSpacing(), _APART * some),
            ("direction", x.GetDirection(), where.GetDirection(), _APART),
        )
        if max(abs(a - b) for a, b in zip(here, there)) > apart
    ]
    if differing and _is_somewhere(where):
        raise ArgumentError(
            f"where= has another {' and '.join(differing)} than the image, so its pixels are of other places: bring it "
            "there, SimpleITK.Resample(mask, image, interpolator=SimpleITK.sitkNearestNeighbor)"
        )
    return where


def _is_somewhere(x: Any) -> bool:
    """Whether anybody said where the image lies: GetImageFromArray puts it at 0, with spacing 1."""
    n = x.GetDimension()
    unit = tuple(float(i == j) for i in range(n) for j in range(n))
    return (x.GetOrigin(), x.GetSpacing(), x.GetDirection()) != ((0.0,) * n, (1.0,) * n, unit)


def _like(x: Any, result: Any, keeps_units: bool) -> Any:
    made = SimpleITK.GetImageFromArray(result, isVector=False)  # else four axes are a volume of vectors
    made.CopyInformation(x)
    for key in x.GetMetaDataKeys():
        if keeps_units or key not in _OF_VALUES:  # SimpleITK takes the line to HU off all that it writes as DICOM
            made.SetMetaData(key, x.GetMetaData(key))
    return made
