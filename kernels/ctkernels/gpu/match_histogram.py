"""Each image's histogram becomes a reference's, on the GPU; the host waits for nothing once the reference is there.

Integers are counted value by value, and their pixels look new values up (``match_histogram.cu``). Floats are sorted
(``match_ranks.cu``).
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctkernels.gpu._core import device, geometry
from ctkernels.gpu._core.keys import key_dtype
from ctkernels.gpu._core.launch import launch
from ctkernels.gpu._core.masked import counted
from ctkernels.gpu.histogram import histogram
from ctkernels.shared.keys import Pair, key_bounds

_TILE = 2048
"""``CTK_TILE``."""
_VALUES = 2048
"""Of a block of ``ctk_match_levels``."""


class _Memory(NamedTuple):
    """Scratch of some images at a time."""

    images: int
    each: int
    """Elements an image: values of the type, or keys, a power of two."""
    bytes: int

    @classmethod
    def of(cls, shape: tuple[int, ...], dtype: np.dtype[Any]) -> _Memory:
        if dtype.kind == "f":
            each = max(_TILE, 1 << (shape[1] * shape[2] - 1).bit_length())
            width, copies = key_dtype(dtype).itemsize, 1
        else:
            each, width, copies = 256**dtype.itemsize, 8, 2  # counts and levels
        images = min(shape[0], max(1, geometry.ceilings().scratch_bytes // (each * width * copies)))
        return cls(images, each, copies * device.padded_bytes(images * each * width))


class _Reference(NamedTuple):
    shares: device.DeviceArray
    values: device.DeviceArray
    knots: np.int32


def workspace_bytes(shape: tuple[int, ...], dtype: Any, **_: Any) -> int:
    """Scratch that one call takes."""
    return _Memory.of(shape, np.dtype(dtype)).bytes


def match_histogram(
    x: device.DeviceArray,
    out: device.DeviceArray,
    *,
    reference: tuple[NDArray[np.float64], NDArray[np.float64]],
    value_range: Pair | None,
    where: device.DeviceArray | None = None,
    workspace: device.DeviceArray | None = None,
) -> None:
    """See :func:`ctkernels.reference.match_histogram`; ``reference`` is on the host, uploaded once."""
    device.check_image_arrays("match_histogram", x, out)
    seen = counted("match_histogram", x, where)
    memory = _Memory.of(x.shape, x.dtype)
    scratch = device.Scratch(memory.bytes, workspace)
    known = _uploaded(reference)
    by_rank = x.dtype.kind == "f"
    count = memory.images * memory.each
    room = tuple(scratch.take(count, kind) for kind in ((key_dtype(x.dtype),) if by_rank else (np.int64, np.float64)))
    bounds = key_bounds(x.dtype, value_range)
    for first in range(0, x.shape[0], memory.images):
        part = slice(first, first + memory.images)
        (_match_ranks if by_rank else _match_values)(x[part], seen[part], out[part], memory.each, room, bounds, known)


def _uploaded(reference: tuple[NDArray[np.float64], NDArray[np.float64]]) -> _Reference:
    """Known by its content."""
    values, shares = (np.ascontiguousarray(array, np.float64) for array in reference)
    told = hashlib.sha256(values.data)
    told.update(shares.data)
    table = device.uploaded(("reference", told.digest()), lambda: np.concatenate((shares, values)))
    return _Reference(table[: shares.size], table[shares.size :], np.int32(shares.size))


def _match_values(
    x: device.DeviceArray,
    seen: device.DeviceArray,
    out: device.DeviceArray,
    span: int,
    room: tuple[device.DeviceArray, ...],
    bounds: tuple[int, int],
    reference: _Reference,
) -> None:
    images, pixels = x.shape[0], x.shape[1] * x.shape[2]
    counts, levels = (memory[: images * span] for memory in room)
    lowest = int(np.iinfo(x.dtype).min)
    histogram(seen, counts.reshape(images, span), edges=np.arange(lowest, lowest + span + 1) - 0.5)
    defines = {"CTK_IN": geometry.c_type(x.dtype)}
    blocks = geometry.ceil_div(span, _VALUES)
    plan = geometry.Plan((blocks, geometry.images_axis(images), 1), (geometry.THREADS, 1, 1))
    ends = (np.int32(bound - lowest) for bound in bounds)
    launch("match_histogram", defines, "ctk_match_levels", plan,
           (counts, levels, np.int32(images), np.int32(span), *ends, *reference))  # fmt: skip
    plan = geometry.map_plan(geometry.lanes(x.dtype, out.dtype), 1, pixels, images)
    arguments = (x, out, np.int64(pixels), np.int32(images), np.int32(span), levels)
    launch("match_histogram", defines, f"ctk_match_look_up_{out.dtype}", plan, arguments)


def _match_ranks(
    x: device.DeviceArray,
    seen: device.DeviceArray,
    out: device.DeviceArray,
    padded: int,
    room: tuple[device.DeviceArray, ...],
    bounds: tuple[int, int],
    reference: _Reference,
) -> None:
    images, pixels = x.shape[0], x.shape[1] * x.shape[2]
    keys = room[0][: images * padded]
    defines = {"CTK_IN": geometry.c_type(x.dtype)}
    tiles, block = padded // _TILE, (geometry.THREADS, 1, 1)
    each_tile = geometry.Plan((images * tiles, 1, 1), block)
    each_pair = geometry.Plan((images * padded // 2 // geometry.THREADS, 1, 1), block)
    ends = (keys.dtype.type(bound) for bound in bounds)
    launch("match_ranks", defines, "ctk_match_keys", each_tile, (seen, np.int64(pixels), np.int64(tiles), *ends, keys))

    def sort_tiles(begin: int, end: int) -> None:
        arguments = (keys, np.int64(tiles), np.int64(begin), np.int64(end))
        launch("match_ranks", defines, "ctk_match_sort_tiles", each_tile, arguments)

    sort_tiles(2, _TILE)
    for size in _doubled(2 * _TILE, padded):
        for stride in reversed(_doubled(_TILE, size // 2)):
            step = (keys, np.int64(padded), np.int64(stride), np.int64(size))
            launch("match_ranks", defines, "ctk_match_sort_step", each_pair, step)
        sort_tiles(size, size)
    plan = geometry.map_plan(1, 1, pixels, images)
    arguments = (x, out, np.int64(pixels), np.int32(images), keys, np.int64(padded), *reference)
    launch("match_ranks", defines, f"ctk_match_ranks_{out.dtype}", plan, arguments)


def _doubled(first: int, last: int) -> list[int]:
    """From one power of two to another."""
    return [1 << k for k in range(first.bit_length() - 1, last.bit_length())]
