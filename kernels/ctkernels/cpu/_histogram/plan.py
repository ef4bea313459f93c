"""What histograms of one set of edges need besides the image, kept between calls."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit
from ctkernels.shared.bin_positions import position_error

FIRST_VALUE = -32768
_VALUES = 65536 + 32768
"""Tables reach from -32768 to 65535."""

_MOST_PLANS = 32


class Plan(NamedTuple):
    """``edges``: the left edge of each bin and two NaN, which no pixel reaches; ``ends``: see ``locate_bytes``."""

    table: NDArray[np.int32]
    span: tuple[int, int, int]
    """Of the table: first entry inside the edges, one past those that have a bin each, one past the last inside."""
    edges: NDArray[Any]
    ends: NDArray[Any]
    error: float


_plans: dict[tuple[Any, ...], Plan] = {}


@jit
def fill_table(edges, table):
    """Bin of each whole number from -32768 on; -1 outside the edges. The last bin includes its right edge."""
    bins = edges.size - 1
    k = 0
    for i in range(table.size):
        v = np.float64(i - 32768)
        while k < bins - 1 and v >= edges[k + 1]:
            k += 1
        table[i] = k if (v >= edges[0]) & (v <= edges[bins]) else -1


def plan_of(edges: NDArray[Any], image_dtype: np.dtype[Any]) -> Plan:
    """The plan for equidistant edges, which are known by their number, dtype and ends.

    The ends of float32 edges are rounded: different edges may have the same, so all are compared.
    """
    name = (float(edges[0]), float(edges[-1]), edges.size, edges.dtype.char, image_dtype.char)
    plan = _plans.get(name)
    if plan is None or (edges.dtype.char == "f" and not (plan.edges[:-2] == edges[:-1]).all()):
        if len(_plans) >= _MOST_PLANS:
            _plans.clear()
        plan = _plans[name] = _new_plan(edges, image_dtype)
    return plan


def _new_plan(edges: NDArray[Any], image_dtype: np.dtype[Any]) -> Plan:
    table = np.empty(_VALUES, np.int32)
    fill_table(edges, table)
    span = _span(table)
    left = np.concatenate([edges[:-1], np.full(2, np.nan, edges.dtype)])
    number = edges.dtype
    error = math.inf if image_dtype.kind in "iu" else position_error(edges, number)
    bins = edges.size - 1
    if error == math.inf:
        return Plan(table, span, left, np.zeros(5, number), error)
    scale = bins / (float(edges[-1]) - float(edges[0]))
    ends = np.array([edges[0], edges[-1], scale, 0, bins - 1], number)
    # Positions rise with the values: right at every edge and just before it, they are right everywhere.
    at, k = edges[1:-1], np.arange(1, bins)
    before = np.nextafter(at, number.type(-np.inf))
    exact = bool((_bins_by_position(at, ends) == k).all() and (_bins_by_position(before, ends) == k - 1).all())
    error = 0.0 if exact else error
    ends[3] = error
    return Plan(table, span, left, ends, error)


def _span(table: NDArray[np.int32]) -> tuple[int, int, int]:
    inside = np.flatnonzero(table >= 0)
    if not inside.size:
        return 0, 0, 0
    first, end = int(inside[0]), int(inside[-1]) + 1
    shared = np.flatnonzero(np.diff(table[first:end]) != 1)
    # The last bin holds its right edge too.
    return first, first + int(shared[0]) + 1 if shared.size else end, end


def _bins_by_position(values: NDArray[Any], ends: NDArray[Any]) -> NDArray[np.int64]:
    return np.clip((values - ends[0]) * ends[2], 0, ends[4]).astype(np.int64)
