"""Ranks in place of doubles with fractions, for boxes of many pixels.

A vector holds four times as many ranks as keys of doubles, and AVX2 has minima of two bytes but none of eight: 15 x 15
takes 149 ns a pixel by keys there, 27 by ranks, and to find ranks (``footprint_ranks``) takes 21.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ctkernels.cpu._core.parallel import Band
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.vectors import VECTOR_BYTES
from ctkernels.cpu._median import small
from ctkernels.cpu._median.footprint_layout import Array, rows_of
from ctkernels.cpu._median.footprint_ranks import MOST_PIXELS, ranked_rows, values_of
from ctkernels.cpu._median.rows import PIXELS

_FEWEST_PIXELS = 99 if VECTOR_BYTES == 32 else 169
"""Of a window, from which on ranks take less time than keys of eight bytes, measured with AVX2 and AVX-512."""


def serves(shape: tuple[int, ...], image: np.dtype[Any], size: small.Size) -> bool:
    """Whether ranks pay for images ``(N, H, W)``: also, enough rows of results share them."""
    return image.char == "d" and size[0] * size[1] >= _FEWEST_PIXELS and _at_once(shape[2], size[0]) >= size[0]


def _at_once(width: int, rows: int) -> int:
    """Rows of results."""
    return (MOST_PIXELS - 1) // width - rows + 1


def bind(shape: tuple[int, ...], size: small.Size, mode: str, cval: float) -> Callable[[Array, Array, Band], bool]:
    """As ``small.bind`` for doubles; those that are whole numbers go by their keys of two bytes."""
    _, height, width = shape
    rows, columns = size
    whole = small.bind(shape, small.KEYS["d"][:1], size, mode, cval)

    def filter_band(x: Array, out: Array, band: Band) -> bool:
        if whole(x, out, band):
            return True
        lines, filled = x.reshape(-1, width), out.reshape(-1)
        for part in rows_of(1, height, band, (0, 0), rows // 2, rows, _at_once(width, rows), mode):
            count = part.last - part.first
            ranks, values, row_of = ranked_rows(lines, part.row_of[: count + rows - 1], cval)
            found = scratch("rank.found", count * width, np.uint16)
            s = small.setting_of(row_of, width, (rows, columns, 1), mode, "u2")
            s.kernel(
                ranks.view(np.uint8), found.view(np.uint8), 0, 0, count, 0, PIXELS, s.row_of, s.column_of,
                ranks[-1:], *small.memory(s, "u2"),
            )  # fmt: skip
            start = (band[0] * height + part.first) * width
            values_of(found, values, filled[start : start + count * width])
        return True

    return filter_band
