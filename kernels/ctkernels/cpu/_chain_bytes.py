"""Chains that begin with a window to uint8, as one compiled function: many slices, no return to the interpreter.

Two Python threads that enter and leave five kernels a slice wait for each other's interpreter lock: 2 threads then took
.71 of the time of 1 instead of .5. Here a thread takes some slices through the whole chain in one call.

After the window may come, in any order and each at most once: a 3x3 median, a Gaussian, CLAHE with 256 bins over the
whole type, a histogram, a summary. Values are counted once for statistics of one image. Every other chain runs link by
link (``chain``); both give the same bits, as both call the same kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.contract import Link
from ctkernels.cpu._clahe.band import equalize
from ctkernels.cpu._clahe.plan import plan as clahe_plan
from ctkernels.cpu._core.jit import jit, one_type
from ctkernels.cpu._core.pointwise import line_to_integer
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.viewed import flat
from ctkernels.cpu._gaussian.band import band as gaussian_band
from ctkernels.cpu._gaussian.plan import exceeds_dtype
from ctkernels.cpu._gaussian.plan import plan as gaussian_plan
from ctkernels.cpu._histogram.codes import CELLS
from ctkernels.cpu._histogram.values import count_bytes
from ctkernels.cpu._median import small
from ctkernels.cpu._median.rows import PIXELS
from ctkernels.cpu.clahe import few_bins_memory
from ctkernels.cpu.summary import summary_of_counts
from ctkernels.shared.bin_positions import bins_of_values
from ctkernels.shared.clahe_tiles import clip_pixels
from ctkernels.shared.gaussian_weights import fill_value
from ctkernels.shared.lines import window_line

Array = NDArray[Any]
_MEDIAN, _GAUSSIAN, _CLAHE, _HISTOGRAM, _SUMMARY = range(5)
_CODES = {
    "median_filter": _MEDIAN,
    "gaussian_filter": _GAUSSIAN,
    "clahe": _CLAHE,
    "histogram": _HISTOGRAM,
    "summary": _SUMMARY,
}
_BYTE = np.dtype(np.uint8)
_SINGLE = np.dtype(np.float32)
_BINS = 256
_median3 = small.kernel(3, 3)


@jit
def _bin_counts(counters, bin_of, counts):
    """The histogram of one slice, from the counts of its 256 values."""
    counts[:] = 0
    for value in range(_BINS):
        k = bin_of[value]
        if k >= 0:
            counts[k] += np.int64(counters[value])


@jit
def _leave_out(x, image, low, high, counters):
    """Take the pixels of ``image`` out of the counts that lie in ``low .. high`` in ``x``."""
    pixels = flat(x)
    results = flat(image)
    first = x.dtype.type(low)
    last = x.dtype.type(high)
    value = np.uint8(0)  # padding lies in runs of one value; counting runs keeps stores from waiting for each other
    run = np.uint32(0)
    for start in range(0, pixels.size, 64):
        stop = min(start + 64, pixels.size)
        some = False
        for i in range(start, stop):
            some |= (pixels[i] >= first) & (pixels[i] <= last)
        if some:
            for i in range(start, stop):
                if pixels[i] >= first and pixels[i] <= last:
                    if results[i] != value:
                        counters[value] -= run
                        value = results[i]
                        run = np.uint32(0)
                    run += np.uint32(1)
    counters[value] -= run


@jit
def slices(x, out, counts, values, i0, i1, program, line, median, gaussian, clahe, histogram, planes, padding):
    """Slices ``i0 .. i1 - 1`` of ``x`` through a window and then the ``program``; tuples hold each step's arguments.

    ``counts`` gets the bins of a histogram step, ``values`` the counts of all 256 values for a summary step. Both leave
    out pixels that lie in the range ``padding`` of ``x``, if its first number is not above its second.
    """
    height = x.shape[1]
    filters = 0
    for code in program:
        filters += code < _HISTOGRAM
    for i in range(i0, i1):
        # Two planes take turns; the last step that makes an image writes the result.
        current, free, result = planes[0:1], planes[1:2], out[i : i + 1]
        left = filters
        counted = False
        if left == 0:
            current = result
        line_to_integer(x[i : i + 1], current, *line)
        for code in program:
            if code >= _HISTOGRAM:
                if not counted:
                    count_bytes(current, histogram[0])
                    if padding[0] <= padding[1]:
                        _leave_out(x[i], current, padding[0], padding[1], histogram[0])
                    counted = True
                if code == _HISTOGRAM:
                    _bin_counts(histogram[0], histogram[1], counts[i])
                else:
                    for value in range(_BINS):  # a slice's assignment brings code for its error, seconds of compiling
                        values[i, value] = histogram[0][value]
                continue
            counted = False
            left -= 1
            target = result if left == 0 else free
            if code == _MEDIAN:
                _median3(flat(current), flat(target), 0, 0, height, height, *median)
            elif code == _GAUSSIAN:
                gaussian_band(current, target, 0, 0, height, *gaussian)
            else:
                equalize(current, target, *clahe)
            free = current
            current = target


def fits(x: Array, links: Sequence[Link]) -> bool:
    """Whether ``slices`` does this chain."""
    first, *others = links
    if first.operation != "window" or first.dtype != _BYTE or first.params["function"] == "sigmoid":
        return False
    if window_line(**first.params, dtype=_BYTE) is None:
        return False
    params = {link.operation: link.params for link in others}
    if len(params) < len(others) or not set(params) <= set(_CODES):
        return False
    median, gaussian, clahe = (params.get(name) for name in ("median_filter", "gaussian_filter", "clahe"))
    return (
        (median is None or _is_plain_median(median))
        and (gaussian is None or not gaussian.get("order"))
        and (clahe is None or (clahe["nbins"] == _BINS and clahe["value_range"] is None))
        and x[0].size < 1 << 30  # counters have 32 bits
    )


def _is_plain_median(params: Mapping[str, Any]) -> bool:
    box = params["size"] == (3, 3) and params.get("footprint") is None
    return box and isinstance(params["mode"], str) and not params.get("origin")


Through = Callable[..., None]
NO_PADDING = (1.0, 0.0)


def through(shape: tuple[int, int], links: Sequence[Link]) -> Through:
    """``slices`` with all arguments that do not depend on the images, for the thread that calls this.

    It is called with ``x, out, counts, values, i0, i1, padding``.
    """
    params = {link.operation: link.params for link in links[1:]}
    program = np.array([_CODES[link.operation] for link in links[1:]], np.int64)
    line = tuple(window_line(**links[0].params, dtype=_BYTE) or ())
    planes = scratch("chain planes", 2 * shape[0] * shape[1], np.uint8).reshape(2, *shape)
    # Steps that the program has not get arguments too, any will do: one compiled function serves all chains.
    steps = (
        _median_arguments(shape, params.get("median_filter", _ANY_MEDIAN)),
        _gaussian_arguments(shape, params.get("gaussian_filter", _ANY_GAUSSIAN)),
        _clahe_arguments(shape, params.get("clahe", _ANY_CLAHE)),
        _histogram_arguments(params.get("histogram", _ANY_HISTOGRAM)),
        planes,
    )

    def do(
        x: Array, out: Array, counts: Array, values: Array, i0: int, i1: int, padding: tuple[float, float] = NO_PADDING
    ) -> None:
        slices(x, out, counts, values, i0, i1, program, line, *steps, padding)

    return do


def runner(x: Array, out: Array, links: Sequence[Link], statistics: Sequence[Array]) -> Callable[[int, int], None]:
    """A function that does slices ``i0 .. i1 - 1`` on the thread that calls it."""
    pixels = one_type(x)
    written = dict(zip((link.operation for link in links if link.is_statistic), statistics, strict=True))
    counts = written.get("histogram", np.zeros((x.shape[0], 0), np.int64))
    rows = written.get("summary")
    values = np.empty((0 if rows is None else x.shape[0], _BINS), np.uint32)
    percentiles = _percentiles(links)

    def body(i0: int, i1: int) -> None:
        through((x.shape[1], x.shape[2]), links)(pixels, out, counts, values, i0, i1)
        if rows is not None:
            for i in range(i0, i1):
                rows[i] = summary_of_counts(values[i], 0, percentiles)

    return body


def image_runner(shape: tuple[int, int], links: Sequence[Link]) -> Callable[..., None]:
    """As ``runner``, for one image ``(1, H, W)`` of this shape after the other, and only on the thread that calls this.

    It is called with ``x, out, statistics, padding``: a range of values of ``x``, which its type holds, that statistics
    leave out, but not all of the image.
    """
    do, percentiles = through(shape, links), _percentiles(links)
    names = [link.operation for link in links if link.is_statistic]
    histogram, summary = (names.index(name) if name in names else -1 for name in ("histogram", "summary"))
    no_counts, values = np.zeros((1, 0), np.int64), np.empty((0 if summary < 0 else 1, _BINS), np.uint32)

    def body(x: Array, out: Array, statistics: Sequence[Array], padding: tuple[float, float] = NO_PADDING) -> None:
        do(one_type(x), out, no_counts if histogram < 0 else statistics[histogram], values, 0, 1, padding)
        if summary >= 0:
            statistics[summary][0] = summary_of_counts(values[0], 0, percentiles)

    return body


def _percentiles(links: Sequence[Link]) -> tuple[float, ...]:
    return next((link.params["percentiles"] for link in links if link.operation == "summary"), ())


_ANY_MEDIAN = {"mode": "nearest", "cval": 0.0}
_ANY_GAUSSIAN = {"sigma": (1.0, 1.0), "truncate": 1.0, "mode": "nearest", "cval": 0.0}
_ANY_CLAHE = {"tile_grid": (1, 1), "clip_limit": 0.0}
_ANY_HISTOGRAM = {"edges": np.array([0.0, 1.0])}


def _median_arguments(shape: tuple[int, int], params: Mapping[str, Any]) -> tuple[Any, ...]:
    setting = small.setting(shape, (3, 3), params["mode"], "u1")
    outside = small.border_key(params["mode"], params["cval"], "u1", PIXELS)
    return (PIXELS, setting.row_of, setting.column_of, outside, *small.memory(setting, "u1"))


def _gaussian_arguments(shape: tuple[int, int], params: Mapping[str, Any]) -> tuple[Any, ...]:
    mode, cval = params["mode"], params["cval"]
    p = gaussian_plan(*shape, _SINGLE, params["sigma"], params["truncate"], mode, exceeds_dtype(_BYTE, mode, cval))
    memory = scratch("gaussian", p.scratch_bytes(shape[0]), np.uint8)
    return (p.layout, p.border, p.weights, fill_value(_BYTE, _SINGLE, cval), memory)


def _clahe_arguments(shape: tuple[int, int], params: Mapping[str, Any]) -> tuple[Any, ...]:
    p = clahe_plan(*shape, params["tile_grid"])
    ranges, *memory = few_bins_memory(p, _BINS, _BYTE)
    limit = clip_pixels(params["clip_limit"], p.tile[0] * p.tile[1], _BINS)
    setting = (p.table, p.weights, ranges, _BINS, limit, _BINS - 1, np.int32(0), np.int32(_BINS - 1))
    return (0, 0, p.tiles[0] + 1), setting, tuple(memory)


def _histogram_arguments(params: Mapping[str, Any]) -> tuple[Any, ...]:
    """Counters, and the bin of each value."""
    return (scratch("value counts", CELLS, np.uint32), bins_of_values(params["edges"], _BYTE))
