"""CLAHE's tables, written as LLVM IR: OpenCV's clipping and redistribution, cumulative sum, packing of four tables.

A table only holds the bins that occur near its tile. That is exact for any number of bins, because what redistribution
adds to the empty bins before them is known in closed form. All counts of bins are padded to whole vectors.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import types

from ctkernels.cpu._core.vectors import I32, I64, Vectors, emits, is_integer, number_type, whole

BANKS = 4
"""Copies of a histogram that take turns, so that equal neighbours don't wait for each other's increments."""


@emits(types.int64)
def merge_and_clip(b, hist, bins, bank_bytes, limit):
    """Add the banks up into the first and clear the others; cut at ``limit``. Returns the number of pixels cut off."""
    v = Vectors(b, types.float32)
    numbers = ir.VectorType(I32, v.lanes)
    zero = ir.Constant(numbers, None)
    top = b.insert_element(ir.Constant(numbers, ir.Undefined), b.trunc(limit, I32), ir.Constant(I32, 0))
    top = v.shuffle(top, top, [0] * v.lanes)

    def body(k, cut):
        first = v.at(hist, k, 4)
        total = v.load(first, numbers, 4)
        for n in range(1, BANKS):
            other = b.add(first, b.mul(bank_bytes, whole(n)))
            total = b.add(total, v.load(other, numbers, 4))
            v.store(zero, other, 4)
        kept = b.select(b.icmp_signed("<", total, top), total, top)
        v.store(kept, first, 4)
        return (b.add(cut, b.sub(total, kept)),)

    (cut,) = v.loop(whole(0), bins, v.lanes, body, (zero,))
    n = v.lanes
    while n > 1:
        n //= 2
        cut = b.add(v.shuffle(cut, cut, range(n)), v.shuffle(cut, cut, range(n, 2 * n)))
    return b.sext(b.extract_element(cut, ir.Constant(I32, 0)), I64)


@emits(kinds=1)
def accumulate(b, level, hist, bins, before, each, pixels, span, table):
    """Cumulative sum of ``hist + each``, begun at ``before``, to output levels; clears the histogram.

    Whole levels are the share of ``pixels`` times ``span``, rounded half to even; float levels are the share itself.
    """
    v = Vectors(b, types.float32)
    n = v.lanes
    numbers = ir.VectorType(I32, n)
    zero = ir.Constant(numbers, None)
    size = level.bitwidth // 8

    def all_of(value):
        one = b.insert_element(ir.Constant(numbers, ir.Undefined), b.trunc(value, I32), ir.Constant(I32, 0))
        return v.shuffle(one, one, [0] * n)

    extra = all_of(each)
    whole_span = v.splat(b.sitofp(span, v.scalar))
    count = v.splat(b.sitofp(pixels, v.scalar))
    scale = b.fdiv(whole_span, count)

    def body(k, carry):
        counts = v.at(hist, k, 4)
        total = b.add(v.load(counts, numbers, 4), extra)
        v.store(zero, counts, 4)
        # Sums along the vector in log2(lanes) steps; the last lane is carried to the next vector.
        shift = 1
        while shift < n:
            total = b.add(total, v.shuffle(zero, total, [*range(shift), *range(n, 2 * n - shift)]))
            shift *= 2
        total = b.add(total, carry)
        value = b.sitofp(total, v.type)
        if is_integer(level):
            value = b.fmul(value, scale)
            value = b.select(b.fcmp_ordered("<", value, whole_span), value, whole_span)
            # Adding 1.5 * 2**23 rounds half to even and leaves the whole number in the low bits.
            value = b.bitcast(b.fadd(value, v.constant(12582912.0)), numbers)
            value = b.trunc(value, ir.VectorType(ir.IntType(8 * size), n))
        else:
            value = b.fdiv(value, count)
        v.store(value, v.at(table, k, size), size)
        return (v.shuffle(total, total, [n - 1] * n),)

    v.loop(whole(0), bins, n, body, (all_of(before),))


@emits(kinds=1)
def pack(b, level, bins, first, second, third, fourth, out):
    """The levels of four tables, interleaved."""
    v = Vectors(b, types.float32)
    n = v.lanes
    size = level.bitwidth // 8
    kind = ir.VectorType(number_type(level), n)
    numbers = ir.VectorType(I32, n)

    def body(k):
        rows = [v.load(v.at(t, k, size), kind, size) for t in (first, second, third, fourth)]
        entries = v.at(out, k, 4 * size)
        if size == 4:
            pairs = [[x for k in range(n) for x in (k, n + k)], [x for k in range(2 * n) for x in (k, 2 * n + k)]]
            even = v.shuffle(rows[0], rows[2], pairs[0])
            odd = v.shuffle(rows[1], rows[3], pairs[0])
            v.store(v.shuffle(even, odd, pairs[1]), entries, 4)
            return
        words = []
        per_word = 4 // size
        for start in range(0, 4, per_word):
            word = ir.Constant(numbers, None)
            for i, row in enumerate(rows[start : start + per_word]):
                part = b.zext(row, numbers)
                shift = ir.Constant(numbers, [ir.Constant(I32, 8 * size * i)] * n)
                word = b.or_(word, b.shl(part, shift))
            words.append(word)
        both = words[0] if size == 1 else v.shuffle(words[0], words[1], [x for k in range(n) for x in (k, n + k)])
        v.store(both, entries, 4)

    v.loop(whole(0), bins, n, body)
