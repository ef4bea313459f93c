"""What XLA calls: checks of the arrays, then the tasks of ``_conv_tasks``. ``kind`` is a number of the arrays' type."""

from __future__ import annotations

from typing import Any

from ctkernels.cpu._conv.forward import forward_scratch
from ctkernels.cpu._conv.input_gradient import input_gradient_bands, input_gradient_scratch
from ctkernels.cpu._conv.job import PIECES, is_direct, pack, packed_bytes
from ctkernels.cpu._conv.libc import allocate, message, release
from ctkernels.cpu._conv.memory import set_word, size_of
from ctkernels.cpu._conv.weight_gradient import (
    finish_weight_gradient,
    part_bytes,
    rows_together,
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
    let_go,
    open_context,
    run_job,
)
from ctkernels.cpu._core.jit import jit

ALIGNED = 64


@jit
def _floats(kind: Any) -> Any:
    return FLOAT32 if size_of(kind) == 4 else FLOAT64


@jit
def _aligned(address: Any) -> Any:
    return (address + ALIGNED - 1) // ALIGNED * ALIGNED


@jit
def _set_sizes(job: Any, x: Any, channels: Any, pieces: Any) -> None:
    for k in range(4):
        set_word(job, k, axis(x, k))
    set_word(job, 4, channels)
    set_word(job, 5, pieces)


