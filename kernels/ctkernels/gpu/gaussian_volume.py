"""The Gaussian along three axes: rows and columns of each plane in one launch, planes in another.

A band of rows goes through both at a time, with its sums in scratch memory between them (256 MB, or one row of tiles of
all planes). Where the radii along rows and columns are too large for tiles, a volume's planes go through the two passes
for images first, and scratch memory holds the sums of the whole volume.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ctkernels.contract import each_axis, modes_of
from ctkernels.gpu._core import device
from ctkernels.gpu._core.geometry import c_type
from ctkernels.gpu._core.geometry_filters import MODES, modes_across, smooth_chunk, smooth_passes
from ctkernels.gpu._core.geometry_volumes import (
    SmoothVolumePlan,
    Volumes,
    planes_launch,
    slices_launch,
    smooth_volume_plan,
)
from ctkernels.gpu._core.launch import launch
from ctkernels.shared.gaussian_weights import fill_value, half_kernel, half_kernel_size

Three = tuple[float, float, float]
Mode = str | tuple[str, ...]
Truncate = float | tuple[float, ...]


def _work(dtype: Any) -> np.dtype[Any]:
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def _plan(shape: Volumes, dtype: Any, sigma: Three, truncate: Truncate, mode: Mode) -> SmoothVolumePlan:
    each = list(zip(shape[1:], sigma, each_axis(truncate, 3), modes_of(mode, 3), strict=True))
    rows, columns = (half_kernel_size(*values) - 1 for values in each[1:])
    return smooth_volume_plan(shape, (rows, columns), _work(dtype), device.device_limits().shared_bytes)


def _two_passes(shape: Volumes, dtype: Any) -> tuple[int, int]:
    return smooth_chunk(shape[1:], _work(dtype))


def volume_bytes(shape: Volumes, dtype: Any, sigma: Three, truncate: Truncate, mode: Mode) -> int:
    """Scratch memory of a call."""
    plan = _plan(shape, dtype, sigma, truncate, mode)
    between = 0 if plan.tile is not None else device.padded_bytes(_two_passes(shape, dtype)[1])
    return device.padded_bytes(plan.scratch_bytes) + between


def smooth_volumes(
    x: device.DeviceArray,
    out: device.DeviceArray,
    sigma: Three,
    truncate: Truncate,
    mode: Mode,
    cval: float,
    workspace: device.DeviceArray | None,
) -> None:
    """The launches for volumes ``(N, D, H, W)``."""
    work, shape = _work(x.dtype), x.shape
    mode_z, *modes = modes_of(mode, 3)
    each = zip(shape[1:], sigma, each_axis(truncate, 3), (mode_z, *modes), strict=True)
    halves = [half_kernel(*values, work) for values in each]
    rz, ry, rx = (half.size - 1 for half in halves)
    weights = device.uploaded(
        ("gaussian of volumes", shape[1:], work.char, sigma, truncate, mode),
        lambda: np.concatenate([halves[1], halves[2], halves[0]]),
    )
    fill = np.float64(fill_value(x.dtype, work, cval))
    plan = _plan(shape, x.dtype, sigma, truncate, mode)
    scratch = device.Scratch(volume_bytes(shape, x.dtype, sigma, truncate, mode), workspace)
    sums = scratch.take(plan.scratch_bytes // work.itemsize, work)
    defines = {"CTK_IN": c_type(x.dtype), "CTK_PIXEL": c_type(work)}
    tiles = (np.int32(ry), np.int32(rx), np.int32(modes_across(modes)), fill)
    between = None
    if plan.tile is None:
        between = scratch.take(_two_passes(shape, x.dtype)[1] // work.itemsize, work)
    for volumes, first, rows in _bands(plan, shape):
        part, result = x[volumes], out[volumes].reshape(-1)
        planes = part.shape[0] * shape[1]
        if between is None:
            band = (np.int64(planes), *map(np.int32, (*shape[2:], first, rows)))
            tile = (np.int32(plan.tile[1]), np.int32(plan.tile[0]))  # type: ignore[index]
            launch(
                "gaussian_volume", defines, "ctk_gaussian_slices", slices_launch(plan, planes, rows, shape[3]),
                (part, sums, *band, weights, *tiles, *tile),
            )  # fmt: skip
        else:
            _in_two_passes(part[0], between, sums, weights, (ry, rx), modes, fill)
        pixels = rows * shape[3]
        along = (np.int32(rz), np.int32(MODES[mode_z]), fill)
        counts = (np.int64(part.shape[0]), np.int32(shape[1]), np.int64(pixels), np.int64(shape[2] * shape[3]))
        launch(
            "gaussian_volume", defines, "ctk_gaussian_planes", planes_launch(part.shape[0], shape[1], pixels),
            (sums, result[first * shape[3] :], *counts, weights[ry + rx + 2 :], *along),
        )  # fmt: skip


def _bands(plan: SmoothVolumePlan, shape: Volumes) -> Iterator[tuple[slice, int, int]]:
    """Which volumes, first row and number of rows go through both launches at a time."""
    for volume in range(0, shape[0], plan.volumes):
        for first in range(0, shape[2], plan.rows):
            yield slice(volume, volume + plan.volumes), first, min(plan.rows, shape[2] - first)


def _in_two_passes(
    x: device.DeviceArray,
    between: device.DeviceArray,
    sums: device.DeviceArray,
    weights: device.DeviceArray,
    radii: tuple[int, int],
    modes: Sequence[str],
    fill: np.float64,
) -> None:
    """The planes ``(D, H, W)`` of one volume, smoothed along columns and rows, to ``sums``."""
    (depth, height, width), work = x.shape, _work(x.dtype)
    chunk = between.size // (height * width)
    above, beside = ((np.int32(radius), np.int32(MODES[m]), fill) for radius, m in zip(radii, modes, strict=True))
    size = (np.int32(height), np.int32(width))
    for first in range(0, depth, chunk):
        part = x[first : first + chunk]
        planes = np.int64(part.shape[0])
        down, along = smooth_passes(part.shape)
        args = (part, between, planes, *size, weights, *above)
        launch("gaussian_filter", {"CTK_PIXEL": c_type(x.dtype)}, "ctk_gaussian_columns", down, args)
        args = (between, sums[first * height * width :], planes, *size, weights[radii[0] + 1 :], *beside)
        launch("gaussian_filter", {"CTK_PIXEL": c_type(work)}, "ctk_gaussian_rows", along, args)
