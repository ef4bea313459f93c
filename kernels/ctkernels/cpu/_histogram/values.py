"""How often each value occurs in an image of 8- or 16-bit integers: the base of histogram, percentiles and summary.

16-bit pixels are counted by ``_histogram/codes``, uint8 images but small ones in pairs (``_histogram/pairs``), small
ones eight at a time as a 64-bit word, in eight banks, so that neighbours of the same value do not wait for each other's
store. Floats that are whole numbers, as CT values are, become int16 first.
Counters have 32 bits: at most 2**32 - 1 pixels at a time. Adding the counts up is left to 64 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.spread import in_bands, is_one_band
from ctkernels.cpu._core.viewed import flat, viewed
from ctkernels.cpu._histogram import pairs
from ctkernels.cpu._histogram.codes import CELLS, counts_of


@jit
def count_bytes(x, banks):
    """Occurrences of each value of a small uint8 image to the first 256 of ``banks`` (uint32, 2048 at least)."""
    pixels = flat(x)
    banks[:2048] = 0
    byte = np.uint64(255)
    words = viewed(pixels, np.uint64(0))
    for i in range(words.size):
        w = words[i]
        banks[w & byte] += np.uint32(1)
        banks[((w >> np.uint64(8)) & byte) + np.uint64(256)] += np.uint32(1)
        banks[((w >> np.uint64(16)) & byte) + np.uint64(512)] += np.uint32(1)
        banks[((w >> np.uint64(24)) & byte) + np.uint64(768)] += np.uint32(1)
        banks[((w >> np.uint64(32)) & byte) + np.uint64(1024)] += np.uint32(1)
        banks[((w >> np.uint64(40)) & byte) + np.uint64(1280)] += np.uint32(1)
        banks[((w >> np.uint64(48)) & byte) + np.uint64(1536)] += np.uint32(1)
        banks[(w >> np.uint64(56)) + np.uint64(1792)] += np.uint32(1)
    for i in range(words.size * 8, pixels.size):
        banks[np.uint64(pixels[i])] += np.uint32(1)
    total = banks[:256]
    for bank in range(1, 8):
        part = banks[bank * 256 : bank * 256 + 256]
        for v in range(256):
            total[v] += part[v]


@jit
def whole_numbers(x, numbers):
    """Write a float image of whole numbers in -32768..32767 as int16.

    False for any other image, known at its first block that holds anything else: that costs next to nothing.
    """
    pixels = flat(x)
    number = x.dtype.type
    for start in range(0, pixels.size, 1024):
        part = pixels[start : start + 1024]
        result = numbers[start : start + 1024]
        # No exit inside a block: the loop is vectorised.
        bad = np.int32(0)
        for i in range(part.size):
            v = part[i]
            # NaN fails both comparisons and becomes 0, which it does not equal.
            inside = v if (v >= number(-32768)) & (v <= number(32767)) else number(0)
            whole = np.int32(inside)
            bad = np.int32(bad | np.int32(number(whole) != v))
            result[i] = whole
        if bad:
            return False
    return True


def value_counts(image: NDArray[Any]) -> tuple[NDArray[Any], int] | None:
    """How often each value occurs in one image ``(1, H, W)``, and the value that the first count stands for.

    For integers and for floats that are whole numbers which int16 holds; None for other images. The counts (uint32, or
    int64 where several threads counted) lie in this thread's scratch until the next call.
    """
    if is_one_band(image, 0.5):
        return _band_counts(image)
    parts = in_bands(image, 0.5, _copied_band_counts)
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    zero = min(first for _, first in known)
    counts = np.zeros(max(first + part.size for part, first in known) - zero, np.int64)
    for part, first in known:
        counts[first - zero : first - zero + part.size] += part
    return counts, zero


def _band_counts(band: NDArray[Any]) -> tuple[NDArray[Any], int] | None:
    kind = band.dtype.kind
    if band.itemsize == 1 and pairs.pays(band.size):
        cells = scratch("pair counts", pairs.CELLS, np.uint32)
        pairs.count_byte_pairs(band, cells)
        return cells[65536:], 0
    if band.itemsize == 1:
        banks = scratch("value counts", CELLS, np.uint32)
        count_bytes(band, banks)
        return banks[:256], 0
    if kind != "f":
        return counts_of(band.reshape(-1))
    numbers = scratch("whole numbers", band.size, np.int16)
    return counts_of(numbers) if whole_numbers(band, numbers) else None


def _copied_band_counts(band: NDArray[Any]) -> tuple[NDArray[Any], int] | None:
    """As ``_band_counts``, to keep: the thread counts its next band in the same scratch."""
    found = _band_counts(band)
    return None if found is None else (found[0].copy(), found[1])
