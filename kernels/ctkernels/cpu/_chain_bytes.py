"""Chains that begin with a window to uint8, as one compiled function: many slices, no return to the interpreter.

Two Python threads that enter and leave five kernels a slice wait for each other's interpreter lock: 2 threads then took
.71 of the time of 1 instead of .5. Here a thread takes some slices through the whole chain in one call.

After the window may come, in any order and each at most once: a 3x3 median, a Gaussian, CLAHE with 256 bins over the
whole type, a histogram. Every other chain runs link by link (``chain``); both give the same bits, as both call the
same kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._clahe.band import PAD, equalize
from ctkernels.cpu._clahe.plan import plan as clahe_plan
from ctkernels.cpu._clahe.tables import BANKS
from ctkernels.cpu._core.jit import jit, one_type
from ctkernels.cpu._core.pointwise import line_to_integer
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._gaussian.band import band as gaussian_band
from ctkernels.cpu._gaussian.plan import leaves_type
from ctkernels.cpu._gaussian.plan import plan as gaussian_plan
from ctkernels.cpu._histogram.values import CELLS, count_bytes
from ctkernels.cpu._median import small
from ctkernels.cpu._median.rows import PIXELS
from ctkernels.shared.clahe_tiles import clip_pixels
from ctkernels.shared.gaussian_weights import fill_value
from ctkernels.shared.lines import window_line

Array = NDArray[Any]
_MEDIAN, _GAUSSIAN, _CLAHE, _HISTOGRAM = range(4)
_CODES = {"median_filter": _MEDIAN, "gaussian_filter": _GAUSSIAN, "clahe": _CLAHE, "histogram": _HISTOGRAM}
_BYTE = np.dtype(np.uint8)
_SINGLE = np.dtype(np.float32)
_BINS = 256
_median3 = small.kernel(3, 3)


@jit
def slices(x, out, counts, i0, i1, program, line, median, gaussian, clahe, histogram, planes):
    """Slices ``i0 .. i1 - 1`` of ``x`` through a window and then the ``program``; tuples hold each step's arguments."""
    height = x.shape[1]
    for i in range(i0, i1):
        current = planes[0:1]
        free = planes[1:2]
        result = out[i : i + 1]
        images = 0
        for code in program:
            images += code != _HISTOGRAM
        if images == 0:
            current = result
        line_to_integer(x[i : i + 1], current, *line)
        for code in program:
            if code == _HISTOGRAM:
                count_bytes(current, histogram[0])
                counts[i] = 0
                for value in range(_BINS):
                    k = histogram[1][value]
                    if k >= 0:
                        counts[i, k] += np.int64(histogram[0][value])
                continue
            images -= 1
            target = result if images == 0 else free
            if code == _MEDIAN:
                _median3(current.reshape(-1), target.reshape(-1), 0, 0, height, height, *median)
            elif code == _GAUSSIAN:
                gaussian_band(current, target, 0, 0, height, *gaussian)
            else:
                equalize(current, target, (0, 0, clahe[0]), clahe[1], clahe[2])
            free = current
            current = target


def fits(x: Array, links: Sequence[tuple[str, np.dtype[Any] | None, Mapping[str, Any]]]) -> bool:
    """Whether ``slices`` does this chain; ``links`` are operation, dtype and parameters as in ``chain.Link``."""
    operation, dtype, values = links[0]
    if operation != "window" or dtype != _BYTE or values["function"] == "sigmoid":
        return False
    if window_line(**values, dtype=_BYTE) is None:
        return False
    names = [link[0] for link in links[1:]]
    if len(set(names)) < len(names) or not set(names) <= set(_CODES):
        return False
    parameters = {name: values for name, _, values in links[1:]}
    median, clahe = parameters.get("median_filter"), parameters.get("clahe")
    return (
        (median is None or median["size"] == (3, 3))
        and (clahe is None or (clahe["nbins"] == _BINS and clahe["value_range"] is None))
        and x[0].size < 1 << 30  # counters have 32 bits
    )


