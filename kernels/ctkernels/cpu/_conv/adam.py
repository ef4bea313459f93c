"""A step of Adam (Kingma and Ba, 2015; AdamW's decay: Loshchilov and Hutter, 2019) as tasks, each a block of one array.

One pass over memory: a gradient and what it changes are read together, and moments and weights written together.
Tasks read XLA's own frame, as arrays are many and a job has room for few words; it lives until the last task has ended.
"""

from __future__ import annotations

from enum import IntEnum, auto
from typing import Final

from llvmlite import ir
from numba.core import cgutils

from ctkernels.cpu._conv.memory import size_of, word
from ctkernels.cpu._conv.tiles import over_channels
from ctkernels.cpu._conv.xla_frame import argument, data, length, result
from ctkernels.cpu._core.jit import jit
from ctkernels.cpu._core.vectors import emits, whole

_BLOCK: Final = 16384
"""Numbers of an array that a task takes."""


class AdamJob(IntEnum):
    """Words of a job."""

    FRAME = 0
    ARRAYS = auto()
    """Arrays of weights; as many gradients and moments."""


class Number(IntEnum):
    """The first argument: what is the same for all arrays, then the decay of each."""

    SCALE = 0
    """Gradients are multiplied by it."""
    FIRST = auto()
    """How much of the first moments stays, and how much of a gradient comes in."""
    FIRST_NEW = auto()
    SECOND = auto()
    """The same of the second moments and squared gradients."""
    SECOND_NEW = auto()
    FIRST_CORRECTION = auto()
    """Moments are multiplied by it: they begin at zero."""
    SECOND_CORRECTION = auto()
    EPSILON = auto()
    RATE = auto()
    DECAYS = auto()


@emits(kinds=1)
def _update(b, kind, numbers, decay, count, gradient, first, second, weight, new_first, new_second, new_weight):
    """``count`` numbers of each array, given by address; results may be where arguments are."""

    def body(v, k):
        def number(n):
            return v.splat(v.load(v.at(numbers, whole(n)), v.scalar, v.size))

        def square_root(x):
            name, kind = f"llvm.sqrt.v{v.lanes}f{8 * v.size}", ir.FunctionType(v.type, [v.type])
            return b.call(cgutils.get_or_insert_function(b.module, kind, name), [x])

        g, m, s, w = (v.load(v.at(start, k), align=v.size) for start in (gradient, first, second, weight))
        g = b.fmul(g, number(Number.SCALE))
        m = v.muladd(number(Number.FIRST), m, b.fmul(number(Number.FIRST_NEW), g))
        s = v.muladd(number(Number.SECOND), s, b.fmul(number(Number.SECOND_NEW), b.fmul(g, g)))
        root = square_root(b.fmul(s, number(Number.SECOND_CORRECTION)))
        step = b.fdiv(b.fmul(m, number(Number.FIRST_CORRECTION)), b.fadd(root, number(Number.EPSILON)))
        step = v.muladd(v.splat(v.load(decay, v.scalar, v.size)), w, step)
        w = b.fsub(w, b.fmul(number(Number.RATE), step))
        for value, start in ((m, new_first), (s, new_second), (w, new_weight)):
            v.store(value, v.at(start, k), v.size)

    over_channels(b, kind, count, body)


@jit
def _blocks(numbers):
    return (numbers + _BLOCK - 1) // _BLOCK


@jit
def adam_tasks(frame, arrays):
    """Tasks of a job."""
    count = 0
    for n in range(arrays):
        count += _blocks(length(argument(frame, 1 + n)))
    return count


@jit
def adam_task(kind, job, task):
    """One block of one array."""
    frame, arrays = word(job, AdamJob.FRAME), word(job, AdamJob.ARRAYS)
    n, block = 0, task
    while block >= _blocks(length(argument(frame, 1 + n))):
        block -= _blocks(length(argument(frame, 1 + n)))
        n += 1
    size, numbers = size_of(kind), data(argument(frame, 0))
    start = block * _BLOCK * size
    count = min(_BLOCK, length(argument(frame, 1 + n)) - block * _BLOCK)
    _update(
        kind, numbers, numbers + (Number.DECAYS + n) * size, count,
        data(argument(frame, 1 + n)) + start,
        data(argument(frame, 1 + arrays + n)) + start,
        data(argument(frame, 1 + 2 * arrays + n)) + start,
        data(argument(frame, 1 + 3 * arrays + n)) + start,
        data(result(frame, n)) + start,
        data(result(frame, arrays + n)) + start,
        data(result(frame, 2 * arrays + n)) + start,
    )  # fmt: skip
