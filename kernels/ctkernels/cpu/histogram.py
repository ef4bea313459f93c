"""Counts between edges, equal to ``numpy.histogram``.

Integers, and floats that are whole numbers (HU: such pixels lie on edges all the time), are counted value by value
(``_histogram/values``), and a table sums the values into bins. Other floats go by position, two pixels at a time up to
256 bins (``_histogram/pairs``), else one by one (``_histogram/floats``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels import reference
from ctkernels.cpu._core.chosen import chosen
from ctkernels.cpu._core.jit import jit, one_type
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.spread import each_image, in_bands, is_one_band
from ctkernels.cpu._histogram import pairs
from ctkernels.cpu._histogram.floats import BLOCK, count_floats
from ctkernels.cpu._histogram.plan import FIRST_VALUE, Plan, plan_of
from ctkernels.cpu._histogram.values import value_counts

Array = NDArray[Any]

_MANY = 16384
"""Bins; beyond, one bank: more would not stay in cache, and neighbours seldom share a bin."""

_PIXEL_NANOSECONDS = 0.5


@jit
def sum_into_bins(values, zero, table, span, counts):
    """The count of each bin from that of each value, the first of which is entry ``zero`` of ``table``.

    ``span`` is that of the plan: up to its second entry values are bins, and a copy is all.
    """
    counts[:] = 0
    first = max(span[0], zero)
    end = min(span[2], zero + values.size)
    alone = max(min(span[1], end), first)
    if alone > first:
        part = values[first - zero : alone - zero]
        bins = counts[table[first] :]
        for i in range(part.size):
            bins[i] = np.int64(part[i])
    if end > alone:
        part = values[alone - zero : end - zero]
        bin_of = table[alone:end]
        for i in range(part.size):
            counts[np.uint32(bin_of[i])] += np.int64(part[i])


def _count_image(image: Array, plan: Plan, edges: Array, counts: NDArray[np.int64]) -> None:
    bins = edges.size - 1
    coded = value_counts(image)
    if coded is not None:
        values, zero = coded
        sum_into_bins(values, zero - FIRST_VALUE, plan.table, plan.span, counts)
    elif plan.error < np.inf and bins <= pairs.MOST_BINS and pairs.pays(image.size):
        cells = scratch("pair counts", pairs.CELLS, np.uint32)
        index, flags = scratch("byte positions", BLOCK, np.uint8), scratch("flags", BLOCK, np.int8)
        pairs.count_pairs(image, plan.edges, plan.ends, counts, cells, index, flags)
    elif plan.error < np.inf:
        banks = scratch("position counts", (bins + 1) * (4 if bins <= _MANY else 1), np.uint32)
        index, flags = scratch("positions", BLOCK, np.int32), scratch("flags", BLOCK, np.int8)
        count_floats(image, plan.edges, plan.ends, counts, banks, index, flags)
    else:
        reference.histogram(image, counts[None], edges=edges)


def bind(
    shape: tuple[int, ...], image: np.dtype[Any], _: Any, *, edges: Array, where: Array | None = None
) -> Callable[[Array, NDArray[np.int64]], None]:
    """``histogram`` for images of this shape and dtype, between these edges."""
    edges = one_type(edges)
    plan = plan_of(edges, image)

    def part(band: Array) -> NDArray[np.int64]:
        counts = np.empty(edges.size - 1, np.int64)
        _count_image(band, plan, edges, counts)
        return counts

    def one(x: Array, counts: NDArray[np.int64], i: int) -> None:
        if where is not None:
            x = chosen(x, where[i])
        if x.size == 0:
            counts[...] = 0
        elif is_one_band(x, _PIXEL_NANOSECONDS):
            _count_image(x, plan, edges, counts)
        else:
            np.sum(in_bands(x, _PIXEL_NANOSECONDS, part), axis=0, out=counts)

    def run(x: Array, out: NDArray[np.int64]) -> None:
        x = one_type(x)
        if shape[0] == 1:
            one(x, out[0], 0)
        else:
            each_image(x, _PIXEL_NANOSECONDS, lambda i: one(x[i : i + 1], out[i], i))

    return run


def histogram(x: Array, out: NDArray[np.int64], *, edges: Array, where: Array | None = None) -> None:
    """See :func:`ctkernels.reference.histogram`."""
    bind(x.shape, x.dtype, out.dtype, edges=edges, where=where)(x, out)
