"""Counts between edges, equal to ``numpy.histogram``: by a table from value to bin for whole numbers, else by position.

Images of 8- and 16-bit integers, and float images of whole numbers that int16 holds (HU), are counted value by value;
a table then sums the values into bins, so that pixels exactly on an edge cost nothing. Other floats are counted by
position (``_histogram_float``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels import reference
from ctkernels.cpu._histogram_float import BLOCK, LARGEST_ERROR, count_floats, estimate_error
from ctkernels.cpu._histogram_values import value_counts
from ctkernels.cpu._jit import jit, one_type
from ctkernels.cpu._pointwise_images import LARGEST_BAND, each_image, in_bands, threads_pay
from ctkernels.cpu._scratch import scratch

_FIRST = -32768
_VALUES = 65536 + 32768
"""Tables reach from -32768 to 65535."""

_MANY = 16384
"""Bins; beyond, one bank: more would not stay in cache, and neighbours seldom share a bin."""

_tables: dict[tuple[Any, ...], NDArray[np.int32]] = {}


@jit
def fill_table(edges, table):  # type: ignore[no-untyped-def]
    """Bin of each whole number from -32768 on; -1 outside the edges. The last bin includes its right edge."""
    bins = edges.size - 1
    k = 0
    for i in range(table.size):
        v = np.float64(i - 32768)
        while k < bins - 1 and v >= edges[k + 1]:
            k += 1
        table[i] = k if (v >= edges[0]) & (v <= edges[bins]) else -1


@jit
def sum_into_bins(values, table, counts):  # type: ignore[no-untyped-def]
    """The count of each bin from that of each value."""
    counts[:] = 0
    for v in range(values.size):
        c = values[v]
        k = table[v]
        if c and k >= 0:
            counts[k] += np.int64(c)


def _table(edges: NDArray[Any]) -> NDArray[np.int32]:
    """Equidistant edges are known by their ends, number and dtype."""
    name = (float(edges[0]), float(edges[-1]), edges.size, edges.dtype.char)
    table = _tables.get(name)
    if table is None:
        table = np.empty(_VALUES, np.int32)
        fill_table(edges, table)
        if len(_tables) >= 32:
            _tables.clear()
        _tables[name] = table
    return table


def _count(image: NDArray[Any], edges: NDArray[Any], counts: NDArray[np.int64]) -> None:
    coded = value_counts(image)
    if coded is not None:
        values, zero = coded
        sum_into_bins(values, _table(edges)[zero - _FIRST :], counts)
        return
    error = estimate_error(edges)
    if error >= LARGEST_ERROR:
        reference.histogram(image, counts[None], edges=edges)
        return
    bins = edges.size - 1
    left = np.concatenate([edges[:-1], np.full(2, np.nan, edges.dtype)])
    banks = scratch("position counts", (bins + 1) * (4 if bins <= _MANY else 1), np.uint32)
    index, flags = scratch("positions", BLOCK, np.int32), scratch("flags", BLOCK, np.int8)
    count_floats(image, left, float(edges[-1]), error, counts, banks, index, flags)


def histogram(x: NDArray[Any], out: NDArray[np.int64], *, edges: NDArray[Any]) -> None:
    """See :func:`ctkernels.reference.histogram`."""
    x = one_type(x)
    edges = one_type(edges)
    bins = edges.size - 1

    def part(band: NDArray[Any]) -> NDArray[np.int64]:
        counts = np.empty(bins, np.int64)
        _count(band, edges, counts)
        return counts

    def body(i: int) -> None:
        if x[i].size < LARGEST_BAND and not threads_pay(x[i].size, 0.5):
            _count(x[i : i + 1], edges, out[i])
        else:
            np.sum(in_bands(x[i : i + 1], 0.5, part), axis=0, out=out[i])

    each_image(x, 0.6, body)
