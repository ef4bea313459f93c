"""Pixels as keys, unsigned integers that sort as they do; keys in order and where they stood, digit by digit.

Integers have their sign bit flipped. Floats are turned round below zero, and NaN, whatever its sign or payload, becomes
the largest key.

With AVX2 NumPy has no vectors that carry places along, and its ``sort`` of pairs of key and place takes half as long
again as this.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit, jit_inline
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.target import of_intel

BITS, PASSES = (11, 3) if of_intel() else (10, 4)
"""Of a digit, and how many make 32 bits. As many places to write to as a first-level cache has lines, about: on a Zen 3
a pass of 11 bits takes twice as long as one of 10, on an Emerald Rapids (48 kB) three of 11 take .87 of four of 10."""
MOST = (1 << 31) - 1
"""Keys whose places have room beside 32 bits of each."""


@jit_inline
def float_key(pattern, sign, infinite):
    """Of a float's bits, where ``sign`` and ``infinite`` are the sign's bit and infinity's bits; all uint64."""
    rest = sign - np.uint64(1)
    key = pattern ^ (sign | rest) if pattern >= sign else pattern | sign
    return sign | rest if pattern & rest > infinite else key


@jit
def decode(keys, floats, sign, bits):
    """The inverse of keys; the largest one becomes a NaN. ``sign`` is 0 for unsigned integers."""
    ones = sign | (sign - np.uint64(1))
    for i in range(keys.size):
        bits[i] = keys[i] ^ (ones if floats and keys[i] < sign else sign)


@jit
def _sort(pairs, other, counts):
    """By the upper halves, whose digits are counted, equal ones as they came. Returns sorted pairs and spare room."""
    low = np.uint64(counts.shape[1] - 1)
    for turn in range(counts.shape[0]):
        total = np.int32(0)
        most = np.int32(0)
        for d in range(counts.shape[1]):
            n = counts[turn, d]
            counts[turn, d] = total
            total += n
            most = max(n, most)
        if most == pairs.size:
            continue
        shift = np.uint64(32 + turn * BITS)
        for i in range(pairs.size):
            v = pairs[i]
            digit = (v >> shift) & low
            other[np.uint64(counts[turn, digit])] = v
            counts[turn, digit] += 1
        pairs, other = other, pairs
    return pairs, other


@jit
def _pair(keys, places, again, shift, pairs, counts):
    """32 bits of each key from ``shift`` up, and its place; in the order of ``places`` if ``again``."""
    half = np.uint64(0xFFFFFFFF)
    low = np.uint64(counts.shape[1] - 1)
    counts[:] = 0
    for i in range(keys.size):
        place = np.uint64(places[i] if again else i)
        key = (keys[place] >> shift) & half
        for turn in range(counts.shape[0]):
            counts[turn, (key >> np.uint64(turn * BITS)) & low] += 1
        pairs[i] = (key << np.uint64(32)) | place


@jit
def _unpair(pairs, keys, places):
    for i in range(pairs.size):
        places[i] = pairs[i] & np.uint64(0xFFFFFFFF)
        keys[i] = pairs[i] >> np.uint64(32)


@jit
def _settle(pairs, keys, ordered, places):
    """Whole keys into order where ``pairs`` are by the upper halves; False where many of these are alike."""
    left = 8 * keys.size
    for i in range(keys.size):
        place = pairs[i] & np.uint64(0xFFFFFFFF)
        key = keys[place]
        at = i
        while at > 0 and ordered[at - 1] > key:
            ordered[at], places[at] = ordered[at - 1], places[at - 1]
            at -= 1
        ordered[at], places[at] = key, place
        left -= i - at
        if left < 0:
            return False
    return True


@jit
def sort(keys, bits, pairs, other, counts, places):
    """Keys of so many bits, at most 64, ascending, and in ``places`` where each stood, equal ones as they came.

    What is returned is one of the arrays; they are for this function's use: ``counts`` of ``PASSES`` rows of
    ``1 << BITS``, the others as long as ``keys``.
    """
    upper = np.uint64(max(0, bits - 32))
    _pair(keys, places, False, upper, pairs, counts)
    pairs, other = _sort(pairs, other, counts)
    if bits <= 32:
        _unpair(pairs, keys, places)
        return keys
    # To sort by the lower halves first takes twice as long: keys are then read from all over.
    if not _settle(pairs, keys, other, places):
        _pair(keys, places, False, np.uint64(0), pairs, counts)
        pairs, other = _sort(pairs, other, counts)
        _unpair(pairs, other, places)
        _pair(keys, places, True, np.uint64(32), pairs, counts)
        pairs, other = _sort(pairs, other, counts)
        _unpair(pairs, other, places)
        for i in range(keys.size):
            other[i] = keys[np.uint64(places[i])]
    return other


def in_order(keys: NDArray[np.uint64], bits: int) -> tuple[NDArray[np.uint64], NDArray[Any]]:
    """Keys of so many bits, ascending, and where each stood in ``keys``, which are overwritten.

    Both lie in this thread's scratch until its next call.
    """
    if keys.size > MOST:
        order = np.argsort(keys)
        return keys[order], order
    pairs, other = (scratch(name, keys.size, np.uint64) for name in ("digits.pairs", "digits.other"))
    counts = scratch("digits.counts", PASSES << BITS, np.int32).reshape(PASSES, -1)
    places = scratch("digits.places", keys.size, np.int32)
    return sort(keys, bits, pairs, other, counts, places), places
