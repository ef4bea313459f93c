"""Rank filters over windows of any shape: programs of minima and maxima, carried out on blocks of neighbouring pixels.

Nothing is compiled for a footprint: an instruction costs its decoding once for a block, a few nanoseconds for ``BLOCK``
bytes of pixels, and all that it touches stays in the first two levels of cache. Pixels become keys in rows with their
border, those of all planes that a window sees one below the other, so that every pixel of a window is a fixed number of
keys away. Floats are tried as whole numbers first (see ``rows``).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from ctkernels.contract import modes_of
from ctkernels.cpu._core import jit
from ctkernels.cpu._core.parallel import bands, run
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.vectors import VECTOR_BYTES, emits, round_up, whole
from ctkernels.cpu._median.programs import EXCHANGE, HIGHER, LOWER, Pixel, Program, program
from ctkernels.cpu._median.rows import decode_row, encode_row
from ctkernels.cpu._median.small import KEYS, border_key
from ctkernels.shared.border import border_index

Array = NDArray[Any]
Mode = str | tuple[str, ...]

BLOCK = 4 * VECTOR_BYTES
"""Bytes of keys that an instruction works on."""

BAND_BYTES = 256 << 10
"""Of keys that a band of rows has at once."""


def _emit(keep: int) -> Any:
    @emits(kinds=1)
    def kept(builder, kind, a, b, low, high):
        """``low[:] = min(a, b)`` and ``high[:] = max(a, b)`` of blocks of keys of a type at four addresses."""
        key = kind.dtype
        vector = ir.VectorType(ir.IntType(key.bitwidth), VECTOR_BYTES * 8 // key.bitwidth)
        align = key.bitwidth // 8

        def each(address):
            for k in range(BLOCK // VECTOR_BYTES):
                yield builder.inttoptr(builder.add(address, whole(k * VECTOR_BYTES)), vector.as_pointer())

        # All is read before anything is written, which may be in the same place.
        pairs = [(builder.load(p, align=align), builder.load(q, align=align)) for p, q in zip(each(a), each(b))]
        compare = builder.icmp_signed if key.signed else builder.icmp_unsigned
        for (u, v), p, q in zip(pairs, each(low), each(high)):
            less = compare("<", u, v)
            if keep != HIGHER:
                builder.store(builder.select(less, u, v), p, align=align)
            if keep != LOWER:
                builder.store(builder.select(less, v, u), q, align=align)

    return kept


_exchange, _lower, _higher = _emit(EXCHANGE), _emit(LOWER), _emit(HIGHER)


@emits(kinds=1)
def _copy(builder, kind, source, target):
    """A block of keys from one address to another."""
    vector = ir.VectorType(ir.IntType(8), VECTOR_BYTES)
    for k in range(BLOCK // VECTOR_BYTES):
        ends = (
            builder.inttoptr(builder.add(x, whole(k * VECTOR_BYTES)), vector.as_pointer()) for x in (source, target)
        )
        origin, end = ends
        builder.store(builder.load(origin, align=1), end, align=1)


@jit.jit_inline
def fill(keys, begin, width, reach, column_of, image, at, kind, outside):
    """One row with its border from ``keys[begin]`` on; False if a pixel has no key. ``at`` below 0: all outside."""
    if at < 0:
        for x in range(width + 2 * reach):
            keys[begin + x] = outside[0]
        return True
    first = begin + reach
    if not encode_row(keys, first, image, at, width, kind):
        return False
    for x in range(reach):
        left, right = column_of[x], column_of[reach + width + x]
        keys[begin + x] = keys[first + left] if left >= 0 else outside[0]
        keys[first + width + x] = keys[first + right] if right >= 0 else outside[0]
    return True


@jit.jit
def filter_rows(
    image, out, top, rows, kind, row_of, column_of, reach, stride, outside, code, outputs, keys, temporaries, results
):
    """Rows ``top .. top + rows - 1`` of ``out``; False if some pixel has no key.

    ``image`` and ``out`` are flat bytes; ``row_of`` is the source row of each row of ``keys``, -1 for outside, -2 for
    rows that no window sees, and ``stride`` their distance. Half of an operand of ``code`` is a number of bytes, from
    the block's first pixel on where the operand is odd, else from the first temporary on; so are ``outputs``.
    """
    size = keys.itemsize
    width = column_of.size - 2 * reach
    row_bytes = width * (4 if kind == 1 else 8 if kind == 2 else size)
    for r in range(row_of.size):
        if row_of[r] < -1:
            continue
        at = row_of[r] * row_bytes
        if not fill(keys, r * stride, width, reach, column_of, image, at, kind, outside):
            return False
    lanes = BLOCK // size
    line = results.size // outputs.size
    kept = temporaries.ctypes.data
    base, made = keys.ctypes.data, results.ctypes.data
    for y in range(0, rows, outputs.size):
        for x in range(0, width, lanes):
            pixels = base + (y * stride + x) * size
            for i in range(code.shape[0]):
                a, b = code[i, 1], code[i, 2]
                first = (pixels if a & 1 else kept) + (a >> 1)
                second = (pixels if b & 1 else kept) + (b >> 1)
                low, high = kept + code[i, 3], kept + code[i, 4]
                if code[i, 0] == EXCHANGE:
                    _exchange(keys, first, second, low, high)
                elif code[i, 0] == LOWER:
                    _lower(keys, first, second, low, high)
                else:
                    _higher(keys, first, second, low, high)
            for g in range(outputs.size):
                a = outputs[g]
                _copy(keys, (pixels if a & 1 else kept) + (a >> 1), made + (g * line + x) * size)
        for g in range(min(outputs.size, rows - y)):
            decode_row(results, g * line, out, (top + y + g) * row_bytes, width, kind)
    return True


def window_of(mask: Array, origin: int | tuple[int, ...] = 0) -> list[Pixel]:
    """The ones of a footprint of one to three axes, counted from the pixel that it is the window of."""
    places = np.argwhere(mask) - [n // 2 for n in mask.shape] - np.array(origin)
    return [(*(0,) * (3 - mask.ndim), *place) for place in places.tolist()]


class Layout(NamedTuple):
    """A program for rows of keys of one width."""

    code: Array
    outputs: Array
    temporaries: int
    """Bytes."""
    reach: int
    """Columns of border on each side."""
    stride: int
    """Keys from one row to the next."""
    above: int
    """Rows of border above the first."""
    span: int
    """Rows that a window sees of a plane."""
    rows: int
    """Rows of results of a band, at most; ``rows + span - 1`` rows of each plane are in memory."""
    planes: tuple[int, int]
    """The first and the last plane that a window sees, counted from its own."""


class Window(NamedTuple):
    """The program of a window, and how far it reaches; what does not depend on the image."""

    program: Program
    reach: int
    """Columns of border on each side."""
    above: int
    """Rows of border above the first."""
    span: int
    """Rows that it sees of a plane."""
    planes: tuple[int, int]
    """The first and the last plane that it sees, counted from its own."""


class Reach(NamedTuple):
    """Where the pixels of a window lie, and how far it reaches."""

    pixels: tuple[Pixel, ...]
    """Counted from the first of the planes, the first of the rows and ``reach`` columns left of the window's own."""
    columns: int
    above: int
    span: int
    planes: tuple[int, int]


