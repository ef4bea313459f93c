"""Medians, ranks and percentiles in compiled code."""

# mypy: disable-error-code="attr-defined,no-untyped-call,no-untyped-def"
# Numba infers the types of what is compiled, and has none of its own.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba.core import types
from numba.core.errors import TypingError
from numpy.typing import NDArray

from ctfast.dispatch.kinds import MAX_FOOTPRINT
from ctfast.embed import _numba_rank_ways as ways
from ctfast.embed._numba_arguments import constant, image_dtype, is_none, kind_of, result_dtype
from ctfast.embed._numba_footprints import FootprintType
from ctfast.embed._numba_shapes import as_images, as_volumes, borders_of
from ctkernels.contract import each_axis, rank_of
from ctkernels.cpu import within_jit
from ctkernels.cpu._median import footprint_layout


def _window(name: str, size: Any, footprint: Any) -> NDArray[np.bool_]:
    """The window, two or three axes of ones and zeros."""
    if not is_none(footprint):
        if not isinstance(footprint, FootprintType):
            raise TypingError(
                f"ctfast.{name}: footprint= of type {footprint}: compiled code needs a global "
                "ctfast.embed.numba_overloads.Footprint(array)"
            )
        return np.array(footprint.mask, bool)
    sides = constant(size, "size")
    window = sides if isinstance(sides, tuple) else (sides, sides)
    if len(window) not in (2, 3) or not all(isinstance(n, int) and n > 0 for n in window):
        raise TypingError(f"ctfast.{name} of size={sides!r}: whole numbers above 0, of two or three axes, are allowed")
    return np.ones(window, bool)


def _filter(
    name: str, image: Any, size: Any, footprint: Any, mode: Any, origin: Any, axes: Any, out: Any, backend: Any,
    rank_of: Callable[[int], int] | None,
) -> tuple[Any, Any, Any, int] | None:  # fmt: skip
    """What filters volumes ``(N, D, H, W)``, what brings an image to them, an array of its type, the window's pixels.

    Without ``rank_of`` the rank is known when the code runs: the filter takes it beside ``cval``.
    """
    pixel = image_dtype(image, name, axes, backend)
    if pixel is None:
        return None
    if result_dtype(name, pixel, None, out) != pixel:
        raise TypingError(f"ctfast.{name}: out= of {out}: {pixel} is needed")
    mask = _window(name, size, footprint)
    if image.ndim < mask.ndim:
        raise TypingError(f"ctfast.{name} along {mask.ndim} axes of an image of {image.ndim}")
    shifts = each_axis(constant(origin, "origin"), mask.ndim)
    borders = borders_of(name, mode, mask.ndim)
    if len(shifts) != mask.ndim or not all(0 <= n // 2 + s < n for n, s in zip(mask.shape, shifts, strict=True)):
        raise TypingError(f"ctfast.{name}: origin={shifts!r}: whole numbers that stay in the window {mask.shape}")
    ones = int(mask.sum())
    shaped, kind = as_volumes if mask.ndim == 3 else as_images, kind_of(pixel)
    window = footprint_layout.window_of(mask, tuple(shifts))
    if rank_of is None and 1 <= ones <= MAX_FOOTPRINT:
        return ways.ranked_later(window, borders, pixel), shaped, kind, ones
    rank = ones if rank_of is None else rank_of(ones)
    box = bool(mask.all()) and all(n % 2 for n in mask.shape) and rank == ones // 2
    if not box and not 1 <= ones <= MAX_FOOTPRINT:
        raise TypingError(
            f"ctfast.{name} of {ones:,} pixels: 1 to {MAX_FOOTPRINT:,}, or a median of odd sides, are allowed"
        )
    if not -ones <= rank < ones:
        raise TypingError(f"ctfast.{name}: rank={rank} of a window of {ones} pixels")
    sides = (1,) * (3 - mask.ndim) + mask.shape
    if not box:
        run = ways.ranked(window, rank % ones, borders, pixel)
    elif any(shifts) or len(set(borders[-mask.ndim :])) > 1:
        run = ways.shifted_medians(sides, (0,) * (3 - mask.ndim) + tuple(shifts), borders, pixel)
    else:
        run = ways.box_medians(sides, borders, pixel)
    return run, shaped, kind, ones


def median_filter(
    image: Any, size: Any = 3, footprint: Any = None, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0,
    axes: Any = None, out: Any = None, backend: Any = None,
) -> Any:  # fmt: skip
    """All of it, with constants in the code."""
    made = _filter("median_filter", image, size, footprint, mode, origin, axes, out, backend, lambda ones: ones // 2)
    if made is None:
        return None
    filtered, shaped, kind, _ = made

    def run(image, size=3, footprint=None, mode="reflect", cval=0.0, origin=0, axes=None, out=None, backend=None):
        result = within_jit.place(image, out, kind)
        filtered(shaped(image), shaped(result), cval)
        return result

    return run


def _is_number(value: Any) -> bool:
    """Whether compiled code knows a number only when it runs."""
    return isinstance(value, types.Number) and not isinstance(value, types.Literal)


def rank_filter(
    image: Any, rank: Any, size: Any = 3, footprint: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    origin: Any = 0, axes: Any = None, out: Any = None, backend: Any = None,
) -> Any:  # fmt: skip
    """All of it."""
    later = isinstance(rank, types.Integer) and _is_number(rank)
    number = 0 if later else constant(rank, "rank")
    rank_of = None if later else lambda _: int(number)
    made = _filter("rank_filter", image, size, footprint, mode, origin, axes, out, backend, rank_of)
    if made is None:
        return None
    filtered, shaped, kind, ones = made

    def run(
        image, rank, size=3, footprint=None, mode="reflect", cval=0.0, origin=0, axes=None, out=None, backend=None
    ):  # fmt: skip
        result = within_jit.place(image, out, kind)
        if later:
            if not -ones <= rank < ones:
                raise ValueError("ctfast.rank_filter: rank= of a pixel that the window doesn't have")
            filtered(shaped(image), shaped(result), (cval, rank if rank >= 0 else rank + ones))
        else:
            filtered(shaped(image), shaped(result), cval)
        return result

    return run


def percentile_filter(
    image: Any, percentile: Any, size: Any = 3, footprint: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    origin: Any = 0, axes: Any = None, out: Any = None, backend: Any = None,
) -> Any:  # fmt: skip
    """All of it; Numba knows whole percentiles where it compiles, and others when the code runs."""
    later = _is_number(percentile)
    share = 0 if later else constant(percentile, "percentile")
    if not -100 <= share <= 100:
        raise TypingError(f"ctfast.percentile_filter: percentile={share}: a number from -100 to 100 is allowed")

    def known(ones: int) -> int:
        return rank_of(share + 100.0 if share < 0 else float(share), ones)

    made = _filter(
        "percentile_filter", image, size, footprint, mode, origin, axes, out, backend, None if later else known
    )
    if made is None:
        return None
    filtered, shaped, kind, ones = made

    def run(
        image, percentile, size=3, footprint=None, mode="reflect", cval=0.0, origin=0, axes=None, out=None,
        backend=None,
    ):  # fmt: skip
        result = within_jit.place(image, out, kind)
        if later:
            if not -100 <= percentile <= 100:
                raise ValueError("ctfast.percentile_filter: a percentile from -100 to 100 is allowed")
            part = percentile + 100.0 if percentile < 0 else np.float64(percentile)
            rank = ones - 1 if part == 100 else np.int64(ones * part / 100.0)
            filtered(shaped(image), shaped(result), (cval, rank))
        else:
            filtered(shaped(image), shaped(result), cval)
        return result

    return run
