"""Map each image's range to the output range: a pass that finds the range, then one straight line."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels import reference
from ctkernels.cpu._core.jit import one_type
from ctkernels.cpu._core.pointwise import base_of, line_kernel
from ctkernels.cpu._core.spread import each_image, pointwise
from ctkernels.cpu._select.ranges import extremes, percentile_range
from ctkernels.shared.lines import Pair, clipped_line, fits


def _map(x: NDArray[Any], out: NDArray[Any], in_range: Pair, out_range: Pair) -> None:
    low, high = in_range
    line = clipped_line(low, base_of(low, x.dtype), high - low, out_range, out.dtype)
    if fits(line):
        pointwise(line_kernel(out), x, out, *line)
    else:  # a step (one value in the image) or numbers that float32 cannot hold: the plain code
        unit = reference.scale_to_unit(x.astype(np.float64), low, high)
        reference.store_unit(unit, *out_range, out)


def normalize(
    x: NDArray[Any],
    out: NDArray[Any],
    *,
    in_range: Pair | None,
    percentiles: Pair | None,
    value_range: Pair | None,
    out_range: Pair | None,
) -> None:
    """See :func:`ctkernels.reference.normalize`."""
    x = one_type(x)
    ends = out_range or reference.default_out_range(out.dtype)
    if in_range is not None:
        _map(x, out, in_range, ends)
        return

    def body(i: int) -> None:
        image, result = x[i : i + 1], out[i : i + 1]
        if percentiles is None:
            extent = extremes(image, value_range)
        else:
            extent = percentile_range(image, value_range, percentiles)
        if extent is None:
            reference.store_unit(np.where(np.isnan(image), np.nan, 0.0), *ends, result)
        else:
            _map(image, result, extent, ends)

    each_image(x, 0.3 if percentiles is None else 0.8, body)
