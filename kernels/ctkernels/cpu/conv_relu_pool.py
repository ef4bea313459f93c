"""Valid 3 x 3 convolution, bias, ReLU and 2 x 2 maximum in one go on the CPU, and its gradients.

Arrays are NHWC, kernels HWIO, as in Keras and Flax; float32 or float64. An odd last row or column of the convolution
has no window and is never computed. ``_conv/winograd`` says how, and how exact it is. Results are the same in every bit
whatever the number of threads, up to 4 of them; beyond, gradients of kernel and bias are added up in more parts.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._conv.forward import ForwardJob, forward_bands, forward_planes, forward_scratch, forward_task
from ctkernels.cpu._conv.input_gradient import (
    InputGradientJob,
    input_gradient_bands,
    input_gradient_scratch,
    input_gradient_task,
)
from ctkernels.cpu._conv.job import JOB_WORDS, PLANES_4, Job, pack, packed_bytes, windows
from ctkernels.cpu._conv.weight_gradient import (
    WeightGradientJob,
    finish_weight_gradient,
    part_bytes,
    weight_gradient_parts,
    weight_gradient_scratch,
    weight_gradient_task,
)
from ctkernels.cpu._core.parallel import get_num_threads, run
from ctkernels.cpu._core.scratch import scratch

Array = NDArray[Any]

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def pooled_shape(x: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Shape of the result; ValueError where the shapes do not fit."""
    if len(x) != 4 or len(kernel) != 4:
        raise ValueError(f"x of shape {x} and kernel of shape {kernel}: (N, H, W, C) and (3, 3, C, F) are allowed")
    if kernel[:2] != (3, 3) or kernel[2] != x[3] or kernel[3] < 1 or x[3] < 1:
        raise ValueError(f"kernel of shape {kernel}: (3, 3, {x[3]}, F) fits x of shape {x}")
    if x[1] < 4 or x[2] < 4:
        raise ValueError(f"images of {x[1]} x {x[2]} pixels: at least 4 x 4 are needed for one window")
    return x[0], windows(x[1]), windows(x[2]), kernel[3]


def _checked(name: str, array: Array, dtype: np.dtype[Any], shape: tuple[int, ...] | None = None) -> Array:
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        raise TypeError(f"{name} is {getattr(array, 'dtype', type(array).__name__)}: {dtype} is needed, as x is")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}: {shape} is needed")
    return np.ascontiguousarray(array)


def _floats(x: Array) -> tuple[Array, Any]:
    if not isinstance(x, np.ndarray) or x.dtype not in FLOATS:
        raise TypeError(f"x is {getattr(x, 'dtype', type(x).__name__)}: float32 or float64 is allowed")
    return np.ascontiguousarray(x), x.dtype.type(0)


def _job(fields: type[IntEnum], shape: tuple[int, ...], out_channels: int, parts: int, **arrays: Array | None) -> Array:
    """The words of a job; ``arrays`` are ``fields`` in lower case, the address of None is 0."""
    words = [*shape, out_channels, parts, *[0] * (JOB_WORDS - Job.ADDRESSES)]
    for name, array in arrays.items():
        words[fields[name.upper()]] = 0 if array is None else array.ctypes.data
    return np.array(words, np.int64)


def _packed(kind: Any, kernel: Array, planes: int) -> Array:
    in_channels, out_channels = kernel.shape[2:]
    packed = scratch("packed kernel", packed_bytes(kind, in_channels, out_channels, planes), np.uint8)
    pack(kind, kernel.ctypes.data, in_channels, out_channels, planes, packed.ctypes.data)
    return packed


def _each(task: Any, kind: Any, job: Array, count: int, scratch_bytes: int) -> None:
    address = job.ctypes.data

    def body(number: int) -> None:
        task(kind, address, number, scratch("convolution", scratch_bytes, np.uint8).ctypes.data)

    run(range(count), body)


def conv_relu_pool(x: Array, kernel: Array, bias: Array, *, argmax: Array | None = None) -> Array:
    """``(N, H, W, C)`` to ``(N, (H-2)//2, (W-2)//2, F)``; ``kernel`` is ``(3, 3, C, F)``, ``bias`` ``(F,)``.

    ``argmax``, uint8 and of the result's shape, is filled with where in its window each maximum was (0 to 3, row by
    row, the first of equals; 4 where ReLU cut it), which the backward pass needs. TypeError and ValueError say what is
    wrong with an argument.
    """
    x, kind = _floats(x)
    shape = pooled_shape(x.shape, np.shape(kernel))
    kernel, bias = _checked("kernel", kernel, x.dtype), _checked("bias", bias, x.dtype, (shape[3],))
    if argmax is not None:
        if argmax.dtype != np.uint8 or argmax.shape != shape or not argmax.flags.c_contiguous:
            raise ValueError(f"argmax must be a contiguous uint8 array of shape {shape}")
        if not argmax.flags.writeable:
            raise ValueError("argmax is read-only")
    out = np.empty(shape, x.dtype)
    _, height, width, channels = x.shape
    planes = forward_planes(kind, height, width, channels, shape[3])
    weights = _packed(kind, kernel, planes) if planes else kernel
    bands = forward_bands(planes, shape[0], shape[1], get_num_threads())
    job = _job(ForwardJob, x.shape, shape[3], bands, x=x, kernel=weights, bias=bias, out=out, argmax=argmax)
    job[ForwardJob.PLANES] = planes
    _each(forward_task, kind, job, shape[0] * bands, forward_scratch(kind, width, channels, planes))
    return out


def conv_relu_pool_backward(
    x: Array, kernel: Array, argmax: Array, gradient: Array, *, input_gradient: bool = True
) -> tuple[Array | None, Array, Array]:
    """Gradients of ``x`` (None if not asked for), ``kernel`` and ``bias``.

    ``argmax`` is what the forward pass filled, ``gradient`` the gradient of its result.
    """
    x, kind = _floats(x)
    shape = pooled_shape(x.shape, np.shape(kernel))
    kernel, gradient = _checked("kernel", kernel, x.dtype), _checked("gradient", gradient, x.dtype, shape)
    argmax = _checked("argmax", argmax, np.dtype(np.uint8), shape)
    parts = weight_gradient_parts(*shape[:3], get_num_threads())
    sums = scratch("kernel gradients", parts * part_bytes(kind, x.shape[3], shape[3]), np.uint8)
    kernel_gradient, bias_gradient = np.empty_like(kernel), np.empty(shape[3], x.dtype)
    arrays = {"x": x, "gradient": gradient, "argmax": argmax, "sums": sums}
    results = {"kernel_gradient": kernel_gradient, "bias_gradient": bias_gradient}
    job = _job(WeightGradientJob, x.shape, shape[3], parts, **arrays, **results)
    _each(weight_gradient_task, kind, job, parts, weight_gradient_scratch(kind, *x.shape[2:]))
    finish_weight_gradient(kind, job.ctypes.data)
    if not input_gradient:
        return None, kernel_gradient, bias_gradient
    out = np.empty_like(x)
    packed = _packed(kind, np.ascontiguousarray(kernel[::-1, ::-1].swapaxes(2, 3)), PLANES_4)
    bands = input_gradient_bands(shape[0], shape[1], get_num_threads())
    job = _job(InputGradientJob, x.shape, shape[3], bands, gradient=gradient, argmax=argmax, kernel=packed, out=out)
    _each(input_gradient_task, kind, job, shape[0] * bands, input_gradient_scratch(kind, x.shape[2], shape[3]))
    return out, kernel_gradient, bias_gradient
