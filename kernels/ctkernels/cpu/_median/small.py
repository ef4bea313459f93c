"""Median filter for small windows by sorting networks; one call of a kernel filters one band of rows.

Source rows pass through a ring of lines, a few more than the window has rows, where the border is added on both sides
and pixels become keys (see ``rows``). Floats are tried as whole numbers first (or as they are, see ``floats``); the
kernel gives up at the first pixels that are none, and another one takes the image as it is. Volumes come as tables of
rows too (``volume``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from ctkernels.cpu._core import jit
from ctkernels.cpu._core.parallel import Band
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.vectors import VECTOR_BYTES, round_up
from ctkernels.cpu._core.viewed import viewed
from ctkernels.cpu._median.edges import EDGE_ADDRESSES, EDGE_ROWS, edge_elements, edge_filter, edge_lines
from ctkernels.cpu._median.emit import lanes, median_strip, scratch_size, vector_bytes
from ctkernels.cpu._median.floats import pays, plain_row
from ctkernels.cpu._median.plan import plan
from ctkernels.cpu._median.rows import FLOAT32, FLOAT64, PIXELS, decode_row, encode_row
from ctkernels.shared.border import border_index

Array = NDArray[Any]
Size = tuple[int, int]


@jit.jit_part
def extend(line, begin, width, reach, column_of, outside):
    """The border on both sides of a row of keys that begins at ``line[begin]``."""
    end = begin + width
    for x in range(reach):
        left, right = column_of[x], column_of[reach + width + x]
        line[begin - reach + x] = line[begin + left] if left >= 0 else outside
        line[end + x] = line[begin + right] if right >= 0 else outside


@register_jitable
def _as_keys(image, line):
    """Flat bytes as keys of the type of ``line``'s."""
    return viewed(image, line.dtype.type(0))


@register_jitable
def table_size(rows, outputs):
    """Elements of a kernel's table for so many extended rows."""
    return rows + outputs + EDGE_ADDRESSES


