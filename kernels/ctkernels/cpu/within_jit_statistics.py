"""Statistics for a user's own compiled code (see ``within_jit``): of the flat pixels of one image, on one thread.

The kernels are those of the interpreter's entries; what these do between kernels in Python is compiled here.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import types
from numba.extending import overload

from ctkernels.cpu._core.chosen import side_by_side
from ctkernels.cpu._core.jit import jit
from ctkernels.cpu._core.moments import BLOCK, float_blocks, integer_sums, merge_blocks
from ctkernels.cpu._histogram.codes import CELLS, COUNTERS, count_values
from ctkernels.cpu._histogram.ranks import write_levels
from ctkernels.cpu._histogram.values import count_bytes, whole_numbers
from ctkernels.cpu._select.floats import bucket_codes, bucket_pixels
from ctkernels.cpu._select.keys import key, key_extent
from ctkernels.cpu._select.percentiles import count_percentiles

_BUCKETS = 16382


def bits_of(x):
    """``shared.keys.sortable``; compiled code runs the overload."""
    raise NotImplementedError("compiled code only")


@overload(bits_of)
def _bits_of(x):
    if x.dtype == types.float32:
        return lambda x: x.view(np.int32)
    if x.dtype == types.float64:
        return lambda x: x.view(np.int64)
    return lambda x: x


def key_bounds(x, low, high):
    """``shared.keys.key_bounds`` for pixels as those of ``x``; compiled code runs the overload."""
    raise NotImplementedError("compiled code only")


@overload(key_bounds)
def _key_bounds(x, low, high):
    if isinstance(x.dtype, types.Integer):

        def whole(x, low, high):
            limits = np.iinfo(x.dtype)
            if low > limits.max or high < limits.min:
                return np.int64(1), np.int64(0)
            first = np.int64(math.ceil(max(low, np.float64(limits.min))))
            last = np.int64(math.floor(min(high, np.float64(limits.max))))
            return (first, last) if first <= last else (np.int64(1), np.int64(0))

        return whole

    def floats(x, low, high):
        number = x.dtype.type
        largest = np.float64(np.finfo(x.dtype).max)
        if low > largest or high < -largest:
            return np.int64(1), np.int64(0)
        first, last = max(low, -largest), min(high, largest)
        ends = np.empty(2, x.dtype)
        ends[0] = first
        ends[1] = last
        if np.float64(ends[0]) < first:
            ends[0] = np.nextafter(ends[0], number(np.inf))
        if np.float64(ends[1]) > last:
            ends[1] = np.nextafter(ends[1], number(-np.inf))
        if ends[0] == 0:
            ends[0] = -0.0
        if ends[1] == 0:
            ends[1] = 0.0
        keys = bits_of(ends)
        begin, end = np.int64(key(keys[0])), np.int64(key(keys[1]))
        return (begin, end) if begin <= end else (np.int64(1), np.int64(0))

    return floats


def value_of(k, x):
    """The pixel as those of ``x`` that has key ``k``; compiled code runs the overload."""
    raise NotImplementedError("compiled code only")


@overload(value_of)
def _value_of(k, x):
    if isinstance(x.dtype, types.Integer):
        return lambda k, x: np.float64(k)

    def floats(k, x):
        one = np.zeros(1, x.dtype)
        bits = bits_of(one)
        bits[0] = k
        bits[0] = key(bits[0])
        return np.float64(one[0])

    return floats


@jit
def kept(x, keep):
    """The pixels of a flat image where ``keep`` is 1."""
    place = np.empty(x.size, x.dtype)
    return place[: side_by_side(x, keep, place)]


@jit
def extent(x, low, high):
    """Smallest and largest pixel that counts, and whether there is one."""
    if x.size == 0:
        return np.nan, np.nan, False
    first, last = key_bounds(x, low, high)
    least, most = key_extent(bits_of(x), first, last)
    return value_of(least, x), value_of(most, x), least <= most


def moments(x, low, high):
    """Number, mean and deviation of the pixels that count, as ``_core.moments``; compiled code runs the overload."""
    raise NotImplementedError("compiled code only")


@overload(moments)
def _moments(x, low, high):
    if isinstance(x.dtype, types.Integer):

        def whole(x, low, high):
            first, last = key_bounds(x, low, high)
            count, total, squares = integer_sums(x, first, last)
            if count == 0:
                return count, np.nan, np.nan
            # About a whole number near the mean: int64 holds all sums, and the rest loses nothing.
            near = total // count
            rest = (total - near * count) / count
            about = squares - 2 * near * total + near * near * count
            return count, total / count, math.sqrt(max(about / count - rest * rest, 0.0))

        return whole

    def floats(x, low, high):
        first, last = key_bounds(x, low, high)
        partials = np.empty((-(-x.size // BLOCK), 3))
        everything = low == -np.inf and high == np.inf
        float_blocks(x, bits_of(x), first, last, everything, partials)
        number, mean, squares = merge_blocks(partials)
        count = np.int64(number)
        if count == 0:
            return count, np.nan, np.nan
        if not np.isfinite(squares):
            raise ValueError("squares beyond float64: call ctfast outside of compiled code")
        sd = math.sqrt(squares / number)
        if sd < 1e-9 * abs(mean):
            least, most, _ = extent(x, low, high)
            if least == most:
                return count, least, 0.0
        return count, mean, sd

    return floats


def value_counts(x):
    """Whether the pixels are whole numbers, how often each occurs, the first one; compiled code runs the overload."""
    raise NotImplementedError("compiled code only")


@overload(value_counts)
def _value_counts(x):
    if x.dtype == types.uint8:

        def count_eight(x):
            banks = np.empty(2048, np.uint32)
            count_bytes(x, banks)
            return True, banks[:256], np.int64(0)

        return count_eight
    if isinstance(x.dtype, types.Integer):
        return lambda x: _counted(x)

    def floats(x):
        numbers = np.empty(x.size, np.int16)
        if x.size and whole_numbers(x, numbers):
            return _counted(numbers)
        return False, np.zeros(0, np.uint32), np.int64(0)

    return floats


@jit
def _counted(x):
    if x.size == 0:
        return True, np.zeros(0, np.uint32), np.int64(0)
    counts = np.empty(CELLS, np.uint32)
    low, high = count_values(x, np.zeros(COUNTERS, np.uint32), counts, np.zeros(3, np.int64))
    return True, counts[: high - low + 1], low


@jit
def percentiles(x, levels, low, high, results):
    """Percentiles of the pixels that count, from ``low`` to ``high``; how many these are."""
    whole, counts, zero = value_counts(x)
    if whole:
        begin = min(max(math.ceil(max(low, -1e9)) - zero, 0), counts.size)
        end = max(min(np.int64(math.floor(min(high, 1e9))) - zero + 1, counts.size), begin)
        return count_percentiles(counts[begin:end], zero + begin, levels, results)
    least, most, there = extent(x, low, high)
    if not there:
        return np.int64(0)
    if not 1e-30 < most - least < 1e30:
        inside = np.sort(x[(x >= least) & (x <= most)])
        for j in range(levels.size):
            position = (inside.size - 1) * (levels[j] / 100.0)
            rank = min(np.int64(position), inside.size - 1)
            results[j] = _between(inside, rank, position - rank)
        return np.int64(inside.size)
    codes = np.empty(x.size, np.uint16)
    bucket_codes(x, least, most, _BUCKETS, codes)
    ends = np.zeros(_BUCKETS + 1, np.int64)
    for i in range(codes.size):
        ends[codes[i]] += 1
    for k in range(1, _BUCKETS):
        ends[k] += ends[k - 1]
    ends = ends[:_BUCKETS]
    count = ends[-1]
    for j in range(levels.size):
        position = (count - 1) * (levels[j] / 100.0)
        rank = min(np.int64(position), count - 1)
        first = np.searchsorted(ends, rank, "right")
        last = np.searchsorted(ends, min(rank + 1, count - 1), "right")
        below = ends[first - 1] if first else 0
        candidates = np.empty(ends[last] - below, x.dtype)
        bucket_pixels(x, codes, first, last, candidates)
        results[j] = _between(np.sort(candidates), rank - below, position - rank)
    return count


@jit
def _between(ordered, rank, t):
    """``_select.percentiles.between``."""
    a = np.float64(ordered[rank])
    b = np.float64(ordered[min(rank + 1, ordered.size - 1)])
    rise = b - a
    if np.isinf(rise):
        return a * (1 - t) + b * t
    return b - rise * (1 - t) if t >= 0.5 else a + rise * t


@jit
def bin_edges(low, high, bins, kind, work):
    """``numpy.histogram_bin_edges`` in the type of the array ``kind``, computed in that of ``work``."""
    if not (np.isfinite(low) and np.isfinite(high) and low <= high and bins >= 1):
        raise ValueError("ctfast.histogram: bins above 0 and a finite, rising range are allowed")
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.empty(bins + 1, kind.dtype)
    number = work.dtype.type
    step = (number(high) - number(low)) / number(bins)
    for k in range(bins):
        edges[k] = number(number(k) * step) + number(low)
    edges[bins] = high
    return edges


@jit
def count_between(x, edges, counts):
    """``numpy.histogram`` of a flat image, added to ``counts``."""
    bins = edges.size - 1
    whole, occurring, zero = value_counts(x)
    k = 0
    if whole:
        for i in range(occurring.size):
            v = np.float64(zero + i)
            if v >= edges[0] and v <= edges[bins]:
                while k < bins - 1 and v >= edges[k + 1]:
                    k += 1
                counts[k] += occurring[i]
        return
    first = np.float64(edges[0])
    scale = bins / (np.float64(edges[bins]) - first)
    for i in range(x.size):
        v = x[i]
        if v >= edges[0] and v <= edges[bins]:
            # Near the bin by arithmetic, which the edges themselves put right.
            k = min(np.int64((np.float64(v) - first) * scale), bins - 1)
            while v < edges[k]:
                k -= 1
            while k < bins - 1 and v >= edges[k + 1]:
                k += 1
            counts[k] += 1


@jit
def matched(x, keep, low, high, values, shares, out):
    """``match_histogram`` of a flat image: levels, float64; ``keep``: of size 0 where all pixels count."""
    whole, counts, zero = value_counts(x)
    if not whole:
        places = np.argsort(x)
        write_levels(x[places], places, keep, (low, high), shares, values, np.nan, out)
        return
    chosen = counts.astype(np.int64)
    if keep.size:
        chosen[:] = 0
        for i in range(x.size):
            chosen[np.int64(x[i]) - zero] += keep[i]
    running = np.int64(0)
    levels = np.empty(chosen.size)
    for v in range(chosen.size):
        if not low <= zero + v <= high:
            chosen[v] = 0
    total = max(chosen.sum(), 1)
    for v in range(chosen.size):
        running += chosen[v]
        levels[v] = running / total
    levels = np.interp(levels, shares, values)
    for i in range(x.size):
        out[i] = levels[np.int64(x[i]) - zero]


@jit
def reached(edges, x):
    """``shared.keys.values_reaching`` for pixels as those of ``x``: the smallest that reach each edge, and how many of
    the edges every pixel reaches."""
    own = np.empty(edges.size, x.dtype)
    n = 0
    below = 0
    for k in range(edges.size):
        if k and not edges[k] > edges[k - 1]:
            raise ValueError("ctfast.label_tissue: rising edges are allowed")
        n, below = _reached_one(edges[k], x, own, n, below)
    return own[:n], np.uint8(below)


def _reached_one(edge, x, own, n, below):
    raise NotImplementedError("compiled code only")


@overload(_reached_one)
def _reached_one_of(edge, x, own, n, below):
    if isinstance(x.dtype, types.Integer):

        def whole(edge, x, own, n, below):
            limits = np.iinfo(x.dtype)
            least = math.ceil(max(min(edge, 1e9), -1e9))
            if least <= limits.min:
                return n, below + 1
            if least > limits.max:
                return n, below
            own[n] = least
            return n + 1, below

        return whole

    def floats(edge, x, own, n, below):
        own[n] = edge
        if np.float64(own[n]) < edge:
            own[n] = np.nextafter(own[n], x.dtype.type(np.inf))
        return n + 1, below

    return floats


@jit
def pixels_of(shape, axes):
    """Product of the last ``axes`` sizes."""
    pixels = 1
    for k in range(len(shape) - axes, len(shape)):
        pixels *= shape[k]
    return pixels


@jit
def _before_images(shape):
    return shape[:-2]


@jit
def _before_volumes(shape):
    return shape[:-3]


LEADS: Final = {2: _before_images, 3: _before_volumes}
"""The sizes before the last axes, which Numba must know the number of."""


def shaped(array, shape):
    """One number for each image; compiled code runs the overload."""
    raise NotImplementedError("compiled code only")


@overload(shaped)
def _shaped(array, shape):
    if len(shape) == 0:
        return lambda array, shape: array[0]
    return lambda array, shape: array.reshape(shape)


def floats_of(values):
    """Numbers of any types in a tuple, or an array, as float64; compiled code runs the overload."""
    raise NotImplementedError("compiled code only")


@overload(floats_of)
def _floats_of(values):
    if not isinstance(values, types.BaseTuple):
        return lambda values: values.astype(np.float64)
    number = len(values)

    def run(values):
        out = np.empty(number)
        _fill(values, out)
        return out

    return run


def _fill(values, out):
    raise NotImplementedError("compiled code only")


@overload(_fill)
def _fill_from(values, out):
    if len(values) == 0:
        return lambda values, out: None

    def run(values, out):
        out[0] = values[0]
        _fill(values[1:], out[1:])

    return run


@jit
def no_mask(where, pixels):
    """For calls without one."""
    return np.empty((0, pixels), np.bool_)


@jit
def mask_rows(where, pixels):
    """One row for each image."""
    return where.reshape((-1, pixels))


@jit
def whole_extent(x):
    """Smallest and largest pixel, and whether all are finite and there is one."""
    least, most, there = extent(x, -np.inf, np.inf)
    finite = there
    for v in x:
        finite &= v - v == 0
    return least, most, finite


@jit
def step(x, out, at, low, rise, clip):
    """``low`` up to and at a value, ``low + rise`` above; NaN stays, in integers it is ``low``."""
    for i in range(x.size):
        v = np.float64(x[i])
        level = low + rise if v > at else low
        out[i] = level if v == v else nothing_in(out, low)


def nothing_in(out, low):
    """What NaN is in such an array; compiled code runs the overload."""
    raise NotImplementedError("compiled code only")


@overload(nothing_in)
def _nothing_in(out, low):
    if isinstance(out.dtype, types.Integer):
        return lambda out, low: low
    return lambda out, low: np.nan


@jit
def shares_of(values, counts):
    """A reference's values and shares, float64."""
    running = np.cumsum(counts.astype(np.float64))
    rising = values.size == counts.size > 0
    for k in range(1, values.size):
        rising &= values[k] > values[k - 1]
    if not rising or not running[-1] > 0:
        raise ValueError("ctfast.match_histogram: rising values and as many counts are needed")
    return values.astype(np.float64), running / running[-1]
