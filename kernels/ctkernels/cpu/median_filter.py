"""Median filter on the CPU, equal to ``scipy.ndimage.median_filter`` in every bit; NaN sorts last."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ctkernels.cpu import _jit, _parallel
from ctkernels.cpu._median import _large, _small

Array = NDArray[Any]


def median_filter(x: Array, out: Array, *, size: tuple[int, int], mode: str, cval: float) -> None:
    """The middle value of the ``size`` window around each pixel, as :func:`ctkernels.reference.median_filter`."""
    x = _jit.one_type(x)
    filter_band = _small.filter_band if _small.serves(size) else _large.filter_band

    def body(band: _parallel.Band) -> None:
        image, first, last = band
        filter_band(x[image], out[image], first, last, size, mode, cval)

    _parallel.run(_parallel.bands(x.shape[0], x.shape[1], 40.0 * x.shape[2], overlap_rows=size[0]), body)
