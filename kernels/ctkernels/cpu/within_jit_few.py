"""Ranks without lists for a user's own compiled code (see ``within_jit``): ``_median.selection`` and ``extremes``."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit, jit_inline, jit_named
from ctkernels.cpu._core.vectors import VECTOR_BYTES, round_up
from ctkernels.cpu._median import extremes, selection
from ctkernels.cpu._median.programs import Pixel
from ctkernels.cpu.within_jit import aligned, shows_constant
from ctkernels.cpu.within_jit_ranks import borders_of, rows_seen

Array = NDArray[Any]


@jit_inline
def _serves(x, borders, cval, floats):
    """``selection.serves``, compiled."""
    plain = not (floats and shows_constant(borders)) or selection.is_plain(np.float64(cval))
    return x.shape[3] >= selection.lanes_of(x.itemsize) and plain


@jit_inline
def _outside(x, borders, cval):
    """``selection.border_pixel``, compiled."""
    outside = np.zeros(1, x.dtype)
    if shows_constant(borders):
        outside[0] = cval
    return outside


@lru_cache(maxsize=64)
def selected_volumes(count: int, rank: int) -> Callable[..., bool]:
    """One rank of a window of so many ``pixels``; False if some pixel of an image is NaN or -0, or rows are short."""
    filter_rows = selection.filter_rows_of(count, rank)

    def selected(x, out, pixels, window, borders, cval, floats):
        number, depth, height, width = x.shape
        _, reach, _, span, low, high = window
        if not _serves(x, borders, cval, floats):
            return False
        planes, tall = high - low + 1, height + span - 1
        stride = round_up(width + 2 * reach, 64 // x.itemsize)
        plane, row, plane_of, row_of, column_of = borders_of((depth, height, width), window[1:], borders)
        keys = aligned(span * planes * stride * x.itemsize).view(x.dtype)
        places, seen = np.empty(count, np.int64), np.empty(planes * tall, np.int64)
        image, target, outside = x.reshape(-1), out.reshape(-1), _outside(x, borders, cval)
        for n in range(number):
            for z in range(depth):
                rows_seen(seen, planes, plane_of, z + plane, row_of, row, n * depth, height, tall)
                top = (n * depth + z) * height
                if not filter_rows(
                    0, image, target, top, height, seen, tall, column_of, reach, span, pixels, outside, stride, keys,
                    places,
                ):  # fmt: skip
                    return False
        return True

    return jit_named(selected, f"selected_volumes_{rank}_of_{count}")


class Extremes(NamedTuple):
    """What ``extreme_volumes`` takes of a window."""

    steps: Array
    refs: Array
    depths: Array
    begins: Array
    window: tuple[int, ...]
    """The first of ``refs`` that results take, columns of border, rows above, rows that it sees, first, last plane."""


def extremes_of(window: tuple[Pixel, ...], itemsize: int) -> Extremes:
    """For the pixels of a window."""
    made = extremes.plan(window)
    reach = (made.results, made.reach, made.above, made.span, *made.planes)
    return Extremes(made.steps, made.sources * [1, 1, itemsize], made.depths, made.begins, reach)


@jit
def extreme_volumes(x, out, least, steps, refs, depths, begins, window, borders, cval, floats):
    """The smallest or largest pixel of windows; False if some pixel of an image is NaN or -0, or rows are short."""
    number, depth, height, width = x.shape
    results, reach, _, span, low, high = window
    if not _serves(x, borders, cval, floats):
        return False
    planes, tall = high - low + 1, height + span - 1
    together = extremes.VECTORS * VECTOR_BYTES // x.itemsize
    stride = extremes.stride_of(width, reach, x.itemsize)
    plane, row, plane_of, row_of, column_of = borders_of((depth, height, width), window[1:], borders)
    keys = aligned(((begins[-1] + 2) * stride + together) * x.itemsize).view(x.dtype)
    made = aligned((1 if width >= together else together) * x.itemsize).view(x.dtype)
    places, slots = np.empty(refs.shape[0], np.int64), np.empty(depths.size, np.int64)
    seen = np.empty(planes * tall, np.int64)
    image, target, outside = x.reshape(-1), out.reshape(-1), _outside(x, borders, cval)
    for n in range(number):
        for z in range(depth):
            rows_seen(seen, planes, plane_of, z + plane, row_of, row, n * depth, height, tall)
            top = (n * depth + z) * height
            if not extremes.filter_rows(
                image, target, top, height, seen, tall, column_of, reach, span, least, steps, refs, results, depths,
                begins, slots, outside, stride, keys, made, places,
            ):  # fmt: skip
                return False
    return True
