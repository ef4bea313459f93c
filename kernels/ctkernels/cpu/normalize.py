"""Map each image's range to the output range: a pass that finds the range, then one straight line."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels import reference
from ctkernels.cpu._core.chosen import chosen
from ctkernels.cpu._core.jit import one_type
from ctkernels.cpu._core.past_cache import goes_past
from ctkernels.cpu._core.pointwise import base_of, line_kernel
from ctkernels.cpu._core.spread import LARGEST_BAND, bound_pointwise, each_image, threads_pay
from ctkernels.cpu._select.ranges import extremes, percentile_range
from ctkernels.cpu._select.stretch import DONE, stretch
from ctkernels.shared.keys import key_bounds, sortable
from ctkernels.shared.lines import ENDLESS, Pair, clip_ends, clipped_line, fits

Array = NDArray[Any]
_PIXEL_NANOSECONDS = 0.3


def _mapping(
    pixels: int, image: np.dtype[Any], result: np.dtype[Any], in_range: Pair, out_range: Pair, clip: bool
) -> Callable[[Array, Array], None]:
    low, high = in_range
    line = clipped_line(low, base_of(low, image), high - low, out_range, result)
    if not clip:
        line = line._replace(**dict(zip(("floor", "ceiling"), clip_ends(ENDLESS, result), strict=True)))
    if fits(line):
        return bound_pointwise(line_kernel(result, pixels), *line)

    # A step (one value in the image) or numbers that float32 cannot hold: the plain code.
    def plainly(x: Array, out: Array) -> None:
        unit = reference.scale_to_unit(x.astype(np.float64), low, high, clip)
        reference.store_unit(unit, *out_range, out)

    return plainly


def bind(
    shape: tuple[int, ...],
    image: np.dtype[Any],
    result: np.dtype[Any],
    *,
    in_range: Pair | None,
    percentiles: Pair | None,
    value_range: Pair | None,
    out_range: Pair | None,
    clip: bool = True,
    where: Array | None = None,
) -> Callable[[Array, Array], None]:
    """``normalize`` for images of this shape and these dtypes, with its parameters."""
    ends = out_range or reference.default_out_range(result)
    if in_range is not None:
        return _mapping(prod(shape), image, result, in_range, ends, clip)

    def by_parts(x: Array, out: Array, i: int = 0) -> None:
        pixels = x if where is None else chosen(x, where[i])
        if percentiles is None:
            extent = extremes(pixels, value_range)
        else:
            extent = percentile_range(pixels, value_range, percentiles) if pixels.size else None
        if extent is None:
            reference.store_unit(np.where(np.isnan(x), np.nan, 0.0), *ends, out)
        else:
            _mapping(prod(shape), image, result, extent, ends, clip)(x, out)

    line = (*key_bounds(image, value_range), ends[0], ends[1] - ends[0], *clip_ends(ends if clip else ENDLESS, result))
    pixels = shape[-2] * shape[-1]

    def whole(x: Array, out: Array, _: int = 0) -> None:
        apart = goes_past(result, pixels) or threads_pay(pixels, _PIXEL_NANOSECONDS)
        if apart or stretch(x, sortable(x), out, *line) != DONE:
            by_parts(x, out)

    one = by_parts if percentiles is not None or pixels >= LARGEST_BAND or where is not None else whole
    cost = _PIXEL_NANOSECONDS if percentiles is None else 0.8

    def run(x: Array, out: Array) -> None:
        x = one_type(x)
        if shape[0] == 1:
            one(x, out)
        else:
            each_image(x, cost, lambda i: one(x[i : i + 1], out[i : i + 1], i))

    return run


def normalize(x: Array, out: Array, **params: Any) -> None:
    """See :func:`ctkernels.reference.normalize`."""
    bind(x.shape, x.dtype, out.dtype, **params)(x, out)
