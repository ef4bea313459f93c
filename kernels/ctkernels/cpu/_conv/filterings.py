"""Winograd's two minimal filterings of a 3 x 3 kernel, as 1-D transforms; ``tiles.both`` makes them two-dimensional.

F(2, 3) takes 4 products for 2 outputs (2-D: 16 for 4, where the plain sum takes 36), at the points 0, 1, -1, infinity.
F(4, 3) takes 6 for 4 (36 for 16, where the plain sum takes 144), at 0, 1, -1, 1/2, -2, infinity. With these points
(chosen as in Barabasz et al., arXiv:1803.10986) its rounding is about that of a plain float32 sum: root mean squares
1.1 times as large of images, 2.7 times of random numbers. 0, 3/4, -3/4, 3/2, -3/2, infinity would round less (.9 and
2.0 times), but with 1 among the points F(4, 3) is as exact as F(2, 3) where inputs are constant: all factors but that
of the point 1 are exact zeros, so that equal outputs are equal in every bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ctkernels.cpu._core.vectors import Vectors


class Filtering(NamedTuple):
    """A minimal filtering: what it does to vectors ``v`` of inputs, products, and (wider ones of) weights."""

    tile: int
    """Outputs along a side of a tile; it has two inputs more."""
    inputs: Callable[[Vectors, list[Any]], list[Any]]
    outputs: Callable[[Vectors, list[Any]], list[Any]]
    kernel_terms: Callable[[Vectors, list[Any]], list[Any]]

    @property
    def side(self) -> int:
        """Inputs along a side."""
        return self.tile + 2


def _inputs_2(v: Vectors, d: list[Any]) -> list[Any]:
    b = v.b
    return [b.fsub(d[0], d[2]), b.fadd(d[1], d[2]), b.fsub(d[2], d[1]), b.fsub(d[1], d[3])]


def _outputs_2(v: Vectors, m: list[Any]) -> list[Any]:
    b = v.b
    return [b.fadd(b.fadd(m[0], m[1]), m[2]), b.fsub(b.fsub(m[1], m[2]), m[3])]


def _kernel_terms_2(v: Vectors, g: list[Any]) -> list[Any]:
    b, half = v.b, v.constant(0.5)
    # The halves are here and not among the inputs: a kernel is transformed once a call, inputs for every tile.
    ends = b.fadd(g[0], g[2])
    return [g[0], b.fmul(half, b.fadd(ends, g[1])), b.fmul(half, b.fsub(ends, g[1])), g[2]]


_POINTS: Final = ((0.0, 1.0), (1.0, 3.0), (-1.0, -3.0), (0.5, -15 / 16), (-2.0, 15.0))
"""The points of F(4, 3) but infinity, and the product of their distances from the others."""


def _inputs_4(v: Vectors, d: list[Any]) -> list[Any]:
    b, half_more = v.b, v.constant(1.5)
    # The points 1 and -1 taken away from all other rows: zero where inputs are constant.
    e = [b.fsub(d[n + 2], d[n]) for n in range(4)]
    # 1/2 and -2 taken away from the rows of 1 and -1.
    odd, even = v.muladd(half_more, d[2], e[1]), v.muladd(half_more, d[3], e[2])
    return [
        v.muladd(half_more, e[1], b.fsub(e[2], e[0])),
        b.fadd(even, odd),
        b.fsub(even, odd),
        v.muladd(v.constant(2.0), e[1], e[2]),
        v.muladd(v.constant(-0.5), e[1], e[2]),
        v.muladd(half_more, e[2], b.fsub(e[3], e[1])),
    ]


def _outputs_4(v: Vectors, m: list[Any]) -> list[Any]:
    b = v.b

    def with_others(power: int, ones: Any) -> Any:
        return v.muladd(v.constant((-2.0) ** power), m[4], v.muladd(v.constant(0.5**power), m[3], ones))

    even, odd = b.fadd(m[1], m[2]), b.fsub(m[1], m[2])
    ones = [b.fadd(even, m[0]), odd, even, b.fadd(odd, m[5])]
    return [with_others(power, one) for power, one in enumerate(ones)]


def _kernel_terms_4(v: Vectors, g: list[Any]) -> list[Any]:
    def at(point: float, distances: float) -> Any:
        value = v.muladd(v.constant(point), v.muladd(v.constant(point), g[2], g[1]), g[0])
        return v.b.fmul(v.constant(1 / distances), value)

    return [*(at(*point) for point in _POINTS), g[2]]


def outputs_adjoint_4(v: Vectors, y: list[Any]) -> list[Any]:
    """Adjoint of F(4, 3)'s transform of outputs."""
    b = v.b

    def at(point: float) -> Any:
        even, odd = (v.muladd(v.constant(point**2), y[n + 2], y[n]) for n in (0, 1))
        return v.muladd(v.constant(point), odd, even)

    even, odd = b.fadd(y[0], y[2]), b.fadd(y[1], y[3])
    return [y[0], b.fadd(even, odd), b.fsub(even, odd), at(0.5), at(-2.0), y[3]]


def kernel_adjoint_4(v: Vectors, u: list[Any]) -> list[Any]:
    """Adjoint of that of weights."""
    sums = [v.constant(0.0), v.constant(0.0), u[5]]
    for (point, distances), factor in zip(_POINTS, u, strict=False):
        sums = [v.muladd(v.constant(point**power / distances), factor, total) for power, total in enumerate(sums)]
    return sums


F2: Final = Filtering(2, _inputs_2, _outputs_2, _kernel_terms_2)
F4: Final = Filtering(4, _inputs_4, _outputs_4, _kernel_terms_4)