def reach_of(pixels: tuple[Pixel, ...]) -> Reach:
    """``pixels`` are planes, rows and columns counted from the window's centre."""
    first = tuple(min(p[axis] for p in pixels) for axis in range(3))
    last = tuple(max(p[axis] for p in pixels) for axis in range(3))
    reach = max(-first[2], last[2], 0)
    moved = tuple((z - first[0], y - first[1], x + reach) for z, y, x in pixels)
    return Reach(moved, reach, -first[1], last[1] - first[1] + 1, (first[0], last[0]))


def window_program(pixels: tuple[Pixel, ...], rank: int) -> Window:
    """``pixels`` are planes, rows and columns counted from the window's centre."""
    made = reach_of(pixels)
    return Window(program(made.pixels, rank), made.columns, made.above, made.span, made.planes)


@lru_cache(maxsize=128)
def layout(pixels: tuple[Pixel, ...], rank: int, height: int, width: int, itemsize: int) -> Layout:
    """``window_program`` for images of this size and keys of so many bytes."""
    made, reach, above, span, seen = window_program(pixels, rank)
    stride = int(round_up(width + 2 * reach, 64 // itemsize))
    planes = seen[1] - seen[0] + 1
    outputs = len(made.outputs)
    rows = max(BAND_BYTES // (stride * itemsize * planes) - span, 4 * outputs)
    rows = int(round_up(min(rows, height), outputs))
    # The last rows of a group may lie below the band: they see the rows of the next plane, and nobody sees them.
    high = rows + span - 1
    places = np.array([((z * high + y) * stride + x) * itemsize for z, y, x in made.pixels] or [0])

    def bytes_of(operands: Array) -> Array:
        k = operands // 2
        return 2 * np.where(operands % 2, places[np.minimum(k, places.size - 1)], k * BLOCK) + operands % 2

    code = made.code.copy()
    code[:, 1], code[:, 2] = bytes_of(code[:, 1]), bytes_of(code[:, 2])
    code[:, 3:] *= BLOCK
    return Layout(
        code, bytes_of(np.array(made.outputs)), max(made.temporaries, 1) * BLOCK, reach, stride, above, span, rows, seen
    )  # fmt: skip


def rank_filter(x: Array, out: Array, pixels: Iterable[Pixel], rank: int, mode: Mode, cval: float) -> None:
    """Write the value of one rank (0 is the smallest) around each pixel of ``x`` to ``out``.

    Args:
        x: images ``(N, H, W)`` or volumes ``(N, D, H, W)``.
        out: of its shape and dtype.
        pixels: of the window: (plane, row, column), counted from the pixel that it is the window of; for images all
            planes are 0.
        rank: below the number of ``pixels``.
        mode: how the border is extended, as in ``ctkernels.contract.MODES``; or of each axis.
        cval: the value outside for ``mode="constant"``.
    """
    x = jit.one_type(x)
    volumes = x.reshape(-1, x.shape[-3] if x.ndim == 4 else 1, *x.shape[-2:])
    window = tuple(sorted(pixels))
    tasks = bands(volumes.shape[0] * volumes.shape[1], volumes.shape[2], x.shape[-1] * 2.0 * len(window) ** 0.5)
    image, result = x.reshape(-1).view(np.uint8), out.reshape(-1).view(np.uint8)

    def body(band: tuple[int, int, int]) -> None:
        for key, kind in KEYS[x.dtype.char]:
            outside = border_key(mode, cval, key, kind)
            if outside is not None and _band(
                volumes.shape, image, result, band, window, rank, mode, key, kind, outside
            ):
                return

    run(tasks, body)


def _band(
    shape: tuple[int, ...],
    image: Array,
    out: Array,
    band: tuple[int, int, int],
    pixels: tuple[Pixel, ...],
    rank: int,
    mode: Mode,
    key: str,
    kind: int,
    outside: Array,
) -> bool:
    _, depth, height, width = shape
    plane, begin, end = band
    volume, z = divmod(plane, depth)
    itemsize = int(key[1:])
    made = layout(pixels, rank, height, width, itemsize)
    low, high = made.planes
    mode_z, mode_y, mode_x = modes_of(mode, 3)
    beyond = max(-low, high, 0)
    shown = border_index(depth, beyond, beyond, mode_z)[z + beyond + low : z + beyond + high + 1]
    column_of = border_index(width, made.reach, made.reach, mode_x)
    reach = max(made.above, made.span - 1 - made.above, 0)
    table = border_index(height, reach, reach, mode_y)
    lanes = BLOCK // itemsize
    line = int(round_up(width, lanes))
    rows = made.rows + made.span - 1
    groups = made.outputs.size
    keys = scratch("rank.keys", (rows * shown.size + groups) * made.stride + line + lanes, key)
    temporaries = scratch("rank.temporaries", made.temporaries, np.uint8)
    results = scratch("rank.results", groups * line, key)
    for first in range(begin, end, made.rows):
        last = min(first + made.rows, end)
        seen = table[first + reach - made.above : last + reach - made.above + made.span - 1]
        row_of = np.full((shown.size, rows), -2, np.int64)
        source = (volume * depth + shown[:, np.newaxis]) * height + seen
        row_of[:, : seen.size] = np.where((shown[:, np.newaxis] >= 0) & (seen >= 0), source, -1)
        done = filter_rows(
            image, out, plane * height + first, last - first, kind, row_of.reshape(-1), column_of, made.reach,
            made.stride, outside, made.code, made.outputs, keys, temporaries, results,
        )  # fmt: skip
        if not done:
            return False
    return True
