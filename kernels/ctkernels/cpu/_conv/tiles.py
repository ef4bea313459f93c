"""Pieces of vector code that the convolution's kernels share: the 1-D transforms, the maximum, channels left over.

Transforms of Winograd's minimal filtering F(2, 3) and their adjoints; ``both`` makes them two-dimensional.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ctkernels.cpu._conv.lanes import full, single
from ctkernels.cpu._core.vectors import Vectors, whole

DEAD = 4
"""Place of the maximum that ReLU cut: no gradient passes. Places 0 to 3 count along the rows of the window."""


def over_channels(builder: Any, kind: Any, channels: Any, piece: Callable[[Vectors, Any], None]) -> None:
    """``piece(v, c)`` for whole registers of channels, then one by one."""
    wide, narrow = full(builder, kind), single(builder, kind)
    even = builder.mul(builder.sdiv(channels, whole(wide.lanes)), whole(wide.lanes))
    wide.loop(whole(0), even, wide.lanes, lambda c: piece(wide, c))
    wide.loop(even, channels, 1, lambda c: piece(narrow, c))


def inputs(b: Any, d: list[Any]) -> list[Any]:
    """Four inputs to four factors."""
    return [b.fsub(d[0], d[2]), b.fadd(d[1], d[2]), b.fsub(d[2], d[1]), b.fsub(d[1], d[3])]


def inputs_adjoint(b: Any, v: list[Any]) -> list[Any]:
    """Adjoint of ``inputs``."""
    return [v[0], b.fadd(b.fsub(v[1], v[2]), v[3]), b.fadd(b.fsub(v[1], v[0]), v[2]), b.fneg(v[3])]


def outputs(b: Any, m: list[Any]) -> list[Any]:
    """Four products to two outputs."""
    return [b.fadd(b.fadd(m[0], m[1]), m[2]), b.fsub(b.fsub(m[1], m[2]), m[3])]


def outputs_adjoint(b: Any, y: list[Any]) -> list[Any]:
    """Adjoint of ``outputs``."""
    return [y[0], b.fadd(y[0], y[1]), b.fsub(y[0], y[1]), b.fneg(y[1])]


def kernel_terms(v: Vectors, g: list[Any]) -> list[Any]:
    """Three weights to four factors."""
    b, half = v.b, v.constant(0.5)
    ends = b.fadd(g[0], g[2])
    return [g[0], b.fmul(half, b.fadd(ends, g[1])), b.fmul(half, b.fsub(ends, g[1])), g[2]]


def kernel_adjoint(v: Vectors, u: list[Any]) -> list[Any]:
    """Adjoint of ``kernel_terms``."""
    b, half = v.b, v.constant(0.5)
    middle = b.fmul(half, b.fadd(u[1], u[2]))
    return [b.fadd(u[0], middle), b.fmul(half, b.fsub(u[1], u[2])), b.fadd(middle, u[3])]


def both(columns: list[list[Any]], one: Callable[[list[Any]], list[Any]]) -> list[list[Any]]:
    """Apply a 1-D transform to each column, then along each row; the result is a list of rows."""
    done = [one(column) for column in columns]
    return [one([column[r] for column in done]) for r in range(len(done[0]))]


def maximum(v: Vectors, x: Any, y: Any) -> Any:
    """The greater of two; NaN if either is."""
    name = f"llvm.maximum.v{v.lanes}f{8 * v.size}"
    function = cgutils.get_or_insert_function(v.b.module, ir.FunctionType(v.type, [v.type] * 2), name)
    return v.b.call(function, [x, y])


def places_type(v: Vectors) -> Any:
    """A vector of as many bytes as ``v`` has numbers."""
    return ir.VectorType(ir.IntType(8), v.lanes)


def _place(v: Vectors, number: int) -> Any:
    return ir.Constant(places_type(v), [ir.Constant(ir.IntType(8), number)] * v.lanes)


def store_pooled(v: Vectors, window: list[Any], bias: Any, out: Any, places: Any) -> None:
    """Bias, ReLU and maximum of four outputs to ``out``; where it was to ``places`` unless that address is zero.

    ``max(a) + b == max(a + b)`` in floating point too, so that the bias comes after the maximum. The first of equals is
    the maximum's place, as in Keras and PyTorch.
    """
    b = v.b
    zero = v.constant(0.0)
    most = maximum(v, maximum(v, window[0], window[1]), maximum(v, window[2], window[3]))
    y = b.fadd(most, bias)
    y = b.select(b.fcmp_ordered("<=", y, zero), zero, y)
    v.store(y, out, v.size)
    with b.if_then(b.icmp_signed("!=", places, whole(0))):
        place = _place(v, 3)
        for number in (2, 1, 0):
            place = b.select(b.fcmp_ordered("==", window[number], most), _place(v, number), place)
        v.store(b.select(b.fcmp_ordered(">", y, zero), place, _place(v, DEAD)), places)


def load_window_gradient(v: Vectors, gradient: Any, places: Any) -> list[Any]:
    """The gradient of the four outputs of a window: its own at the maximum's place, zero elsewhere."""
    b = v.b
    g, place = v.load(gradient, align=v.size), v.load(places, places_type(v))
    return [b.select(b.icmp_unsigned("==", place, _place(v, n)), g, v.constant(0.0)) for n in range(4)]
