"""Medians, ranks, Gaussians and CLAHE in compiled code."""

# mypy: disable-error-code="attr-defined,no-untyped-call,no-untyped-def"
# Numba infers the types of what is compiled, and has none of its own.

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numba
import numpy as np
from numba.core import types
from numba.core.errors import TypingError
from numpy.typing import NDArray

from ctfast.dispatch.kinds import MAX_FOOTPRINT, MAX_ORDER
from ctfast.embed._numba_arguments import constant, image_dtype, is_none, kind_of, result_dtype
from ctfast.embed._numba_footprints import FootprintType
from ctkernels.contract import each_axis, modes_of, rank_of
from ctkernels.cpu import within_jit, within_jit_clahe, within_jit_clahe_volumes
from ctkernels.cpu import within_jit_statistics as statistics
from ctkernels.cpu._median import footprint_layout, selection, small
from ctkernels.cpu._median import planes as by_planes
from ctkernels.cpu._median.programs import Pixel
from ctkernels.cpu.within_jit_doubles import halved_volumes
from ctkernels.cpu.within_jit_few import extreme_volumes, extremes_of, selected_volumes
from ctkernels.cpu.within_jit_large import large_medians
from ctkernels.cpu.within_jit_medians import extended, median_volumes, middle
from ctkernels.cpu.within_jit_ranks import any_rank, rank_volumes, ranks

_KEYS: Final = {"i2": np.empty(0, np.int16), "i4": np.empty(0, np.int32), "i8": np.empty(0, np.int64)}
_part: Final = numba.njit(inline="always")
"""What stands between an operation and its kernel: put into its caller, because Numba compiles every other function
alone, with the kernel that it calls, and the kernel once more in the caller."""

_MOST_RANKED: Final = 63
"""Pixels of an odd box that has no network: beyond it histograms are faster than lists of minima and maxima."""
_LEVELS: Final = {"f": np.float32, 1: np.uint8, 2: np.uint16}


