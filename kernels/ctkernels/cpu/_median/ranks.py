"""From pixels to small ranks and back: what the histogram kernels work on.

Kernels here see every image as unsigned integers of its own width, and as the keys of ``_core.digits`` (``flip``: the
sign's bit).

Two ways lead to ranks. ``distinct``: 16-bit keys (and floats that hold whole numbers, as CT values in Hounsfield units
do) are replaced by their index among the distinct values; up to 4096 of these need nothing more. ``sorted``: pixels
are sorted, which tells whether there are so few distinct values after all (integers times a slope); else a rank is a
run of 2**shift neighbours in that order, of which one is picked in the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core import jit
from ctkernels.cpu._core.digits import float_key
from ctkernels.cpu._median.blocks import block_inside, block_inside_volume, count_bits, lowest_bit

Array = NDArray[Any]
Whole = Any
"""An integer; uint64 in the functions on keys, which Numba must not mix with signed ones."""


@jit.jit
def mark_integers(bits, flip, seen):
    """Set ``seen[key]`` for every pixel; ``bits`` of shape ``(h, w)``, uint8 or uint16."""
    for y in range(bits.shape[0]):
        row = bits[y]
        for x in range(row.size):
            seen[np.uint64(row[x] ^ flip)] = 1


@jit.jit
def mark_whole(image, seen):
    """The same for floats, key ``value + 32768``; False as soon as a pixel is no whole number that int16 can hold."""
    for y in range(image.shape[0]):
        row = image[y]
        whole = True
        for x in range(row.size):
            value = row[x]
            inside = -32768 <= value <= 32767
            number = np.int32(value) if inside else np.int32(0)
            whole &= inside and number == value
            seen[np.uint64(number + 32768)] = 1
        if not whole:
            return False
    return True


@jit.jit
def number(seen, rank_of, key_of):
    """Number the marked keys in order: ``rank_of[key]`` and ``key_of[rank]``; returns how many there are."""
    count = 0
    for key in range(seen.size):
        if seen[key] != 0:
            rank_of[key] = count
            key_of[count] = key
            count += 1
    return count


@jit.jit
def spread_integers(bits, flip, rank_of, outside, row_of, column_of, ranks):
    """Ranks of the image extended by the border tables; ``outside`` where these say -1."""
    for y in range(ranks.shape[0]):
        line = ranks[y]
        if row_of[y] < 0:
            line[:] = outside
            continue
        row = bits[row_of[y]]
        for x in range(line.size):
            c = column_of[x]
            line[x] = outside if c < 0 else rank_of[np.uint64(row[c] ^ flip)]


@jit.jit
def spread_whole(image, rank_of, outside, row_of, column_of, ranks):
    """The same for floats that ``mark_whole`` found to be whole numbers."""
    for y in range(ranks.shape[0]):
        line = ranks[y]
        if row_of[y] < 0:
            line[:] = outside
            continue
        row = image[row_of[y]]
        for x in range(line.size):
            c = column_of[x]
            line[x] = outside if c < 0 else rank_of[np.uint64(np.int32(row[c]) + 32768)]


@jit.jit
def spread_keys(bits, floats, flip, outside, row_of, column_of, keys):
    """Keys of the extended image, for any dtype; ``flip`` and ``outside`` uint64, ``keys`` uint64 and flat."""
    width = column_of.size
    infinite = np.uint64(0x7FF0000000000000) if bits.itemsize == 8 else np.uint64(0x7F800000)
    for y in range(row_of.size):
        line = keys[y * width : (y + 1) * width]
        if row_of[y] < 0:
            line[:] = outside
            continue
        row = bits[row_of[y]]
        for x in range(width):
            c = column_of[x]
            b = np.uint64(row[c]) if c >= 0 else np.uint64(0)
            key = float_key(b, flip, infinite) if floats else b ^ flip
            line[x] = key if c >= 0 else outside


@jit.jit
def cut(numbers, shape, shift, ranks, plane_at, row_at, column_at):
    """Ranks of sorted pixels, and where each of them stands in the extended image.

    ``ranks`` is flat; ``shape`` says how many planes and columns: rows of the planes take turns.
    """
    planes, columns = np.int32(shape[0]), np.int32(shape[1])
    # Quotients by vectors: half a column from the next whole number, they are exact.
    of_planes, of_columns = 1 / planes, 1 / columns
    for i in range(numbers.size):
        number = np.int32(numbers[i])
        row = np.int32((number + 0.5) * of_columns)
        column_at[i] = number - row * columns
        if planes > 1:
            block_row = np.int32((row + 0.5) * of_planes)
            plane_at[i] = row - block_row * planes
            row = block_row
        row_at[i] = row
    for i in range(numbers.size):
        ranks[np.uint64(numbers[i])] = i >> shift


@jit.jit
def number_sorted(keys, numbers, ranks, key_of):
    """Ranks of sorted keys among the distinct ones, to the pixels they came from; ``ranks`` is flat.

    Returns how many distinct ones there are, and 0 where ``key_of``, key by rank, has no room for them.
    """
    count = 0
    for i in range(keys.size):
        if i == 0 or keys[i] != keys[i - 1]:
            if count == key_of.size:
                return 0
            key_of[count] = keys[i]
            count += 1
        ranks[np.uint64(numbers[i])] = count - 1
    return count


@jit.jit_inline
def without_lower(inside, left):
    """The lowest ``left`` set bits taken away; the first three without a branch, which is hard to foretell."""
    for _ in range(3):
        some = -left >> 63
        inside &= inside - np.uint64(some & 1)
        left += some
    while left > 0:
        inside &= inside - np.uint64(1)
        left -= 1
    return inside


@jit.jit
def pick(index, rest, shift, row_at, column_at, size, order):
    """The rank among all pixels of each median: number ``rest`` among the pixels of run ``index`` in the window."""
    rows, columns = size
    for y in range(index.shape[0]):
        for x in range(index.shape[1]):
            left = np.int64(rest[y, x])
            i = np.int64(index[y, x]) << shift
            # 64 neighbours in sorted order at a time: a bit for each that stands inside the window.
            inside = block_inside(row_at, column_at, i, y, x, rows, columns)
            while count_bits(inside) <= left:
                left -= count_bits(inside)
                i += 64
                inside = block_inside(row_at, column_at, i, y, x, rows, columns)
            order[y, x] = i + lowest_bit(without_lower(inside, left))


@jit.jit
def pick_in_volume(index, rest, shift, plane_at, row_at, column_at, size, order):
    """The same for several planes, each with a window of planes."""
    planes, rows, columns = size
    for z in range(index.shape[0]):
        for y in range(index.shape[1]):
            for x in range(index.shape[2]):
                left = np.int64(rest[z, y, x])
                i = np.int64(index[z, y, x]) << shift
                # No helper that takes the arrays: it would count references to them at every voxel.
                inside = block_inside_volume(plane_at, row_at, column_at, i, z, y, x, planes, rows, columns)
                after = block_inside_volume(plane_at, row_at, column_at, i + 64, z, y, x, planes, rows, columns)
                # Which of both blocks is nearly a toss-up: no branch.
                first = left - count_bits(inside) >> 63
                left -= count_bits(inside) & ~first
                i += 64 & ~first
                inside = after ^ ((inside ^ after) & np.uint64(first))
                while count_bits(inside) <= left:
                    left -= count_bits(inside)
                    i += 64
                    inside = block_inside_volume(plane_at, row_at, column_at, i, z, y, x, planes, rows, columns)
                order[z, y, x] = i + lowest_bit(without_lower(inside, left))


@jit.jit
def look_up(index, values, out):
    """``out = values[index]``."""
    for y in range(index.shape[0]):
        for x in range(index.shape[1]):
            out[y, x] = values[np.uint64(index[y, x])]