@lru_cache(maxsize=64)
def kernel(rows: int, columns: int, by: int = 1) -> Callable[..., bool]:
    """The filter for one window size; compiled once for each key type, its code found on disk the next time.

    The windows of neighbouring outputs begin ``by`` rows of ``row_of`` apart.
    """
    made = plan(rows, columns, by)
    reach = columns // 2
    outputs = made.outputs
    vector = vector_bytes(made)
    ring = made.sources_read
    strip_bytes = made.strip_bytes
    lines_of_edges = edge_lines(rows, columns, by)
    filter_edges = edge_filter(rows, columns, by)
    from_image = len(made.steps) == 1 and (columns == 1 or lines_of_edges > 0)

    def filter_rows(image, out, number, first, last, height, kind, row_of, column_of, outside, table, scratch):
        """Rows ``first .. last - 1`` of image ``number``; False if some pixel has no key.

        ``image`` and ``out`` are flat bytes of images of ``height`` rows; ``row_of`` and ``column_of`` the border
        tables, ``outside`` the key of ``cval``; ``table`` and ``scratch`` memory that the caller owns.
        """
        key_bytes = scratch.itemsize
        lane = vector // key_bytes
        width = column_of.size - 2 * reach
        row_bytes = width * (4 if kind == FLOAT32 else 8 if kind == FLOAT64 else key_bytes)
        top = number * height
        # A line: the left border, up to a whole vector so that pixels are aligned, pixels, the right border, and room
        # for the vector that is read beyond the end.
        margin = round_up(reach, lane)
        length = margin + round_up(width + reach, lane) + 2 * lane
        # Whole vectors are written. Narrow images, and keys that are no pixels, go through a line of results.
        written = max(width, lane)
        to_image = kind == PIXELS and width >= lane
        # Without lists between loops rows are read where they are, and the columns at both ends are done once more.
        direct = from_image and to_image
        last_row = image.size // row_bytes - 1
        strips = (written * key_bytes + strip_bytes - 1) // strip_bytes
        strip = (written + strips - 1) // strips
        # Addresses by row: of what each is read from, then of results.
        addresses = row_of.size + outputs * by
        lines, outs = table[:addresses], table[addresses:]
        results = ring * length
        lists = scratch[(ring + outputs) * length :]
        scratch_address, out_address, image_address = scratch.ctypes.data, out.ctypes.data, image.ctypes.data
        pixels, filtered = _as_keys(image, scratch), _as_keys(out, scratch)
        edge_table = table[table.size - EDGE_ADDRESSES :]
        edges = scratch[scratch.size - edge_elements(lines_of_edges, EDGE_ROWS + outputs, rows, by, lane) :]
        done, line, begun = first * by, 0, first
        # Where rows are read from the image, those that results stand for are looked at as they are filtered.
        begin_row, end_row = first * by + rows // 2, last * by + rows // 2
        # No slice inside the loops: each would count references with atomic operations.
        for y in range(first, last, outputs):
            # The rows that this group of output rows sees for the first time enter the ring.
            while done < min(y * by + ring, row_of.size):
                source = row_of[done]
                begin = line + margin
                lines[done] = scratch_address + (begin - reach) * key_bytes
                at = (top + source) * row_bytes
                if source < 0:
                    for x in range(begin - reach, begin + width + reach):
                        scratch[x] = outside[0]
                elif not (direct and begin_row <= done < end_row) and not plain_row(scratch, image, at, width):
                    return False
                elif direct and 0 < top + source < last_row:
                    lines[done] = image_address + at - reach * key_bytes  # there are pixels on both sides of the row
                    done += 1
                    continue
                elif not encode_row(scratch, begin, image, at, width, kind):
                    return False
                if source >= 0:
                    extend(scratch, begin, width, reach, column_of, outside[0])
                line = line + length if line + length < results else 0
                done += 1
            # The last group may want rows that no window has; any will do.
            for extra in range(done, y * by + ring):
                lines[extra] = lines[done - 1]
            # Results go straight to the image where they can; those beyond the band go to lines that nobody reads.
            for o in range(outputs):
                if to_image and y + o < last:
                    outs[o] = out_address + (top + y + o) * row_bytes
                else:
                    outs[o] = scratch_address + (results + o * length) * key_bytes
            if direct:
                ahead = (image_address + (top + done) * row_bytes, out_address + (top + y + outputs) * row_bytes)
                if not median_strip(lists, lines, outs, y * by, 0, width, rows, columns, by, ahead):
                    return False
                if lines_of_edges and (y + outputs - begun >= EDGE_ROWS or y + outputs >= last):
                    end = min(y + outputs, last)
                    filter_edges(
                        pixels, filtered, top, begun, end, row_of, column_of, outside[0], edge_table, edges, lane
                    )
                    begun = end
            else:
                # Strips, so that the lists between the loops stay in cache; the last one overlaps its neighbour.
                for s in range(strips):
                    median_strip(
                        lists, lines, outs, y * by, min(s * strip, written - strip), strip, rows, columns, by, None
                    )
            if not to_image:
                for o in range(min(outputs, last - y)):
                    decode_row(scratch, results + o * length, out, (top + y + o) * row_bytes, width, kind)
        return True

    name = f"filter_rows_{rows}x{columns}" if by == 1 else f"filter_rows_{rows}x{columns}_by_{by}"
    return jit.jit_named(filter_rows, name)


class Setting(NamedTuple):
    """All that does not change from one image of a series to the next."""

    kernel: Callable[..., bool]
    row_of: Array
    column_of: Array
    table: int
    """Elements of the table of addresses."""
    scratch: int
    """Elements of the lines and lists."""


