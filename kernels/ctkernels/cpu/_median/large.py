"""Median filter of any window and dtype by ranks and column histograms; one call filters one band of rows.

Of a volume it is a block of planes and rows. Its planes' rows take turns in tables: row 0 of each, row 1 of each.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core import digits
from ctkernels.cpu._core.parallel import Band
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._median import histogram, histogram_volume
from ctkernels.cpu._median import ranks as ranks_module
from ctkernels.shared.border import border_index

Array = NDArray[Any]
Size = tuple[int, int]
Window = tuple[int, int, int]
"""Planes, rows, columns."""

STRIP = 128
"""Columns whose histograms are kept at once: at 4 kB each they and the window's reach stay in a 1 MB L2 cache."""

MOST_RANKS = 4096


def filter_band(x: Array, out: Array, band: Band, size: Size, mode: str, cval: float) -> None:
    """Write the rows of one band of ``out``, the median of ``size`` windows of ``x``; both ``(N, H, W)``."""
    image, first, last = band
    height, width = x.shape[1:]
    rows, columns = size
    row_of = border_index(height, rows // 2, rows // 2, mode)[first : last + rows - 1]
    column_of = border_index(width, columns // 2, columns // 2, mode)
    needed = row_of[row_of >= 0]
    low = int(needed.min()) if needed.size else 0
    part = x[image, low : int(needed.max()) + 1] if needed.size else x[image, :1]
    row_of = np.where(row_of >= 0, row_of - low, -1)
    filter_table(part, out[image : image + 1, first:last], row_of, column_of, (1, rows, columns), mode, cval)


def filter_table(
    part: Array, result: Array, row_of: Array, column_of: Array, window: Window, mode: str, cval: float
) -> None:
    """Write ``result``, ``(planes, rows, columns)``, the median over tables of rows and columns of ``part``.

    ``row_of`` has as many rows in turn as ``result`` and the window's reach have planes together.
    """
    if not _distinct(part, result, row_of, column_of, window, mode, cval):
        _sorted(part, result, row_of, column_of, window, cval)


def _filter_ranks(ranks: Array, index: Array, rest: Array | None, window: Window, base: int) -> None:
    planes, rows, columns = window
    # As narrow as the counts allow: all columns of a strip shall stay in cache.
    window_type = "uint16" if planes * rows * columns <= 65535 else "uint32"
    column_type = window_type if window_type == "uint32" or planes * rows > 255 else "uint8"
    strip = min(index.shape[2], STRIP)
    reach = strip + columns - 1
    want_rest = rest is not None
    rest = index if rest is None else rest
    memory = (
        scratch("median.coarse", reach * base, column_type),
        scratch("median.fine", reach * base * base, column_type),
        scratch("median.window", 2 * base, window_type),
        scratch("median.window_fine", base * base, window_type),
        scratch("median.valid", base, np.int64),
        histogram.steps(base, column_type),
    )
    if planes > 1:
        ranks = ranks.reshape(-1, index.shape[0] + planes - 1, ranks.shape[1])
        histogram_volume.kernel(base)(ranks, index, rest, want_rest, planes, rows, columns, strip, *memory)
    else:
        histogram.kernel(base)(ranks, index[0], rest[0], want_rest, rows, columns, strip, *memory)


def _base(count: int) -> int:
    """Few distinct values (windowed images) take two levels of 16 instead of 64: a sixteenth of the counters."""
    return 16 if count <= 256 else 64


def _write(index: Array, values: Array, result: Array) -> None:
    found = scratch("median.found", result.size, values.dtype).reshape(result.shape)
    for plane, place in zip(index, found, strict=True):
        ranks_module.look_up(plane, values, place)
    # By NumPy: rows of a part of the columns have another type for Numba.
    result[...] = found


def _distinct(
    part: Array, result: Array, row_of: Array, column_of: Array, window: Window, mode: str, cval: float
) -> bool:
    """By ranks among the distinct values; False where there are too many of these, or floats that are not whole."""
    floats = part.dtype.kind == "f"
    if floats and mode == "constant" and not (abs(cval) <= 32767 and cval == int(cval)):
        return False
    offset = 0 if part.dtype.kind == "u" else 32768
    bits = part if floats else part.view(f"u{part.itemsize}")
    seen = _seen(bits, offset)
    if seen is None:
        return False
    outside = int(cval) + offset if mode == "constant" else 0
    if mode == "constant":
        seen[outside] = 1
    rank_of = scratch("median.rank_of", seen.size, np.uint16)
    key_of = scratch("median.key_of", seen.size, np.uint16)
    count = ranks_module.number(seen, rank_of, key_of)
    if count > MOST_RANKS:
        return False
    outside = int(rank_of[outside])
    ranks = scratch("median.ranks", row_of.size * column_of.size, np.uint16).reshape(row_of.size, column_of.size)
    if floats:
        ranks_module.spread_whole(part, rank_of, outside, row_of, column_of, ranks)
    else:
        ranks_module.spread_integers(bits, offset, rank_of, outside, row_of, column_of, ranks)
    index = scratch("median.index", result.size, np.uint16).reshape(result.shape)
    _filter_ranks(ranks, index, None, window, _base(count))
    values = key_of[:count].astype(np.int32) - offset
    _write(index, values.astype(result.dtype), result)
    return True


def _seen(bits: Array, offset: int) -> Array | None:
    """Which keys the image has; None for floats that are not whole numbers."""
    seen = scratch("median.seen", 1 << (8 * min(bits.itemsize, 2)), np.uint8)
    seen[:] = 0
    if bits.dtype.kind == "f":
        return seen if ranks_module.mark_whole(bits, seen) else None
    ranks_module.mark_integers(bits, offset, seen)
    return seen


def _sorted(part: Array, result: Array, row_of: Array, column_of: Array, window: Window, cval: float) -> None:
    """By runs of the sorted pixels, for anything: every run is as long as the others, whatever the values."""
    floats = part.dtype.kind == "f"
    flip: Any = np.uint64(0 if part.dtype.kind == "u" else 1 << (8 * part.itemsize - 1))
    shape = (row_of.size, column_of.size)
    count = row_of.size * column_of.size
    keys, numbers = _sorted_keys(part, floats, flip, row_of, column_of, cval)
    bits = np.dtype(f"u{part.itemsize}")
    ranks = scratch("median.ranks", count, np.uint16).reshape(shape)
    index = scratch("median.index", result.size, np.uint16).reshape(result.shape)
    values = scratch("median.values", count, bits)
    key_of = scratch("median.long_key_of", MOST_RANKS, np.uint64)
    distinct = ranks_module.number_sorted(keys, numbers, ranks.reshape(-1), key_of)
    if distinct > 0:
        _filter_ranks(ranks, index, None, window, _base(distinct))
        digits.decode(key_of[:distinct], floats, flip, values)
        _write(index, values, result.view(bits))
        return
    # Runs so long that there are at most 4096 of them, as many as two levels of histograms tell apart.
    shift = max(0, (count - 1).bit_length() - 12)
    planes = window[0] + result.shape[0] - 1
    longest = max(planes, row_of.size // planes, column_of.size)
    position = np.uint8 if longest <= 1 << 8 else np.uint16 if longest <= 1 << 16 else np.uint32
    # Two blocks of 64 are read beyond the end, but what stands there comes after every pixel that can be picked.
    row_at, column_at, plane_at = (
        scratch(f"median.at{i}", count + 128 if i < 2 or planes > 1 else 0, position) for i in range(3)
    )
    ranks_module.cut(numbers, (planes, shape[1]), shift, ranks.reshape(-1), plane_at, row_at, column_at)
    many = math.prod(window) > 65535
    rest = scratch("median.rest", result.size, np.uint32 if many else np.uint16).reshape(result.shape)
    _filter_ranks(ranks, index, rest, window, 64)
    order = scratch("median.order", result.size, np.int32).reshape(result.shape)
    if planes > 1:
        ranks_module.pick_in_volume(index, rest, shift, plane_at, row_at, column_at, window, order)
    else:
        ranks_module.pick(index[0], rest[0], shift, row_at, column_at, window[1:], order[0])
    digits.decode(keys, floats, flip, values)
    _write(order, values, result.view(bits))


def _sorted_keys(
    part: Array, floats: bool, flip: Any, row_of: Array, column_of: Array, cval: float
) -> tuple[Array, Array]:
    """Keys of the extended image in order, and which pixel of it each is."""
    bits = part.view(f"u{part.itemsize}")
    count = row_of.size * column_of.size
    keys = scratch("median.keys", count, np.uint64)
    one = np.zeros((1, 1), bits.dtype)
    one.view(part.dtype)[0, 0] = cval
    zero = np.zeros(1, np.int64)
    outside = np.zeros(1, np.uint64)
    ranks_module.spread_keys(one, floats, flip, flip, zero, zero, outside)
    ranks_module.spread_keys(bits, floats, flip, outside[0], row_of, column_of, keys)
    return digits.in_order(keys, 8 * part.itemsize)
