"""Gradients of operations for torch's autograd, written out: derivatives of what the reference says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ctkernels.contract import gaussian_radii, modes_of
from ctkernels.shared.border import border_index

Params = Mapping[str, Any]


def has_gradient(name: str, params: Params) -> bool:
    """Whether ``gradient`` knows the operation."""
    return name in ("gaussian_filter", "rescale", "standardize", "window") or (
        name == "normalize" and params["percentiles"] is None
    )


def gradient(
    name: str, params: Params, axes: int, x: torch.Tensor, cotangent: torch.Tensor, filtered: Callable[..., Any]
) -> torch.Tensor:
    """The gradient of the image from that of the result; ``filtered`` is the operation with other parameters."""
    if name == "gaussian_filter":
        return _gaussian(params, axes, x, cotangent, filtered)
    if name == "rescale":
        return cotangent * params["slope"]
    x = x.to(cotangent.dtype)
    if name == "window":
        return _window(params, x, cotangent)
    return (_normalize if name == "normalize" else _standardize)(params, tuple(range(-axes, 0)), x, cotangent)


def _gaussian(
    params: Params, axes: int, x: torch.Tensor, cotangent: torch.Tensor, filtered: Callable[..., Any]
) -> torch.Tensor:
    """The adjoint: smoothed over zeros, and what fell beyond the edge given to the pixels that stood there."""
    radii = gaussian_radii(params)
    beyond = [side for radius in reversed(radii) for side in (radius, radius)]
    result = filtered(torch.nn.functional.pad(cotangent, beyond).contiguous(), mode="constant", cval=0.0)
    for k, (radius, mode) in enumerate(zip(radii, modes_of(params["mode"], axes), strict=True)):
        axis = x.ndim - axes + k
        n = int(x.shape[axis])
        shown = torch.tensor(border_index(n, radius, radius, mode), device=x.device)
        kept = shown >= 0  # cval has no gradient
        folded = torch.zeros((*x.shape[:axis], n, *result.shape[axis + 1 :]), dtype=result.dtype, device=x.device)
        inside = result.index_select(axis, kept.nonzero()[:, 0]) if mode == "constant" else result
        at = shown[kept] if mode == "constant" else shown
        result = folded.index_add(axis, at, inside)
    # Weights of an odd derivative change their sign where they are turned round.
    order = params.get("order")
    return -result if order and sum(order) % 2 else result


def _ends(params: Params) -> tuple[float, float]:
    low, high = params["out_range"] or (0.0, 1.0)
    return float(low), float(high)


def _window(params: Params, x: torch.Tensor, cotangent: torch.Tensor) -> torch.Tensor:
    low, high = _ends(params)
    center, width, slope = params["center"], params["width"], params["slope"]
    value = x * slope + params["intercept"]
    if params["function"] == "sigmoid":
        share = torch.sigmoid(4 * (value - center) / width)
        return cotangent * share * (1 - share) * ((high - low) * 4 * slope / width)
    if params["function"] == "linear":
        center, width = center - 0.5, width - 1
    if not width:  # a step
        return torch.zeros_like(cotangent)
    unit = (value - (center - width / 2)) / width
    return torch.where((unit >= 0) & (unit <= 1), cotangent * ((high - low) * slope / width), 0.0)


def _counted(params: Params, x: torch.Tensor) -> torch.Tensor:
    """Which pixels count for a statistic."""
    counted = torch.isfinite(x)
    low, high = params["value_range"] or (None, None)
    if low is not None:
        counted = counted & (x >= low)
    if high is not None:
        counted = counted & (x <= high)
    return counted


def _normalize(params: Params, over: tuple[int, ...], x: torch.Tensor, cotangent: torch.Tensor) -> torch.Tensor:
    low, high = _ends(params)
    rise = high - low
    clip = params["clip"]
    if params["in_range"] is not None:
        start, end = params["in_range"]
        inside = (x >= start) & (x <= end) if clip else torch.ones_like(x, dtype=torch.bool)
        return torch.where(inside, cotangent * (rise / (end - start)), 0.0)
    counted = _counted(params, x)
    start = torch.where(counted, x, torch.inf).amin(over, keepdim=True)
    end = torch.where(counted, x, -torch.inf).amax(over, keepdim=True)
    width = end - start
    some = width > 0
    width = torch.where(some, width, 1.0)
    inside = (x >= start) & (x <= end) if clip else torch.ones_like(x, dtype=torch.bool)
    moved = torch.where(inside, cotangent * rise / width, 0.0)
    result = moved
    # The ends move with the pixels that they are; equal ones share.
    for pixels, weight in (
        ((x == start) & counted, (x - end) / width),
        ((x == end) & counted, (start - x) / width),
    ):
        total = torch.where(inside, moved * weight, 0.0).sum(over, keepdim=True)
        result = result + torch.where(pixels, total / pixels.sum(over, keepdim=True).clamp(min=1), 0.0)
    return torch.where(some, result, 0.0)


def _standardize(params: Params, over: tuple[int, ...], x: torch.Tensor, cotangent: torch.Tensor) -> torch.Tensor:
    counted = _counted(params, x)
    number = counted.sum(over, keepdim=True).clamp(min=1).to(x.dtype)
    own = torch.where(counted, x, 0.0).sum(over, keepdim=True) / number
    mean = own if params["mean"] is None else params["mean"]
    variance = torch.where(counted, (x - own) ** 2, 0.0).sum(over, keepdim=True) / number
    if params["std"] is not None:
        known = (counted.sum(over, keepdim=True) > 0) | (params["mean"] is not None)
        variance = torch.where(known, params["std"] ** 2, 0.0)
    some = variance > 0
    deviation = torch.where(some, variance, 1.0).sqrt()
    # What an image's own mean and deviation share out among the pixels that count for them.
    moved: Any = 0.0
    if params["mean"] is None:
        moved = cotangent.sum(over, keepdim=True)
    if params["std"] is None:
        moved = moved + (x - own) / deviation * (cotangent * (x - mean) / deviation).sum(over, keepdim=True)
    shared = torch.where(counted, moved / number, 0.0)
    return torch.where(some, (cotangent - shared) / deviation, 0.0)
