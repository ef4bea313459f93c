"""Median filter for small windows by sorting networks; one call of a kernel filters one band of rows.

Source rows pass through a ring of ``rows + 1`` lines, extended by the border on both sides and turned into keys:
integers that sort as the pixels do. Integer pixels are their own keys. Floats that hold whole numbers in the range of
int16, as CT values in Hounsfield units do, become int16 (half the memory, twice the pixels in a vector); the kernel
gives up at the first other pixel. Any floats become the signed integer of their width with the negative ones turned
round, NaN the largest.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu import _jit
from ctkernels.cpu._border import border_index
from ctkernels.cpu._median._emit import STRIP_BYTES, lanes, median_strip, scratch_size, vector_bytes
from ctkernels.cpu._median._rows import FLOAT32, FLOAT64, PIXELS, decode_row, encode_row
from ctkernels.cpu._scratch import scratch

Array = NDArray[Any]
Size = tuple[int, int]


@lru_cache(maxsize=64)
def kernel(rows: int, columns: int) -> Callable[..., bool]:
    """The filter for one window size; compiled once for each key type, its code found on disk the next time."""
    reach = columns // 2
    outputs = min(rows, 2)
    vector_bytes_ = vector_bytes()
    ring = rows + outputs

    def filter_rows(
        image: Array,
        out: Array,
        first: int,
        last: int,
        height: int,
        kind: int,
        row_of: Array,
        column_of: Array,
        outside: Array,
        table: Array,
        scratch: Array,
    ) -> bool:
        """Rows ``first .. last - 1`` of ``out`` from ``image``, both flat bytes of ``height`` rows; False if some pixel has no key.

        ``row_of`` and ``column_of`` are the border tables, ``outside`` the key of ``cval``.
        """
        key_bytes = scratch.itemsize
        row_bytes = out.size // height
        lane = vector_bytes_ // key_bytes
        width = column_of.size - 2 * reach
        pad = (reach + lane - 1) // lane * lane
        length = pad + (width + reach + lane - 1) // lane * lane + 2 * lane
        wide = max(width, lane)
        direct = kind == PIXELS and width >= lane
        lines = table[: row_of.size + 1]
        outs = table[row_of.size + 1 :]
        address = scratch.ctypes.data
        done = first
        for y in range(first, last, outputs):
            while done < min(y + ring - 1, row_of.size):
                line = scratch[done % ring * length : (done % ring + 1) * length]
                source = row_of[done]
                lines[done] = address + (done % ring * length + pad - reach) * key_bytes
                if source < 0:
                    line[:] = outside[0]
                else:
                    if not encode_row(scratch, done % ring * length + pad, image, source * row_bytes, width, kind):
                        return False
                    inner = line[pad : pad + width]
                    for x in range(reach):
                        left, right = column_of[x], column_of[reach + width + x]
                        line[pad - reach + x] = inner[left] if left >= 0 else outside[0]
                        line[pad + width + x] = inner[right] if right >= 0 else outside[0]
                done += 1
                lines[done] = lines[done - 1]
            for o in range(outputs):
                if direct and y + o < last:
                    outs[o] = out.ctypes.data + (y + o) * width * key_bytes
                else:
                    outs[o] = address + (ring + o) * length * key_bytes
            strips = (wide * key_bytes + STRIP_BYTES - 1) // STRIP_BYTES
            for s in range(strips):
                start, stop = wide * s // strips, wide * (s + 1) // strips
                median_strip(scratch[(ring + outputs) * length :], lines, outs, y, start, stop - start, rows, columns)
            if not direct:
                for o in range(min(outputs, last - y)):
                    decode_row(scratch, (ring + o) * length, out, (y + o) * row_bytes, width, kind)
        return True

    return _jit.jit(filter_rows)


@lru_cache(maxsize=256)
def _scratch_elements(rows: int, columns: int, width: int, itemsize: int) -> int:
    lane = lanes(itemsize)
    reach = columns // 2
    length = -(-reach // lane) * lane + -(-(width + reach) // lane) * lane + 2 * lane
    return (rows + 2 * min(rows, 2)) * length + scratch_size(rows, columns, itemsize)


def serves(size: Size) -> bool:
    """Whether windows of this size have a network: larger ones would take more time than histograms, or to compile."""
    rows, columns = size
    return rows <= 15 and columns <= 31 and rows * columns <= 225


def filter_band(x: Array, out: Array, first: int, last: int, size: Size, mode: str, cval: float) -> None:
    """Write rows ``first .. last - 1`` of ``out``, the median of ``size`` windows of ``x``; both of shape ``(H, W)``."""
    for key, kind in _KEYS[x.dtype.char]:
        outside = _NOTHING[key] if mode != "constant" else _key_of(cval, key, kind)
        if outside is not None and _run(x, out, first, last, size, mode, key, kind, outside):
            return


def _run(
    x: Array, out: Array, first: int, last: int, size: Size, mode: str, key: str, kind: int, outside: Array
) -> bool:
    rows, columns = size
    height, width = x.shape
    row_of = border_index(height, rows // 2, rows // 2, mode)
    column_of = border_index(width, columns // 2, columns // 2, mode)
    elements = _scratch_elements(rows, columns, width, _NOTHING[key].itemsize)
    return kernel(rows, columns)(
        x.reshape(-1).view(np.uint8),
        out.reshape(-1).view(np.uint8),
        first,
        last,
        height,
        kind,
        row_of,
        column_of,
        outside,
        scratch("median.table", height + rows + 2, np.int64),
        scratch("median.lines", elements, key),
    )


_KEYS: dict[str, tuple[tuple[str, int], ...]] = {
    "B": (("u1", PIXELS),),
    "H": (("u2", PIXELS),),
    "h": (("i2", PIXELS),),
    "f": (("i2", FLOAT32), ("i4", FLOAT32)),
    "d": (("i2", FLOAT64), ("i8", FLOAT64)),
}
"""Key type and kind of pixels to try, by the image's dtype; the last one always serves."""

_NOTHING = {key: np.zeros(1, key) for key in ("u1", "u2", "i2", "i4", "i8")}


def _key_of(cval: float, key: str, kind: int) -> Array | None:
    """The key of ``cval``; None if this type has none for it."""
    outside = np.zeros(1, key)
    if kind == PIXELS:
        outside[0] = int(cval)
        return outside
    pixel = np.full(1, cval, "f4" if kind == FLOAT32 else "f8")
    return outside if encode_one(outside, pixel.view(np.uint8), kind) else None


@_jit.jit
def encode_one(outside: Array, pixel: Array, kind: int) -> bool:
    """Key of a single pixel."""
    return encode_row(outside, 0, pixel, 0, 1, kind)
