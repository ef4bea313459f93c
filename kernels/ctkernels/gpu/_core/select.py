"""Launches that find percentiles of every image (``select.cuh``)."""

from __future__ import annotations

from functools import partial

import numpy as np

from ctkernels.gpu._core import device, geometry
from ctkernels.gpu._core.keys import key_dtype
from ctkernels.gpu._core.launch import launch
from ctkernels.shared.keys import Pair, key_bounds

_MOST = 8
"""Percentiles at a time."""

_STATE_WORDS = 49
"""``CTK_STATE``."""

_LEAST_PIXELS = 16_384
"""A block; it clears and adds up to 4096 counters besides."""


def select_bytes(images: int, percentiles: int) -> int:
    """Of scratch that :func:`select` takes."""
    counts = images * 2 * min(percentiles, _MOST) * 256 * 8
    return device.padded_bytes(images * _STATE_WORDS * 8) + device.padded_bytes(counts)


def select(
    operation: str,
    x: device.DeviceArray,
    value_range: Pair | None,
    percentiles: tuple[float, ...],
    quantiles: device.DeviceArray,
    stride: int,
    scratch: device.Scratch,
) -> None:
    """Write the percentiles of image ``i`` from ``quantiles[i * stride]`` on; NaN where no pixel counts."""
    images, pixels = x.shape[0], x.shape[1] * x.shape[2]
    state = scratch.take(images * _STATE_WORDS, np.uint64)
    room = scratch.take(images * 2 * min(len(percentiles), _MOST) * 256, np.uint64)
    bounds = tuple(key_dtype(x.dtype).type(k) for k in key_bounds(x.dtype, value_range))
    defines = {"CTK_IN": geometry.c_type(x.dtype)}
    plan = geometry.part_plan(pixels, images, device.device_limits().processors, _LEAST_PIXELS)
    per_image = geometry.Plan((images, 1, 1), plan.block)
    for start in range(0, len(percentiles), _MOST):
        group = percentiles[start : start + _MOST]
        wanted = device.uploaded(("percentiles", group), partial(np.array, group, np.float64))
        counts = room[: images * 2 * len(group) * 256]
        device.clear(counts)
        number, slots = np.int32(len(group)), np.int32(2 * len(group))
        for digit in (np.int32(d) for d in range(x.dtype.itemsize)):
            arguments = (x, np.int64(pixels), np.int32(images), *bounds, digit, slots, state, counts)
            launch(operation, defines, f"ctk_{operation}_count", plan, arguments)
            arguments = (digit, number, wanted, state, counts, quantiles[start:], np.int32(stride))
            launch(operation, defines, f"ctk_{operation}_step", per_image, arguments)
