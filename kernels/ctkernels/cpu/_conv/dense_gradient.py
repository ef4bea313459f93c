"""Both gradients of a dense layer's product as tasks, each a part of the inputs; see ``dense``.

Of a hidden layer the weights are by far the largest array of a step: one gradient reads them once, as they lie in
memory, the other writes as many numbers once. Both transpose a few numbers at a time, in cache.
"""

from __future__ import annotations

from enum import IntEnum, auto
from typing import Final

from ctkernels.cpu._conv.lanes import BLOCK_BYTES
from ctkernels.cpu._conv.memory import ask_share, clear, move_pixels, size_of, word
from ctkernels.cpu._conv.product import narrow_product, product
from ctkernels.cpu._core.jit import jit, jit_part
from ctkernels.cpu._core.vectors import round_up

_PART: Final = 1024
"""Inputs of a task."""
_STEP: Final = 16
"""Inputs whose gradients are made together: 8 KB of weights for 128 outputs."""


class DenseGradientJob(IntEnum):
    """Words of a job for either gradient."""

    IMAGES = 0
    INPUTS = auto()
    OUTPUTS = auto()
    OTHER = auto()
    """The weights, for the gradient of the inputs; the inputs, for that of the weights."""
    GRADIENT = auto()
    OUT = auto()


@jit
def dense_gradient_tasks(inputs):
    """Tasks of a job."""
    return (inputs + _PART - 1) // _PART


@jit
def dense_gradient_scratch(kind, images, outputs):
    """Bytes of scratch of a task: the outputs' gradient transposed, and the sums or inputs of a step."""
    size = size_of(kind)
    return round_up(images * size, BLOCK_BYTES) * outputs + _STEP * (BLOCK_BYTES + images * size)


@jit
def dense_input_gradient_task(kind, job, task, scratch):
    """``gradient @ kernel.T``, a part of the columns: the weights as they lie, times the gradient transposed."""
    images, inputs = word(job, DenseGradientJob.IMAGES), word(job, DenseGradientJob.INPUTS)
    outputs, gradient = word(job, DenseGradientJob.OUTPUTS), word(job, DenseGradientJob.GRADIENT)
    size = size_of(kind)
    block, row = BLOCK_BYTES // size, outputs * size
    room = outputs * BLOCK_BYTES
    sums = scratch + (images + block - 1) // block * room
    clear(scratch, sums - scratch)
    for n in range(images):
        turned = scratch + n // block * room + n % block * size
        move_pixels(kind, gradient + n * row, size, turned, BLOCK_BYTES, outputs, 1)
    for p in range(task * _PART, min(inputs, (task + 1) * _PART), _STEP):
        count = min(_STEP, inputs - p)
        weights = word(job, DenseGradientJob.OTHER) + p * row
        ask_share(weights + 2 * _STEP * row, _STEP * row, 0, 1)
        for first in range(0, images, block):
            some = min(block, images - first)
            right = scratch + first // block * room
            if 2 * some <= block:
                narrow_product(kind, weights, row, size, right, BLOCK_BYTES, sums, BLOCK_BYTES, count, outputs)
            else:
                product(kind, weights, row, size, right, BLOCK_BYTES, sums, BLOCK_BYTES, count, outputs)
            for n in range(some):
                out = word(job, DenseGradientJob.OUT) + ((first + n) * inputs + p) * size
                move_pixels(kind, sums + n * size, BLOCK_BYTES, out, size, count, 1)


@jit
def dense_weight_gradient_task(kind, job, task, scratch):
    """``x.T @ gradient``, a part of the rows."""
    images, inputs = word(job, DenseGradientJob.IMAGES), word(job, DenseGradientJob.INPUTS)
    outputs, gradient = word(job, DenseGradientJob.OUTPUTS), word(job, DenseGradientJob.GRADIENT)
    size = size_of(kind)
    row = outputs * size
    for p in range(task * _PART, min(inputs, (task + 1) * _PART), _STEP):
        count = min(_STEP, inputs - p)
        x, out = word(job, DenseGradientJob.OTHER) + p * size, word(job, DenseGradientJob.OUT) + p * row
        # Images lie a power of two apart or nearly so: side by side they do not fall into one set of the cache.
        move_pixels(kind, x, inputs * size, scratch, _STEP * size, images, count)
        _ask(kind, job, x + 2 * _STEP * size, out + _STEP * row)
        for first in range(0, outputs, BLOCK_BYTES // size):
            product(
                kind, scratch, size, _STEP * size, gradient + first * size, row, out + first * size, row, count, images
            )


@jit_part
def _ask(kind, job, x, out):
    """Ask for the numbers of all images that a later step reads, and for the lines that the next one writes."""
    images, size = word(job, DenseGradientJob.IMAGES), size_of(kind)
    for n in range(images):
        ask_share(x + n * word(job, DenseGradientJob.INPUTS) * size, _STEP * size, 0, 1)
    ask_share(out, _STEP * word(job, DenseGradientJob.OUTPUTS) * size, 0, 1)