@lru_cache(maxsize=256)
def setting(shape: tuple[int, int], size: Size, mode: str, key: str) -> Setting:
    """For images of this shape; ``key`` is the type of keys."""
    rows, columns = size
    return setting_of(border_index(shape[0], rows // 2, rows // 2, mode), shape[1], (rows, columns, 1), mode, key)


def setting_of(row_of: Array, width: int, window: tuple[int, int, int], mode: str, key: str) -> Setting:
    """For a table of rows of this width; ``window`` is (rows, columns, by)."""
    made = plan(*window)
    itemsize = int(key[1:])
    lane = lanes(made, itemsize)
    reach = made.columns // 2
    length = round_up(reach, lane) + round_up(width + reach, lane) + 2 * lane
    return Setting(
        kernel(*window),
        row_of,
        border_index(width, reach, reach, mode),
        table_size(row_of.size, made.outputs * (made.by + 1)),
        (made.sources_read + made.outputs) * length
        + scratch_size(made, itemsize)
        + edge_elements(edge_lines(*window), EDGE_ROWS + made.outputs, made.rows, made.by, lane),
    )


def serves(size: Size) -> bool:
    """Whether windows of this size have a network: larger ones would take more time than histograms, or to compile."""
    rows, columns = size
    return rows <= 15 and columns <= 31 and rows * columns <= 225


class _Memory(threading.local):
    """What a thread used last, by key type: looking its memory up anew would be a fifth of the cost of a call."""

    def __init__(self) -> None:
        self.last: dict[str, tuple[Setting, Array, Array]] = {}


_memory = _Memory()


def memory(wanted: Setting, key: str) -> tuple[Array, Array]:
    """This thread's table and lines."""
    last = _memory.last.get(key)
    if last is None or last[0] is not wanted:
        table = scratch("median.table", wanted.table, np.int64)
        last = _memory.last[key] = (wanted, table, scratch("median.lines", wanted.scratch, key))
    return last[1], last[2]


def bind(
    shape: tuple[int, ...], keys: Sequence[tuple[str, int]], size: Size, mode: str, cval: float
) -> Callable[[Array, Array, Band], bool]:
    """What writes the rows of a band of ``out``, medians of ``size`` windows of ``x``; both ``(N, H, W)``.

    It tries each of the ``keys`` (``ways``), and is False if some pixel has none.
    """
    height, area = shape[1], (shape[1], shape[2])
    tries = []
    for key, kind in keys:
        outside = border_key(mode, cval, key, kind)
        if outside is not None:
            s = setting(area, size, mode, key)
            tries.append((s, key, (height, kind, s.row_of, s.column_of, outside)))

    def filter_band(x: Array, out: Array, band: Band) -> bool:
        pixels, results = x.reshape(-1).view(np.uint8), out.reshape(-1).view(np.uint8)
        return any(s.kernel(pixels, results, *band, *arguments, *memory(s, key)) for s, key, arguments in tries)

    return filter_band


KEYS: dict[str, tuple[tuple[str, int], ...]] = {
    "B": (("u1", PIXELS),),
    "H": (("u2", PIXELS),),
    "h": (("i2", PIXELS),),
    "f": (("i2", FLOAT32), ("i4", FLOAT32)),
    "d": (("i2", FLOAT64), ("i8", FLOAT64)),
}
"""Key type and kind of pixels to try, by the image's dtype; the last one always serves."""

_NOTHING = {key: np.zeros(1, key) for key in ("u1", "u2", "i2", "i4", "i8", "f4")}


def ways(char: str, size: tuple[int, ...]) -> tuple[tuple[str, int], ...]:
    """``KEYS`` for windows of this size, and floats as they are where that pays (``floats``).

    Whole numbers, whose keys are half as wide, go that way at 3 x 3 alone, where keys cost as much as the filter.
    """
    found = KEYS[char]
    if char != "f" or not pays():
        return found
    if size == (3, 3):
        return ("f4", PIXELS), *found
    # Vectors of 32 bytes gained nothing.
    return (found[0], ("f4", PIXELS), *found[1:]) if VECTOR_BYTES == 64 else found


def border_key(mode: str | tuple[str, ...], cval: float, key: str, kind: int) -> Array | None:
    """The key of the pixels outside the image, where ``mode`` shows any; None if this type has none for ``cval``."""
    if "constant" not in mode:
        return _NOTHING[key]
    outside = np.zeros(1, key)
    if key == "f4":
        outside[0] = cval
        odd = np.isnan(outside[0]) or (outside[0] == 0 and np.signbit(outside[0]))
        return None if odd else outside
    if kind == PIXELS:
        outside[0] = int(cval)
        return outside
    pixel = np.full(1, cval, "f4" if kind == FLOAT32 else "f8")
    return outside if encode_one(outside, pixel.view(np.uint8), kind) else None


@jit.jit
def encode_one(outside, pixel, kind):
    """Key of a single pixel."""
    return encode_row(outside, 0, pixel, 0, 1, kind)
