"""Minimum, maximum and the line between them in one call of compiled code, for images that one thread does.

In two calls with Python between them, the Python takes a fifth of the time of a slice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import overload

from ctkernels.cpu._core.jit import jit, jit_inline
from ctkernels.cpu._core.pointwise import line_to_float, line_to_integer
from ctkernels.cpu._select.keys import key_extent
from ctkernels.shared import lines
from ctkernels.shared.lines import Line

DONE, NONE_COUNTS, NEEDS_PLAIN_CODE = 0, 1, 2
"""What ``stretch`` returns: the result is written; no pixel counts; float32 can't hold the line (``lines.fits``)."""

_fits = jit_inline(lines.fits)


def ends_of(least: Any, greatest: Any, bits: Any) -> Any:
    """Values of two keys, ``pointwise.base_of`` between them; ``bits`` is an element of ``sortable``. Compiled only."""
    raise NotImplementedError


@overload(ends_of)
def _ends_of(least, greatest, bits):
    if bits == types.int32:

        def of_float32(least, greatest, bits):
            low = np.float64(np.int32(least ^ 0x7FFFFFFF if least < 0 else least).view(np.float32))
            high = np.float64(np.int32(greatest ^ 0x7FFFFFFF if greatest < 0 else greatest).view(np.float32))
            return low, low, high

        return of_float32
    if bits == types.int64:

        def of_float64(least, greatest, bits):
            low = np.int64(least ^ 0x7FFFFFFFFFFFFFFF if least < 0 else least).view(np.float64)
            high = np.int64(greatest ^ 0x7FFFFFFFFFFFFFFF if greatest < 0 else greatest).view(np.float64)
            return low, low, high

        return of_float64
    return lambda least, greatest, bits: (np.float64(least), np.float64(least), np.float64(greatest))


@jit
def stretch(x, bits, out, first, last, low, rise, floor, ceiling):
    """Map the extent of the pixels with keys in ``first .. last`` to ``low .. low + rise``, clipped, into ``out``.

    ``bits`` is ``shared.keys.sortable(x)``; ``floor`` and ``ceiling`` as in ``lines.Line``.
    """
    least, greatest = key_extent(bits, first, last)
    if least > greatest:
        return NONE_COUNTS
    zero, base, end = ends_of(least, greatest, bits.dtype.type(0))
    if not _fits(Line(zero, base, end - zero, low, rise, floor, ceiling)):
        return NEEDS_PLAIN_CODE
    draw(x, out, zero, base, end - zero, low, rise, floor, ceiling)
    return DONE


def draw(x: Any, out: Any, zero: Any, base: Any, span: Any, low: Any, rise: Any, floor: Any, ceiling: Any) -> None:
    """``pointwise.line_kernel`` of ``out``; compiled only."""
    raise NotImplementedError


@overload(draw)
def _draw(x, out, zero, base, span, low, rise, floor, ceiling):
    kernel = line_to_float if isinstance(out.dtype, types.Float) else line_to_integer
    return lambda x, out, zero, base, span, low, rise, floor, ceiling: kernel(
        x, out, zero, base, span, low, rise, floor, ceiling
    )
