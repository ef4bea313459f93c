"""Each image's histogram becomes a reference's: a table from value to value, or, of floats, from rank to value.

Integers and floats that are whole numbers (HU) or have few values (HU times a slope) are counted value by value, and
one pass looks their new values up. The table is short beside the image, whose pixels are sorted only where they have
many values (``_histogram/order``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels import reference as plain
from ctkernels.cpu._core.chosen import chosen
from ctkernels.cpu._core.jit import jit, one_type
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.spread import each_image, pointwise
from ctkernels.cpu._core.viewed import flat, viewed
from ctkernels.cpu._histogram.distinct import Distinct, distinct, occurrences
from ctkernels.cpu._histogram.order import in_order
from ctkernels.cpu._histogram.ranks import levels_of, write_levels
from ctkernels.cpu._histogram.values import value_counts, whole_numbers
from ctkernels.shared.keys import Pair

Array = NDArray[Any]
_PIXEL_NANOSECONDS = 1.0
_ALL = np.empty(0, np.uint8)
"""The mask that leaves no pixel out."""


@jit
def look_up(codes, out, first, table):
    """``out = table[codes - first]`` for unsigned codes, whose difference wraps around as the type does."""
    pixels = flat(codes)
    results = flat(out)
    done = 0
    if codes.itemsize == 1:  # eight a load
        words = viewed(pixels, np.uint64(0))
        byte = np.uint64(255)
        for i in range(words.size):
            w = words[i]
            for k in range(8):
                results[8 * i + k] = table[((w >> np.uint64(8 * k)) - np.uint64(first)) & byte]
        done = 8 * words.size
    for i in range(done, pixels.size):
        results[i] = table[np.uint64(codes.dtype.type(pixels[i] - first))]


def bits(x: Array) -> Array:
    """The same memory as unsigned numbers: compiled code need not know what they mean."""
    return x.view(np.dtype(f"u{x.itemsize}"))


def bind(
    shape: tuple[int, ...],
    image: np.dtype[Any],
    result: np.dtype[Any],
    *,
    reference: tuple[Array, Array],
    value_range: Pair | None,
    where: Array | None = None,
) -> Callable[[Array, Array], None]:
    """``match_histogram`` for images of this shape and these dtypes, with its parameters."""
    values, shares = reference
    ends = value_range or (-np.inf, np.inf)

    def in_result(levels: Array) -> Array:
        if levels.dtype == result:
            return levels
        table = np.empty(levels.size, result)
        plain.store(levels, table)
        return table

    def by_table(x: Array, out: Array, counts: Array, low: int, keep: Array | None) -> None:
        if keep is not None:
            counts = np.zeros(counts.size, np.int64)
            inside = value_counts(chosen(x, keep)) if keep.any() else None
            if inside is not None:
                counts[inside[1] - low :][: inside[0].size] = inside[0]
        elif value_range is not None:
            counts = counts.astype(np.int64)
        if value_range is not None:
            of_values = np.arange(low, low + counts.size, dtype=np.float64)
            counts[(of_values < value_range[0]) | (of_values > value_range[1])] = 0
        levels = np.empty(counts.size)
        levels_of(counts, shares, values, levels)
        table = in_result(levels)
        if image.kind == "f":
            numbers = scratch("whole numbers", x.size, np.int16)
            whole_numbers(x, numbers)
            codes = numbers.reshape(x.shape)
        else:
            codes = x
        codes = bits(codes)
        pointwise(look_up, codes, bits(out), codes.dtype.type(low & (256**codes.itemsize - 1)), bits(table))

    def mask_of(keep: Array | None) -> Array:
        return _ALL if keep is None else one_type(keep).view(np.uint8).reshape(-1)

    def by_values(out: Array, found: Distinct, keep: Array | None) -> None:
        counts = occurrences(found, mask_of(keep))
        low, high = ends
        counts[~((found.values >= low) & (found.values <= high) & np.isfinite(found.values))] = 0
        levels = np.empty(counts.size)
        levels_of(counts, shares, values, levels)
        levels[np.isnan(found.values)] = values[0] if result.kind in "iu" else np.nan
        table = in_result(levels[found.places])
        pointwise(look_up, found.codes.reshape(out.shape), bits(out), np.uint16(0), bits(table))

    def by_rank(x: Array, out: Array, keep: Array | None) -> None:
        pixels, mask = x.reshape(-1), mask_of(keep)
        nothing = values[0] if result.kind in "iu" else np.nan
        levels = out.reshape(-1) if result.kind == "f" else scratch("levels", x.size, np.float64)
        write_levels(*in_order(pixels), mask, ends, shares, values, nothing, levels)
        if result.kind != "f":
            plain.store(levels, out.reshape(-1))

    def one(x: Array, out: Array, i: int = 0) -> None:
        keep = None if where is None else where[i]
        coded = value_counts(x)
        if coded is not None:
            by_table(x, out, *coded, keep)
        elif (found := distinct(x.reshape(-1))) is not None:
            by_values(out, found, keep)
        else:
            by_rank(x, out, keep)

    def run(x: Array, out: Array) -> None:
        x = one_type(x)
        if shape[0] == 1:
            one(x, out)
        else:
            each_image(x, _PIXEL_NANOSECONDS, lambda i: one(x[i : i + 1], out[i : i + 1], i))

    return run


def match_histogram(x: Array, out: Array, **params: Any) -> None:
    """See :func:`ctkernels.reference.match_histogram`."""
    bind(x.shape, x.dtype, out.dtype, **params)(x, out)
