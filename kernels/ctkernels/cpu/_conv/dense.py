"""The product of a dense layer as tasks, each a part of the sum over inputs; see ``job``.

One image is bound by reading the weights once, so they are read row after row as they lie in memory, and may be
narrower than numbers: bfloat16, widened to float32 by a shift, or int8; sums stay float32. Of several images, a few
rows of weights at a time are put into slices for the convolution's product. Either way each output is summed in the
order of the inputs within a part, and parts are added up in theirs: the bits of an image depend neither on its batch
nor on threads.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum, auto
from typing import Any, Final

from llvmlite import ir

from ctkernels.cpu._conv.lanes import BLOCK_BYTES, REGISTER_BYTES, full
from ctkernels.cpu._conv.memory import clear, move_pixels, size_of, word
from ctkernels.cpu._conv.product import add_product
from ctkernels.cpu._core.jit import jit, jit_part
from ctkernels.cpu._core.vectors import I32, Vectors, ask, emits, round_up, whole

MOST_IMAGES: Final = 64
"""Of a job: so many times the parts' sums are kept. Larger batches are several jobs."""
_PART: Final = 1024
"""Inputs of a task."""
_STEP: Final = 64
"""Inputs whose weights are put into slices together: 32 KB for 128 outputs."""
_ROWS: Final = 8
"""Rows of weights that one image's sums take up between a load and a store."""
_AHEAD: Final = 8192
"""Bytes from the weights that are used to those that are asked for: the processor does so itself within a page of 4 KB,
and waits at the beginning of each."""


class DenseJob(IntEnum):
    """Words of a job."""

    IMAGES = 0
    INPUTS = auto()
    OUTPUTS = auto()
    WEIGHT_BYTES = auto()
    """Of one of the weights: as many as a number has, 2 where they are bfloat16, 1 where they are int8."""
    X = auto()
    KERNEL = auto()
    SUMS = auto()
    """``dense_parts`` times ``images * outputs``."""


def _weights(v: Vectors, narrow: int) -> tuple[int, Callable[[Any], Any]]:
    """Bytes of a weight, and how a register of them is loaded; ``narrow`` bytes, or a number where it is 0."""
    if narrow == 0:
        return v.size, lambda address: v.load(address, align=v.size)
    if narrow == 1:
        return 1, lambda address: v.b.sitofp(v.load(address, ir.VectorType(ir.IntType(8), v.lanes)), v.type)
    half, wide = (ir.VectorType(ir.IntType(bits), v.lanes) for bits in (16, 32))
    floats = ir.VectorType(ir.FloatType(), v.lanes)
    upper = ir.Constant(wide, [ir.Constant(I32, 16)] * v.lanes)

    def load(address):
        # bfloat16 is the upper half of a float32.
        value = v.b.bitcast(v.b.shl(v.b.zext(v.load(address, half, 2), wide), upper), floats)
        return value if floats == v.type else v.b.fpext(value, v.type)

    return 2, load


def _add_vector_product(narrow: int, b, kind, x, kernel, inputs, outputs, sums) -> None:
    v = full(b, kind)
    size, load = _weights(v, narrow)
    row = b.mul(outputs, whole(size))

    def rows(count):
        def add(p):
            numbers = [v.splat(v.load(v.at(x, b.add(p, whole(r))), v.scalar, v.size)) for r in range(count)]
            starts = [b.add(kernel, b.mul(row, b.add(p, whole(r)))) for r in range(count)]
            ahead = b.add(starts[0], whole(_AHEAD))

            def along(f):
                ask(b, v.at(ahead, f, count * size), count * v.lanes * size, written=False)
                total, offset = v.load(v.at(sums, f), align=v.size), b.mul(f, whole(size))
                for number, start in zip(numbers, starts, strict=True):
                    total = v.muladd(number, load(b.add(start, offset)), total)
                v.store(total, v.at(sums, f), v.size)

            v.loop(whole(0), outputs, v.lanes, along)

        return add

    even = b.mul(b.sdiv(inputs, whole(_ROWS)), whole(_ROWS))
    v.loop(whole(0), even, _ROWS, rows(_ROWS))
    v.loop(even, inputs, 1, rows(1))


@emits(kinds=1)
def add_vector_product(b, kind, x, kernel, inputs, outputs, sums):
    """Add ``x @ kernel`` of one image to ``sums``; ``outputs`` fill whole registers."""
    _add_vector_product(0, b, kind, x, kernel, inputs, outputs, sums)


@emits(kinds=1)
def add_vector_product_half(b, kind, x, kernel, inputs, outputs, sums):
    """The same with bfloat16 weights."""
    _add_vector_product(2, b, kind, x, kernel, inputs, outputs, sums)


