"""Boxes that lie beside their pixel, and borders that differ from axis to axis: medians of a wider image.

The image is extended as far as its windows see and filtered as any other; the part of the result that counts is cut
out. That costs three copies, a fraction of what lists of minima and maxima (``footprints``) would take for boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.contract import each_axis, modes_of
from ctkernels.shared.border import border_index

Array = NDArray[Any]


def median_filter(
    x: Array,
    out: Array,
    *,
    bind: Callable[..., Callable[[Array, Array], None]],
    size: tuple[int, ...],
    mode: str | tuple[str, ...],
    cval: float,
    origin: int | tuple[int, ...],
) -> None:
    """``bind`` is that of the filter for images and volumes whose border nobody looks at."""
    before = [n // 2 + shift for n, shift in zip(size, each_axis(origin, len(size)), strict=True)]
    after = [n - 1 - b for n, b in zip(size, before, strict=True)]
    wide = extended(x, before, after, modes_of(mode, len(size)), cval)
    made = np.empty_like(wide)
    bind(wide.shape, wide.dtype, wide.dtype, size=size, mode="nearest", cval=0.0)(wide, made)
    middle = [slice(n // 2, n // 2 + side) for n, side in zip(size, x.shape[-len(size) :], strict=True)]
    out[...] = made[_index(..., *middle)]


def extended(x: Array, before: Sequence[int], after: Sequence[int], modes: Sequence[str], cval: float) -> Array:
    """``x`` with the border of its last axes, so many pixels before and after it along each."""
    axes = len(modes)
    lead, sides = x.shape[:-axes], x.shape[-axes:]
    wide = np.empty((*lead, *(b + n + a for b, n, a in zip(before, sides, after, strict=True))), x.dtype)
    inside = [slice(b, b + n) for b, n in zip(before, sides, strict=True)]
    wide[_index(..., *inside)] = x
    for axis in reversed(range(axes)):  # those behind are complete, those in front come later
        table = border_index(sides[axis], before[axis], after[axis], modes[axis])
        beyond = np.r_[: before[axis], before[axis] + sides[axis] : table.size]
        made = wide[_index(..., *inside[:axis], *(slice(None),) * (axes - axis))]
        line = np.moveaxis(made, len(lead) + axis, 0)
        shown = table[beyond]
        line[beyond[shown >= 0]] = line[before[axis] + shown[shown >= 0]]
        if modes[axis] == "constant":
            line[beyond] = cval
    return wide


def _index(*parts: Any) -> Any:
    """NumPy's index of these parts."""
    return parts
