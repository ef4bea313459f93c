"""What XLA calls for a dense layer; see ``handlers``."""

from __future__ import annotations

from ctkernels.cpu._conv.dense import MOST_IMAGES, DenseJob, dense_parts, dense_scratch
from ctkernels.cpu._conv.dense_gradient import DenseGradientJob, dense_gradient_scratch, dense_gradient_tasks
from ctkernels.cpu._conv.handlers import ALIGNED, closed, floats
from ctkernels.cpu._conv.lanes import BLOCK_BYTES
from ctkernels.cpu._conv.libc import WRONG_DENSE, WRONG_DENSE_GRADIENT, allocate, message
from ctkernels.cpu._conv.memory import add_parts, set_word, size_of
from ctkernels.cpu._conv.xla_frame import (
    BFLOAT16,
    FLOAT32,
    INT8,
    INVALID_ARGUMENT,
    answer_metadata,
    argument,
    axis,
    counts_are,
    data,
    is_array,
    refuse,
    result,
)
from ctkernels.cpu._conv.xla_threads import (
    DENSE,
    DENSE_INPUT_GRADIENT,
    DENSE_WEIGHT_GRADIENT,
    job_of,
    open_context,
    run_job,
)
from ctkernels.cpu._core.jit import jit, jit_part
from ctkernels.cpu._core.vectors import round_up


@jit_part
def dense(kind, frame):
    """``x, kernel -> x @ kernel``."""
    if answer_metadata(frame):
        return 0
    if not counts_are(frame, 2, 1):
        return refuse(frame, message(WRONG_DENSE), INVALID_ARGUMENT)
    x, kernel, out, dtype = argument(frame, 0), argument(frame, 1), result(frame, 0), floats(kind)
    weight_bytes = _weight_bytes(kind, kernel)
    if not (is_array(x, dtype, 2) and weight_bytes > 0 and is_array(out, dtype, 2)):
        return refuse(frame, message(WRONG_DENSE), INVALID_ARGUMENT)
    n, k, m = axis(x, 0), axis(x, 1), axis(kernel, 1)
    fits = axis(kernel, 0) == k and axis(out, 0) == n and axis(out, 1) == m
    if not fits or m * size_of(kind) % BLOCK_BYTES != 0:
        return refuse(frame, message(WRONG_DENSE), INVALID_ARGUMENT)
    for first in range(0, n, MOST_IMAGES):
        images = min(MOST_IMAGES, n - first)
        # A context for each: helpers of the last one may still look at theirs.
        context, memory = open_context(DENSE), allocate(dense_parts(k) * images * m * size_of(kind) + ALIGNED)
        done = context != 0 and memory != 0 and _run(kind, frame, context, memory, first, images, weight_bytes)
        error = closed(frame, context, memory, done)
        if error != 0:
            return error
    return 0


@jit
def _weight_bytes(kind, kernel):
    """Of one of the weights; 0 for a type that is not allowed."""
    if is_array(kernel, floats(kind), 2):
        return size_of(kind)
    if floats(kind) != FLOAT32:
        return 0
    return 2 if is_array(kernel, BFLOAT16, 2) else 1 if is_array(kernel, INT8, 2) else 0


@jit_part
def _run(kind, frame, context, memory, first, images, weight_bytes):
    x, kernel, job, size = argument(frame, 0), argument(frame, 1), job_of(context), size_of(kind)
    k, m = axis(x, 1), axis(kernel, 1)
    parts, sums = dense_parts(k), round_up(memory, ALIGNED)
    set_word(job, DenseJob.IMAGES, images)
    set_word(job, DenseJob.INPUTS, k)
    set_word(job, DenseJob.OUTPUTS, m)
    set_word(job, DenseJob.WEIGHT_BYTES, weight_bytes)
    set_word(job, DenseJob.X, data(x) + first * k * size)
    set_word(job, DenseJob.KERNEL, data(kernel))
    set_word(job, DenseJob.SUMS, sums)
    done = run_job(kind, frame, context, parts, dense_scratch(kind, images, m))
    # On this thread, when all parts are there.
    if done:
        out = data(result(frame, 0)) + first * m * size
        add_parts(kind, sums, images * m * size, parts, out, images * m)
    return done


@jit_part
def dense_input_gradient(kind, frame):
    """``kernel, gradient -> gradient @ kernel.T``."""
    if answer_metadata(frame):
        return 0
    if not _gradient_fits(kind, frame):
        return refuse(frame, message(WRONG_DENSE_GRADIENT), INVALID_ARGUMENT)
    kernel, gradient, out = argument(frame, 0), argument(frame, 1), result(frame, 0)
    if axis(out, 0) != axis(gradient, 0) or axis(out, 1) != axis(kernel, 0) or axis(kernel, 1) != axis(gradient, 1):
        return refuse(frame, message(WRONG_DENSE_GRADIENT), INVALID_ARGUMENT)
    return _run_gradient(kind, frame, DENSE_INPUT_GRADIENT, axis(kernel, 0))


@jit_part
def dense_weight_gradient(kind, frame):
    """``x, gradient -> x.T @ gradient``."""
    if answer_metadata(frame):
        return 0
    if not _gradient_fits(kind, frame):
        return refuse(frame, message(WRONG_DENSE_GRADIENT), INVALID_ARGUMENT)
    x, gradient, out = argument(frame, 0), argument(frame, 1), result(frame, 0)
    if axis(out, 0) != axis(x, 1) or axis(out, 1) != axis(gradient, 1) or axis(x, 0) != axis(gradient, 0):
        return refuse(frame, message(WRONG_DENSE_GRADIENT), INVALID_ARGUMENT)
    return _run_gradient(kind, frame, DENSE_WEIGHT_GRADIENT, axis(x, 1))


@jit
def _gradient_fits(kind, frame):
    """Whether types and axes are those of a gradient."""
    if not counts_are(frame, 2, 1):
        return False
    gradient, dtype = argument(frame, 1), floats(kind)
    fits = (
        is_array(argument(frame, 0), dtype, 2) and is_array(gradient, dtype, 2) and is_array(result(frame, 0), dtype, 2)
    )
    return fits and axis(gradient, 1) * size_of(kind) % BLOCK_BYTES == 0


@jit
def _run_gradient(kind, frame, task, inputs):
    gradient = argument(frame, 1)
    images, outputs = axis(gradient, 0), axis(gradient, 1)
    context = open_context(task)
    done = False
    if context != 0:
        job = job_of(context)
        set_word(job, DenseGradientJob.IMAGES, images)
        set_word(job, DenseGradientJob.INPUTS, inputs)
        set_word(job, DenseGradientJob.OUTPUTS, outputs)
        set_word(job, DenseGradientJob.OTHER, data(argument(frame, 0)))
        set_word(job, DenseGradientJob.GRADIENT, data(gradient))
        set_word(job, DenseGradientJob.OUT, data(result(frame, 0)))
        tasks = dense_gradient_tasks(inputs)
        done = run_job(kind, frame, context, tasks, dense_gradient_scratch(kind, images, outputs))
    return closed(frame, context, 0, done)