@emits(kinds=1)
def add_vector_product_bytes(b, kind, x, kernel, inputs, outputs, sums):
    """The same with int8 weights."""
    _add_vector_product(1, b, kind, x, kernel, inputs, outputs, sums)


def _slice_rows(narrow: int, b, kind, kernel, inputs, outputs, out, room) -> None:
    v = full(b, kind)
    size, load = _weights(v, narrow)

    def row(p):
        source, target = b.add(kernel, b.mul(p, b.mul(outputs, whole(size)))), b.add(out, b.mul(p, whole(BLOCK_BYTES)))

        def columns(f):
            goal = b.add(target, b.mul(room, b.sdiv(f, whole(2 * v.lanes))))
            ask(b, b.add(v.at(source, f, size), whole(_AHEAD)), 2 * v.lanes * size, written=False)
            for z in range(2):
                number = b.add(f, whole(z * v.lanes))
                v.store(load(v.at(source, number, size)), b.add(goal, whole(z * REGISTER_BYTES)), v.size)

        v.loop(whole(0), outputs, 2 * v.lanes, columns)

    v.loop(whole(0), inputs, 1, row)


@emits(kinds=1)
def slice_rows(b, kind, kernel, inputs, outputs, out, room):
    """``inputs`` rows of weights to slices of two registers of outputs, ``room`` bytes apart."""
    _slice_rows(0, b, kind, kernel, inputs, outputs, out, room)


@emits(kinds=1)
def slice_rows_half(b, kind, kernel, inputs, outputs, out, room):
    """The same with bfloat16 weights."""
    _slice_rows(2, b, kind, kernel, inputs, outputs, out, room)


@emits(kinds=1)
def slice_rows_bytes(b, kind, kernel, inputs, outputs, out, room):
    """The same with int8 weights."""
    _slice_rows(1, b, kind, kernel, inputs, outputs, out, room)


@jit
def dense_parts(inputs):
    """Parts of the sum: their length alone counts, not the threads."""
    return max(1, (inputs + _PART - 1) // _PART)


@jit
def dense_scratch(kind, images, outputs):
    """Bytes of scratch of a task: slices of weights, and the images' numbers for them."""
    return round_up(_STEP * (outputs + images) * size_of(kind), 64)


@jit
def dense_task(kind, job, task, scratch):
    """One part of the sum, of all images."""
    images, inputs, outputs = word(job, DenseJob.IMAGES), word(job, DenseJob.INPUTS), word(job, DenseJob.OUTPUTS)
    weight_bytes, size = word(job, DenseJob.WEIGHT_BYTES), size_of(kind)
    sums = word(job, DenseJob.SUMS) + task * images * outputs * size
    clear(sums, images * outputs * size)
    first = task * _PART
    count = min(_PART, inputs - first)
    x = word(job, DenseJob.X) + first * size
    kernel = word(job, DenseJob.KERNEL) + first * outputs * weight_bytes
    if images > 1:
        _add_matrix_product(kind, job, x, kernel, count, sums, scratch)
    elif weight_bytes == 1:
        add_vector_product_bytes(kind, x, kernel, count, outputs, sums)
    elif weight_bytes == 2:
        add_vector_product_half(kind, x, kernel, count, outputs, sums)
    else:
        add_vector_product(kind, x, kernel, count, outputs, sums)


@jit_part
def _add_matrix_product(kind, job, x, kernel, count, sums, scratch):
    images, inputs, outputs = word(job, DenseJob.IMAGES), word(job, DenseJob.INPUTS), word(job, DenseJob.OUTPUTS)
    weight_bytes, size = word(job, DenseJob.WEIGHT_BYTES), size_of(kind)
    room, row = _STEP * BLOCK_BYTES, outputs * weight_bytes
    left = scratch + _STEP * outputs * size
    for p in range(0, count, _STEP):
        depth = min(_STEP, count - p)
        if weight_bytes == 1:
            slice_rows_bytes(kind, kernel + p * row, depth, outputs, scratch, room)
        elif weight_bytes == 2:
            slice_rows_half(kind, kernel + p * row, depth, outputs, scratch, room)
        else:
            slice_rows(kind, kernel + p * row, depth, outputs, scratch, room)
        # Images lie a power of two apart or nearly so: side by side they do not fall into one set of the cache.
        move_pixels(kind, x + p * size, inputs * size, left, _STEP * size, images, depth)
        for first in range(0, outputs, BLOCK_BYTES // size):
            add_product(
                kind, left, _STEP * size, size, scratch + first * size // BLOCK_BYTES * room, BLOCK_BYTES,
                sums + first * size, outputs * size, images, depth,
            )  # fmt: skip
