"""From pixels to small ranks and back: what the histogram kernels work on.

Kernels here see every image as unsigned integers of its own width, and as *keys*: unsigned integers that sort as the
pixels do. Integers have their sign bit flipped (``flip``). Floats are turned round below zero, and NaN, whatever its
sign or payload, becomes the largest key.

Two ways lead to ranks. ``distinct``: 16-bit keys (and floats that hold whole numbers, as CT values in Hounsfield units
do) are replaced by their index among the distinct values; up to 4096 of these need nothing more. ``sorted``: pixels
are sorted, and a rank is a run of 2**shift neighbours in that order, of which one is picked in the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core import jit
from ctkernels.cpu._median.blocks import block_inside, count_bits, lowest_bit

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
    below = flip - np.uint64(1)
    ones = flip | below
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
            key = b ^ flip
            if floats:
                key = b ^ ones if b >= flip else b | flip
                if (b & below) > infinite:
                    key = ones
            line[x] = key if c >= 0 else outside


@jit.jit
def decode(keys, floats, flip, bits):
    """The inverse of keys; the largest one becomes a NaN."""
    ones = flip | (flip - np.uint64(1))
    for i in range(keys.size):
        bits[i] = keys[i] ^ (ones if floats and keys[i] < flip else flip)


@jit.jit
def sort_digit(keys, numbers, digit, sorted_keys, sorted_numbers):
    """One stable pass of a radix sort over 11 bits; False (and nothing done) where all keys share the digit.

    ``numbers`` say which pixel each key came from, and move with the keys.
    """
    counts = np.zeros(2048, np.int64)
    for i in range(keys.size):
        counts[np.uint64(keys[i] >> digit) & np.uint64(2047)] += 1
    if counts[np.uint64(keys[0] >> digit) & np.uint64(2047)] == keys.size:
        return False
    start = 0
    for value in range(2048):
        n = counts[value]
        counts[value] = start
        start += n
    for i in range(keys.size):
        bucket = np.uint64(keys[i] >> digit) & np.uint64(2047)
        at = counts[bucket]
        counts[bucket] = at + 1
        sorted_keys[at] = keys[i]
        sorted_numbers[at] = numbers[i]
    return True


@jit.jit
def cut(numbers, width, shift, ranks, row_at, column_at):
    """Ranks of sorted pixels, and where each of them stands in the extended image (``ranks``, of that ``width``)."""
    for i in range(numbers.size):
        y = numbers[i] // width
        x = numbers[i] - y * width
        row_at[i] = y
        column_at[i] = x
        ranks[y, x] = i >> shift


@jit.jit
def pick(index, rest, shift, row_at, column_at, size, by, order):
    """The rank among all pixels of each median: number ``rest`` among the pixels of run ``index`` in the window."""
    rows, columns = size
    for y in range(index.shape[0]):
        for x in range(index.shape[1]):
            left = np.int64(rest[y, x])
            i = np.int64(index[y, x]) << shift
            # 64 neighbours in sorted order at a time: a bit for each that stands inside the window.
            inside = block_inside(row_at, column_at, i, y * by, x, rows, columns)
            while count_bits(inside) <= left:
                left -= count_bits(inside)
                i += 64
                inside = block_inside(row_at, column_at, i, y * by, x, rows, columns)
            # Take the lowest bits away until the wanted one is the lowest.
            for _ in range(left):
                inside &= inside - np.uint64(1)
            order[y, x] = i + lowest_bit(inside)


@jit.jit
def look_up(index, values, out):
    """``out = values[index]``."""
    for y in range(index.shape[0]):
        for x in range(index.shape[1]):
            out[y, x] = values[np.uint64(index[y, x])]
