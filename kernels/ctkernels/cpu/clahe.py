"""CLAHE on the CPU: contrast-limited adaptive histogram equalisation (Zuiderveld 1994), ``cv2.createCLAHE``'s results.

Bins of an image are uint8 or uint16 numbers; an unsigned image with as many bins as values is its own bins. Tables
hold whole levels (uint8, uint16) for integers and shares of 1 (float32) for floats.
"""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._clahe.band import PAD, bin_ranges, equalize
from ctkernels.cpu._clahe.bins import bin_pixels, pixel_range
from ctkernels.cpu._clahe.plan import Plan, plan
from ctkernels.cpu._clahe.tables import BANKS
from ctkernels.cpu._clahe.volume import equalize_volume
from ctkernels.cpu._core.jit import one_type
from ctkernels.cpu._core.parallel import Band, bands, get_num_threads, run
from ctkernels.cpu._core.scratch import scratch
from ctkernels.shared.clahe_tiles import clip_pixels

Array = NDArray[Any]
Pair = tuple[float, float]
FEW_BINS = 512
"""Up to here tables hold all bins; above, finding the bins that occur costs less than it saves."""
_NANOSECONDS = 1.2
"""Rough cost of a pixel on one thread."""


def clahe(
    x: Array, out: Array, *, clip_limit: float, tile_grid: tuple[int, ...], nbins: int, value_range: Pair | None
) -> None:
    """Equalise each image ``(N, H, W)`` or volume ``(N, D, H, W)``; see ``ctkernels.reference.clahe``."""
    x = one_type(x)
    if len(tile_grid) == 3:
        for volume, result in zip(x, out, strict=True):
            equalize_volume(
                volume, result, clip_limit=clip_limit, tile_grid=tile_grid, nbins=nbins, value_range=value_range
            )
        return
    images, height, width = x.shape
    p = plan(height, width, tile_grid)
    limit = clip_pixels(clip_limit, p.tile[0] * p.tile[1], nbins)
    if x.dtype.kind == "u" and value_range is None and nbins == 256**x.itemsize:
        run(_bands(images, height, width, p), lambda band: _equalize(x, out, band, p, nbins, limit, 0, nbins - 1))
        return
    if images > 1 and images >= get_num_threads():
        run(range(images), lambda i: _binned(x[i : i + 1], out[i : i + 1], p, nbins, limit, value_range, split=False))
        return
    for i in range(images):
        _binned(x[i : i + 1], out[i : i + 1], p, nbins, limit, value_range, split=True)


def _bands(images: int, height: int, width: int, p: Plan) -> list[Band]:
    """Image, first and one past the last block row of each task; a band computes one row of tables in vain."""
    blocks = p.tiles[0] + 1
    threads = get_num_threads()
    share = -(-threads // images)
    if threads == 1 or share == 1 or len(bands(images, height, width * _NANOSECONDS)) == images:
        return [(i, 0, blocks) for i in range(images)]
    cuts = [blocks * k // share for k in range(share + 1)]
    return [(i, a, b) for i in range(images) for a, b in pairwise(cuts) if b > a]


def _binned(x: Array, out: Array, p: Plan, nbins: int, limit: int, value_range: Pair | None, *, split: bool) -> None:
    """One image, ``(1, H, W)``, that needs a plane of bins of its own; on several threads if ``split``."""
    _, height, width = x.shape
    low, high = pixel_range(x, value_range)
    if low == high:
        out[...] = low
        return
    bins = scratch("clahe bins", x.size, np.uint16).reshape(x.shape)

    if not split:
        bin_pixels(x, bins, low, high, nbins)
        _equalize(bins, out, (0, 0, p.tiles[0] + 1), p, nbins, limit, low, high)
        return

    def fill(band: Band) -> None:
        rows = slice(band[1], band[2])
        bin_pixels(x[0, rows], bins[0, rows], low, high, nbins)

    run(bands(1, height, width * 0.2), fill)
    run(_bands(1, height, width, p), lambda band: _equalize(bins, out, band, p, nbins, limit, low, high))


class _Memory(threading.local):
    """A thread's scratch for the last setting of few bins: fetching it anew was a third of the cost of a small call."""

    setting: tuple[Any, ...] = ()
    arrays: tuple[Array, ...]


_memory = _Memory()


def few_bins_memory(p: Plan, nbins: int, dtype: np.dtype[Any]) -> tuple[Array, ...]:
    """Ranges that hold all bins, and this thread's ``memory`` for ``equalize``."""
    # The plan itself is compared, not its content: it is kept between calls.
    if len(_memory.setting) != 3 or _memory.setting[0] is not p or _memory.setting[1:] != (nbins, dtype):
        ranges = np.zeros((2, *p.tiles, 2), np.int64)
        ranges[..., 1] = nbins - 1
        _memory.arrays = (ranges, *_scratch(p, nbins, dtype))
        _memory.setting = (p, nbins, dtype)
    return _memory.arrays


def _equalize(bins: Array, out: Array, band: Band, p: Plan, nbins: int, limit: int, low: Any, high: Any) -> None:
    whole = out.dtype.kind != "f"
    if nbins <= FEW_BINS:
        ranges, *memory = few_bins_memory(p, nbins, out.dtype)
    else:
        ranges = scratch("clahe ranges", 4 * p.tiles[0] * p.tiles[1], np.int64).reshape(2, *p.tiles, 2)
        longest = bin_ranges(bins, band[0], max(band[1] - 1, 0), min(band[2], p.tiles[0]), p.table, ranges)
        memory = [*_scratch(p, longest, out.dtype)]
    span = int(high) - int(low) if whole else 1
    if whole:
        low, high = np.int32(low), np.int32(high)
    equalize(bins, out, band, (p.table, p.weights, ranges, nbins, limit, span, low, high), tuple(memory))


def _scratch(p: Plan, bins: int, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
    """Cleared histogram (a kernel leaves it cleared), tables of two tile rows, packed table of a block."""
    padded = -(-bins // PAD) * PAD
    level = np.float32 if dtype.kind == "f" else np.uint8 if dtype.itemsize == 1 else np.uint16
    if bins > FEW_BINS:
        hist = scratch("clahe histogram", BANKS * padded, np.int32)
        hist.fill(0)
        tables = scratch("clahe tables", 2 * p.tiles[1] * (padded + PAD), level)
        return hist, tables, scratch("clahe packed", 4 * padded, level)
    tables = np.empty(2 * p.tiles[1] * (padded + PAD), level)
    return np.zeros(BANKS * padded, np.int32), tables, np.empty(4 * padded, level)
