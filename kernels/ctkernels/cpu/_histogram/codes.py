"""How often each value occurs among 16-bit integers, in one pass that finds their range on the way.

Counting costs one store a pixel, one a cycle on most processors; what else a pixel costs is kept down: it is loaded as
an address is (a word of four pixels, taken apart, cost a tenth more), four neighbours go to four banks, so that equal
ones don't wait for each other's store, and a vector of the first pixel's value (padding, air) only adds to a run. The
range takes two operations a vector, no pass of its own (a tenth of the time).

Tried without gain: 16-bit counters, two halves of the image in turns, runs of any value.
"""

from __future__ import annotations

import threading
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.vectors import I32, I64, Vectors, emits, number_type, whole

CELLS: Final = 65536
"""Values of 16 bits."""
_BANKS: Final = 4
_STRIDE: Final = CELLS + 272
"""Counters from bank to bank. Not a multiple of 4 KB: equal neighbours would look like one address to the processor."""
COUNTERS: Final = _BANKS * _STRIDE
"""That ``count_values`` needs."""
_LANES: Final = 16


@emits(kinds=1)
def _count(b, kind, source, count, first, banks, found):
    """Count ``count`` pixels (a multiple of ``_LANES``) of type ``kind`` in banks whose counter of 0 is at ``banks``.

    ``first`` is the value whose runs are only summed. To ``found``, int64: how many pixels are in such runs, smallest
    and largest pixel.
    """
    v = Vectors(b, types.float32)
    pixel, cell = number_type(kind), ir.IntType(32)
    vector = ir.VectorType(pixel, _LANES)
    signed = str(kind).startswith("int")
    compare = b.icmp_signed if signed else b.icmp_unsigned
    widen = b.sext if signed else b.zext

    def all_of(value):
        one = b.insert_element(ir.Constant(vector, ir.Undefined), b.trunc(value, pixel), ir.Constant(I32, 0))
        return v.shuffle(one, one, [0] * _LANES)

    corner = all_of(first)
    starts = [b.add(banks, whole(4 * _STRIDE * k)) for k in range(_BANKS)]

    def body(i, run, low, high):
        address = v.at(source, i, 2)
        pixels = v.load(address, vector, 2)
        equal = b.bitcast(b.icmp_unsigned("==", pixels, corner), ir.IntType(_LANES))
        before = b.block
        with b.if_then(b.icmp_unsigned("!=", equal, ir.Constant(ir.IntType(_LANES), -1))):
            for k in range(_LANES):
                value = widen(v.load(b.add(address, whole(2 * k)), pixel, 2), I64)
                counter = v.at(starts[k % _BANKS], value, 4)
                v.store(b.add(v.load(counter, cell, 4), ir.Constant(cell, 1)), counter, 4)
            counted = b.block
        some = b.phi(I64)
        some.add_incoming(whole(_LANES), before)
        some.add_incoming(whole(0), counted)
        low = b.select(compare("<", pixels, low), pixels, low)
        high = b.select(compare(">", pixels, high), pixels, high)
        return b.add(run, some), low, high

    run, low, high = v.loop(whole(0), count, _LANES, body, (whole(0), corner, corner))
    n = _LANES
    while n > 1:
        n //= 2
        halves = [(v.shuffle(u, u, range(n)), v.shuffle(u, u, range(n, 2 * n))) for u in (low, high)]
        low = b.select(compare("<", *halves[0]), *halves[0])
        high = b.select(compare(">", *halves[1]), *halves[1])
    v.store(run, found, 8)
    for k, end in enumerate((low, high), 1):
        v.store(widen(b.extract_element(end, ir.Constant(I32, 0)), I64), b.add(found, whole(8 * k)), 8)


@jit
def count_values(pixels, banks, counts, found):
    """Occurrences of each value from the smallest to the largest to the first of ``counts``; what these two are.

    ``pixels`` is flat, uint16 or int16, one at least and 2**32 - 1 at most; ``banks`` (uint32) are 0 and left so.
    """
    shift = np.int64(32768 if pixels.dtype.type(-1) < 0 else 0)
    zero = banks[shift:]
    many = pixels.size // 16 * 16
    first = np.int64(pixels[0])
    _count(pixels.dtype.type(0), pixels.ctypes.data, many, first, zero.ctypes.data, found.ctypes.data)
    low = min(found[1], first)
    high = max(found[2], first)
    banks[first + shift] += np.uint32(found[0])
    for i in range(many, pixels.size):
        v = np.int64(pixels[i])
        banks[v + shift] += np.uint32(1)
        low = min(low, v)
        high = max(high, v)
    n = high - low + 1
    begin = low + shift
    a = banks[begin : begin + n]
    b = banks[_STRIDE + begin : _STRIDE + begin + n]
    c = banks[2 * _STRIDE + begin : 2 * _STRIDE + begin + n]
    d = banks[3 * _STRIDE + begin : 3 * _STRIDE + begin + n]
    result = counts[:n]
    for k in range(n):
        result[k] = a[k] + b[k] + c[k] + d[k]
        a[k] = b[k] = c[k] = d[k] = np.uint32(0)
    return low, high


class _Memory(threading.local):
    """A thread's banks, which every count leaves cleared; of their 1 MB only what values occur is ever touched."""

    def __init__(self) -> None:
        self.banks = np.zeros(COUNTERS, np.uint32)
        self.found = np.zeros(3, np.int64)


_memory = _Memory()


def counts_of(pixels: NDArray[Any]) -> tuple[NDArray[np.uint32], int]:
    """How often each value of a flat uint16 or int16 array occurs, from the smallest on, which is told too.

    The counts lie in this thread's scratch until the next call.
    """
    counts = scratch("value counts", CELLS, np.uint32)
    low, high = count_values(pixels, _memory.banks, counts, _memory.found)
    return counts[: high - low + 1], low
