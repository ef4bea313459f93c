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


def _like(x: Any, result: Any, keeps_units: bool) -> Any:
    made = SimpleITK.GetImageFromArray(result, isVector=False)  # else four axes are a volume of vectors
    made.CopyInformation(x)
    for key in x.GetMetaDataKeys():
        if keeps_units or key not in _OF_VALUES:  # SimpleITK takes the line to HU off all that it writes as DICOM
            made.SetMetaData(key, x.GetMetaData(key))
    return made
