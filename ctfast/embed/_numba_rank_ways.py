"""The ways to the pixel of a rank in compiled code: ``way(x, out, cval)`` over volumes, chosen as outside."""

# mypy: disable-error-code="attr-defined,no-untyped-call,no-untyped-def"
# Numba infers the types of what is compiled, and has none of its own.

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ctfast.embed._numba_arguments import kind_of
from ctfast.embed._numba_shapes import part
from ctkernels.cpu import within_jit
from ctkernels.cpu._median import footprint_layout, selection, small
from ctkernels.cpu._median import planes as by_planes
from ctkernels.cpu._median.programs import Pixel
from ctkernels.cpu.within_jit_doubles import halved_volumes
from ctkernels.cpu.within_jit_few import extreme_volumes, extremes_of, selected_volumes
from ctkernels.cpu.within_jit_large import large_medians
from ctkernels.cpu.within_jit_medians import extended, median_volumes, middle
from ctkernels.cpu.within_jit_ranks import any_rank, rank_volumes, ranks

_KEYS: Final = {"i2": np.empty(0, np.int16), "i4": np.empty(0, np.int32), "i8": np.empty(0, np.int64)}
_MOST_RANKED: Final = 63
"""Pixels of an odd box that has no network: beyond it histograms are faster than lists of minima and maxima."""


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

    return part(once if len(ways) == 1 else twice)


def box_medians(sides: tuple[int, ...], borders: tuple[int, ...], pixel: np.dtype[Any]) -> Any:
    """Medians of odd boxes."""
    planes, rows, columns = sides
    if planes == 1 and small.serves((rows, columns)):
        images, border = within_jit.median_images(rows, columns), borders[-1]

        @part
        def filtered(x, out, cval, key, kind):
            shape = (-1, x.shape[2], x.shape[3])
            return images(x.reshape(shape), out.reshape(shape), border, cval, key, kind)

        return _by_keys(filtered, pixel)
    if planes > 1 and by_planes.serves((planes, rows, columns), pixel.itemsize):
        volumes = median_volumes(planes, rows, columns)

        @part
        def of_planes(x, out, cval, key, kind):
            return volumes(x, out, borders, cval, key, kind)

        return _by_keys(of_planes, pixel)
    if planes * rows * columns <= _MOST_RANKED:  # lines, mostly
        return ranked(footprint_layout.window_of(np.ones(sides, bool)), planes * rows * columns // 2, borders, pixel)
    large = large_medians(planes, rows, columns, pixel)

    @part
    def of_ranks(x, out, cval):
        large(x, out, borders, cval)

    return of_ranks


def ranked(window: list[Pixel], rank: int, borders: tuple[int, ...], pixel: np.dtype[Any]) -> Any:
    """As ``footprints`` tries its ways; what NaN or -0 keep from the first goes by lists."""
    ones = tuple(sorted(window))
    if rank in (0, len(ones) - 1):
        first = _extreme(ones, rank, borders, pixel)
    elif len(ones) <= selection.AT_ONCE.get(pixel.char, selection.MOST_PIXELS[pixel.char]):
        first = _few(ones, rank, borders, pixel)
    else:
        return _many(ones, rank, borders, pixel)
    lists = _by_keys(_listed(ones, rank, borders), pixel)

    @part
    def filtered(x, out, cval):
        if not first(x, out, cval):
            lists(x, out, cval)

    return filtered


def _listed(window: tuple[Pixel, ...], rank: int, borders: tuple[int, ...]) -> Any:
    code, pixels, outputs, reach = ranks(window, rank)

    @part
    def filtered(x, out, cval, key, kind):
        return rank_volumes(x, out, code, pixels, outputs, reach, borders, cval, key, kind, None)

    return filtered


def _extreme(window: tuple[Pixel, ...], rank: int, borders: tuple[int, ...], pixel: np.dtype[Any]) -> Any:
    steps, refs, depths, begins, reach = extremes_of(window, pixel.itemsize)
    floats, least = pixel.kind == "f", rank == 0

    @part
    def filtered(x, out, cval):
        return extreme_volumes(x, out, least, steps, refs, depths, begins, reach, borders, cval, floats)

    return filtered


def _few(window: tuple[Pixel, ...], rank: int, borders: tuple[int, ...], pixel: np.dtype[Any]) -> Any:
    selected, made = selected_volumes(len(window), rank), footprint_layout.reach_of(window)
    pixels, floats = np.array(made.pixels, np.int64), pixel.kind == "f"
    reach = (0, made.columns, made.above, made.span, *made.planes)

    @part
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

    @part
    def tried(x, out, cval):
        if not filtered(x, out, cval, whole_keys, whole) and not second(x, out, cval):
            filtered(x, out, cval, last_keys, last)

    return tried


def _halved(window: tuple[Pixel, ...], rank: int, borders: tuple[int, ...], pixel: np.dtype[Any]) -> Any:
    code, pixels, outputs, reach = ranks(window, rank)
    own = np.array(footprint_layout.reach_of(window).pixels, np.int64)

    @part
    def filtered(x, out, cval):
        return halved_volumes(x, out, code, pixels, outputs, own, rank, reach, borders, cval)

    return filtered


def ranked_later(window: list[Pixel], borders: tuple[int, ...], pixel: np.dtype[Any]) -> Any:
    """Ranks that are known when the code runs: ``filtered(x, out, (cval, rank))``."""
    code, pixels, outputs, reach = any_rank(tuple(sorted(window)))

    @part
    def filtered(x, out, how, key, kind):
        return rank_volumes(x, out, code, pixels, outputs, reach, borders, how[0], key, kind, how[1])

    return _by_keys(filtered, pixel)


def shifted_medians(
    sides: tuple[int, ...], shifts: tuple[int, ...], borders: tuple[int, ...], pixel: np.dtype[Any]
) -> Any:  # fmt: skip
    """Boxes off their pixel, or with borders that differ: medians of a wider image, as outside."""
    before = tuple(n // 2 + shift for n, shift in zip(sides, shifts, strict=True))
    after = tuple(n - 1 - b for n, b in zip(sides, before, strict=True))
    halves = tuple(n // 2 for n in sides)
    nearest = (within_jit.BORDERS["nearest"],) * 3
    boxes = box_medians(sides, nearest, pixel)

    @part
    def filtered(x, out, cval):
        wide = extended(x, before, after, borders, cval)
        made = np.empty_like(wide)
        boxes(wide, made, 0.0)
        middle(made, out, halves)

    return filtered
