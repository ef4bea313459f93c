"""Mean and standard deviation of the pixels that count, accurate whatever the values.

Integers: exact sums. Floats: blocks of 4096 pixels, each with its own mean and sum of squared deviations, merged in
order by Chan, Golub and LeVeque 1983; blocks do not depend on the number of threads, so neither does the result.

A block is summed in one pass, as deviations from its first pixel; where that pixel is far from the mean, so that too
much would cancel, once more from the mean. A pass for the mean of every block took half as long again.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit, jit_reassociate
from ctkernels.cpu._core.parallel import get_num_threads, run
from ctkernels.cpu._core.spread import in_bands, is_one_band
from ctkernels.cpu._core.viewed import flat
from ctkernels.cpu._select.keys import key, key_extent
from ctkernels.shared.keys import key_bounds, keys_of, sortable, unkey

BLOCK = 4096
_BLOCKS_A_TASK = 128
_SHRINK = 2.0**-600
"""float64 values above about 1e150 are multiplied by this before their squares would overflow."""

_SUSPICIOUS = 1e-9
"""A deviation so small beside the mean may be nothing but the mean's rounding, in an image of one value."""


_FAR = 64.0
"""Squares of deviations from a pixel so many times too large lose more than six of 53 bits."""


class Moments(NamedTuple):
    """Of the pixels that count; ``mean`` and ``sd`` are NaN where there is none."""

    pixels: int
    mean: float
    sd: float


@jit
def integer_sums(x, first, last):
    """Count, sum and sum of squares of the pixels in ``first .. last``, exact.

    A square is summed in two halves, so that every sum of a block fits 32 bits: 20 us instead of 50 for a slice. uint16
    is moved to the range of int16, for which there are better instructions; squares of uint8 have no upper half.
    """
    pixels = flat(x)
    limits = np.iinfo(x.dtype)
    everything = first <= limits.min and last >= limits.max
    wide = limits.max > 255
    shift = np.int32(32768 if limits.max == 65535 else 0)
    half = np.uint32(0xFFFF if wide else 0xFFFFFFFF)
    begin = np.int32(first)
    end = np.int32(last)
    count = np.int64(0)
    total = np.int64(0)
    squares = np.int64(0)
    # Blocks so short that no 32-bit sum overflows.
    for start in range(0, pixels.size, BLOCK):
        part = pixels[start : start + BLOCK]
        n = np.int32(0)
        s = np.int32(0)
        fine = np.uint32(0)
        coarse = np.uint32(0)
        if everything:
            n = np.int32(part.size)
            for i in range(part.size):
                w = np.int32(np.int32(part[i]) - shift)
                q = np.uint32(w * w)
                s = np.int32(s + w)
                fine = np.uint32(fine + (q & half))
                coarse = np.uint32(coarse + (q >> np.uint32(16))) if wide else coarse
        else:
            for i in range(part.size):
                v = np.int32(part[i])
                inside = (v >= begin) & (v <= end)
                w = np.int32(v - shift) if inside else np.int32(0)
                q = np.uint32(w * w)
                n = np.int32(n + np.int32(inside))
                s = np.int32(s + w)
                fine = np.uint32(fine + (q & half))
                coarse = np.uint32(coarse + (q >> np.uint32(16))) if wide else coarse
        count += n
        total += s
        squares += np.int64(fine) + (np.int64(coarse) << 16)
    # Undo the move to int16: sums of (w + shift) and of its square.
    offset = np.int64(shift)
    return count, total + offset * count, squares + 2 * offset * total + offset * offset * count


