"""Floats as their own keys: minima and maxima of floats, where a processor does more of them than of integers.

An Intel core (Emerald Rapids) does nearly two minima of floats a cycle and one of integers, in vectors of 32 and of 64
bytes; AMD's do two of floats and four of integers. A filter of few operations a pixel also saves making keys of floats
and floats of keys. Where there is NaN or -0, minima of floats do not keep the order of keys (``rows``), so pixels are
looked at as they are read: at the first rows that have one of them the filter gives up.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ctkernels.cpu._core.target import of_intel
from ctkernels.cpu._median.rows import FLOAT_LANES, sweep, vector_at

_INT32, _INT64 = ir.IntType(32), ir.IntType(64)


def pays() -> bool:
    """Whether this processor does as many minima of floats as of integers, or more."""
    return of_intel()


class Oddities:
    """Emits the search for NaN and -0 among vectors of float32 that are loaded anyway."""

    def __init__(self, builder, lanes: int) -> None:
        self._bits = ir.VectorType(_INT32, lanes)
        # The least of all bits as integers, which -0 is, and what of NaN was seen, by lane.
        self._least = cgutils.alloca_once_value(builder, ir.Constant(self._bits, [0] * lanes))
        self._seen = cgutils.alloca_once_value(builder, ir.Constant(self._bits, None))

    def look_at(self, builder, several: list[Any]) -> None:
        """Vectors in twos: one comparison finds NaN in either."""
        least = builder.load(self._least)
        for value in several:
            bits = builder.bitcast(value, self._bits)
            least = builder.select(builder.icmp_signed("<", bits, least), bits, least)
        builder.store(least, self._least)
        seen = builder.load(self._seen)
        for a, b in zip(several[::2], [*several[1::2], *several[-1:]]):
            seen = builder.or_(seen, builder.sext(builder.fcmp_unordered("uno", a, b), self._bits))
        builder.store(seen, self._seen)

    def found(self, builder):
        """Whether there was one, as a truth value."""
        lowest = ir.Constant(self._bits, [-(2**31)] * self._bits.count)
        zero = builder.sext(builder.icmp_signed("==", builder.load(self._least), lowest), self._bits)
        found = builder.or_(zero, builder.load(self._seen))
        whole = builder.bitcast(found, ir.IntType(32 * self._bits.count))
        return builder.icmp_unsigned("!=", whole, ir.Constant(whole.type, 0))


def _plain_row(typingctx, line, image, byte, count):
    """Whether ``count`` pixels from ``image[byte]`` on can be keys of the type of ``line``'s as they are."""

    def emit(context, builder, signature, args):
        if line.dtype != types.float32:
            return ir.Constant(ir.IntType(1), 1)
        row = builder.gep(context.make_array(image)(context, builder, args[1]).data, [args[2]])
        oddities = {lanes: Oddities(builder, lanes) for lanes in (1, FLOAT_LANES)}

        def body(builder, x, lanes: int) -> None:
            value = builder.load(vector_at(builder, row, ir.FloatType(), x, lanes), align=4)
            oddities[lanes].look_at(builder, [value])

        sweep(builder, args[3], FLOAT_LANES, body)
        return builder.not_(builder.or_(*(one.found(builder) for one in oddities.values())))

    return types.boolean(line, image, types.int64, types.int64), emit


plain_row = intrinsic(_plain_row)
