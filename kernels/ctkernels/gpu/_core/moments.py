"""Launches that the operations with moments share (``moments.cuh``)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ctkernels.gpu._core import device, geometry
from ctkernels.gpu._core.keys import key_dtype
from ctkernels.gpu._core.launch import launch
from ctkernels.shared.keys import Pair, key_bounds

_WORDS = 5
"""``CTK_PART``."""


class MomentTables(NamedTuple):
    """What the merging kernel takes; ``shrunk`` is the same table again but for float64."""

    table: device.DeviceArray
    shrunk: device.DeviceArray
    number: int
    """Of parts an image."""


def moments_bytes(shape: tuple[int, int, int], dtype: np.dtype[Any]) -> int:
    """Of scratch that :func:`moments` takes."""
    size = device.padded_bytes(shape[0] * geometry.moment_parts(shape[1] * shape[2]) * _WORDS * 8)
    return size * 2 if dtype.char == "d" else size


def moments(operation: str, x: device.DeviceArray, value_range: Pair | None, scratch: device.Scratch) -> MomentTables:
    """Start the passes that find the parts of every image's moments."""
    images, pixels = x.shape[0], x.shape[1] * x.shape[2]
    parts = geometry.moment_parts(pixels)
    bound = key_dtype(x.dtype).type
    first, last = (bound(k) for k in key_bounds(x.dtype, value_range))
    defines = {"CTK_IN": geometry.c_type(x.dtype)}
    plan = geometry.Plan((parts, geometry.images_axis(images), 1), (geometry.THREADS, 1, 1))
    name = f"ctk_{operation}_moments"
    numbers = (x, np.int64(pixels), np.int32(images), np.int32(parts), first, last)
    table = scratch.take(images * parts * _WORDS, np.int64)
    launch(operation, defines, name, plan, (*numbers, np.uint64(0), table))
    if x.dtype.char != "d":
        return MomentTables(table, table, parts)
    shrunk = scratch.take(images * parts * _WORDS, np.int64)
    launch(operation, defines, name, plan, (*numbers, table, shrunk))
    return MomentTables(table, shrunk, parts)
