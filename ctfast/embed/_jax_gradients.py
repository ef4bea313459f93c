"""Gradients of operations inside JAX: derivatives of what the reference says, written in JAX; adjoints of filters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import jax
import jax.numpy as jnp

from ctkernels.contract import gaussian_radii, modes_of
from ctkernels.shared.border import border_index

Params = dict[str, Any]
Gradient = Callable[[Params, int, Any, Any, Callable[..., Any]], Any]
"""Takes parameters, how many axes belong together, the image, the gradient of the result, and the filter itself."""


def _of(function: Callable[[Params, int, Any], Any]) -> Gradient:
    """The gradient of an operation that is written in JAX; constants are as they are."""

    def gradient(params: Params, axes: int, x: Any, cotangent: Any, _: Callable[..., Any]) -> Any:
        _, back = jax.vjp(lambda image: function(params, axes, image), x.astype(cotangent.dtype))
        return back(cotangent)[0]

    return gradient


def _rescale(params: Params, _: int, x: Any) -> Any:
    return x * params["slope"]


def _ends(params: Params) -> tuple[float, float]:
    low, high = params["out_range"] or (0.0, 1.0)
    return float(low), float(high)


def _window(params: Params, _: int, x: Any) -> Any:
    low, high = _ends(params)
    center, width = params["center"], params["width"]
    value = x * params["slope"] + params["intercept"]
    if params["function"] == "sigmoid":
        return low + (high - low) * jax.nn.sigmoid(4 * (value - center) / width)
    if params["function"] == "linear":
        center, width = center - 0.5, width - 1
    if not width:  # a step
        return jnp.zeros_like(x)
    return _line(value, center - width / 2, width, low, high)


def _line(value: Any, start: Any, width: Any, low: float, high: float, clip: bool = True) -> Any:
    unit = (value - start) / width
    if not clip:
        return unit * (high - low)
    inside = (unit >= 0) & (unit <= 1)
    return jnp.where(inside, unit * (high - low), 0.0)


def _counted(params: Params, x: Any) -> Any:
    """Which pixels count for a statistic."""
    counted = jnp.isfinite(x)
    low, high = params["value_range"] or (None, None)
    if low is not None:
        counted &= x >= low
    if high is not None:
        counted &= x <= high
    return counted


def _normalize(params: Params, axes: int, x: Any) -> Any:
    low, high = _ends(params)
    if params["in_range"] is not None:
        start, end = params["in_range"]
        return _line(x, start, end - start, low, high, params["clip"])
    over = tuple(range(-axes, 0))
    counted = _counted(params, x)
    if params["percentiles"] is None:
        start = jnp.min(jnp.where(counted, x, jnp.inf), axis=over, keepdims=True)
        end = jnp.max(jnp.where(counted, x, -jnp.inf), axis=over, keepdims=True)
    else:
        values = jnp.where(counted, x, jnp.nan)
        start, end = jnp.nanpercentile(values, jnp.array(params["percentiles"], x.dtype), axis=over, keepdims=True)
    width = end - start
    safe = jnp.where(width > 0, width, 1.0)
    return jnp.where(width > 0, _line(x, start, safe, low, high, params["clip"]), 0.0)


def _standardize(params: Params, axes: int, x: Any) -> Any:
    over = tuple(range(-axes, 0))
    counted = _counted(params, x)
    number = jnp.sum(counted, axis=over, keepdims=True).astype(x.dtype)
    mean = jnp.sum(jnp.where(counted, x, 0.0), axis=over, keepdims=True) / number
    variance = jnp.sum(jnp.where(counted, (x - mean) ** 2, 0.0), axis=over, keepdims=True) / number
    if params["mean"] is not None:
        mean = jnp.where(number > 0, params["mean"], mean)
    if params["std"] is not None:
        known = (number > 0) | (params["mean"] is not None)
        variance = jnp.where(known, params["std"] ** 2, 0.0)
    safe = jnp.where(variance > 0, variance, 1.0)
    return jnp.where(variance > 0, (x - mean) / jnp.sqrt(safe), 0.0)


def _gaussian(params: Params, axes: int, x: Any, cotangent: Any, filtered: Callable[..., Any]) -> Any:
    """The adjoint: smoothed over zeros, and what fell beyond the edge given to the pixels that stood there."""
    radii = gaussian_radii(params)
    beyond = [(0, 0)] * (x.ndim - axes) + [(r, r) for r in radii]
    result = filtered(jnp.pad(cotangent, beyond), mode="constant", cval=0.0)
    for k, (radius, mode) in enumerate(zip(radii, modes_of(params["mode"], axes), strict=True)):
        axis = x.ndim - axes + k
        n = x.shape[axis]
        shown = jnp.asarray(border_index(n, radius, radius, mode).astype("int32"))
        moved = jnp.moveaxis(result, axis, 0)
        at = jnp.where(shown >= 0, shown, n)  # cval has no gradient: dropped
        folded = jnp.zeros((n, *moved.shape[1:]), moved.dtype).at[at].add(moved, mode="drop")
        result = jnp.moveaxis(folded, 0, axis)
    # Weights of an odd derivative change their sign where they are turned round.
    order = params.get("order")
    return -result if order and sum(order) % 2 else result


GRADIENTS: Final[dict[str, Gradient]] = {
    "gaussian_filter": _gaussian,
    "normalize": _of(_normalize),
    "rescale": _of(_rescale),
    "standardize": _of(_standardize),
    "window": _of(_window),
}
"""Of those operations that have one."""
