"""Gaussians and their derivatives in compiled code."""

# mypy: disable-error-code="attr-defined,no-untyped-call,no-untyped-def"
# Numba infers the types of what is compiled, and has none of its own.

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.core.errors import TypingError

from ctfast.dispatch.kinds import MAX_ORDER
from ctfast.embed._numba_arguments import constant, image_dtype, is_none, kind_of, result_dtype
from ctfast.embed._numba_shapes import as_images, as_pixels, as_volumes, borders_of, part
from ctkernels.contract import each_axis
from ctkernels.cpu import within_jit
from ctkernels.cpu import within_jit_statistics as statistics


def gaussian_filter(
    image: Any, sigma: Any = 1.0, truncate: Any = 4.0, mode: Any = "reflect", cval: Any = 0.0, spacing: Any = None,
    order: Any = 0, radius: Any = None, axes: Any = None, out: Any = None, backend: Any = None,
) -> Any:  # fmt: skip
    pixel = image_dtype(image, "gaussian_filter", axes, backend)
    if pixel is None:
        return None
    if result_dtype("gaussian_filter", pixel, None, out) != pixel:
        raise TypingError(f"ctfast.gaussian_filter: out= of {out}: {pixel} is needed")
    orders = constant(order, "order")
    several = [v for v in (sigma, spacing, radius) if isinstance(v, types.BaseTuple)]
    counts = {len(v) for v in (*several, orders) if not isinstance(v, int)} or {2}
    number = max(counts)
    if len(counts) > 1 or number not in (2, 3) or image.ndim < number:
        found = ", ".join(map(str, sorted(counts)))
        raise TypingError(
            f"ctfast.gaussian_filter: sigma, spacing, order and radius are of {found} axes, the image of {image.ndim}: "
            "two or three axes, the same number for each, are allowed"
        )
    borders, kind = borders_of("gaussian_filter", mode, number), kind_of(pixel)
    work = kind_of(np.dtype(np.float64 if pixel == np.float64 else np.float32))
    limits = (-np.inf, np.inf) if pixel.kind == "f" else (np.iinfo(pixel).min, np.iinfo(pixel).max)
    lowest, highest = map(float, limits)
    beyond, constant_border = np.inf if pixel.kind == "f" else 1e30, within_jit.CONSTANT in borders
    sigmas, spacings, radii = _numbers(sigma), _numbers(spacing, 1), _numbers(radius)
    filtered, shaped = (
        (within_jit.gaussian_volumes, as_volumes) if number == 3 else (within_jit.gaussian_images, as_pixels)
    )
    each = each_axis(orders, number)
    if any(each):
        if not all(isinstance(n, int) and 0 <= n <= MAX_ORDER for n in each):
            raise TypingError(
                f"ctfast.gaussian_filter: order={orders!r}: whole numbers from 0 to {MAX_ORDER} are allowed"
            )
        along = (0,) * (3 - number) + tuple(each)
        sums = kind_of(pixel if pixel.kind == "f" else np.dtype(np.float64))

        @part
        def filtered(x, out, widths, ends, borders, cval, exceeds, work):
            within_jit.gaussian_derivatives(x, out, widths, ends, along, borders, cval, sums)

        shaped = as_volumes if number == 3 else as_images

    def run(
        image, sigma=1.0, truncate=4.0, mode="reflect", cval=0.0, spacing=None, order=0, radius=None, axes=None,
        out=None, backend=None,
    ):  # fmt: skip
        widths, ends = within_jit.gaussian_widths(sigmas(sigma), spacings(spacing), radii(radius), truncate, number)
        made = within_jit.place(image, out, kind)
        exceeds = constant_border and not lowest <= cval <= highest
        fill = min(max(np.float64(cval), -beyond), beyond)
        filtered(shaped(image), shaped(made), widths, ends, borders, fill, exceeds, work)
        return made

    return run


def _numbers(value: Any, missing: int = 0) -> Any:
    """Compiled code that gives a parameter's numbers as an array: one, one an axis, or ``missing`` ones."""
    if is_none(value):
        return part(lambda _: np.ones(missing))
    if isinstance(value, types.BaseTuple):
        return part(lambda given: statistics.floats_of(given))
    return part(lambda given: np.full(1, np.float64(given)))
