"""``median_filter``, ``gaussian_filter`` and ``clahe`` in compiled code."""

# mypy: disable-error-code="attr-defined,no-untyped-call,no-untyped-def"
# Numba infers the types of what is compiled, and has none of its own.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba.core import types
from numba.core.errors import TypingError

from ctfast.embed._numba_arguments import OUTSIDE, constant, image_dtype, is_as, is_none, kind_of, result_dtype
from ctkernels.cpu import within_jit, within_jit_clahe
from ctkernels.cpu._median import small

_KEYS: Final = {"i2": np.empty(0, np.int16), "i4": np.empty(0, np.int32), "i8": np.empty(0, np.int64)}
_LEVELS: Final = {"f": np.float32, 1: np.uint8, 2: np.uint16}


def _border(name: str, mode: Any, cval: Any, dtype: np.dtype[Any]) -> int:
    word = constant(mode, "mode")
    if isinstance(word, tuple):
        raise TypingError(f"ctfast.{name} with a mode for each axis: {OUTSIDE}")
    if word not in within_jit.BORDERS:
        raise TypingError(f"ctfast.{name}: mode={word!r}: one of {', '.join(within_jit.BORDERS)} is allowed")
    return within_jit.BORDERS[word]


def median_filter(
    image: Any, size: Any = 3, footprint: Any = None, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0,
    axes: Any = None, out: Any = None, backend: Any = None,
) -> Any:  # fmt: skip
    pixel = image_dtype(image, "median_filter", axes, backend)
    if pixel is None:
        return None
    if result_dtype("median_filter", pixel, None, out) != pixel:
        raise TypingError(f"ctfast.median_filter: out= of {out}: {pixel} is needed")
    if not is_none(footprint):
        raise TypingError(f"ctfast.median_filter with footprint=: {OUTSIDE}")
    if not is_as(origin, 0):
        raise TypingError(f"ctfast.median_filter with origin=: {OUTSIDE}")
    sides = constant(size, "size")
    window = sides if isinstance(sides, tuple) else (sides, sides)
    odd = len(window) == 2 and all(isinstance(n, int) and n > 0 and n % 2 for n in window)
    if not odd or not small.serves(window):
        raise TypingError(
            f"ctfast.median_filter of size={sides!r}: odd windows up to 15 x 15 are compiled in; {OUTSIDE}"
        )
    border = _border("median_filter", mode, cval, pixel)
    images, kind = within_jit.median_images(*window), kind_of(pixel)
    ways = small.KEYS[pixel.char]
    (first_key, first), (last_key, last) = ways[0], ways[-1]
    first_keys, last_keys = (_KEYS.get(key, kind_of(np.dtype(key))) for key in (first_key, last_key))

    if len(ways) == 1:

        def run(image, size=3, footprint=None, mode="reflect", cval=0.0, origin=0, axes=None, out=None, backend=None):
            made = within_jit.place(image, out, kind)
            shape = (-1, image.shape[-2], image.shape[-1])
            images(image.reshape(shape), made.reshape(shape), border, cval, first_keys, first)
            return made

        return run

    def run_floats(
        image, size=3, footprint=None, mode="reflect", cval=0.0, origin=0, axes=None, out=None, backend=None
    ):
        made = within_jit.place(image, out, kind)
        shape = (-1, image.shape[-2], image.shape[-1])
        x, result = image.reshape(shape), made.reshape(shape)
        # Whole numbers first, in narrower keys.
        if not images(x, result, border, cval, first_keys, first):
            images(x, result, border, cval, last_keys, last)
        return made

    return run_floats


def rank_filter(
    image: Any, rank: Any, size: Any = 3, footprint: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    origin: Any = 0, axes: Any = None, out: Any = None, backend: Any = None,
) -> Any:  # fmt: skip
    raise TypingError(f"ctfast.rank_filter: {OUTSIDE}")


def percentile_filter(
    image: Any, percentile: Any, size: Any = 3, footprint: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    origin: Any = 0, axes: Any = None, out: Any = None, backend: Any = None,
) -> Any:  # fmt: skip
    raise TypingError(f"ctfast.percentile_filter: {OUTSIDE}")


