"""Weights of Gaussian kernels and the value outside the image, the same for both backends."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctkernels.contract import each_axis, gaussian_radius, modes_of

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


NO_WIDTH: Final = 1e-15
"""Up to this sigma an axis is left alone, whatever the order, as in SciPy."""


class Pass(NamedTuple):
    """A correlation along one axis."""

    axis: int
    """Counted from the first that is filtered."""
    weights: tuple[float, ...]
    """Of the pixel itself and those behind it."""
    sign: float
    """What these are multiplied with before the pixel."""
    mode: str


def derivative_passes(
    sigma: tuple[float, ...], truncate: float | tuple[float, ...], order: tuple[int, ...], mode: str | tuple[str, ...]
) -> list[Pass]:
    """The derivatives of ``scipy.ndimage.gaussian_filter``, the first axis first; one pass at least."""
    axes = len(sigma)
    each = zip(sigma, each_axis(truncate, axes), order, modes_of(mode, axes), strict=True)
    found = [Pass(k, *_derivative(s, t, o), m) for k, (s, t, o, m) in enumerate(each) if s > NO_WIDTH]
    return found or [Pass(axes - 1, (1.0,), 1.0, "nearest")]


def _derivative(sigma: float, truncate: float, order: int) -> tuple[tuple[float, ...], float]:
    radius = gaussian_radius(sigma, truncate)
    place = np.arange(-radius, radius + 1) / sigma
    bell = np.exp(-0.5 * place**2)
    # Hermite's polynomial, by its recurrence: numpy.polynomial would take 8 ms of every start.
    earlier, hermite = np.zeros_like(place), np.ones_like(place)
    for n in range(order):
        earlier, hermite = hermite, -place * hermite - n * earlier
    weights: Array = hermite * (-1 / sigma) ** order * (bell / bell.sum())
    return tuple(weights[radius:].tolist()), -1.0 if order % 2 else 1.0


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
