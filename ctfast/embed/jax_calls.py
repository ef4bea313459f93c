"""Operations inside ``jax.jit``, ``vmap``, ``grad`` and ``shard_map``, on a CPU: traced arrays come here.

The kernels are called by XLA through ``jax.ffi`` (``_jax_handler``). Gradients (reverse mode) exist for
``gaussian_filter`` (its adjoint, borders included), ``window``, ``normalize``, ``standardize`` and ``rescale`` with
float results; every other operation says that it has none.
"""

from __future__ import annotations

import ctypes
from functools import cache, partial
from typing import Any, Final, NamedTuple

import jax
import numpy as np

from ctfast.dispatch.arrays import check_dtype, check_shape, dtype_of, has_channel, jax_dtype
from ctfast.dispatch.checks import check_reach
from ctfast.dispatch.containers import Call, Task
from ctfast.dispatch.prepared import prepare
from ctfast.dispatch.statistics import kernel_params
from ctfast.embed._jax_gradients import GRADIENTS
from ctfast.embed._jax_handler import HANDLER, described
from ctfast.embed._jax_varying import varying_like
from ctfast.errors import ArgumentError, BackendUnavailableError
from ctfast.results import Histogram, PipelineResult, Summary
from ctkernels.contract import OPERATIONS

_TARGET: Final = "ctfast_call"
_OUTSIDE: Final = "call it outside of jax.jit, vmap and grad, on real values"


class _Traced(NamedTuple):
    """A checked call, hashable."""

    operation: str
    text: str
    """As ``_jax_handler.described`` has it."""
    results: tuple[tuple[tuple[int, ...], str], ...]
    """What is added to the leading axes' shape, or (0,) for the image's own shape; dtype."""
    axes: int
    """Trailing axes that belong together."""
    params: tuple[tuple[str, Any], ...]


def apply(task: Task, x: Any, out: Any) -> Any:
    """The operation, or the steps of a pipeline, as part of the traced program.

    Raises:
        ArgumentError: ``out=``, or a histogram that would have to find its range in values that are not there yet.
        BackendUnavailableError: JAX computes on a GPU, or ``backend="gpu"``.
    """
    if out is not None:
        raise ArgumentError("out= with a traced JAX array, which can't be written to: leave out= away")
    if task.backend == "gpu" or jax.default_backend() != "cpu":
        raise BackendUnavailableError(
            f"a traced JAX array came in, backend={task.backend!r}, JAX on {jax.default_backend()!r}: inside of "
            f"what is traced the CPU is served; {_OUTSIDE}"
        )
    found: dict[str, Any] = {}
    for call in task.calls:
        result = _call(call, x, task.backend)
        if OPERATIONS[call.operation].is_statistic:
            found[call.operation] = result
        else:
            x = result
    if task.writes:
        return x
    return next(iter(found.values())) if len(task.calls) == 1 and found else PipelineResult(x, **found)


def _call(call: Call, x: Any, backend: str | None) -> Any:
    name, spec = call.operation, OPERATIONS[call.operation]
    if channel := has_channel(x.shape):
        x = x[..., 0]
    check_shape(x.shape)
    dtype = dtype_of(x)
    check_dtype(dtype)
    if name == "histogram" and call.params["value_range"] is None:
        raise ArgumentError(
            "histogram of a traced JAX array, whose values are not there yet: give value_range=(low, high), or "
            f"{_OUTSIDE}"
        )
    prepared = prepare(name, dtype, call.params, chosen=backend or "cpu", dtype=call.dtype)
    check_reach(spec, prepared.halo, x.shape)
    wanted = jax_dtype(prepared.dtype)
    axes = len(prepared.halo)
    shape: tuple[tuple[tuple[int, ...], str], ...]
    if name == "histogram":
        shape = (((int(prepared.params["bins"]),), wanted.name),)
    elif name == "summary":
        real = jax_dtype(np.dtype(np.float64)).name
        levels = (len(prepared.params["percentiles"]),)
        shape = (((), jax_dtype(np.dtype(np.int64)).name), *[((), real)] * 4, (levels, real))
    else:
        shape = (((0,), wanted.name),)
    params = dict(prepared.params)
    text = described(name, params, wanted.name if spec.chooses_dtype else None, backend)
    results = _compute(_Traced(name, text, shape, axes, tuple(params.items())), x)
    if name == "histogram":
        edges = kernel_params(name, dtype, prepared.params)["edges"]
        return Histogram(results[0], jax.numpy.asarray(edges.astype(jax_dtype(edges.dtype), copy=False)))
    if name == "summary":
        count, mean, std, low, high, percentiles = results
        return Summary(count, mean, std, low, high, percentiles, prepared.params["percentiles"])
    return results[0][..., None] if channel else results[0]


for _result, _data, _rest in (
    (Summary, ["count", "mean", "std", "min", "max", "percentiles"], ["levels"]),
    (PipelineResult, ["image", "histogram", "summary"], []),
):
    jax.tree_util.register_dataclass(_result, data_fields=_data, meta_fields=_rest)  # so that jax.jit returns them


@cache
def _register() -> None:
    address = ctypes.cast(HANDLER, ctypes.c_void_p)
    jax.ffi.register_ffi_target(_TARGET, jax.ffi.pycapsule(address), platform="cpu")


def _foreign(traced: _Traced, x: Any) -> tuple[Any, ...]:
    _register()
    lead = x.shape[: x.ndim - traced.axes]
    shapes = [
        jax.ShapeDtypeStruct(x.shape if more == (0,) else (*lead, *more), np.dtype(dtype))
        for more, dtype in traced.results
    ]
    # Images are independent of each other, so one call with an axis more in front is the batched program.
    results = jax.ffi.ffi_call(_TARGET, shapes, vmap_method="broadcast_all")(x, call=traced.text)
    # To JAX they are alike on all devices of shard_map else: gradients would be those of the first device alone.
    return tuple(varying_like(result, x) for result in results)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _compute(traced: _Traced, x: Any) -> tuple[Any, ...]:
    return _foreign(traced, x)


def _forward(traced: _Traced, x: Any) -> tuple[tuple[Any, ...], Any]:
    return _compute(traced, x), x  # which has a gradient itself


def _backward(traced: _Traced, x: Any, cotangents: tuple[Any, ...]) -> tuple[Any]:
    gradient = GRADIENTS.get(traced.operation)
    if gradient is None:
        raise ArgumentError(
            f"{traced.operation} has no gradient: put jax.lax.stop_gradient around it; {', '.join(GRADIENTS)} have one"
        )
    (cotangent,) = cotangents
    if np.dtype(traced.results[0][1]).kind != "f" or x.dtype.kind != "f":
        return (varying_like(jax.numpy.zeros_like(x), x),)  # whole numbers
    filtered = partial(_filtered, traced)
    return (gradient(dict(traced.params), traced.axes, x, cotangent, filtered).astype(x.dtype),)


def _filtered(traced: _Traced, x: Any, **params: Any) -> Any:
    """The same operation with other parameters."""
    changed = {**dict(traced.params), **params}
    text = described(traced.operation, changed, None, None)
    return _compute(traced._replace(text=text, params=tuple(changed.items())), x)[0]


_compute.defvjp(_forward, _backward)
