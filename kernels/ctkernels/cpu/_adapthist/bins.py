"""Pixels to bins: the range of an image, and the bin of each number in it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit, jit_inline
from ctkernels.cpu._core.vectors import VECTOR_BYTES, Vectors, emits, is_integer, whole

GRAYS = 1 << 14
"""Of scikit-image, which bins are made of."""


def bins_dtype(nbins: int) -> np.dtype[Any]:
    """Of bins, where there are so many."""
    return np.dtype(np.uint8 if nbins <= 256 else np.uint16)


class Line(NamedTuple):
    """``max(number - first, 0) * scale + offset`` in float32, cut to a whole number."""

    first: int
    scale: np.float32
    offset: np.float32


class Binning(NamedTuple):
    """From whole numbers to bins."""

    low: int
    """The first number of the table."""
    table: NDArray[Any]
    line: Line | None
    """A line that gives the same bins, if there is one."""


def binning(low: int, grays: NDArray[np.uint16], nbins: int) -> Binning:
    """The bins of the numbers from ``low`` on that have these grays.

    A line takes a fourth of a table's time a pixel; it is tried with every number.
    """
    width = 1 + GRAYS // nbins
    table = (grays // np.uint16(width)).astype(bins_dtype(nbins))
    numbers, made = np.arange(grays.size, dtype=np.uint16), np.empty_like(table)
    below = int(np.count_nonzero(grays == 0)) - 1  # of int16 all negative numbers are 0
    for first in {0, max(below, 0)}:
        scale = np.float32(grays[-1] / max(grays.size - 1 - first, 1) / width)
        for half in (0.5, 0.499, 0.501):  # grays are rounded to even
            line = Line(first, scale, np.float32(half / width))
            _on_line(numbers, None, *line, made)
            if (made == table).all():
                return Binning(low, table, line._replace(first=low + first))
    return Binning(low, table, None)


_MOST = 65535
"""Of whole numbers that floats are made to."""


def extent(x: NDArray[Any]) -> tuple[int, int] | None:
    """The smallest and the largest pixel as whole numbers, which floats are made to; None for floats out of -1 to 1."""
    return _extent(x.reshape(-1), x.dtype.type(_MOST) if x.dtype.kind == "f" else None)


_AT_ONCE = 4


@emits(kinds=1)
def _extremes(builder, kind, source, count, lanes):
    """The smallest and the largest of ``count`` numbers of a ``kind``, and the NaN among them, lane by lane.

    ``lanes`` gets ``_AT_ONCE`` vectors of each, as a minimum waits for the one before. Written out, because LLVM makes
    no vectors of minima of floats.
    """
    b, v = builder, Vectors(builder, kind)

    def is_less(x, y):
        if is_integer(kind):
            return (b.icmp_signed if kind.signed else b.icmp_unsigned)("<", x, y)
        return b.fcmp_ordered("<", x, y)

    def step(at, low, high, odd):
        x = v.load(at, align=v.size)
        if not is_integer(kind):
            odd = b.select(b.fcmp_unordered("uno", x, x), x, odd)
        return b.select(is_less(x, low), x, low), b.select(is_less(high, x), x, high), odd

    def body(i, *known):
        ats = [b.add(v.at(source, i), whole(k * VECTOR_BYTES)) for k in range(_AT_ONCE)]
        return [value for k, at in enumerate(ats) for value in step(at, *known[3 * k : 3 * k + 3])]

    first = v.splat(v.load(source, v.scalar, v.size))
    found = v.loop(whole(0), count, _AT_ONCE * v.lanes, body, [first] * (3 * _AT_ONCE))
    for k, value in enumerate(found):
        v.store(value, v.at(lanes, whole(k * v.lanes)), v.size)


@jit
def _extent(x, most):
    lanes = np.empty((3 * _AT_ONCE, VECTOR_BYTES // x.itemsize), x.dtype)
    once = _AT_ONCE * lanes.shape[1]
    together = x.size // once * once
    _extremes(x.dtype.type(0), x.ctypes.data, together, lanes.ctypes.data)
    low, high, odd = x[0], x[0], False
    for found in (lanes, x[together:].reshape(1, -1)):
        for i in range(found.shape[0]):
            for k in range(found.shape[1]):
                v = found[i, k]
                low, high, odd = min(v, low), max(v, high), odd or v != v
    if most is not None and (odd or not (low >= -1 and high <= 1)):
        return None
    return int(_number(low, most)), int(_number(high, most))


def bin_pixels(x: NDArray[Any], rule: Binning, out: NDArray[Any]) -> None:
    """The bin of each pixel; floats are first what ``skimage.util.img_as_uint`` makes of them."""
    pixels, most = x.reshape(-1), x.dtype.type(_MOST) if x.dtype.kind == "f" else None
    if rule.line is None:
        _look_up(pixels, most, rule.low, rule.table, out.reshape(-1))
    else:
        _on_line(pixels, most, *rule.line, out.reshape(-1))


@jit_inline
def _number(value, most):
    """In the floats' own precision; ``most`` is None for whole numbers."""
    if most is None:
        return np.int32(value)
    scaled = np.rint(value * most)
    scaled = scaled if scaled > 0 else most - most
    return np.int32(scaled if scaled < most else most)


@jit
def _look_up(x, most, low, table, out):
    for i in range(x.size):
        out[i] = table[np.uint64(_number(x[i], most) - low)]


@jit
def _on_line(x, most, first, scale, offset, out):
    zero = np.int32(first)
    for i in range(x.size):
        number = np.int32(_number(x[i], most) - zero)
        out[i] = np.int32(np.float32(number if number > 0 else np.int32(0)) * scale + offset)
