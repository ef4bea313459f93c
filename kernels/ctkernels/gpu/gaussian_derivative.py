"""Derivatives of the Gaussian on the GPU (``gaussian_derivative.cu``): one launch for each axis, the first first.

Between axes float32 images are kept in float32, all others in float64, in scratch memory.
"""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Any

import numpy as np

from ctkernels.gpu._core import device, geometry
from ctkernels.gpu._core.geometry_filters import MODES
from ctkernels.gpu._core.launch import launch
from ctkernels.shared.gaussian_weights import NO_WIDTH, derivative_passes


def _work(dtype: Any) -> np.dtype[Any]:
    return np.dtype(np.float32 if dtype == np.float32 else np.float64)


def derivative_bytes(shape: tuple[int, ...], dtype: Any, sigma: tuple[float, ...]) -> int:
    """Scratch memory of a call: of the images between axes, at most two at a time."""
    passes = max(sum(s > NO_WIDTH for s in sigma), 1)
    return min(passes - 1, 2) * device.padded_bytes(prod(shape) * _work(dtype).itemsize)


def derivatives(
    x: device.DeviceArray,
    out: device.DeviceArray,
    *,
    sigma: tuple[float, ...],
    truncate: float | tuple[float, ...],
    mode: str | tuple[str, ...],
    cval: float,
    order: tuple[int, ...],
    workspace: device.DeviceArray | None = None,
) -> None:
    """The launches, for images ``(N, H, W)`` or volumes; ``workspace`` as ``derivative_bytes`` says."""
    work, passes = _work(x.dtype), derivative_passes(sigma, truncate, order, mode)
    scratch = device.Scratch(derivative_bytes(x.shape, x.dtype, sigma), workspace)
    between = [scratch.take(x.size, work) for _ in range(min(len(passes) - 1, 2))]
    plan = geometry.map_plan(1, 1, x.size)
    current = x
    for turn, (axis, weights, sign, border) in enumerate(passes):
        made = out if turn == len(passes) - 1 else between[turn % 2]
        at = x.ndim - len(sigma) + axis
        table = device.uploaded(("derivative", weights), partial(np.array, weights))
        launch(
            "gaussian_derivative",
            {"CTK_IN": geometry.c_type(current.dtype), "CTK_OUT": geometry.c_type(made.dtype)},
            "ctk_gaussian_derivative",
            plan,
            (
                current, made, np.int64(x.size), np.int64(prod(x.shape[at + 1 :])), np.int32(x.shape[at]),
                table, np.int32(len(weights) - 1), np.float64(sign), np.int32(MODES[border]), np.float64(cval),
            ),
        )  # fmt: skip
        current = made
