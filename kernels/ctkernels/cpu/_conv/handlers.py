"""What XLA calls: checks of the arrays, then the tasks of ``xla_threads``. ``kind`` is a number of the arrays' type.

Every handler answers 0 or an XLA error, and frees what it took whatever happens: memory is C's, as there is no
interpreter.
"""

from __future__ import annotations

from ctkernels.cpu._conv.forward import ForwardJob, forward_bands, forward_planes, forward_scratch
from ctkernels.cpu._conv.input_gradient import InputGradientJob, input_gradient_bands, input_gradient_scratch
from ctkernels.cpu._conv.job import PLANES_4, Job, pack, packed_bytes, windows
from ctkernels.cpu._conv.libc import WRONG_COUNT, WRONG_MEMORY, WRONG_SHAPE, WRONG_TYPE, allocate, message, release
from ctkernels.cpu._conv.memory import set_word, size_of
from ctkernels.cpu._conv.weight_gradient import (
    WeightGradientJob,
    finish_weight_gradient,
    part_bytes,
    weight_gradient_parts,
    weight_gradient_scratch,
)
from ctkernels.cpu._conv.xla_frame import (
    FLOAT32,
    FLOAT64,
    INVALID_ARGUMENT,
    RESOURCE_EXHAUSTED,
    UINT8,
    answer_metadata,
    argument,
    axis,
    counts_are,
    data,
    has_shape,
    is_array,
    refuse,
    result,
    threads,
)
from ctkernels.cpu._conv.xla_threads import (
    FORWARD,
    INPUT_GRADIENT,
    WEIGHT_GRADIENT,
    job_of,
    open_context,
    release_context,
    run_job,
)
from ctkernels.cpu._core.jit import jit, jit_part
from ctkernels.cpu._core.vectors import round_up

ALIGNED = 64
"""Packed kernels and sums are read and written in whole registers."""


@jit
def floats(kind):
    """XLA's number of the arrays' type."""
    return FLOAT32 if size_of(kind) == 4 else FLOAT64


@jit
def _set_sizes(job, x, out_channels, parts):
    set_word(job, Job.IMAGES, axis(x, 0))
    set_word(job, Job.HEIGHT, axis(x, 1))
    set_word(job, Job.WIDTH, axis(x, 2))
    set_word(job, Job.IN_CHANNELS, axis(x, 3))
    set_word(job, Job.OUT_CHANNELS, out_channels)
    set_word(job, Job.PARTS, parts)


@jit
def _has_pooled_shape(buffer, x, channels):
    return has_shape(buffer, axis(x, 0), windows(axis(x, 1)), windows(axis(x, 2)), channels)


@jit
def _is_image(x):
    return axis(x, 1) >= 4 and axis(x, 2) >= 4 and axis(x, 3) >= 1


@jit
def closed(frame, context, memory, done):
    """The answer of a call at its end; ``context`` and ``memory`` may be 0, where there was none to be had."""
    release(memory)
    if context != 0:
        release_context(context)
    return 0 if done else refuse(frame, message(WRONG_MEMORY), RESOURCE_EXHAUSTED)


@jit_part
def forward(kind, frame):
    """``x, kernel, bias -> out[, argmax]``."""
    if answer_metadata(frame):
        return 0
    # The second result tells the two forms apart: training wants it, prediction does not pay for it.
    with_argmax = counts_are(frame, 3, 2)
    if not with_argmax and not counts_are(frame, 3, 1):
        return refuse(frame, message(WRONG_COUNT), INVALID_ARGUMENT)
    x, kernel, bias, out = argument(frame, 0), argument(frame, 1), argument(frame, 2), result(frame, 0)
    dtype = floats(kind)
    if not (is_array(x, dtype, 4) and is_array(kernel, dtype, 4) and is_array(bias, dtype, 1)):
        return refuse(frame, message(WRONG_TYPE), INVALID_ARGUMENT)
    if not is_array(out, dtype, 4) or (with_argmax and not is_array(result(frame, 1), UINT8, 4)):
        return refuse(frame, message(WRONG_TYPE), INVALID_ARGUMENT)
    c, f = axis(x, 3), axis(kernel, 3)
    fits = _is_image(x) and has_shape(kernel, 3, 3, c, f) and axis(bias, 0) == f and _has_pooled_shape(out, x, f)
    if not fits or (with_argmax and not _has_pooled_shape(result(frame, 1), x, f)):
        return refuse(frame, message(WRONG_SHAPE), INVALID_ARGUMENT)
    # Nothing to do, and no memory to ask for.
    if axis(x, 0) == 0 or f == 0:
        return 0
    argmax = data(result(frame, 1)) if with_argmax else 0
    planes = forward_planes(kind, axis(x, 1), axis(x, 2), c, f)
    context, memory = open_context(FORWARD), allocate(packed_bytes(kind, c, f, planes) + ALIGNED)
    done = context != 0 and memory != 0 and _run_forward(kind, frame, context, memory, argmax, planes)
    return closed(frame, context, memory, done)


@jit_part
def _run_forward(kind, frame, context, memory, argmax, planes):
    x, kernel, job = argument(frame, 0), argument(frame, 1), job_of(context)
    n, h, w, c, f = axis(x, 0), axis(x, 1), axis(x, 2), axis(x, 3), axis(kernel, 3)
    bands = forward_bands(planes, n, windows(h), threads(frame))
    weights = data(kernel)
    if planes > 0:
        weights = round_up(memory, ALIGNED)
        pack(kind, data(kernel), c, f, planes, weights)
    _set_sizes(job, x, f, bands)
    set_word(job, ForwardJob.X, data(x))
    set_word(job, ForwardJob.KERNEL, weights)
    set_word(job, ForwardJob.BIAS, data(argument(frame, 2)))
    set_word(job, ForwardJob.OUT, data(result(frame, 0)))
    set_word(job, ForwardJob.ARGMAX, argmax)
    set_word(job, ForwardJob.PLANES, planes)
    return run_job(kind, frame, context, n * bands, forward_scratch(kind, w, c, planes))