@jit
def _has_pooled_shape(buffer: Any, x: Any, channels: Any) -> Any:
    return has_shape(buffer, axis(x, 0), (axis(x, 1) - 2) // 2, (axis(x, 2) - 2) // 2, channels)


@jit
def _is_image(x: Any) -> Any:
    return axis(x, 1) >= 4 and axis(x, 2) >= 4 and axis(x, 3) >= 1


@jit
def forward(kind: Any, frame: Any) -> Any:
    """``x, kernel, bias -> out[, places]``."""
    if answer_metadata(frame):
        return 0
    with_places = counts_are(frame, 3, 2)
    if not with_places and not counts_are(frame, 3, 1):
        return refuse(frame, message(0), INVALID_ARGUMENT)
    x, kernel, bias, out = argument(frame, 0), argument(frame, 1), argument(frame, 2), result(frame, 0)
    dtype = _floats(kind)
    if not (is_array(x, dtype, 4) and is_array(kernel, dtype, 4) and is_array(bias, dtype, 1)):
        return refuse(frame, message(1), INVALID_ARGUMENT)
    if not is_array(out, dtype, 4) or (with_places and not is_array(result(frame, 1), UINT8, 4)):
        return refuse(frame, message(1), INVALID_ARGUMENT)
    n, h, w, c, f = axis(x, 0), axis(x, 1), axis(x, 2), axis(x, 3), axis(kernel, 3)
    fits = _is_image(x) and has_shape(kernel, 3, 3, c, f) and axis(bias, 0) == f and _has_pooled_shape(out, x, f)
    if not fits or (with_places and not _has_pooled_shape(result(frame, 1), x, f)):
        return refuse(frame, message(2), INVALID_ARGUMENT)
    if n == 0 or f == 0:
        return 0
    context, memory = open_context(FORWARD), allocate(packed_bytes(kind, c, f) + ALIGNED)
    done = context != 0 and memory != 0
    if done:
        job = job_of(context)
        bands = min(PIECES, (h - 2) // 2)
        _set_sizes(job, x, f, bands)
        weights = data(kernel)
        if not is_direct(kind, c, f):
            weights = _aligned(memory)
            pack(kind, data(kernel), c, f, weights)
        set_word(job, 6, data(x))
        set_word(job, 7, weights)
        set_word(job, 8, data(bias))
        set_word(job, 9, data(out))
        set_word(job, 10, data(result(frame, 1)) if with_places else 0)
        done = run_job(kind, frame, context, n * bands, forward_scratch(kind, h, w, c, f))
    return _closed(frame, context, memory, done)


@jit
def _closed(frame: Any, context: Any, memory: Any, done: Any) -> Any:
    release(memory)
    if context != 0:
        let_go(context)
    return 0 if done else refuse(frame, message(3), RESOURCE_EXHAUSTED)


@jit
def input_gradient(kind: Any, frame: Any) -> Any:
    """``kernel with channels swapped, places, gradient -> gradient of x``."""
    if answer_metadata(frame):
        return 0
    if not counts_are(frame, 3, 1):
        return refuse(frame, message(0), INVALID_ARGUMENT)
    kernel, places, gradient, x = argument(frame, 0), argument(frame, 1), argument(frame, 2), result(frame, 0)
    dtype = _floats(kind)
    if not (is_array(kernel, dtype, 4) and is_array(places, UINT8, 4) and is_array(gradient, dtype, 4)):
        return refuse(frame, message(1), INVALID_ARGUMENT)
    if not is_array(x, dtype, 4):
        return refuse(frame, message(1), INVALID_ARGUMENT)
    n, h, w, c, f = axis(x, 0), axis(x, 1), axis(x, 2), axis(x, 3), axis(kernel, 2)
    fits = _is_image(x) and has_shape(kernel, 3, 3, f, c) and _has_pooled_shape(gradient, x, f)
    if not fits or not _has_pooled_shape(places, x, f):
        return refuse(frame, message(2), INVALID_ARGUMENT)
    if n == 0:
        return 0
    context, memory = open_context(INPUT_GRADIENT), allocate(packed_bytes(kind, f, c) + ALIGNED)
    done = context != 0 and memory != 0
    if done:
        job = job_of(context)
        bands = input_gradient_bands(n, (h - 2) // 2, threads(frame))
        _set_sizes(job, x, f, bands)
        weights = _aligned(memory)
        pack(kind, data(kernel), f, c, weights)
        set_word(job, 6, data(gradient))
        set_word(job, 7, data(places))
        set_word(job, 8, weights)
        set_word(job, 9, data(x))
        done = run_job(kind, frame, context, n * bands, input_gradient_scratch(kind, h, w, c, f))
    return _closed(frame, context, memory, done)


@jit
def weight_gradient(kind: Any, frame: Any) -> Any:
    """``x, places, gradient -> gradients of kernel and bias``."""
    if answer_metadata(frame):
        return 0
    if not counts_are(frame, 3, 2):
        return refuse(frame, message(0), INVALID_ARGUMENT)
    x, places, gradient = argument(frame, 0), argument(frame, 1), argument(frame, 2)
    kernel, bias = result(frame, 0), result(frame, 1)
    dtype = _floats(kind)
    if not (is_array(x, dtype, 4) and is_array(places, UINT8, 4) and is_array(gradient, dtype, 4)):
        return refuse(frame, message(1), INVALID_ARGUMENT)
    if not (is_array(kernel, dtype, 4) and is_array(bias, dtype, 1)):
        return refuse(frame, message(1), INVALID_ARGUMENT)
    n, h, w, c, f = axis(x, 0), axis(x, 1), axis(x, 2), axis(x, 3), axis(kernel, 3)
    fits = _is_image(x) and has_shape(kernel, 3, 3, c, f) and axis(bias, 0) == f and _has_pooled_shape(gradient, x, f)
    if not fits or not _has_pooled_shape(places, x, f):
        return refuse(frame, message(2), INVALID_ARGUMENT)
    together = rows_together((w - 2) // 2)
    rows = n * (((h - 2) // 2 + together - 1) // together)
    parts = min(max(PIECES, 2 * threads(frame)), max(rows, 1))
    context, memory = open_context(WEIGHT_GRADIENT), allocate(parts * part_bytes(kind, c, f) + ALIGNED)
    done = context != 0 and memory != 0
    if done:
        job = job_of(context)
        _set_sizes(job, x, f, parts)
        set_word(job, 6, data(x))
        set_word(job, 7, data(gradient))
        set_word(job, 8, data(places))
        set_word(job, 9, _aligned(memory))
        set_word(job, 10, data(kernel))
        set_word(job, 11, data(bias))
        done = run_job(kind, frame, context, parts, weight_gradient_scratch(kind, h, w, c, f))
        if done:
            finish_weight_gradient(kind, job)
    return _closed(frame, context, memory, done)
