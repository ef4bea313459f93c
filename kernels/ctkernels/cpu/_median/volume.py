"""Medians of volumes, plane by plane, by the filters of images.

A window of (planes, rows, columns) is a window of ``planes * rows`` neighbouring rows of a table in which the rows of
the planes take turns: row 0 of each, row 1 of each, and so on. From one output row to the next it moves on by as many
rows as there are planes. The filters read rows through such a table anyway, for the border's sake.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.parallel import Band, bands, run
from ctkernels.cpu._median import large
from ctkernels.cpu._median.small import KEYS, Setting, border_key, memory, setting_of
from ctkernels.shared.border import border_index

Array = NDArray[Any]
Size = tuple[int, int, int]

_MOST_VOXELS = 343
"""Of a window with a network: 7 x 7 x 7 of int16 takes a fifth of the histograms' time and 5 s to compile."""

_MOST_COLUMNS = 31


def median_of_volumes(x: Array, out: Array, size: Size, mode: str, cval: float) -> None:
    """Write the median of ``size`` windows of the volumes ``x``, ``(N, D, H, W)``, to ``out``."""
    network = size[0] * size[1] * size[2] <= _MOST_VOXELS and size[2] <= _MOST_COLUMNS
    count, depth, height, width = x.shape
    voxel_nanoseconds = x.itemsize * 0.0002 * (size[0] * size[1] * size[2]) ** 1.6 + 0.3 if network else 40.0
    planes = bands(count * depth, height, voxel_nanoseconds * width, overlap_rows=0 if network else size[1])
    run(planes, partial(_by_network if network else _by_ranks, x, out, size, mode, cval))


def _planes(x: Array, plane: int, planes: int, mode: str) -> tuple[Array, tuple[int, ...]]:
    """What a window around a plane sees of a volume, ``(h, W)``, and which planes of that stand one over the other."""
    volume, z = divmod(plane, x.shape[1])
    shown = border_index(x.shape[1], planes // 2, planes // 2, mode)[z : z + planes]
    low, high = min((k for k in shown if k >= 0), default=0), int(shown.max())
    seen = x[volume, low : max(high, low) + 1]
    return seen.reshape(-1, x.shape[3]), tuple(int(k - low) if k >= 0 else -1 for k in shown)


@lru_cache(maxsize=64)
def _rows(planes: tuple[int, ...], height: int, reach: int, mode: str) -> Array:
    """The table of rows: of each row of the extended plane, that of each of the ``planes``; -1 for ``cval``."""
    rows = border_index(height, reach, reach, mode)[:, np.newaxis]
    at = np.array(planes)
    return np.where((rows >= 0) & (at >= 0), at * height + rows, -1).ravel()


@lru_cache(maxsize=256)
def _setting(planes: tuple[int, ...], shape: tuple[int, int], size: Size, mode: str, key: str) -> Setting:
    window = (size[0] * size[1], size[2], size[0])
    return setting_of(_rows(planes, shape[0], size[1] // 2, mode), shape[1], window, mode, key)


def _by_network(x: Array, out: Array, size: Size, mode: str, cval: float, band: Band) -> None:
    plane, first, last = band
    seen, planes = _planes(x, plane, size[0], mode)
    pixels = seen.reshape(-1).view(np.uint8)
    results = out.reshape(-1, *x.shape[2:])[plane].reshape(-1).view(np.uint8)
    for key, kind in KEYS[x.dtype.char]:
        outside = border_key(mode, cval, key, kind)
        if outside is None:
            continue
        s = _setting(planes, x.shape[2:], size, mode, key)
        # A height of 0: the next rows of an image are not those that come next here, so none are asked for ahead.
        if s.kernel(pixels, results, 0, first, last, 0, kind, s.row_of, s.column_of, outside, *memory(s, key)):
            return


def _by_ranks(x: Array, out: Array, size: Size, mode: str, cval: float, band: Band) -> None:
    plane, first, last = band
    seen, planes = _planes(x, plane, size[0], mode)
    row_of = _rows(planes, x.shape[2], size[1] // 2, mode)[first * size[0] : (last + size[1] - 1) * size[0]]
    column_of = border_index(x.shape[3], size[2] // 2, size[2] // 2, mode)
    result = out.reshape(-1, *x.shape[2:])[plane, first:last]
    large.filter_table(seen, result, row_of, column_of, (size[0] * size[1], size[2], size[0]), mode, cval)
