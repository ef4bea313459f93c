"""``histogram``, ``summary``, ``match_histogram`` and ``label_tissue`` in compiled code."""

# mypy: disable-error-code="attr-defined,no-untyped-call,no-untyped-def"
# Numba infers the types of what is compiled, and has none of its own.

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.core import types
from numba.core.errors import TypingError

from ctfast.embed._numba_arguments import (
    OUTSIDE,
    axes_of,
    image_dtype,
    is_none,
    kind_of,
    mask_of,
    open_ends,
    result_dtype,
)
from ctfast.results import Histogram
from ctkernels.contract import OPERATIONS, TISSUE_EDGES
from ctkernels.cpu import within_jit
from ctkernels.cpu import within_jit_statistics as statistics
from ctkernels.cpu.label_tissue import count_edges, count_edges_or_nan

_EVERYTHING = np.empty(0, np.uint8)


class CompiledSummary(NamedTuple):
    """The fields of ``ctfast.results.Summary``, which compiled code can't make."""

    count: Any
    mean: Any
    std: Any
    min: Any
    max: Any
    percentiles: Any
    levels: Any


def histogram(
    image: Any, bins: Any = 256, value_range: Any = None, where: Any = None, axes: Any = 2, backend: Any = None
) -> Any:
    """All of it."""
    pixel = image_dtype(image, "histogram", axes, backend)
    if pixel is None:
        return None
    number = axes_of("histogram", image, axes)
    lead = statistics.LEADS[number]
    work = kind_of(np.float32 if pixel == np.float32 and is_none(value_range) else np.float64)
    kind, own = kind_of(np.float32 if pixel == np.float32 else np.float64), is_none(value_range)
    mask, masked = mask_of("histogram", image, where), not is_none(where)

    def run(image, bins=256, value_range=None, where=None, axes=2, backend=None):
        pixels = statistics.pixels_of(image.shape, number)
        x = image.reshape((-1, pixels))
        keep = mask(where, pixels)
        if own:
            flat = statistics.kept(image.reshape(-1), keep.reshape(-1)) if masked else image.reshape(-1)
            low, high, all_finite = statistics.whole_extent(flat)
            if flat.size == 0:
                low, high = 0.0, 1.0  # NumPy's of nothing
            elif not all_finite:
                raise ValueError("ctfast.histogram of values that are not finite: give value_range")
        else:
            low, high = np.float64(value_range[0]), np.float64(value_range[1])
        edges = statistics.bin_edges(low, high, bins, kind, work)
        counts = np.zeros((len(x), bins), np.int64)
        for i in range(len(x)):
            statistics.count_between(statistics.kept(x[i], keep[i]) if masked else x[i], edges, counts[i])
        return Histogram(counts.reshape(lead(image.shape) + (bins,)), edges)

    return run


def summary(
    image: Any, percentiles: Any = (25.0, 50.0, 75.0), where: Any = None, axes: Any = 2, backend: Any = None
) -> Any:
    """A named tuple of the fields; of one image, numbers."""
    pixel = image_dtype(image, "summary", axes, backend)
    if pixel is None:
        return None
    number = axes_of("summary", image, axes)
    mask, masked = mask_of("summary", image, where), not is_none(where)
    one, lead = isinstance(percentiles, types.Number), statistics.LEADS[number]

    def run(image, percentiles=(25.0, 50.0, 75.0), where=None, axes=2, backend=None):
        pixels = statistics.pixels_of(image.shape, number)
        x = image.reshape((-1, pixels))
        keep = mask(where, pixels)
        wanted = (percentiles,) if one else percentiles
        levels = statistics.floats_of(wanted)
        counts = np.empty(len(x), np.int64)
        found = np.full((4, len(x)), np.nan)
        ranks = np.full((len(x), len(levels)), np.nan)
        for i in range(len(x)):
            seen = statistics.kept(x[i], keep[i]) if masked else x[i]
            counts[i], found[0, i], found[1, i] = statistics.moments(seen, -np.inf, np.inf)
            if counts[i]:
                found[2, i], found[3, i], _ = statistics.extent(seen, -np.inf, np.inf)
                statistics.percentiles(seen, levels, -np.inf, np.inf, ranks[i])
        before = lead(image.shape)
        return CompiledSummary(
            statistics.shaped(counts, before),
            statistics.shaped(found[0], before),
            statistics.shaped(found[1], before),
            statistics.shaped(found[2], before),
            statistics.shaped(found[3], before),
            ranks.reshape(before + (len(wanted),)),
            wanted,
        )

    return run


