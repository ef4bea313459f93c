"""The network's layers as call targets of XLA's foreign function interface: addresses of compiled C functions.

Knows Numba and the interface's structures, not JAX: whoever registers the addresses does. The functions check what they
are given and answer with an XLA error, need no interpreter, and share the work with XLA's own threads.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from llvmlite import binding
from numba import types

from ctkernels.cpu._conv.adam_handler import adam
from ctkernels.cpu._conv.dense_handler import dense, dense_input_gradient, dense_weight_gradient
from ctkernels.cpu._conv.features_handler import features
from ctkernels.cpu._conv.handlers import forward, input_gradient, weight_gradient
from ctkernels.cpu._conv.libc import WORKERS
from ctkernels.cpu._conv.xla_threads import run_tasks
from ctkernels.cpu._core.cache import c_function

_lock = threading.Lock()
_HANDLER = types.int64(types.int64)
_WORKER = types.void(types.int64)


def _worker_f32(context: Any) -> None:
    run_tasks(np.float32(0), context)


def _worker_f64(context: Any) -> None:
    run_tasks(np.float64(0), context)


def _forward_f32(frame: Any) -> Any:
    return forward(np.float32(0), frame)


def _forward_f64(frame: Any) -> Any:
    return forward(np.float64(0), frame)


def _input_gradient_f32(frame: Any) -> Any:
    return input_gradient(np.float32(0), frame)


def _input_gradient_f64(frame: Any) -> Any:
    return input_gradient(np.float64(0), frame)


def _weight_gradient_f32(frame: Any) -> Any:
    return weight_gradient(np.float32(0), frame)


def _weight_gradient_f64(frame: Any) -> Any:
    return weight_gradient(np.float64(0), frame)


def _dense_f32(frame: Any) -> Any:
    return dense(np.float32(0), frame)


def _dense_f64(frame: Any) -> Any:
    return dense(np.float64(0), frame)


def _features_f32(frame: Any) -> Any:
    return features(np.float32(0), frame)


def _features_f64(frame: Any) -> Any:
    return features(np.float64(0), frame)


def _adam_f32(frame: Any) -> Any:
    return adam(np.float32(0), frame)


def _adam_f64(frame: Any) -> Any:
    return adam(np.float64(0), frame)


def _dense_input_gradient_f32(frame: Any) -> Any:
    return dense_input_gradient(np.float32(0), frame)


def _dense_input_gradient_f64(frame: Any) -> Any:
    return dense_input_gradient(np.float64(0), frame)


def _dense_weight_gradient_f32(frame: Any) -> Any:
    return dense_weight_gradient(np.float32(0), frame)


def _dense_weight_gradient_f64(frame: Any) -> Any:
    return dense_weight_gradient(np.float64(0), frame)


_FUNCTIONS = {
    "float32": (
        _worker_f32, _forward_f32, _input_gradient_f32, _weight_gradient_f32, _dense_f32, _features_f32, _adam_f32,
        _dense_input_gradient_f32, _dense_weight_gradient_f32,
    ),
    "float64": (
        _worker_f64, _forward_f64, _input_gradient_f64, _weight_gradient_f64, _dense_f64, _features_f64, _adam_f64,
        _dense_input_gradient_f64, _dense_weight_gradient_f64,
    ),
}  # fmt: skip
_NAMES = (
    "forward", "input_gradient", "weight_gradient", "dense", "features", "adam", "dense_input_gradient",
    "dense_weight_gradient",
)  # fmt: skip


@functools.cache
def _compiled(dtype: str) -> tuple[Any, ...]:
    worker, *handlers = _FUNCTIONS[dtype]
    helper = c_function(_WORKER, worker)
    binding.add_symbol(WORKERS[np.dtype(dtype).itemsize], helper.address)
    return helper, *(c_function(_HANDLER, handler) for handler in handlers)


def targets(dtype: str) -> Mapping[str, int]:
    """Addresses of the call targets for ``float32`` or ``float64``, compiled (or read from disk) at the first call.

    ``forward``: ``x, kernel, bias`` to ``out`` or to ``out, argmax``. ``input_gradient``: kernel with its channels
    swapped ``(3, 3, F, C)``, ``argmax``, gradient of ``out`` to the gradient of ``x``. ``weight_gradient``: ``x``,
    ``argmax``, gradient of ``out`` to the gradients of kernel and bias. Shapes as in ``conv_relu_pool``. ``dense``:
    ``x`` ``(N, K)`` and kernel ``(K, M)`` to their product; beside float32 the kernel may be bfloat16 or int8.
    ``dense_input_gradient``: the kernel and the gradient of that product to the gradient of ``x``;
    ``dense_weight_gradient``: ``x`` and the gradient to that of the kernel.
    ``features``: ``x``, then kernel and bias of each block, to the result of the last: ``forward`` of all of them.
    ``adam``: numbers (``_conv/adam.Number``), gradients, first and second moments and weights to the latter three.
    """
    if dtype not in _FUNCTIONS:
        raise ValueError(f"dtype is {dtype!r}: {' and '.join(_FUNCTIONS)} are compiled")
    with _lock:
        _, *handlers = _compiled(dtype)
    return MappingProxyType({name: int(h.address) for name, h in zip(_NAMES, handlers, strict=True)})
