"""Gaussian smoothing on the GPU: ``scipy.ndimage.gaussian_filter`` in float32 (float64 images: in float64).

One launch through shared memory, whatever sigma: weights and radii are arguments. Where no tile with its halo fits
(radii of some hundred pixels) two launches with the sums of the columns in scratch memory between them. Volumes:
``gaussian_volume.py``; derivatives: ``gaussian_derivative.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ctkernels.contract import each_axis, modes_of
from ctkernels.gpu._core import device
from ctkernels.gpu._core.geometry import c_type
from ctkernels.gpu._core.geometry_filters import (
    MODES,
    modes_across,
    smooth_chunk,
    smooth_fits,
    smooth_passes,
    smooth_plan,
)
from ctkernels.gpu._core.launch import launch
from ctkernels.gpu.gaussian_derivative import derivative_bytes, derivatives
from ctkernels.gpu.gaussian_volume import smooth_volumes, volume_bytes
from ctkernels.shared.gaussian_weights import half_kernel, half_kernel_size

Pair = tuple[float, float]
Mode = str | tuple[str, ...]
Truncate = float | tuple[float, ...]


def radii_of(shape: tuple[int, int, int], sigma: Pair, truncate: Truncate, mode: Mode) -> tuple[int, int]:
    """Half-widths of both kernels; what reaches further than an axis is long is folded back (``half_kernel``)."""
    each = zip(shape[1:], sigma, each_axis(truncate, 2), modes_of(mode, 2), strict=True)
    rows, columns = (half_kernel_size(*values) - 1 for values in each)
    return rows, columns


def workspace_bytes(
    shape: tuple[int, ...],
    dtype: Any,
    *,
    sigma: tuple[float, ...],
    truncate: Truncate,
    mode: Mode,
    cval: float,
    order: int | tuple[int, ...] = 0,
) -> int:
    """Scratch memory that a call takes: of images none unless the radii are too large for shared memory."""
    if order:
        return derivative_bytes(shape, dtype, sigma)
    if len(sigma) == 3:
        return volume_bytes(shape, dtype, sigma, truncate, mode)  # type: ignore[arg-type]
    images = (shape[0], shape[1], shape[2])
    radii = radii_of(images, (sigma[0], sigma[1]), truncate, mode)
    if smooth_fits(radii, dtype, device.device_limits().shared_bytes):
        return 0
    return smooth_chunk(images, dtype)[1]


def weights_on_device(
    shape: tuple[int, int, int], work: np.dtype[Any], sigma: Pair, truncate: Truncate, mode: Mode
) -> tuple[device.DeviceArray, tuple[int, int]]:
    """Both half kernels, rows then columns, and their radii; uploaded once for each setting."""

    def make() -> Any:
        each = zip(shape[1:], sigma, each_axis(truncate, 2), modes_of(mode, 2), strict=True)
        return np.concatenate([half_kernel(*values, work) for values in each])

    table = device.uploaded(("gaussian", shape[1:], work.char, sigma, truncate, mode), make)
    return table, radii_of(shape, sigma, truncate, mode)


def gaussian_filter(
    x: device.DeviceArray,
    out: device.DeviceArray,
    *,
    sigma: tuple[float, ...],
    truncate: Truncate,
    mode: Mode,
    cval: float,
    order: int | tuple[int, ...] = 0,
    workspace: device.DeviceArray | None = None,
) -> None:
    """See :func:`ctkernels.reference.gaussian_filter`; ``workspace`` as ``workspace_bytes`` says."""
    device.check_image_arrays("gaussian_filter", x, out)
    if order:
        order = each_axis(order, len(sigma))
        derivatives(x, out, sigma=sigma, truncate=truncate, mode=mode, cval=cval, order=order, workspace=workspace)
    elif len(sigma) == 3:
        smooth_volumes(x, out, (sigma[0], sigma[1], sigma[2]), truncate, mode, cval, workspace)
    else:
        _smooth_images(x, out, (sigma[0], sigma[1]), truncate, mode, cval, workspace)


def _smooth_images(
    x: device.DeviceArray,
    out: device.DeviceArray,
    sigma: Pair,
    truncate: Truncate,
    mode: Mode,
    cval: float,
    workspace: device.DeviceArray | None,
) -> None:
    if smoothed(x, out, sigma, truncate, mode, cval):
        return
    work = _work(x.dtype)
    weights, (ry, rx) = weights_on_device(x.shape, work, sigma, truncate, mode)
    defines = {"CTK_PIXEL": c_type(x.dtype)}
    _, height, width = x.shape
    size = (np.int32(height), np.int32(width))
    above, beside = ((np.int32(MODES[each]), np.float64(cval)) for each in modes_of(mode, 2))
    chunk, needed = smooth_chunk(x.shape, x.dtype)
    sums = device.Scratch(needed, workspace).take(needed // work.itemsize, work)
    for first in range(0, x.shape[0], chunk):
        part, result = x[first : first + chunk], out[first : first + chunk]
        down, along = smooth_passes(part.shape)
        images = np.int64(part.shape[0])
        args = (part, sums, images, *size, weights, np.int32(ry), *above)
        launch("gaussian_filter", defines, "ctk_gaussian_columns", down, args)
        args = (sums, result, images, *size, weights[ry + 1 :], np.int32(rx), *beside)
        launch("gaussian_filter", defines, "ctk_gaussian_rows", along, args)


def smoothed(
    x: device.DeviceArray,
    out: device.DeviceArray,
    sigma: Pair,
    truncate: Truncate,
    mode: Mode,
    cval: float,
    order: int | tuple[int, ...] = 0,
    line: tuple[Any, ...] | None = None,
) -> bool:
    """The one launch through shared memory; False, and nothing done, where no tile fits.

    With the numbers of a window's ``line`` the windowed image is smoothed. No derivatives.
    """
    weights, (ry, rx) = weights_on_device(x.shape, _work(out.dtype), sigma, truncate, mode)
    plan = smooth_plan(x.shape, (ry, rx), out.dtype, device.device_limits().shared_bytes)
    if plan is None:
        return False
    unit, kernel, defines = "gaussian_filter", "ctk_gaussian_tile", {"CTK_PIXEL": c_type(out.dtype)}
    if line is not None:
        unit, kernel, defines = "window_gaussian", "ctk_window_gaussian", {"CTK_IN": c_type(x.dtype), **defines}
    images, height, width = x.shape
    modes = np.int32(modes_across(modes_of(mode, 2)))
    arguments = (
        x, out, np.int64(images), np.int32(height), np.int32(width), weights, np.int32(ry), np.int32(rx),
        modes, np.float64(cval), np.int32(plan.tile[1]), np.int32(plan.tile[0]), *(line or ()),
    )  # fmt: skip
    launch(unit, defines, kernel, plan.launch, arguments)
    return True


def _work(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)
