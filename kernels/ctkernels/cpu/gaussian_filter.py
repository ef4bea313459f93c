"""Gaussian smoothing on the CPU: ``scipy.ndimage.gaussian_filter`` in float32 (float64 images: in float64).

Any sigma runs through the same compiled code, one per image type: radii, weights and border are data (``Plan``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import one_type
from ctkernels.cpu._core.parallel import Band, bands, run
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._gaussian.band import band as kernel
from ctkernels.cpu._gaussian.plan import exceeds_dtype, plan
from ctkernels.shared.gaussian_weights import fill_value

Array = NDArray[Any]
_SINGLE = np.dtype(np.float32)
_DOUBLE = np.dtype(np.float64)


def gaussian_filter(
    x: Array, out: Array, *, sigma: tuple[float, float], truncate: float, mode: str, cval: float
) -> None:
    """Smooth each image of ``x``, ``(N, H, W)``, into ``out``; see ``ctkernels.reference.gaussian_filter``."""
    images, height, width = x.shape
    work = _DOUBLE if x.dtype == _DOUBLE else _SINGLE
    p = plan(height, width, work, sigma, truncate, mode, exceeds_dtype(x.dtype, mode, cval))
    fill = fill_value(x.dtype, work, cval)
    x = one_type(x)

    def body(band: Band) -> None:
        i, y0, y1 = band
        memory = scratch("gaussian", p.scratch_bytes(y1 - y0), np.uint8)
        kernel(x, out, i, y0, y1, p.layout, p.border, p.weights, fill, memory)

    run(bands(images, height, p.row_nanoseconds, overlap_rows=p.rows_radius), body)
