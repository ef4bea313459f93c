"""Derivatives of the Gaussian, one axis after the other: in between float32 images are float32, all others float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._gaussian.correlate import correlate
from ctkernels.reference import store
from ctkernels.shared.gaussian_weights import derivative_passes

Array = NDArray[Any]


def derivatives(
    x: Array,
    out: Array,
    *,
    sigma: tuple[float, ...],
    truncate: float | tuple[float, ...],
    mode: str | tuple[str, ...],
    cval: float,
    order: tuple[int, ...],
) -> None:
    """``gaussian_filter`` with an ``order`` for each axis; see ``ctkernels.reference.gaussian_filter``."""
    work = np.dtype(np.float32 if x.dtype == np.float32 else np.float64)
    passes = derivative_passes(sigma, truncate, order, mode)
    current = x.astype(work, copy=False)
    for turn, (axis, weights, sign, border) in enumerate(passes):
        last = turn == len(passes) - 1 and out.dtype == work
        made = out if last else scratch(f"derivative {turn % 2}", x.size, work).reshape(x.shape)
        correlate(current, made, x.ndim - len(sigma) + axis, np.array(weights), sign, border, cval)
        current = made
    if current is not out:
        store(current, out)