@jit_reassociate
def float_blocks(x, bits, first, last, everything, partials):
    """Count, mean and sum of squared deviations of each block of ``x``, to the rows of ``partials``.

    ``everything``: all finite pixels count, so that a block with finite squares needs no look at each pixel.
    """
    for b in range(partials.shape[0]):
        values = x[b * BLOCK : (b + 1) * BLOCK]
        patterns = bits[b * BLOCK : (b + 1) * BLOCK]
        count = np.int64(values.size)
        pivot = np.float64(values[0])
        total = np.float64(0.0)
        squares = np.float64(0.0)
        if everything:
            for again in range(2):
                if again:
                    pivot += total / count
                total = np.float64(0.0)
                squares = np.float64(0.0)
                for i in range(values.size):
                    d = np.float64(values[i]) - pivot
                    total += d
                    squares += d * d
                if not squares > _FAR * (squares - total * total / count):
                    break
        if everything and np.isfinite(squares):
            mean = pivot
            rest = total
        else:
            count = np.int64(0)
            total = np.float64(0.0)
            for i in range(values.size):
                k = key(patterns[i])
                inside = (k >= first) & (k <= last)
                count += np.int64(inside)
                total += np.float64(values[i]) if inside else np.float64(0.0)
            mean = total / count if count else np.float64(0.0)
            rest = np.float64(0.0)
            squares = np.float64(0.0)
            for i in range(values.size):
                k = key(patterns[i])
                d = np.float64(values[i]) - mean if (k >= first) & (k <= last) else np.float64(0.0)
                rest += d
                squares += d * d
        # Deviations from the first pixel, or from a rounded mean, do not add up to 0; what is left corrects both sums.
        rest = rest / count if count else np.float64(0.0)
        partials[b, 0] = count
        partials[b, 1] = mean + rest
        partials[b, 2] = max(squares - rest * rest * count, 0.0)


@jit
def merge_blocks(partials):
    """Count, mean and sum of squared deviations of all blocks together."""
    count = 0.0
    mean = 0.0
    squares = 0.0
    for b in range(partials.shape[0]):
        n = partials[b, 0]
        if n > 0:
            d = partials[b, 1] - mean
            both = count + n
            mean += d * (n / both)
            squares += partials[b, 2] + d * d * (count * n / both)
            count = both
    return count, mean, squares


def moments_of_sums(count: int, total: int, squares: int) -> Moments:
    """From exact integer sums; Python's integers do not overflow."""
    if count == 0:
        return Moments(0, math.nan, math.nan)
    return Moments(count, total / count, math.sqrt(count * squares - total * total) / count)


def image_moments(image: NDArray[Any], value_range: tuple[float, float] | None) -> Moments:
    """Moments of one image ``(1, H, W)`` over its finite pixels inside ``value_range`` (both ends included)."""
    first, last = key_bounds(image.dtype, value_range)
    if image.dtype.kind != "f":
        if is_one_band(image, 0.1):
            return moments_of_sums(*integer_sums(image, first, last))
        parts = in_bands(image, 0.1, lambda band: integer_sums(band, first, last))
        return moments_of_sums(*(sum(column) for column in zip(*parts, strict=True)))
    pixels = image.reshape(-1)
    count, mean, squares = _float_moments(pixels, first, last, value_range is None)
    if count == 0:
        return Moments(0, math.nan, math.nan)
    scale = 1.0
    if not math.isfinite(squares):
        keys = keys_of(pixels)
        scale = _SHRINK
        inside = pixels[(keys >= first) & (keys <= last)] * scale
        count, mean, squares = _float_moments(inside, *key_bounds(image.dtype, None), True)
    sd = math.sqrt(squares / count)
    if sd < _SUSPICIOUS * abs(mean):
        low, high = key_extent(sortable(image), first, last)
        if low == high:
            return Moments(int(count), unkey(low, image.dtype), 0.0)
    return Moments(int(count), mean / scale, sd / scale)


def _float_moments(pixels: NDArray[Any], first: int, last: int, everything: bool) -> tuple[float, float, float]:
    bits = sortable(pixels)
    blocks = -(-pixels.size // BLOCK)
    partials = np.empty((blocks, 3))
    if blocks < 2 * _BLOCKS_A_TASK or get_num_threads() == 1:
        float_blocks(pixels, bits, first, last, everything, partials)
    else:

        def body(start: int) -> None:
            a, b = start * BLOCK, (start + _BLOCKS_A_TASK) * BLOCK
            float_blocks(pixels[a:b], bits[a:b], first, last, everything, partials[start : start + _BLOCKS_A_TASK])

        run(range(0, blocks, _BLOCKS_A_TASK), body)
    return merge_blocks(partials)
