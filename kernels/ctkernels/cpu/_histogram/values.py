"""How often each value occurs in an image of 8- or 16-bit integers: the base of histogram, percentiles and summary.

Pixels are read eight or four at a time as 64-bit words and counted in up to eight or four banks, so that neighbours of
the same value do not wait for each other's store; words of padding only add to a run. 16-bit counts start at the
image's own minimum: CT data touch a few thousand counters, which stay in the first-level cache. uint8 images but small
ones are counted in pairs (``_histogram/pairs``). What is left costs one store a pixel, one a cycle on most processors.
Tried without gain: 16-bit counters, interleaved banks; four banks of more than 2048 counters are slower than two.

16-bit pixels are taken as uint16 *codes* in sorted order: ``code = pixel ^ flip``, flip 0x8000 for int16, else 0.
Counters have 32 bits: at most 2**32 - 1 pixels at a time. Adding the counts up is left to 64 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.spread import in_bands, is_one_band
from ctkernels.cpu._histogram import pairs

CELLS = 65536
"""Counters of the scratch ``banks``."""

_FLIP = 0x8000


@jit
def count_bytes(x, banks):
    """Occurrences of each value of a small uint8 image to the first 256 of ``banks`` (uint32, 2048 at least)."""
    pixels = x.reshape(-1)
    banks[:2048] = 0
    byte = np.uint64(255)
    words = pixels[: pixels.size // 8 * 8].view(np.uint64)
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
def code_extent(x, flip):
    """Smallest and largest code of a 16-bit image seen as uint16."""
    pixels = x.reshape(-1)
    toggle = np.uint16(flip)
    low = np.uint16(65535)
    high = np.uint16(0)
    for i in range(pixels.size):
        v = np.uint16(pixels[i] ^ toggle)
        low = v if v < low else low
        high = v if v > high else high
    return np.int64(low), np.int64(high)


@jit
def count_codes(x, flip, low, high, banks):
    """Occurrences of the codes ``low .. high`` to the first of ``banks`` (uint32, ``CELLS``), ``low``'s first.

    ``x`` is a 16-bit image seen as uint16, all of whose codes lie in ``low .. high``.
    """
    pixels = x.reshape(-1)
    span = high - low + 1
    # Four banks of more than 2048 counters were slower than two.
    used = 4 if span <= 2048 else 2 if span <= 32768 else 1
    banks[: span * used] = 0
    one = np.uint64(span * (1 % used))
    two = np.uint64(span * (2 % used))
    three = np.uint64(span * (3 % used))
    mask = np.uint64(0xFFFF)
    every = np.uint64(0x0001000100010001)
    # No lane borrows from the next: no code is below low.
    base = np.uint64(low) * every
    toggle = np.uint64(flip) * every
    words = pixels[: pixels.size // 4 * 4].view(np.uint64)
    # The first pixel is padding or air as a rule; four of it at once need no counter.
    corner = (np.uint64(pixels[0] ^ np.uint16(flip)) - np.uint64(low)) * every
    corners = np.uint64(0)
    for i in range(words.size):
        w = (words[i] ^ toggle) - base
        if w == corner:
            corners += np.uint64(4)
        else:
            banks[w & mask] += np.uint32(1)
            banks[((w >> np.uint64(16)) & mask) + one] += np.uint32(1)
            banks[((w >> np.uint64(32)) & mask) + two] += np.uint32(1)
            banks[(w >> np.uint64(48)) + three] += np.uint32(1)
    banks[corner & mask] += np.uint32(corners)
    for i in range(words.size * 4, pixels.size):
        banks[(np.uint64(pixels[i]) ^ np.uint64(flip)) - np.uint64(low)] += np.uint32(1)
    total = banks[:span]
    for bank in range(1, used):
        part = banks[bank * span : bank * span + span]
        for v in range(span):
            total[v] += part[v]


@jit
def whole_codes(x, codes):
    """Write a float image of whole numbers in -32768..32767 as codes, ``value + 32768``; their extent.

    ``(1, 0)`` for any other image, known at its first block that holds anything else: that costs next to nothing.
    """
    pixels = x.reshape(-1)
    number = x.dtype.type
    low = np.int32(65535)
    high = np.int32(0)
    for start in range(0, pixels.size, 1024):
        part = pixels[start : start + 1024]
        result = codes[start : start + 1024]
        # No exit inside a block: the loop is vectorised.
        bad = np.int32(0)
        for i in range(part.size):
            v = part[i]
            # NaN fails both comparisons and becomes 0, which it does not equal.
            inside = v if (v >= number(-32768)) & (v <= number(32767)) else number(0)
            whole = np.int32(inside)
            bad = np.int32(bad | np.int32(number(whole) != v))
            code = np.int32(whole + np.int32(32768))
            result[i] = code
            low = code if code < low else low
            high = code if code > high else high
        if bad:
            return np.int64(1), np.int64(0)
    return np.int64(low), np.int64(high)


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
    banks = scratch("value counts", CELLS, np.uint32)
    if band.itemsize == 1:
        count_bytes(band, banks)
        return banks[:256], 0
    if kind == "f":
        codes, flip = scratch("codes", band.size, np.uint16), 0
        low, high = whole_codes(band, codes)
        if low > high:
            return None
        zero = low - 32768
    else:
        flip = _FLIP if kind == "i" else 0
        codes = band.view(np.uint16)
        low, high = code_extent(codes, flip)
        zero = low - 32768 if flip else low
    count_codes(codes, flip, low, high, banks)
    return banks[: high - low + 1], zero


def _copied_band_counts(band: NDArray[Any]) -> tuple[NDArray[Any], int] | None:
    """As ``_band_counts``, to keep: the thread counts its next band in the same scratch."""
    found = _band_counts(band)
    return None if found is None else (found[0].copy(), found[1])