@jit_part
def input_gradient(kind, frame):
    """``kernel turned by half with channels swapped, argmax, gradient -> gradient of x``."""
    if answer_metadata(frame):
        return 0
    if not counts_are(frame, 3, 1):
        return refuse(frame, message(WRONG_COUNT), INVALID_ARGUMENT)
    kernel, argmax, gradient, x = argument(frame, 0), argument(frame, 1), argument(frame, 2), result(frame, 0)
    dtype = floats(kind)
    if not (is_array(kernel, dtype, 4) and is_array(argmax, UINT8, 4) and is_array(gradient, dtype, 4)):
        return refuse(frame, message(WRONG_TYPE), INVALID_ARGUMENT)
    if not is_array(x, dtype, 4):
        return refuse(frame, message(WRONG_TYPE), INVALID_ARGUMENT)
    c, f = axis(x, 3), axis(kernel, 2)
    # The caller turns the kernel and swaps its channels, so that it is packed like any other.
    fits = _is_image(x) and has_shape(kernel, 3, 3, f, c) and _has_pooled_shape(gradient, x, f)
    if not fits or not _has_pooled_shape(argmax, x, f):
        return refuse(frame, message(WRONG_SHAPE), INVALID_ARGUMENT)
    if axis(x, 0) == 0:
        return 0
    context, memory = open_context(INPUT_GRADIENT), allocate(packed_bytes(kind, f, c, PLANES_4) + ALIGNED)
    done = context != 0 and memory != 0 and _run_input_gradient(kind, frame, context, memory)
    return closed(frame, context, memory, done)


@jit_part
def _run_input_gradient(kind, frame, context, memory):
    kernel, x, job = argument(frame, 0), result(frame, 0), job_of(context)
    n, h, w, c, f = axis(x, 0), axis(x, 1), axis(x, 2), axis(x, 3), axis(kernel, 2)
    bands = input_gradient_bands(n, windows(h), threads(frame))
    weights = round_up(memory, ALIGNED)
    pack(kind, data(kernel), f, c, PLANES_4, weights)
    _set_sizes(job, x, f, bands)
    set_word(job, InputGradientJob.GRADIENT, data(argument(frame, 2)))
    set_word(job, InputGradientJob.ARGMAX, data(argument(frame, 1)))
    set_word(job, InputGradientJob.KERNEL, weights)
    set_word(job, InputGradientJob.OUT, data(x))
    return run_job(kind, frame, context, n * bands, input_gradient_scratch(kind, w, f))


@jit_part
def weight_gradient(kind, frame):
    """``x, argmax, gradient -> gradients of kernel and bias``."""
    if answer_metadata(frame):
        return 0
    if not counts_are(frame, 3, 2):
        return refuse(frame, message(WRONG_COUNT), INVALID_ARGUMENT)
    x, argmax, gradient = argument(frame, 0), argument(frame, 1), argument(frame, 2)
    kernel, bias = result(frame, 0), result(frame, 1)
    dtype = floats(kind)
    if not (is_array(x, dtype, 4) and is_array(argmax, UINT8, 4) and is_array(gradient, dtype, 4)):
        return refuse(frame, message(WRONG_TYPE), INVALID_ARGUMENT)
    if not (is_array(kernel, dtype, 4) and is_array(bias, dtype, 1)):
        return refuse(frame, message(WRONG_TYPE), INVALID_ARGUMENT)
    n, c, f = axis(x, 0), axis(x, 3), axis(kernel, 3)
    fits = _is_image(x) and has_shape(kernel, 3, 3, c, f) and axis(bias, 0) == f and _has_pooled_shape(gradient, x, f)
    if not fits or not _has_pooled_shape(argmax, x, f):
        return refuse(frame, message(WRONG_SHAPE), INVALID_ARGUMENT)
    # Without an image too: the gradients are zeros then.
    parts = weight_gradient_parts(n, windows(axis(x, 1)), windows(axis(x, 2)), threads(frame))
    context, memory = open_context(WEIGHT_GRADIENT), allocate(parts * part_bytes(kind, c, f) + ALIGNED)
    done = context != 0 and memory != 0 and _run_weight_gradient(kind, frame, context, memory, parts)
    return closed(frame, context, memory, done)


@jit_part
def _run_weight_gradient(kind, frame, context, memory, parts):
    x, kernel, job = argument(frame, 0), result(frame, 0), job_of(context)
    w, c, f = axis(x, 2), axis(x, 3), axis(kernel, 3)
    _set_sizes(job, x, f, parts)
    set_word(job, WeightGradientJob.X, data(x))
    set_word(job, WeightGradientJob.GRADIENT, data(argument(frame, 2)))
    set_word(job, WeightGradientJob.ARGMAX, data(argument(frame, 1)))
    set_word(job, WeightGradientJob.SUMS, round_up(memory, ALIGNED))
    set_word(job, WeightGradientJob.KERNEL_GRADIENT, data(kernel))
    set_word(job, WeightGradientJob.BIAS_GRADIENT, data(result(frame, 1)))
    done = run_job(kind, frame, context, parts, weight_gradient_scratch(kind, w, c))
    # On this thread, when all parts are there.
    if done:
        finish_weight_gradient(kind, job)
    return done
