"""Histograms of floats by position, with the counts of ``numpy.histogram``.

A block of 1024 pixels is placed in the image's own precision (vectorised), a little too low on purpose, and every pixel
whose true bin may be the next one, because it lies within the error bound of an edge, is flagged. The flagged ones, few
unless an image's values lie on the edges, are compared with that edge. Then the block is counted, in four banks.
Pixels outside the range, and NaN, go to a bin of their own behind the last.
"""

from __future__ import annotations

import numpy as np

from ctkernels.cpu._core.jit import jit
from ctkernels.cpu._core.viewed import flat, viewed

BLOCK = 1024


@jit
def locate(part, ends, index, flags):
    """Bin of each pixel, or the one before if it is flagged; how many are.

    ``ends``: first and last edge, scale, error bound and last bin, in the precision of the image.
    """
    number = ends.dtype.type
    first, last, scale, error, top = ends[0], ends[1], ends[2], ends[3], ends[4]
    zero = number(0)
    near = number(1) - error
    outside = np.int32(top) + np.int32(1)
    flagged = np.int32(0)
    for i in range(part.size):
        v = part[i]
        position = (v - first) * scale
        # Too low by the error bound: the true bin is this one or the next, never the one before.
        p = position - error
        p = p if p > zero else zero
        p = p if p < top else top
        t = np.int32(p)
        inside = (v >= first) & (v <= last)
        flag = np.int32((position - number(t) >= near) & inside)
        index[i] = t if inside else outside
        flags[i] = flag
        flagged = np.int32(flagged + flag)
    return flagged


@jit
def count_floats(x, edges, ends, counts, banks, index, flags):
    """The pixels of each bin to ``counts``.

    ``edges``: the left edge of each bin and two NaN, which no pixel reaches: not the last edge, not infinity.
    ``banks``: uint32, one more than the bins for each bank; ``index``, ``flags``: int32 and int8, ``BLOCK`` elements.
    """
    pixels = flat(x)
    bins = edges.size - 2
    stride = bins + 1
    # Four neighbours go to four banks: equal ones, which CT has many of, then don't wait for each other's store.
    used = 4 if banks.size >= 4 * stride else 1
    one = np.uint64(stride * (1 % used))
    two = np.uint64(stride * (2 % used))
    three = np.uint64(stride * (3 % used))
    bin_of = viewed(index, np.uint32(0))  # unsigned, so that no index is tested for being negative
    words = viewed(flags, np.uint64(0))  # eight flags at once: few blocks have any
    following = edges[1:]
    banks[: stride * used] = 0
    # Blocks of 1024, so that bins and flags stay in the first-level cache between the two loops, the first of which is
    # vectorised and the second, full of stores that depend on data, is not.
    for start in range(0, pixels.size, BLOCK):
        part = pixels[start : start + BLOCK]
        if locate(part, ends, index, flags):
            flags[part.size :] = 0  # of the block before
            for j in range((part.size + 7) // 8):
                if words[j] != np.uint64(0):
                    for i in range(8 * j, min(8 * j + 8, part.size)):
                        index[i] += np.int32(part[i] >= following[bin_of[i]])
        quads = part.size // 4
        for i in range(quads):
            banks[np.uint64(bin_of[4 * i])] += np.uint32(1)
            banks[np.uint64(bin_of[4 * i + 1]) + one] += np.uint32(1)
            banks[np.uint64(bin_of[4 * i + 2]) + two] += np.uint32(1)
            banks[np.uint64(bin_of[4 * i + 3]) + three] += np.uint32(1)
        for i in range(quads * 4, part.size):
            banks[np.uint64(bin_of[i])] += np.uint32(1)
    for k in range(bins):
        counts[k] = np.int64(banks[k])
    for bank in range(1, used):
        part_counts = banks[bank * stride : (bank + 1) * stride]
        for k in range(bins):
            counts[k] += np.int64(part_counts[k])
