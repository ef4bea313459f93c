"""Rank filters over windows of any shape: programs of minima and maxima, carried out on blocks of neighbouring pixels.

Nothing is compiled for a footprint: an instruction costs its decoding once for a block, a few nanoseconds for ``BLOCK``
bytes of pixels, and all that it touches stays in the first two levels of cache. Pixels become keys in rows with their
border, those of all planes that a window sees one below the other, so that every pixel of a window is a fixed number of
keys away. Floats are tried as whole numbers first (see ``rows``).

Not all windows go by lists. Their smallest and largest pixels have a way of their own (``extremes``), few pixels stay
in registers (``selection``), more doubles go by halves (``halves``), many floats by their ranks (``footprint_ranks``);
doubles that these don't serve go as keys of 64 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any

import numpy as np

from ctkernels.cpu._core import jit
from ctkernels.cpu._core.parallel import Band, bands, run
from ctkernels.cpu._median import extremes, footprint_ranks, halves, selection
from ctkernels.cpu._median.footprint_layout import (
    Array,
    Layout,
    Mode,
    Sides,
    Tried,
    columns_of,
    layout,
    memory,
    rows_of,
)
from ctkernels.cpu._median.program_rows import filter_rows
from ctkernels.cpu._median.programs import Pixel
from ctkernels.cpu._median.small import KEYS, border_key


def bind(
    shape: tuple[int, ...], image: np.dtype[Any], pixels: Iterable[Pixel], rank: int, mode: Mode, cval: float
) -> Callable[[Array, Array], None]:
    """What writes the value of one rank (0 is the smallest) around each pixel of an image to another.

    Args:
        shape: of images ``(N, H, W)`` or volumes ``(N, D, H, W)``.
        image: their dtype.
        pixels: of the window: (plane, row, column), counted from the pixel that it is the window of; for images all
            planes are 0.
        rank: below the number of ``pixels``.
        mode: how the border is extended, as in ``ctkernels.contract.MODES``; or of each axis.
        cval: the value outside for ``mode="constant"``.
    """
    window = tuple(sorted(pixels))
    sides = (shape[1] if len(shape) == 4 else 1, shape[-2], shape[-1])
    first = extremes.bind(sides, image, window, rank, mode, cval)
    others = cache(partial(_tries, sides, image, window, rank, mode, cval, first is not None))
    if first is None:  # else others are for NaN and -0, and their programs take tens of ms for 1,000 pixels
        others()
    row_nanoseconds = sides[2] * _pixel_nanoseconds(image, len(window), rank)

    def filtered(x: Array, out: Array) -> None:
        x = jit.one_type(x)
        planes = x.size // (sides[1] * sides[2])

        def body(band: Band) -> None:
            if first is None or not first(x, out, band):
                any(tried(x, out, band) for tried in others())

        run(bands(planes, sides[1], row_nanoseconds), body)

    return filtered


def _pixel_nanoseconds(image: np.dtype[Any], count: int, rank: int) -> float:
    """Rough, but within a factor of two or three."""
    if rank in (0, count - 1):
        return image.itemsize * (0.05 + 0.02 * count**0.5)
    return image.itemsize * (0.1 + 0.02 * count) if count <= selection.MOST_PIXELS[image.char] else 2.0 * count**0.5


def rank_filter(x: Array, out: Array, pixels: Iterable[Pixel], rank: int, mode: Mode, cval: float) -> None:
    """``bind`` for these arrays, and the call."""
    bind(x.shape, x.dtype, pixels, rank, mode, cval)(x, out)


def _tries(
    sides: Sides, image: np.dtype[Any], window: tuple[Pixel, ...], rank: int, mode: Mode, cval: float, odd: bool
) -> list[Tried]:
    """Ways to filter, the fastest first; the last one always serves. ``odd``: there are values that need keys."""
    few = None if odd else selection.bind(sides, image, window, rank, mode, cval)
    at_once = len(window) <= selection.AT_ONCE.get(image.char, len(window))
    tries: list[Tried] = [few] if few and at_once else []
    for key, kind in KEYS[image.char]:
        itemsize = int(key[1:])
        if itemsize == image.itemsize:
            rows = footprint_ranks.rows_at_once(sides, image, window, rank)
            if rows:
                return [*tries, footprint_ranks.bind(sides, window, rank, mode, cval, rows)]
            if few and not at_once:
                tries.append(few)
        if itemsize == 8:
            tries += [way for way in [halves.bind(sides, window, rank, mode, cval)] if way]
        outside = border_key(mode, cval, key, kind)
        if outside is not None:
            tries.append(_by_keys(sides, layout(window, rank, *sides[1:], itemsize), mode, key, kind, outside))
    return tries


def _by_keys(sides: Sides, made: Layout, mode: Mode, key: str, kind: int, outside: Array) -> Tried:
    depth, height, width = sides
    column_of = columns_of(width, made.reach, mode)

    def tried(x: Array, out: Array, band: Band) -> bool:
        kept = memory(made, width, key)
        image, result = x.reshape(-1).view(np.uint8), out.reshape(-1).view(np.uint8)
        for part in rows_of(depth, height, band, made.planes, made.above, made.span, made.rows, mode):
            done = filter_rows(
                image, result, band[0] * height + part.first, part.last - part.first, kind, part.row_of, column_of,
                made.reach, made.stride, outside, made.code, made.outputs, made.block, *kept,
            )  # fmt: skip
            if not done:
                return False
        return True

    return tried
