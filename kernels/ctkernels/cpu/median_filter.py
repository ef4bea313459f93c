"""Median filter on the CPU, equal to ``scipy.ndimage.median_filter`` in every bit; NaN sorts last.

Small windows run sorting networks over vectors of neighbouring pixels, large ones column histograms of ranks; volumes
go through both as images whose rows are those of several planes.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from numpy.typing import NDArray

from ctkernels.cpu._core import jit, parallel
from ctkernels.cpu._median import large
from ctkernels.cpu._median import small as small_module
from ctkernels.cpu._median.volume import median_of_volumes

Array = NDArray[Any]


def median_filter(x: Array, out: Array, *, size: tuple[int, ...], mode: str, cval: float) -> None:
    """The middle value of the ``size`` window around each pixel, as :func:`ctkernels.reference.median_filter`."""
    x = jit.one_type(x)
    if len(size) == 3:
        if size[0] > 1:
            median_of_volumes(x, out, (size[0], size[1], size[2]), mode, cval)
            return
        x, out = (v.reshape(-1, *v.shape[2:]) for v in (x, out))
    _images(x, out, (size[-2], size[-1]), mode, cval)


def _images(x: Array, out: Array, size: tuple[int, int], mode: str, cval: float) -> None:
    small = small_module.serves(size)
    images, height, width = x.shape
    # Rough, but within a factor of two for all but the largest windows of floats.
    pixel_nanoseconds = x.itemsize * 0.00015 * (size[0] * size[1]) ** 2 + 0.1 if small else 20.0
    bands = parallel.bands(images, height, pixel_nanoseconds * width, overlap_rows=0 if small else size[0])
    filter_band = small_module.filter_band if small else large.filter_band
    if len(bands) == 1:
        filter_band(x, out, bands[0], size, mode, cval)
    else:
        parallel.run(bands, partial(_run, filter_band, x, out, size, mode, cval))


def _run(filter_band: Any, x: Array, out: Array, size: tuple[int, int], mode: str, cval: float, band: Any) -> None:
    filter_band(x, out, band, size, mode, cval)
