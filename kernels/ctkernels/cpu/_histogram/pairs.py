"""Histograms of at most 256 bins, two pixels at a time: uint8, and floats that are not whole numbers.

Counting costs one store a pixel, and a processor can store once a cycle. With bins of one byte, two neighbours are one
16-bit number: half the stores, into 65,536 counters, of which CT data touch those near the diagonal. Adding up rows and
columns costs 9 us. For int16 and whole-number floats counting by value won on three slices of four (.46 to .53 against
.49 to .62 ns a pixel), and by a factor of two where the edges are whole numbers.
"""

from __future__ import annotations

import numpy as np

from ctkernels.cpu._core.jit import jit
from ctkernels.cpu._core.viewed import flat, viewed

MOST_BINS = 256
_LEAST_PIXELS = 1 << 14
"""Below, adding up the counters costs more than it saves."""

CELLS = 65536 + MOST_BINS


least_pixels = _LEAST_PIXELS
"""In force; ``ctkernels.testing.pairs_from`` changes it for a test."""


def pays(pixels: int) -> bool:
    """Whether an image of so many pixels is counted in pairs."""
    return pixels >= least_pixels


@jit
def sum_pairs(cells):
    """How often each byte occurs in the pairs that were counted, to the cells behind these."""
    each = cells[65536:]
    for b in range(256):
        # One pixel of a pair is the row, the other the column.
        row = cells[b * 256 : b * 256 + 256]
        total = np.uint32(0)
        for k in range(256):
            total = np.uint32(total + row[k])
            each[k] += row[k]
        each[b] += total


@jit
def count_byte_pairs(x, cells):
    """Occurrences of each value of a uint8 image to the cells behind the first 65,536 (uint32, ``CELLS``)."""
    pixels = flat(x)
    cells[:] = 0
    pair = np.uint64(0xFFFF)
    words = viewed(pixels, np.uint64(0))
    # Words of one value, the last such value: saturated air and bone after windowing.
    last = np.uint64(0)
    run = np.uint64(0)
    for i in range(words.size):
        w = words[i]
        if w == last:
            run += np.uint64(4)
        elif w == ((w << np.uint64(8)) | (w >> np.uint64(56))):
            cells[last & pair] += np.uint32(run)
            last = w
            run = np.uint64(4)
        else:
            cells[w & pair] += np.uint32(1)
            cells[(w >> np.uint64(16)) & pair] += np.uint32(1)
            cells[(w >> np.uint64(32)) & pair] += np.uint32(1)
            cells[w >> np.uint64(48)] += np.uint32(1)
    cells[last & pair] += np.uint32(run)
    for i in range(words.size * 8, pixels.size):
        cells[np.uint64(65536) + np.uint64(pixels[i])] += np.uint32(1)
    sum_pairs(cells)


@jit
def locate_bytes(part, ends, index, flags):
    """As ``floats.locate``, bins of one byte, pixels outside in bin 0; how many are flagged, how many are inside.

    ``ends``: first and last edge, scale, error bound and last bin, in the precision that is computed in.
    """
    number = ends.dtype.type
    first, last, scale, error, top = ends[0], ends[1], ends[2], ends[3], ends[4]
    zero = number(0)
    near = number(1) - error
    counted = np.int32(0)
    flagged = np.int32(0)
    for i in range(part.size):
        v = number(part[i])
        position = (v - first) * scale
        p = position - error
        p = p if p > zero else zero
        p = p if p < top else top
        t = np.int32(p)
        inside = (v >= first) & (v <= last)
        flag = np.int32((position - number(t) >= near) & inside)
        index[i] = t if inside else np.int32(0)
        flags[i] = flag
        flagged = np.int32(flagged + flag)
        counted = np.int32(counted + np.int32(inside))
    return flagged, counted


@jit
def locate_exactly(part, ends, index):
    """As ``locate_bytes`` where the error is 0; how many pixels are inside."""
    number = ends.dtype.type
    first, last, scale, top = ends[0], ends[1], ends[2], ends[4]
    zero = number(0)
    counted = np.int32(0)
    for i in range(part.size):
        v = number(part[i])
        p = (v - first) * scale
        p = p if p > zero else zero
        p = p if p < top else top
        inside = (v >= first) & (v <= last)
        index[i] = np.int32(p) if inside else np.int32(0)
        counted = np.int32(counted + np.int32(inside))
    return counted


@jit
def count_pairs(x, edges, ends, counts, cells, index, flags):
    """The pixels of each bin to ``counts``.

    ``edges``: the left edge of each bin and two NaN, read only for flagged pixels; ``cells``: uint32, ``CELLS``;
    ``index``, ``flags``: uint8 and int8, 1024.
    """
    pixels = flat(x)
    number = ends.dtype.type
    # Where positions are right in every bit (``plan``), no pixel needs a flag.
    exact = ends[3] == number(0)
    following = edges[1:]
    marks = viewed(flags, np.uint64(0))
    words = viewed(index, np.uint64(0))
    pair = np.uint64(0xFFFF)
    cells[:] = 0
    counted = np.int64(0)
    for start in range(0, pixels.size, 1024):
        part = pixels[start : start + 1024]
        flagged = np.int32(0)
        if exact:
            inside = locate_exactly(part, ends, index)
        else:
            flagged, inside = locate_bytes(part, ends, index, flags)
        counted += inside
        if flagged:
            flags[part.size :] = 0  # of the block before
            for j in range((part.size + 7) // 8):
                if marks[j] != np.uint64(0):
                    for i in range(8 * j, min(8 * j + 8, part.size)):
                        if flags[i]:
                            index[i] += np.uint8(number(part[i]) >= following[index[i]])
        # The last block is filled up with pixels outside, which stand in bin 0.
        index[part.size :] = 0
        for i in range(words.size):  # four pairs a word
            w = words[i]
            cells[w & pair] += np.uint32(1)
            cells[(w >> np.uint64(16)) & pair] += np.uint32(1)
            cells[(w >> np.uint64(32)) & pair] += np.uint32(1)
            cells[w >> np.uint64(48)] += np.uint32(1)
    sum_pairs(cells)
    for b in range(counts.size):
        counts[b] = np.int64(cells[65536 + b])
    # What filled the last block up, and pixels outside, stood in bin 0.
    counts[0] -= (pixels.size + 1023) // 1024 * 1024 - counted
