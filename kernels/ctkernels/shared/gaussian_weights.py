"""Weights of Gaussian kernels and the value outside the image, the same for both backends."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.contract import gaussian_radius

Array = NDArray[Any]


def half_kernel(n: int, sigma: float | tuple[float, ...], truncate: float, mode: str, work: np.dtype[Any]) -> Array:
    """Normalised weights, centre first, of the kernel of ``scipy.ndimage``; at most ``n + 1`` of them.

    A tuple in place of ``sigma`` is the weights themselves, for kernels of other libraries.

    Taps that reach past an axis of ``n`` pixels meet pixels that nearer taps meet too, as the extension repeats itself:
    the weights are added up, so that a huge sigma costs no more than the image's size.
    """
    if isinstance(sigma, tuple):
        half = np.array(sigma)
    else:
        radius = gaussian_radius(sigma, truncate)
        full = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
        half = (full / full.sum())[radius:]
    if half.size > n + 1:
        half = _folded(half, n, mode)
    # A weight too small for float32 must not become 0: 0 times inf is NaN, and the exact weight gives inf.
    return np.where(half > 0, np.maximum(half, np.finfo(work).tiny), 0).astype(work)


def half_kernel_size(n: int, sigma: float, truncate: float, mode: str) -> int:
    """Length of ``half_kernel``'s result."""
    radius = gaussian_radius(sigma, truncate)
    if radius <= n:
        return radius + 1
    period = _period(n, mode)
    return n + 1 if period is None else period // 2 + 1


def _period(n: int, mode: str) -> int | None:
    """After how many pixels the extension of an axis repeats itself; None where it is one value from ``n`` on."""
    return {"reflect": 2 * n, "wrap": n, "mirror": max(2 * n - 2, 1)}.get(mode)


def _folded(half: Array, n: int, mode: str) -> Array:
    period = _period(n, mode)
    if period is None:
        return np.append(half[:n], half[n:].sum())
    distance = np.arange(half.size) % period
    both = np.bincount(distance, half, period)  # taps to the right; those to the left are the mirror image
    both += np.bincount((-distance[1:]) % period, half[1:], period)
    folded = both[: period // 2 + 1].copy()
    if period % 2 == 0:
        folded[-1] /= 2  # met from both sides
    return folded


_LARGE = 1e30
"""A ``cval`` for integer images beyond this saturates all the same; it keeps float32 sums finite."""


def fill_value(image: np.dtype[Any], work: np.dtype[Any], cval: float) -> Any:
    """``cval`` in type ``work``."""
    return work.type(cval if image.kind == "f" else min(max(cval, -_LARGE), _LARGE))