def _borders(name: str, mode: Any, axes: int) -> tuple[int, ...]:
    """The border of planes, rows and columns by number; those of images have no planes."""
    words = modes_of(constant(mode, "mode"), axes)
    for word in words:
        if word not in within_jit.BORDERS:
            raise TypingError(f"ctfast.{name}: mode={word!r}: one of {', '.join(within_jit.BORDERS)} is allowed")
    if len(words) != axes:
        raise TypingError(f"ctfast.{name}: mode={mode}: one word, or one for each of {axes} axes, is allowed")
    return tuple(within_jit.BORDERS[word] for word in modes_of(words, 3))


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
    borders = _borders(name, mode, mask.ndim)
    if len(shifts) != mask.ndim or not all(0 <= n // 2 + s < n for n, s in zip(mask.shape, shifts, strict=True)):
        raise TypingError(f"ctfast.{name}: origin={shifts!r}: whole numbers that stay in the window {mask.shape}")
    ones = int(mask.sum())
    shaped, kind = _VOLUMES if mask.ndim == 3 else _IMAGES, kind_of(pixel)
    window = footprint_layout.window_of(mask, tuple(shifts))
    if rank_of is None and 1 <= ones <= MAX_FOOTPRINT:
        return _selected(window, borders, pixel), shaped, kind, ones
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
        run = _ranked(window, rank % ones, borders, pixel)
    elif any(shifts) or len(set(borders[-mask.ndim :])) > 1:
        run = _shifted(sides, (0,) * (3 - mask.ndim) + tuple(shifts), borders, pixel)
    else:
        run = _boxes(sides, borders, pixel)
    return run, shaped, kind, ones


@_part
def _as_images(x):
    return x.reshape((-1, 1, x.shape[-2], x.shape[-1]))


@_part
def _as_volumes(x):
    return x.reshape((-1, x.shape[-3], x.shape[-2], x.shape[-1]))


_IMAGES, _VOLUMES = _as_images, _as_volumes


def _by_keys(filtered: Any, pixel: np.dtype[Any]) -> Any:
    """``filtered(x, out, cval, key, kind)`` with narrower keys first: whole numbers have them."""
    ways = small.KEYS[pixel.char]
    (first_key, first), (last_key, last) = ways[0], ways[-1]
    first_keys, last_keys = (_KEYS.get(key, kind_of(np.dtype(key))) for key in (first_key, last_key))

    def once(x, out, cval):
        filtered(x, out, cval, first_keys, first)

    def twice(x, out, cval):
        if not filtered(x, out, cval, first_keys, first):
            filtered(x, out, cval, last_keys, last)

    return _part(once if len(ways) == 1 else twice)


def _boxes(sides: tuple[int, ...], borders: tuple[int, ...], pixel: np.dtype[Any]) -> Any:
    """Medians of odd boxes."""
    planes, rows, columns = sides
    if planes == 1 and small.serves((rows, columns)):
        images, border = within_jit.median_images(rows, columns), borders[-1]

        @_part
        def filtered(x, out, cval, key, kind):
            shape = (-1, x.shape[2], x.shape[3])
            return images(x.reshape(shape), out.reshape(shape), border, cval, key, kind)

        return _by_keys(filtered, pixel)
    if planes > 1 and by_planes.serves((planes, rows, columns), pixel.itemsize):
        volumes = median_volumes(planes, rows, columns)

        @_part
        def of_planes(x, out, cval, key, kind):
            return volumes(x, out, borders, cval, key, kind)

        return _by_keys(of_planes, pixel)
    if planes * rows * columns <= _MOST_RANKED:  # lines, mostly
        return _ranked(footprint_layout.window_of(np.ones(sides, bool)), planes * rows * columns // 2, borders, pixel)
    large = large_medians(planes, rows, columns, pixel)

    @_part
    def of_ranks(x, out, cval):
        large(x, out, borders, cval)

    return of_ranks


def _ranked(window: list[Pixel], rank: int, borders: tuple[int, ...], pixel: np.dtype[Any]) -> Any:
    """As ``footprints`` tries its ways; what NaN or -0 keep from the first goes by lists."""
    ones = tuple(sorted(window))
    if rank in (0, len(ones) - 1):
        first = _extreme(ones, rank, borders, pixel)
    elif len(ones) <= selection.AT_ONCE.get(pixel.char, selection.MOST_PIXELS[pixel.char]):
        first = _few(ones, rank, borders, pixel)
    else:
        return _many(ones, rank, borders, pixel)
    lists = _by_keys(_listed(ones, rank, borders), pixel)

    @_part
    def filtered(x, out, cval):
        if not first(x, out, cval):
            lists(x, out, cval)

    return filtered


def _listed(window: tuple[Pixel, ...], rank: int, borders: tuple[int, ...]) -> Any:
    code, pixels, outputs, reach = ranks(window, rank)

    @_part
    def filtered(x, out, cval, key, kind):
        return rank_volumes(x, out, code, pixels, outputs, reach, borders, cval, key, kind, None)

    return filtered


def _extreme(window: tuple[Pixel, ...], rank: int, borders: tuple[int, ...], pixel: np.dtype[Any]) -> Any:
    steps, refs, depths, begins, reach = extremes_of(window, pixel.itemsize)
    floats, least = pixel.kind == "f", rank == 0

    @_part
    def filtered(x, out, cval):
        return extreme_volumes(x, out, least, steps, refs, depths, begins, reach, borders, cval, floats)

    return filtered


def _few(window: tuple[Pixel, ...], rank: int, borders: tuple[int, ...], pixel: np.dtype[Any]) -> Any:
    selected, made = selected_volumes(len(window), rank), footprint_layout.reach_of(window)
    pixels, floats = np.array(made.pixels, np.int64), pixel.kind == "f"
    reach = (0, made.columns, made.above, made.span, *made.planes)

    @_part
    def filtered(x, out, cval):
        return selected(x, out, pixels, reach, borders, cval, floats)

    return filtered


def _many(window: tuple[Pixel, ...], rank: int, borders: tuple[int, ...], pixel: np.dtype[Any]) -> Any:
    """Lists first, which whole numbers and floats that are such take."""
    filtered, few = _listed(window, rank, borders), len(window) <= selection.MOST_PIXELS[pixel.char]
    if not few and pixel != np.float64:
        return _by_keys(filtered, pixel)
    (whole_key, whole), (last_key, last) = small.KEYS[pixel.char]
    whole_keys, last_keys = _KEYS[whole_key], _KEYS[last_key]
    second = (_few if few else _halved)(window, rank, borders, pixel)

    @_part
    def tried(x, out, cval):
        if not filtered(x, out, cval, whole_keys, whole) and not second(x, out, cval):
            filtered(x, out, cval, last_keys, last)

    return tried


def _halved(window: tuple[Pixel, ...], rank: int, borders: tuple[int, ...], pixel: np.dtype[Any]) -> Any:
    code, pixels, outputs, reach = ranks(window, rank)
    own = np.array(footprint_layout.reach_of(window).pixels, np.int64)

    @_part
    def filtered(x, out, cval):
        return halved_volumes(x, out, code, pixels, outputs, own, rank, reach, borders, cval)

    return filtered


def _selected(window: list[Pixel], borders: tuple[int, ...], pixel: np.dtype[Any]) -> Any:
    """Ranks that are known when the code runs: ``filtered(x, out, (cval, rank))``."""
    code, pixels, outputs, reach = any_rank(tuple(sorted(window)))

    @_part
    def filtered(x, out, how, key, kind):
        return rank_volumes(x, out, code, pixels, outputs, reach, borders, how[0], key, kind, how[1])

    return _by_keys(filtered, pixel)


def _shifted(
    sides: tuple[int, ...], shifts: tuple[int, ...], borders: tuple[int, ...], pixel: np.dtype[Any]
) -> Any:  # fmt: skip
    """Boxes off their pixel, or with borders that differ: medians of a wider image, as outside."""
    before = tuple(n // 2 + shift for n, shift in zip(sides, shifts, strict=True))
    after = tuple(n - 1 - b for n, b in zip(sides, before, strict=True))
    halves = tuple(n // 2 for n in sides)
    nearest = (within_jit.BORDERS["nearest"],) * 3
    boxes = _boxes(sides, nearest, pixel)

    @_part
    def filtered(x, out, cval):
        wide = extended(x, before, after, borders, cval)
        made = np.empty_like(wide)
        boxes(wide, made, 0.0)
        middle(made, out, halves)

    return filtered


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
    borders, kind = _borders("gaussian_filter", mode, number), kind_of(pixel)
    work = kind_of(np.dtype(np.float64 if pixel == np.float64 else np.float32))
    limits = (-np.inf, np.inf) if pixel.kind == "f" else (np.iinfo(pixel).min, np.iinfo(pixel).max)
    lowest, highest = map(float, limits)
    beyond, constant_border = np.inf if pixel.kind == "f" else 1e30, within_jit.CONSTANT in borders
    sigmas, spacings, radii = _numbers(sigma), _numbers(spacing, 1), _numbers(radius)
    filtered, shaped = (
        (within_jit.gaussian_volumes, _VOLUMES) if number == 3 else (within_jit.gaussian_images, _as_pixels)
    )
    each = each_axis(orders, number)
    if any(each):
        if not all(isinstance(n, int) and 0 <= n <= MAX_ORDER for n in each):
            raise TypingError(
                f"ctfast.gaussian_filter: order={orders!r}: whole numbers from 0 to {MAX_ORDER} are allowed"
            )
        along = (0,) * (3 - number) + tuple(each)
        sums = kind_of(pixel if pixel.kind == "f" else np.dtype(np.float64))

        @_part
        def filtered(x, out, widths, ends, borders, cval, exceeds, work):
            within_jit.gaussian_derivatives(x, out, widths, ends, along, borders, cval, sums)

        shaped = _VOLUMES if number == 3 else _IMAGES

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
        return _part(lambda _: np.ones(missing))
    if isinstance(value, types.BaseTuple):
        return _part(lambda given: statistics.floats_of(given))
    return _part(lambda given: np.full(1, np.float64(given)))


@_part
def _as_pixels(x):
    return x.reshape((-1, x.shape[-2], x.shape[-1]))


_GRIDS: Final = {
    1: _part(lambda tiles: (np.int64(tiles), np.int64(tiles))),
    2: _part(lambda tiles: (np.int64(tiles[0]), np.int64(tiles[1]))),
    3: _part(lambda tiles: (np.int64(tiles[0]), np.int64(tiles[1]), np.int64(tiles[2]))),
}
"""Tiles along each axis, of one number or as many as there are axes."""


def clahe(
    image: Any, clip_limit: Any = 2.0, tile_grid: Any = (8, 8), nbins: Any = 256, value_range: Any = None,
    axes: Any = None, out: Any = None, backend: Any = None,
) -> Any:  # fmt: skip
    """All of it."""
    pixel = image_dtype(image, "clahe", axes, backend)
    if pixel is None:
        return None
    if result_dtype("clahe", pixel, None, out) != pixel:
        raise TypingError(f"ctfast.clahe: out= of {out}: {pixel} is needed")
    several = isinstance(tile_grid, types.BaseTuple | tuple) or isinstance(getattr(tile_grid, "value", None), tuple)
    number = len(getattr(tile_grid, "value", tile_grid)) if several else 2
    if number not in (2, 3) or image.ndim < number:
        raise TypingError(f"ctfast.clahe: tile_grid of {number} axes of an image of {image.ndim}: 2 or 3 are allowed")
    kind = kind_of(pixel)
    level = kind_of(_LEVELS["f" if pixel.kind == "f" else pixel.itemsize if number == 2 else 2])
    own, unsigned = is_none(value_range), pixel.kind == "u"
    top = float(np.iinfo(pixel).max) if unsigned else 0.0
    most = float(np.finfo(pixel).max) if pixel.kind == "f" else np.inf
    shaped = _VOLUMES if number == 3 else _as_pixels
    grid_of = _GRIDS[number if several else 1]
    images, own_images = (
        (within_jit_clahe_volumes.clahe_volumes, within_jit_clahe_volumes.clahe_volumes_own_bins)
        if number == 3
        else (within_jit_clahe.clahe_images, within_jit_clahe.clahe_own_bins)
    )

    def run(image, clip_limit=2.0, tile_grid=(8, 8), nbins=256, value_range=None, axes=None, out=None, backend=None):
        grid = grid_of(tile_grid)
        made = within_jit.place(image, out, kind)
        x, result = shaped(image), shaped(made)
        known = 2 <= nbins <= 65536 and clip_limit >= 0
        for k in range(number):
            known &= 1 <= grid[k] <= x.shape[x.ndim - number + k]
        if not known:
            raise ValueError(
                "ctfast.clahe: tiles that the image holds, 2 to 65,536 bins and a limit from 0 are allowed"
            )
        if unsigned and own and nbins == top + 1:
            own_images(x, result, grid, clip_limit, np.int64(nbins), level)
            return made
        low, high = (
            (0.0 if unsigned else np.nan, top)
            if own
            else (max(np.float64(value_range[0]), -most), min(np.float64(value_range[1]), most))
        )
        images(x, result, grid, clip_limit, np.int64(nbins), low, high, level)
        return made

    return run
