"""SimpleITK images: spacing, origin, direction and meta data are kept."""

from __future__ import annotations

from typing import Any

import SimpleITK

from ctfast.dispatch.containers import Task, put_back
from ctfast.errors import ArgumentError, DTypeError, ShapeError


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
    return put_back(task.run(SimpleITK.GetArrayViewFromImage(x)), lambda result: _like(x, result))


def _like(x: Any, result: Any) -> Any:
    made = SimpleITK.GetImageFromArray(result, isVector=False)  # else four axes are a volume of vectors
    made.CopyInformation(x)
    for key in x.GetMetaDataKeys():
        made.SetMetaData(key, x.GetMetaData(key))
    return made
