"""Winograd's two minimal filterings of a 3 x 3 kernel, as 1-D transforms; ``tiles.both`` makes them two-dimensional.

F(2, 3) takes 4 products for 2 outputs (2-D: 16 for 4, where the plain sum takes 36), at the points 0, 1, -1, infinity.
F(4, 3) takes 6 for 4 (36 for 16, where the plain sum takes 144), at 0, 3/4, -3/4, 3/2, -3/2, infinity. With these
points its rounding is that of a plain float32 sum: on the network's second and third layer, of images, root mean
squares of 1.5e-8 beside 1.7e-8 of PyTorch's convolution, on random numbers up to twice PyTorch's; the usual 0, 1, -1,
2, -2 have 2.4e-8 and three times the largest error (Barabasz et al., arXiv:1803.10986, on the choice of points). What
it has not is F(2, 3)'s exactness: outputs that should be equal differ by roundings, so that it can't say which of equal
ones is the first.
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


_NEAR, _FAR = 0.75, 1.5
"""The points, with both signs. Their squares, and the products of these, are exact in float32."""


def _inputs_4(v: Vectors, d: list[Any]) -> list[Any]:
    near, far = _NEAR**2, _FAR**2

    def without(squared: float, first: Any, third: Any) -> Any:
        return v.muladd(v.constant(-squared), first, third)

    # Rows of two points that differ by their sign share the even and the odd half.
    pairs = []
    for point, other in ((_NEAR, far), (_FAR, near)):
        even, odd = without(other, d[2], d[4]), without(other, d[1], d[3])
        pairs += [v.muladd(v.constant(sign * point), odd, even) for sign in (1, -1)]

    def end(n: int) -> Any:
        return v.muladd(v.constant(near * far), d[n], v.muladd(v.constant(-near - far), d[n + 2], d[n + 4]))

    return [end(0), *pairs, end(1)]


def _outputs_4(v: Vectors, m: list[Any]) -> list[Any]:
    b = v.b
    near, far = b.fadd(m[1], m[2]), b.fadd(m[3], m[4])
    near_odd, far_odd = b.fsub(m[1], m[2]), b.fsub(m[3], m[4])

    def weighted(power: int, x: Any, y: Any) -> Any:
        return v.muladd(v.constant(_FAR**power), y, b.fmul(v.constant(_NEAR**power), x))

    last = v.muladd(v.constant(_FAR**3), far_odd, v.muladd(v.constant(_NEAR**3), near_odd, m[5]))
    return [b.fadd(b.fadd(near, far), m[0]), weighted(1, near_odd, far_odd), weighted(2, near, far), last]


def _kernel_terms_4(v: Vectors, g: list[Any]) -> list[Any]:
    b = v.b
    near, far = _NEAR**2, _FAR**2
    terms = [b.fmul(v.constant(1 / (near * far)), g[0])]
    for point, scale in ((_NEAR, 2 * near * (near - far)), (_FAR, 2 * far * (far - near))):
        even, odd = b.fadd(g[0], b.fmul(v.constant(point**2), g[2])), b.fmul(v.constant(point), g[1])
        terms += [b.fmul(v.constant(1 / scale), term) for term in (b.fadd(even, odd), b.fsub(even, odd))]
    return [*terms, g[2]]


def outputs_adjoint_4(v: Vectors, y: list[Any]) -> list[Any]:
    """Adjoint of F(4, 3)'s transform of outputs."""
    b = v.b

    def powers(point: float, odd: int) -> Any:
        first = y[0] if odd == 0 else b.fmul(v.constant(point), y[1])
        return v.muladd(v.constant(point ** (2 + odd)), y[2 + odd], first)

    pairs = []
    for point in (_NEAR, _FAR):
        even, odd = powers(point, 0), powers(point, 1)
        pairs += [b.fadd(even, odd), b.fsub(even, odd)]
    return [y[0], *pairs, y[3]]


def kernel_adjoint_4(v: Vectors, u: list[Any]) -> list[Any]:
    """Adjoint of that of weights."""
    b, near, far = v.b, _NEAR**2, _FAR**2
    first, second, third = b.fmul(v.constant(1 / (near * far)), u[0]), v.constant(0.0), u[5]
    for point, scale, k in ((_NEAR, 2 * near * (near - far), 1), (_FAR, 2 * far * (far - near), 3)):
        even, odd = (b.fmul(v.constant(1 / scale), f(u[k], u[k + 1])) for f in (b.fadd, b.fsub))
        first = b.fadd(first, even)
        second = v.muladd(v.constant(point), odd, second)
        third = v.muladd(v.constant(point**2), even, third)
    return [first, second, third]


F2: Final = Filtering(2, _inputs_2, _outputs_2, _kernel_terms_2)
F4: Final = Filtering(4, _inputs_4, _outputs_4, _kernel_terms_4)
