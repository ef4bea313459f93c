"""Gaussian smoothing on the CPU: ``scipy.ndimage.gaussian_filter`` in float32 (float64 images: in float64).

Any sigma runs through the same compiled code, one per image type: radii, weights and border are data (``Plan``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.contract import each_axis
from ctkernels.cpu._core import parallel
from ctkernels.cpu._core.jit import one_type
from ctkernels.cpu._core.parallel import Band, bands, undivided
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.spread import in_row_bands
from ctkernels.cpu._gaussian import volume
from ctkernels.cpu._gaussian.band import band as kernel
from ctkernels.cpu._gaussian.derivative import derivatives
from ctkernels.cpu._gaussian.plan import exceeds_dtype, plan
from ctkernels.shared.gaussian_weights import fill_value

Array = NDArray[Any]
_SINGLE = np.dtype(np.float32)
_DOUBLE = np.dtype(np.float64)


def bind(
    shape: tuple[int, ...],
    image: np.dtype[Any],
    _: Any,
    *,
    sigma: tuple[Any, ...],
    truncate: float | tuple[float, ...],
    mode: str | tuple[str, ...],
    cval: float,
    order: int | tuple[int, ...] = 0,
) -> Callable[[Array, Array], None]:
    """``gaussian_filter`` for images of this shape and dtype, with its parameters.

    For an axis ``sigma`` may hold weights, centre first, as a tuple: the kernel of another library.
    """
    if order:
        orders = each_axis(order, len(sigma))
        return partial(derivatives, sigma=sigma, truncate=truncate, mode=mode, cval=cval, order=orders)
    work = _DOUBLE if image == _DOUBLE else _SINGLE
    if len(sigma) == 3:
        return partial(_volumes, work=work, sigma=sigma, truncate=truncate, mode=mode, cval=cval)
    images, height, width = shape
    p = plan(height, width, work, (sigma[0], sigma[1]), truncate, mode, exceeds_dtype(image, mode, cval))
    settings = (p.layout, p.border, p.weights, fill_value(image, work, cval))
    most = p.scratch_bytes(height)

    def run(x: Array, out: Array) -> None:
        x = one_type(x)
        if undivided(images, height * p.row_nanoseconds):
            kernel(x, out, 0, 0, height, *settings, scratch("gaussian", most, np.uint8))
            return

        def body(band: Band) -> None:
            i, y0, y1 = band
            kernel(x, out, i, y0, y1, *settings, scratch("gaussian", p.scratch_bytes(y1 - y0), np.uint8))

        parallel.run(bands(images, height, p.row_nanoseconds, overlap_rows=p.rows_radius), body)

    return run


def gaussian_filter(x: Array, out: Array, **params: Any) -> None:
    """Smooth each image ``(N, H, W)`` or volume ``(N, D, H, W)``; see ``ctkernels.reference.gaussian_filter``."""
    bind(x.shape, x.dtype, out.dtype, **params)(x, out)


def _volumes(
    x: Array,
    out: Array,
    work: np.dtype[Any],
    sigma: tuple[Any, ...],
    truncate: float | tuple[float, ...],
    mode: str | tuple[str, ...],
    cval: float,
) -> None:
    p = volume.plan(x.shape[1:], work, sigma, truncate, mode, exceeds_dtype(x.dtype, mode, cval))
    fill = fill_value(x.dtype, work, cval)
    x = one_type(x)

    def body(band: Band) -> None:
        memory = scratch("gaussian", p.scratch_bytes, np.uint8)
        volume.band(x, out, *band, p.planes_layout, p.planes, p.layout, p.border, p.weights, fill, memory)

    in_row_bands(x, p.rows, p.voxel_nanoseconds, body)