def gaussian_filter(
    image: Any, sigma: Any = 1.0, truncate: Any = 4.0, mode: Any = "reflect", cval: Any = 0.0, spacing: Any = None,
    order: Any = 0, radius: Any = None, axes: Any = None, out: Any = None, backend: Any = None,
) -> Any:  # fmt: skip
    pixel = image_dtype(image, "gaussian_filter", axes, backend)
    if pixel is None:
        return None
    if result_dtype("gaussian_filter", pixel, None, out) != pixel:
        raise TypingError(f"ctfast.gaussian_filter: out= of {out}: {pixel} is needed")
    pair = isinstance(sigma, types.BaseTuple)
    if not is_none(spacing) or (pair and len(sigma) != 2):
        raise TypingError(f"ctfast.gaussian_filter along three axes or with spacing=: {OUTSIDE}")
    if not is_as(order, 0) or not is_none(radius):
        raise TypingError(f"ctfast.gaussian_filter with order= or radius=: {OUTSIDE}")
    border, kind = _border("gaussian_filter", mode, cval, pixel), kind_of(pixel)
    work = kind_of(np.dtype(np.float64 if pixel == np.float64 else np.float32))
    limits = (-np.inf, np.inf) if pixel.kind == "f" else (np.iinfo(pixel).min, np.iinfo(pixel).max)
    lowest, highest = map(float, limits)
    beyond = np.inf if pixel.kind == "f" else 1e30

    def run(
        image, sigma=1.0, truncate=4.0, mode="reflect", cval=0.0, spacing=None, order=0, radius=None, axes=None,
        out=None, backend=None,
    ):  # fmt: skip
        sigma_y, sigma_x = (
            (np.float64(sigma[0]), np.float64(sigma[1])) if pair else (np.float64(sigma), np.float64(sigma))
        )
        if not (sigma_y >= 0 and sigma_x >= 0 and sigma_y + sigma_x > 0 and truncate > 0):
            raise ValueError(
                "ctfast.gaussian_filter: sigma above 0, or 0 for an axis, and truncate above 0 are allowed"
            )
        sigma_y = sigma_y or 0.25 / truncate  # a kernel that is the pixel itself
        sigma_x = sigma_x or 0.25 / truncate
        made = within_jit.place(image, out, kind)
        shape = (-1, image.shape[-2], image.shape[-1])
        exceeds = border == within_jit.CONSTANT and not lowest <= cval <= highest
        fill = min(max(np.float64(cval), -beyond), beyond)
        within_jit.gaussian_images(
            image.reshape(shape), made.reshape(shape), np.float64(sigma_y), np.float64(sigma_x), truncate, border, fill,
            exceeds, work,
        )  # fmt: skip
        return made

    return run


def clahe(
    image: Any, clip_limit: Any = 2.0, tile_grid: Any = (8, 8), nbins: Any = 256, value_range: Any = None,
    axes: Any = None, out: Any = None, backend: Any = None,
) -> Any:  # fmt: skip
    """Tile grids of two numbers."""
    pixel = image_dtype(image, "clahe", axes, backend)
    if pixel is None:
        return None
    if result_dtype("clahe", pixel, None, out) != pixel:
        raise TypingError(f"ctfast.clahe: out= of {out}: {pixel} is needed")
    pair = isinstance(tile_grid, types.BaseTuple | tuple) or isinstance(getattr(tile_grid, "value", None), tuple)
    number = len(getattr(tile_grid, "value", tile_grid)) if pair else 2
    if number != 2:
        raise TypingError(f"ctfast.clahe of volumes: {OUTSIDE}")
    kind = kind_of(pixel)
    level = kind_of(_LEVELS["f" if pixel.kind == "f" else pixel.itemsize])
    own, unsigned = is_none(value_range), pixel.kind == "u"
    top = float(np.iinfo(pixel).max) if unsigned else 0.0

    def run(image, clip_limit=2.0, tile_grid=(8, 8), nbins=256, value_range=None, axes=None, out=None, backend=None):
        rows, columns = (tile_grid[0], tile_grid[1]) if pair else (tile_grid, tile_grid)
        made = within_jit.place(image, out, kind)
        shape = (-1, image.shape[-2], image.shape[-1])
        x, result = image.reshape(shape), made.reshape(shape)
        known = 1 <= rows <= x.shape[1] and 1 <= columns <= x.shape[2] and 2 <= nbins <= 65536 and clip_limit >= 0
        if not known:
            raise ValueError(
                "ctfast.clahe: tiles that the image holds, 2 to 65,536 bins and a limit from 0 are allowed"
            )
        if unsigned and own and nbins == top + 1:
            within_jit_clahe.clahe_own_bins(x, result, rows, columns, clip_limit, nbins, level)
            return made
        low, high = (
            (0.0 if unsigned else np.nan, top) if own else (np.float64(value_range[0]), np.float64(value_range[1]))
        )
        within_jit_clahe.clahe_images(x, result, rows, columns, clip_limit, nbins, low, high, level)
        return made

    return run
