"""Memory by address: words of a job, clearing, copying, adding up partial sums."""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils, types

from ctkernels.cpu._conv.tiles import over_channels
from ctkernels.cpu._core.vectors import I64, LINE_BYTES, Vectors, ask_line, emits, whole


@emits(types.int64, kinds=1)
def size_of(b, kind):
    """Bytes of a number, known when compiled."""
    # A constant, so that products with it become shifts.
    return whole(kind.bitwidth // 8)


@emits(types.int64)
def word(b, address, index):
    """The int64 number ``index`` after an address."""
    address = b.add(address, b.mul(index, whole(8)))
    return b.load(b.inttoptr(address, I64.as_pointer()))


@emits()
def set_word(b, address, index, value):
    """Write the int64 number ``index`` after an address."""
    address = b.add(address, b.mul(index, whole(8)))
    b.store(value, b.inttoptr(address, I64.as_pointer()))


@emits()
def clear(b, address, count):
    """Zero ``count`` bytes."""
    cgutils.memset(b, b.inttoptr(address, ir.IntType(8).as_pointer()), count, 0)


@emits()
def ask_share(b, address, count, part, parts):
    """Ask for the cache lines of one of ``parts`` shares of ``count`` bytes, for the second-level cache.

    For memory that is soon read or written. Products do so for the transforms around them: a transform alone waits for
    memory most of its time. An address beyond all memory does no harm.
    """
    line = whole(LINE_BYTES)
    first, last = (b.sdiv(b.mul(count, n), b.mul(parts, line)) for n in (part, b.add(part, whole(1))))
    Vectors(b, types.float32, 1).loop(first, last, 1, lambda n: ask_line(b, b.add(address, b.mul(n, line)), 2))


@emits(kinds=1)
def add_parts(b, kind, parts, part, count, out, length):
    """``length`` sums over ``count`` rows ``part`` bytes apart, added in that order, to ``out``."""

    def body(v, k):
        # In the order of the parts: the bits do not depend on which thread ended first.
        def add(p, total):
            return (b.fadd(total, v.load(b.add(v.at(parts, k), b.mul(p, part)), align=v.size)),)

        v.store(v.loop(whole(0), count, 1, add, (v.constant(0.0),))[0], v.at(out, k), v.size)

    over_channels(b, kind, length, body)


@emits(kinds=1)
def move_pixels(b, kind, source, source_step, out, out_step, count, channels):
    """Copy ``channels`` numbers of ``count`` pixels, steps apart in bytes."""

    def body(v, c):
        def one(j):
            value = v.load(v.at(b.add(source, b.mul(j, source_step)), c), align=v.size)
            v.store(value, v.at(b.add(out, b.mul(j, out_step)), c), v.size)

        v.loop(whole(0), count, 1, one)

    over_channels(b, kind, channels, body)
