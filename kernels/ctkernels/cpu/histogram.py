"""Counts between edges, equal to ``numpy.histogram``.

Integers, and floats that are whole numbers (HU: such pixels lie on edges all the time), are counted value by value
(``_histogram/values``), and a table sums the values into bins. Other floats go by position, two pixels at a time up to
256 bins (``_histogram/pairs``), else one by one (``_histogram/floats``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels import reference
from ctkernels.cpu._core.jit import jit, one_type
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.spread import LARGEST_BAND, each_image, in_bands, threads_pay
from ctkernels.cpu._histogram import pairs
from ctkernels.cpu._histogram.floats import BLOCK, count_floats
from ctkernels.cpu._histogram.plan import FIRST_VALUE, plan_of
from ctkernels.cpu._histogram.values import value_counts

_MANY = 16384
"""Bins; beyond, one bank: more would not stay in cache, and neighbours seldom share a bin."""

_PIXEL_NANOSECONDS = 0.5


@jit
def sum_into_bins(values, table, counts):
    """The count of each bin from that of each value."""
    counts[:] = 0
    for v in range(values.size):
        c = values[v]
        k = table[v]
        if c and k >= 0:
            counts[k] += np.int64(c)


def _count_image(image: NDArray[Any], edges: NDArray[Any], counts: NDArray[np.int64]) -> None:
    plan = plan_of(edges, image.dtype)
    bins = edges.size - 1
    coded = value_counts(image)
    if coded is not None:
        values, zero = coded
        sum_into_bins(values, plan.table[zero - FIRST_VALUE :], counts)
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


def histogram(x: NDArray[Any], out: NDArray[np.int64], *, edges: NDArray[Any]) -> None:
    """See :func:`ctkernels.reference.histogram`."""
    x = one_type(x)
    edges = one_type(edges)

    def part(band: NDArray[Any]) -> NDArray[np.int64]:
        counts = np.empty(edges.size - 1, np.int64)
        _count_image(band, edges, counts)
        return counts

    def body(i: int) -> None:
        image = x[i : i + 1]
        if image.size < LARGEST_BAND and not threads_pay(image.size, _PIXEL_NANOSECONDS):
            _count_image(image, edges, out[i])
        else:
            np.sum(in_bands(image, _PIXEL_NANOSECONDS, part), axis=0, out=out[i])

    each_image(x, _PIXEL_NANOSECONDS, body)
