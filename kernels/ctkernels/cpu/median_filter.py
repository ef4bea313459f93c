"""Median filter on the CPU, equal to ``scipy.ndimage.median_filter`` in every bit; NaN sorts last.

Small windows run sorting networks over vectors of neighbouring pixels, large ones column histograms of ranks.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from numpy.typing import NDArray

from ctkernels.cpu._core import jit, parallel
from ctkernels.cpu._median import large
from ctkernels.cpu._median import small as small_module

Array = NDArray[Any]


def median_filter(x: Array, out: Array, *, size: tuple[int, int], mode: str, cval: float) -> None:
    """The middle value of the ``size`` window around each pixel, as :func:`ctkernels.reference.median_filter`."""
    x = jit.one_type(x)
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
