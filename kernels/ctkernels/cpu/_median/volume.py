"""Medians of volumes, plane by plane, by the filters of images.

A window of (planes, rows, columns) is a window of ``planes * rows`` neighbouring rows of a table in which the rows of
the planes take turns: row 0 of each, row 1 of each, and so on. From one output row to the next it moves on by as many
rows as there are planes. The filters read rows through such a table anyway, for the border's sake.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.parallel import Band, bands, get_num_threads, run
from ctkernels.cpu._median import large
from ctkernels.cpu._median import planes as by_planes
from ctkernels.cpu._median.small import KEYS, Setting, border_key, memory, setting_of, ways
from ctkernels.shared.border import border_index

Array = NDArray[Any]
Size = tuple[int, int, int]
Span = tuple[int, int]
"""The first one and one past the last."""
Block = tuple[int, Span, Span, Span]
"""Volume, planes, rows, columns."""

_MOST_VOXELS = 245
"""Of a window with a network that shares along two axes (one that shares along three: ``planes.serves``). Beyond it
histograms are as fast, and nothing is compiled for one size."""

_MOST_COLUMNS = 31

MOST_RANKED = 1 << 19
"""Voxels that get ranks at once, of a block and what its windows reach: some 40 bytes each where they are sorted."""


def median_of_volumes(x: Array, out: Array, size: Size, mode: str, cval: float) -> None:
    """Write the median of ``size`` windows of the volumes ``x``, ``(N, D, H, W)``, to ``out``."""
    count, depth, height, width = x.shape
    if by_planes.serves(size, x.itemsize):
        # Rough, but right within a third from 3 x 3 x 3 to 7 x 7 x 7. Rows go in twos.
        pair_nanoseconds = 2 * depth * width * x.itemsize * 0.0085 * math.prod(size) ** 1.3
        # Bands of milliseconds: a core that others use too costs up to one of them at the end.
        tasks = bands(count, -(-height // 2), pair_nanoseconds, share=4)
        run(tasks, partial(_by_planes, x, out, size, mode, cval))
        return
    if math.prod(size) > _MOST_VOXELS or size[2] > _MOST_COLUMNS:
        run(_blocks(x.shape, size, get_num_threads()), partial(_by_ranks, x, out, size, mode, cval))
        return
    voxel_nanoseconds = x.itemsize * 0.0002 * math.prod(size) ** 1.6 + 0.3
    run(bands(count * depth, height, voxel_nanoseconds * width), _by_network(x, out, size, mode, cval))


@lru_cache(maxsize=16)
def _shown(depth: int, planes: int, mode: str) -> list[tuple[int, tuple[int, ...]]]:
    """For each plane: the first one that its windows see, and which from there on stand one over the other."""
    index = border_index(depth, planes // 2, planes // 2, mode)
    seen = [index[z : z + planes] for z in range(depth)]
    lowest = [min((int(k) for k in of if k >= 0), default=0) for of in seen]
    return [(low, tuple(int(k) - low if k >= 0 else -1 for k in of)) for low, of in zip(lowest, seen, strict=True)]


@lru_cache(maxsize=256)
def _setting(planes: tuple[int, ...], shape: tuple[int, int], size: Size, mode: str, key: str) -> Setting:
    """The table has of each row of the extended plane that of each of the ``planes``; -1 for ``cval``."""
    rows = border_index(shape[0], size[1] // 2, size[1] // 2, mode)[:, np.newaxis]
    at = np.array(planes)
    table = np.where((rows >= 0) & (at >= 0), at * shape[0] + rows, -1).ravel()
    return setting_of(table, shape[1], (size[0] * size[1], size[2], size[0]), mode, key)


def _by_network(x: Array, out: Array, size: Size, mode: str, cval: float) -> Callable[[Band], None]:
    """What filters the rows of a plane; all that planes share is looked up once."""
    depth, shape = x.shape[1], x.shape[2:]
    shown = _shown(depth, size[0], mode)
    tries: dict[tuple[int, ...], list[tuple[Setting, str, tuple[int, Array, Array, Array]]]] = {}
    for planes in {planes for _, planes in shown}:
        found = tries[planes] = []
        for key, kind in KEYS[x.dtype.char]:
            outside = border_key(mode, cval, key, kind)
            if outside is not None:
                s = _setting(planes, shape, size, mode, key)
                found.append((s, key, (kind, s.row_of, s.column_of, outside)))
    pixels, results = x.reshape(-1).view(np.uint8), out.reshape(-1).view(np.uint8)
    plane_bytes = x[0, 0].nbytes

    def filter_band(band: Band) -> None:
        plane, first, last = band
        low, planes = shown[plane % depth]
        source = pixels[(plane - plane % depth + low) * plane_bytes :]
        place = results[plane * plane_bytes :]
        for s, key, arguments in tries[planes]:
            # A height of 0: the next rows of an image are not those that come next here, so none are asked for ahead.
            if s.kernel(source, place, 0, first, last, 0, *arguments, *memory(s, key)):
                return

    return filter_band


def _cuts(length: int) -> list[int]:
    """Into how many parts so many planes or rows may be cut."""
    return sorted({min(length, k << n) for n in range(length.bit_length()) for k in (1, 3)})


@lru_cache(maxsize=64)
def _blocks(shape: tuple[int, ...], size: Size, tasks: int) -> list[Block]:
    """Blocks of volumes ``(N, D, H, W)``, at least so many, that cost little."""
    count, *sides = shape
    strips = -(-sides[2] // large.STRIP)

    def reached(cut: tuple[int, ...]) -> list[int]:
        return [-(-n // parts) + k - 1 for n, parts, k in zip(sides, cut, size, strict=True)]

    def cost(cut: tuple[int, ...]) -> tuple[bool, bool, float]:
        planes, rows, columns = reached(cut)
        ranked = planes * rows * columns
        # Histograms begin anew with each plane of a block.
        begun = cut[1] * cut[2] * sides[0] * size[0] * size[1] * columns / 8
        return ranked > MOST_RANKED, count * math.prod(cut) < tasks, math.prod(cut) * ranked + begun

    cuts = itertools.product(_cuts(sides[0]), _cuts(sides[1]), [c for c in _cuts(sides[2]) if c <= strips])
    best = min(cuts, key=cost)
    planes, rows, columns = (
        [(first, min(first + step, n)) for first in range(0, n, step)]
        for n, step in ((n, -(-n // parts)) for n, parts in zip(sides, best, strict=True))
    )
    return list(itertools.product(range(count), planes, rows, columns))


def _part(index: Array) -> tuple[slice, Array]:
    """What of an axis a table of indices shows, and the table for that part."""
    shown = index[index >= 0]
    low, high = (int(shown.min()), int(shown.max())) if shown.size else (0, 0)
    return slice(low, high + 1), np.where(index >= 0, index - low, -1)


def _by_planes(x: Array, out: Array, size: Size, mode: str, cval: float, band: Band) -> None:
    """By networks that share along all axes: a band of pairs of rows of all planes of a volume."""
    volume, first, last = band
    image, results = (v[volume].reshape(-1).view(np.uint8) for v in (x, out))
    shape = (x.shape[1], x.shape[2], x.shape[3])
    blocks = by_planes.blocks(shape, 2 * first, min(2 * last, shape[1]), size, mode)
    for key, kind in ways(x.dtype.char, size):
        outside = border_key(mode, cval, key, kind)
        if outside is not None and all(
            by_planes.filter_block(image, results, shape, block, size, key, kind, outside) for block in blocks
        ):
            return


def _by_ranks(x: Array, out: Array, size: Size, mode: str, cval: float, block: Block) -> None:
    volume, *spans = block
    (planes, plane_of), (rows, row_of), (columns, column_of) = (
        _part(border_index(n, side // 2, side // 2, mode)[first : last + side - 1])
        for n, side, (first, last) in zip(x.shape[1:], size, spans, strict=True)
    )
    part = np.ascontiguousarray(x[volume, planes, rows, columns])
    rows_of_planes = np.where(
        (row_of[:, np.newaxis] >= 0) & (plane_of >= 0), plane_of * part.shape[1] + row_of[:, np.newaxis], -1
    )
    result = out[volume][tuple(slice(*span) for span in spans)]
    large.filter_table(part.reshape(-1, part.shape[2]), result, rows_of_planes.ravel(), column_of, size, mode, cval)