def runner(
    x: Array, out: Array, links: Sequence[tuple[str, np.dtype[Any] | None, Mapping[str, Any]]], counts: Array | None
) -> Callable[[int, int], None]:
    """A function that does slices ``i0 .. i1 - 1`` on the thread that calls it."""
    shape = (x.shape[1], x.shape[2])
    pixels = one_type(x)
    parameters = {name: values for name, _, values in links[1:]}
    program = np.array([_CODES[link[0]] for link in links[1:]], np.int64)
    line = tuple(window_line(**links[0][2], dtype=_BYTE) or ())
    into = counts if counts is not None else np.zeros((x.shape[0], 0), np.int64)

    def body(i0: int, i1: int) -> None:
        planes = scratch("chain planes", 2 * shape[0] * shape[1], np.uint8).reshape(2, *shape)
        slices(
            pixels, out, into, i0, i1, program, line,
            _median_arguments(shape, parameters.get("median_filter")),
            _gaussian_arguments(shape, parameters.get("gaussian_filter")),
            _clahe_arguments(shape, parameters.get("clahe")),
            _histogram_arguments(parameters.get("histogram")),
            planes,
        )  # fmt: skip

    return body


def _median_arguments(shape: tuple[int, int], values: Mapping[str, Any] | None) -> tuple[Any, ...]:
    mode, cval = ("nearest", 0.0) if values is None else (values["mode"], values["cval"])
    outside = small._NOTHING["u1"] if mode != "constant" else small._key_of(cval, "u1", PIXELS)
    setting = small._setting(shape, (3, 3), mode, "u1")
    table = scratch("median.table", setting.table, np.int64)
    lines = scratch("median.lines", setting.scratch, np.uint8)
    return (PIXELS, setting.row_of, setting.column_of, outside, table, lines)


def _gaussian_arguments(shape: tuple[int, int], values: Mapping[str, Any] | None) -> tuple[Any, ...]:
    if values is None:
        values = {"sigma": (1.0, 1.0), "truncate": 1.0, "mode": "nearest", "cval": 0.0}
    wild = leaves_type(_BYTE, values["mode"], values["cval"])
    p = gaussian_plan(*shape, _SINGLE, values["sigma"], values["truncate"], values["mode"], wild)
    memory = scratch("gaussian", p.scratch_bytes(shape[0]), np.uint8)
    return (p.layout, p.places, p.weights, fill_value(_BYTE, _SINGLE, values["cval"]), memory)


def _clahe_arguments(shape: tuple[int, int], values: Mapping[str, Any] | None) -> tuple[Any, ...]:
    grid, clip_limit = ((1, 1), 0.0) if values is None else (values["tile_grid"], values["clip_limit"])
    p = clahe_plan(*shape, grid)
    ranges = scratch("clahe ranges", 4 * grid[0] * grid[1], np.int64).reshape(2, *grid, 2)
    ranges[..., 0] = 0
    ranges[..., 1] = _BINS - 1
    hist = scratch("clahe histogram", BANKS * _BINS, np.int32)
    hist.fill(0)
    tables = scratch("clahe tables", 2 * grid[1] * (_BINS + PAD), np.uint8)
    packed = scratch("clahe packed", 4 * _BINS, np.uint8)
    limit = clip_pixels(clip_limit, p.tile[0] * p.tile[1], _BINS)
    ends = (np.int32(0), np.int32(_BINS - 1))
    return grid[0] + 1, (p.table, p.weights, ranges, _BINS, limit, _BINS - 1, *ends), (hist, tables, packed)


def _histogram_arguments(values: Mapping[str, Any] | None) -> tuple[Any, ...]:
    """Counters, and the bin of each value: ``numpy.histogram``'s, the last one closed on the right; -1 for none."""
    edges = np.array([0.0, 1.0]) if values is None else values["edges"]
    levels = np.arange(_BINS, dtype=edges.dtype)
    table = np.minimum(np.searchsorted(edges, levels, "right") - 1, edges.size - 2)
    table[levels > edges[-1]] = -1
    return (scratch("value counts", CELLS, np.uint32), table)
