"""Vector code that the convolution's kernels share: two-dimensional transforms, the maximum, channels left over."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from llvmlite import ir

from ctkernels.cpu._conv.lanes import full, single
from ctkernels.cpu._core.vectors import Vectors, whole

DEAD = 4
"""Argmax where ReLU cut the maximum: no gradient passes. 0 to 3 count along the rows of the window."""


def over_channels(builder, kind, channels, body: Callable[[Vectors, Any], None]) -> None:
    """``body(v, c)`` for whole registers of channels, then one by one."""
    wide, narrow = full(builder, kind), single(builder, kind)
    even = builder.mul(builder.sdiv(channels, whole(wide.lanes)), whole(wide.lanes))
    wide.loop(whole(0), even, wide.lanes, lambda c: body(wide, c))
    wide.loop(even, channels, 1, lambda c: body(narrow, c))


def both(columns: list[list[Any]], one: Callable[[list[Any]], list[Any]]) -> list[list[Any]]:
    """Apply a 1-D transform to each column, then along each row; the result is a list of rows."""
    # At compile time: values are registers, so that "columns" and "rows" cost nothing to exchange.
    done = [one(column) for column in columns]
    return [one([column[r] for column in done]) for r in range(len(done[0]))]


def maximum(v: Vectors, window: list[Any]):
    """The greatest of four; NaN if one is."""
    b = v.b

    def greater(x, y):
        return b.select(b.fcmp_ordered(">", x, y), x, y)

    # Not llvm.maximum, which costs x86 six instructions each to tell zeros apart and keep NaN: here a maximum is one
    # instruction, and two comparisons for all four find NaN. As a tree: two steps that depend on each other, not three.
    most = greater(greater(window[0], window[1]), greater(window[2], window[3]))
    lost = b.or_(b.fcmp_unordered("uno", window[0], window[1]), b.fcmp_unordered("uno", window[2], window[3]))
    return b.select(lost, v.constant(math.nan), most)


def argmax_type(v: Vectors):
    """A vector of as many bytes as ``v`` has numbers."""
    return ir.VectorType(ir.IntType(8), v.lanes)


def _all(v: Vectors, number: int):
    """A vector of one argmax, in integers as wide as the numbers: comparisons select among them as they are."""
    wide = ir.IntType(8 * v.size)
    return ir.Constant(ir.VectorType(wide, v.lanes), [ir.Constant(wide, number)] * v.lanes)


def store_pooled(v: Vectors, window: list[Any], bias, out, argmax) -> None:
    """Bias, ReLU and maximum of four outputs to ``out``; which it was to ``argmax`` unless that is None.

    ``max(a) + b == max(a + b)`` in floating point too, so that the bias comes after the maximum. The first of equals is
    the maximum, as in Keras and PyTorch.
    """
    b = v.b
    zero = v.constant(0.0)
    most = maximum(v, window)
    y = b.fadd(most, bias)
    # Not a maximum with zero: NaN fails the comparison and stays.
    y = b.select(b.fcmp_ordered("<=", y, zero), zero, y)
    v.store(y, out, v.size)
    if argmax is None:
        return
    # Compared before bias and ReLU, which could make unequal outputs equal.
    # From the last to the first, so that the first of equals remains.
    first = _all(v, 3)
    for number in (2, 1, 0):
        first = b.select(b.fcmp_ordered("==", window[number], most), _all(v, number), first)
    first = b.select(b.fcmp_ordered(">", y, zero), first, _all(v, DEAD))
    v.store(b.trunc(first, argmax_type(v)), argmax)


def with_argmax(builder, argmax, body: Callable[[Any], None]) -> None:
    """``body(argmax)``, or ``body(None)`` where the address is zero: nobody asks for it.

    Two codes: with a question at each window, predictions took a fifth longer.
    """
    with builder.if_else(builder.icmp_signed("==", argmax, whole(0))) as (unasked, asked):
        with unasked:
            body(None)
        with asked:
            body(argmax)


def load_window_gradient(v: Vectors, gradient, argmax) -> list[Any]:
    """The gradient of the four outputs of a window: its own at the maximum, zero elsewhere."""
    b = v.b
    g, first = v.load(gradient, align=v.size), b.zext(v.load(argmax, argmax_type(v)), _all(v, 0).type)
    return [b.select(b.icmp_unsigned("==", first, _all(v, n)), g, v.constant(0.0)) for n in range(4)]