def match_histogram(
    image: Any, reference: Any, value_range: Any = None, where: Any = None, axes: Any = 2, dtype: Any = None,
    out: Any = None, backend: Any = None,
) -> Any:  # fmt: skip
    """References as two arrays, values and counts."""
    pixel = image_dtype(image, "match_histogram", axes, backend)
    if pixel is None:
        return None
    arrays = isinstance(reference, types.BaseTuple) and len(reference) == 2
    if not arrays or not all(isinstance(part, types.Array) and part.ndim == 1 for part in reference):
        raise TypingError(
            f"ctfast.match_histogram: reference= is {reference}: two arrays are needed in compiled code, (values, "
            "counts), as ctfast.ReferenceHistogram.load(path) has them"
        )
    result = result_dtype("match_histogram", pixel, dtype, out)
    if result.name not in OPERATIONS["match_histogram"].out_dtypes:
        raise TypingError(f"ctfast.match_histogram to {result}: {OUTSIDE}")
    kind, number, whole = kind_of(result), axes_of("match_histogram", image, axes), result.kind in "iu"
    limits = np.iinfo(result) if whole else np.finfo(result)
    floor, ceiling = float(limits.min), float(limits.max)
    mask, masked = mask_of("match_histogram", image, where), not is_none(where)
    open_low, open_high = open_ends(value_range)

    def run(image, reference, value_range=None, where=None, axes=2, dtype=None, out=None, backend=None):
        made = within_jit.place(image, out, kind)
        least = -np.inf if open_low else np.float64(value_range[0])
        most = np.inf if open_high else np.float64(value_range[1])
        pixels = statistics.pixels_of(image.shape, number)
        x, results = image.reshape((-1, pixels)), made.reshape((-1, pixels))
        keep = mask(where, pixels)
        values, shares = statistics.shares_of(reference[0], reference[1])
        levels = np.empty(pixels)
        for i in range(len(x)):
            chosen = keep[i].view(np.uint8) if masked else _EVERYTHING
            statistics.matched(x[i], chosen, least, most, values, shares, levels)
            for k in range(pixels):
                level = levels[k]
                if whole:
                    level = values[0] if np.isnan(level) else level
                    level = min(max(np.rint(level), floor), ceiling)
                results[i, k] = level
        return made

    return run


def label_tissue(image: Any, edges: Any = TISSUE_EDGES, axes: Any = None, out: Any = None, backend: Any = None) -> Any:
    """Edges as an array or a tuple."""
    pixel = image_dtype(image, "label_tissue", axes, backend)
    if pixel is None:
        return None
    if result_dtype("label_tissue", pixel, None, out) != np.uint8:
        raise TypingError(f"ctfast.label_tissue: out= of {out}: uint8 is needed")
    if not isinstance(edges, types.Array | types.BaseTuple | types.Omitted | tuple):
        raise TypingError(f"ctfast.label_tissue: edges= is {edges}: an array or a tuple is allowed")
    kind = kind_of(np.uint8)
    kernel = count_edges_or_nan if pixel.kind == "f" else count_edges

    def run(image, edges=TISSUE_EDGES, axes=None, out=None, backend=None):
        made = within_jit.place(image, out, kind)
        own, first = statistics.reached(statistics.floats_of(edges), image)
        kernel(image, made, own, first)
        return made

    return run
