"""``rescale``, ``window``, ``normalize`` and ``standardize`` in compiled code."""

# mypy: disable-error-code="attr-defined,no-untyped-call,no-untyped-def"
# Numba infers the types of what is compiled, and has none of its own.

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core.errors import TypingError

from ctfast.embed._numba_arguments import (
    OUTSIDE,
    axes_of,
    constant,
    image_dtype,
    is_none,
    kind_of,
    mask_of,
    open_ends,
    result_dtype,
)
from ctkernels.contract import OPERATIONS, VOI_FUNCTIONS
from ctkernels.cpu import within_jit
from ctkernels.cpu import within_jit_statistics as statistics
from ctkernels.cpu._core.pointwise import line_to_float, line_to_integer
from ctkernels.cpu._core.sigmoid import sigmoid_kernel
from ctkernels.cpu.rescale import rescale_to_float, rescale_to_int16
from ctkernels.cpu.standardize import scores
from ctkernels.reference import default_out_range


def rescale(
    image: Any, slope: Any = 1.0, intercept: Any = 0.0, axes: Any = None, dtype: Any = None, out: Any = None,
    backend: Any = None,
) -> Any:  # fmt: skip
    pixel = image_dtype(image, "rescale", axes, backend)
    if pixel is None:
        return None
    result = result_dtype("rescale", pixel, dtype, out)
    if result.name not in OPERATIONS["rescale"].out_dtypes:
        raise TypingError(f"ctfast.rescale to {result}: {', '.join(OPERATIONS['rescale'].out_dtypes)} are allowed")
    kind = kind_of(result)
    kernel = rescale_to_int16 if result == np.int16 else rescale_to_float
    number: Any = np.float32 if result == np.float32 and pixel != np.float64 else np.float64

    def run(image, slope=1.0, intercept=0.0, axes=None, dtype=None, out=None, backend=None):
        made = within_jit.place(image, out, kind)
        kernel(image, made, number(slope), number(intercept))
        return made

    return run


def _line(name: str, image: np.dtype[Any], result: np.dtype[Any]) -> tuple[Any, Any, bool, float, float, float, float]:
    """Kernel, kind of result, whether the base is all of ``zero``, the usual ends, and where the type ends."""
    if result.name not in ("float32", "uint8", "uint16"):
        raise TypingError(f"ctfast.{name} to {result}: {OUTSIDE} (float32, uint8 and uint16 are compiled in)")
    low, high = default_out_range(result)
    floor, ceiling = (-np.inf, np.inf) if result.kind == "f" else (low, high)
    kernel = line_to_float if result.kind == "f" else line_to_integer
    return kernel, kind_of(result), image == np.float64, low, high, floor, ceiling


def window(
    image: Any, center: Any = None, width: Any = None, function: Any = "linear", out_range: Any = None,
    slope: Any = 1.0, intercept: Any = 0.0, axes: Any = None, dtype: Any = None, out: Any = None, backend: Any = None,
) -> Any:  # fmt: skip
    pixel = image_dtype(image, "window", axes, backend)
    if pixel is None:
        return None
    which = constant(function, "function")
    if which not in VOI_FUNCTIONS:
        raise TypingError(f"ctfast.window: function={which!r}: one of {', '.join(VOI_FUNCTIONS)} is allowed")
    kernel, kind, _, usual_low, usual_high, floor, ceiling = _line(
        "window", pixel, result_dtype("window", pixel, dtype, out)
    )
    usual, sigmoid = is_none(out_range), which == "sigmoid"
    less = 1.0 if which == "linear" else 0.0
    kernel = sigmoid_kernel(kind.dtype) if sigmoid else kernel

    def run(
        image,
        center=None,
        width=None,
        function="linear",
        out_range=None,
        slope=1.0,
        intercept=0.0,
        axes=None,
        dtype=None,
        out=None,
        backend=None,
    ):
        low, high = (usual_low, usual_high) if usual else (np.float64(out_range[0]), np.float64(out_range[1]))
        start = np.float64(center) if sigmoid else center - 0.5 * less - (width - less) / 2
        zero, span = (start - intercept) / slope, (width / 4 if sigmoid else width - less) / slope
        within_jit.check_line(zero, span, low, high - low)
        made = within_jit.place(image, out, kind)
        ends = (min(max(low, floor), ceiling), min(max(high, floor), ceiling))
        kernel(image, made, zero, within_jit.narrowed(zero), span, low, high - low, ends[0], ends[1])
        return made

    return run


