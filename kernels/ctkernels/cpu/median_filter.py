"""Median filter on the CPU, equal to ``scipy.ndimage.median_filter`` in every bit; NaN sorts last.

Windows that are no odd boxes run lists of minima and maxima (``_median/footprints``). Of boxes,
small ones run sorting networks over vectors of neighbouring pixels, large ones column histograms of ranks; volumes
go through both as images whose rows are those of several planes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core import jit, parallel
from ctkernels.cpu._median import box_ranks, footprint_layout, footprints, large, shifted
from ctkernels.cpu._median import small as small_module
from ctkernels.cpu._median.volume import median_of_volumes

Array = NDArray[Any]


def bind(
    shape: tuple[int, ...],
    image: np.dtype[Any],
    _: Any,
    *,
    size: tuple[int, ...],
    footprint: Any = None,
    mode: str | tuple[str, ...],
    cval: float,
    origin: int | tuple[int, ...] = 0,
) -> Callable[[Array, Array], None]:
    """``median_filter`` for images of this shape and dtype, with its parameters."""
    if footprint is not None or not all(n % 2 for n in size):
        mask = np.ones(size, bool) if footprint is None else np.array(footprint, bool)
        if not mask.all() or any(n % 2 == 0 for n in mask.shape):
            pixels = footprint_layout.window_of(mask, origin)
            return footprints.bind(shape, image, pixels, len(pixels) // 2, mode, cval)
        size = mask.shape
    if origin or not isinstance(mode, str):
        return partial(shifted.median_filter, bind=bind, size=size, mode=mode, cval=cval, origin=origin)
    if len(size) == 3:
        return partial(_volumes, size=(size[0], size[1], size[2]), mode=mode, cval=cval)
    window = (size[0], size[1])
    small = small_module.serves(window)
    # Rough, but within a factor of two for all but the largest windows of floats.
    pixel_nanoseconds = image.itemsize * 0.00015 * (size[0] * size[1]) ** 2 + 0.1 if small else 20.0
    row_nanoseconds = pixel_nanoseconds * shape[2]
    overlap = 0 if small else size[0]
    one_image = (0, 0, shape[1])
    if not small:
        filter_band = _large(window, mode, cval)
    elif box_ranks.serves(shape, image, window):
        filter_band = box_ranks.bind(shape, window, mode, cval)
    else:
        filter_band = small_module.bind(shape, small_module.ways(image.char, window), window, mode, cval)

    def run(x: Array, out: Array) -> None:
        x = jit.one_type(x)
        if parallel.undivided(shape[0], shape[1] * row_nanoseconds):
            filter_band(x, out, one_image)
            return
        bands = parallel.bands(shape[0], shape[1], row_nanoseconds, overlap_rows=overlap)
        parallel.run(bands, lambda band: filter_band(x, out, band))

    return run


def _large(size: tuple[int, int], mode: str, cval: float) -> Any:
    return lambda x, out, band: large.filter_band(x, out, band, size, mode, cval)


def _volumes(x: Array, out: Array, *, size: tuple[int, int, int], mode: str, cval: float) -> None:
    if size[0] > 1:
        median_of_volumes(jit.one_type(x), out, size, mode, cval)
    else:
        images, results = (v.reshape(-1, *v.shape[2:]) for v in (x, out))
        median_filter(images, results, size=size[1:], mode=mode, cval=cval)


def median_filter(x: Array, out: Array, **params: Any) -> None:
    """The middle value of the window around each pixel, as :func:`ctkernels.reference.median_filter`."""
    bind(x.shape, x.dtype, out.dtype, **params)(x, out)