def normalize(
    image: Any, in_range: Any = None, percentiles: Any = None, value_range: Any = None, out_range: Any = None,
    clip: Any = True, where: Any = None, axes: Any = 2, dtype: Any = None, out: Any = None, backend: Any = None,
) -> Any:  # fmt: skip
    """All of it."""
    pixel = image_dtype(image, "normalize", axes, backend)
    if pixel is None:
        return None
    result = result_dtype("normalize", pixel, dtype, out)
    kernel, kind, whole, usual_low, usual_high, floor, ceiling = _line("normalize", pixel, result)
    usual, given, ranked = is_none(out_range), not is_none(in_range), not is_none(percentiles)
    number = axes_of("normalize", image, axes)
    mask, masked = mask_of("normalize", image, where), not is_none(where)
    open_low, open_high = open_ends(value_range)

    def run(
        image,
        in_range=None,
        percentiles=None,
        value_range=None,
        out_range=None,
        clip=True,
        where=None,
        axes=2,
        dtype=None,
        out=None,
        backend=None,
    ):
        low, high = (usual_low, usual_high) if usual else (np.float64(out_range[0]), np.float64(out_range[1]))
        made = within_jit.place(image, out, kind)
        ends = (min(max(low, floor), ceiling), min(max(high, floor), ceiling)) if clip else (floor, ceiling)
        if given:
            zero = np.float64(in_range[0])
            span = in_range[1] - zero
            within_jit.check_line(zero, span, low, high - low)
            base = zero if whole else within_jit.narrowed(zero)
            kernel(image, made, zero, base, span, low, high - low, ends[0], ends[1])
            return made
        least = -np.inf if open_low else np.float64(value_range[0])
        most = np.inf if open_high else np.float64(value_range[1])
        pixels = statistics.pixels_of(image.shape, number)
        x, results = image.reshape((-1, pixels)), made.reshape((-1, pixels))
        keep = mask(where, pixels)
        pair = np.empty(2)
        for i in range(len(x)):
            seen = statistics.kept(x[i], keep[i]) if masked else x[i]
            if ranked:
                pair[0] = percentiles[0]
                pair[1] = percentiles[1]
                found = np.empty(2)
                there = statistics.percentiles(seen, pair, least, most, found) > 0
                first, last = found[0], found[1]
            else:
                first, last, there = statistics.extent(seen, least, most)
            if not there:
                first, last = np.inf, np.inf
            span = last - first
            if first == last:
                statistics.step(x[i], results[i], first, low, high - low, clip)
                continue
            within_jit.check_line(first, span, low, high - low)
            base = first if whole else within_jit.narrowed(first)
            kernel(x[i], results[i], first, base, span, low, high - low, ends[0], ends[1])
        return made

    return run


def standardize(
    image: Any, value_range: Any = None, mean: Any = None, std: Any = None, where: Any = None, axes: Any = 2,
    dtype: Any = None, out: Any = None, backend: Any = None,
) -> Any:  # fmt: skip
    """All of it."""
    pixel = image_dtype(image, "standardize", axes, backend)
    if pixel is None:
        return None
    result = result_dtype("standardize", pixel, dtype, out)
    if result.name not in OPERATIONS["standardize"].out_dtypes:
        raise TypingError(
            f"ctfast.standardize to {result}: {', '.join(OPERATIONS['standardize'].out_dtypes)} are allowed"
        )
    kind, whole, single = kind_of(result), pixel == np.float64, result == np.float32
    number = axes_of("standardize", image, axes)
    own_mean, own_std = is_none(mean), is_none(std)
    mask, masked = mask_of("standardize", image, where), not is_none(where)
    open_low, open_high = open_ends(value_range)

    def run(image, value_range=None, mean=None, std=None, where=None, axes=2, dtype=None, out=None, backend=None):
        made = within_jit.place(image, out, kind)
        least = -np.inf if open_low else np.float64(value_range[0])
        most = np.inf if open_high else np.float64(value_range[1])
        pixels = statistics.pixels_of(image.shape, number)
        x, results = image.reshape((-1, pixels)), made.reshape((-1, pixels))
        keep = mask(where, pixels)
        for i in range(len(x)):
            seen = statistics.kept(x[i], keep[i]) if masked else x[i]
            count, center, deviation = np.int64(1), 0.0, 0.0
            if own_mean or own_std:
                count, center, deviation = statistics.moments(seen, least, most)
            if count > 0:
                center = center if own_mean else np.float64(mean)
                deviation = deviation if own_std else np.float64(std)
            if not deviation > 0:
                statistics.step(x[i], results[i], np.inf, 0.0, 1.0, True)
            elif single and within_jit.fits(center, deviation, 0.0, 1.0):
                base = center if whole else within_jit.narrowed(center)
                line_to_float(x[i], results[i], center, base, deviation, 0.0, 1.0, -np.inf, np.inf)
            else:
                scores(x[i], results[i], center, deviation)
        return made

    return run
