"""Drop-ins for ``cupyx.scipy.ndimage``: CuPy arrays in and out, on the GPU, with its signatures, defaults and errors.

Everything else is CuPy's own.

| function | our GPU kernel serves | values |
|---|---|---|
| median_filter | windows of any shape, up to 4,096 pixels, longer than 1 along three axes at most | the same |
| rank_filter, percentile_filter | the same, any rank | the same |
| gaussian_filter | sigma above 0, a mode and a radius an axis; of floats any ``order`` up to 8 | see below |
| gaussian_filter1d | the same along its axis | see below |

All take uint8, int16, uint16, float32 and float64; medians also bool and int8. Gaussians: float64 to 1e-12, float32 to
2e-6 of the largest value (CuPy sums float32 in float64); integers are rounded once, where CuPy cuts: up to one apart an
axis.
``ctfast.compat.calls()`` tells who served.
"""

from __future__ import annotations

from typing import Any, Final

from cupyx.scipy import ndimage

from ctfast.compat._calls import ours, theirs
from ctfast.compat._homes import DEVICE
from ctfast.compat._ndimage import gaussians, ranks

_ORIGINALS: Final = {
    name: getattr(ndimage, name)
    for name in ("median_filter", "rank_filter", "percentile_filter", "gaussian_filter", "gaussian_filter1d")
}
HOMES: Final = dict.fromkeys(_ORIGINALS, "cupyx.scipy.ndimage")
"""Where the original of each is found, and put back by ``patched``."""


def median_filter(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: float = 0.0,
    origin: Any = 0,
    axes: Any = None,
) -> Any:
    """Median of the window around each pixel, as ``cupyx.scipy.ndimage.median_filter``."""
    arguments = (size, footprint, output, mode, cval, origin, axes)
    return _served("median_filter", _ranked(input, ranks.middle, arguments), (input, *arguments))


def rank_filter(
    input: Any,
    rank: int,
    size: Any = None,
    footprint: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: float = 0.0,
    origin: Any = 0,
    axes: Any = None,
) -> Any:
    """The value of one rank in the window around each pixel, as ``cupyx.scipy.ndimage.rank_filter``."""
    arguments = (size, footprint, output, mode, cval, origin, axes)
    return _served("rank_filter", _ranked(input, ranks.rank_of(rank), arguments), (input, rank, *arguments))


def percentile_filter(
    input: Any,
    percentile: float,
    size: Any = None,
    footprint: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: float = 0.0,
    origin: Any = 0,
    axes: Any = None,
) -> Any:
    """A percentile of the window around each pixel, as ``cupyx.scipy.ndimage.percentile_filter``."""
    arguments = (size, footprint, output, mode, cval, origin, axes)
    done = _ranked(input, ranks.rank_of_percentile(percentile), arguments)
    return _served("percentile_filter", done, (input, percentile, *arguments))


def gaussian_filter(
    input: Any,
    sigma: Any,
    order: Any = 0,
    output: Any = None,
    mode: Any = "reflect",
    cval: float = 0.0,
    truncate: float = 4.0,
    radius: Any = None,
    axes: Any = None,
) -> Any:
    """Gaussian smoothing, as ``cupyx.scipy.ndimage.gaussian_filter``."""
    arguments = (input, sigma, order, output, mode, cval, truncate, radius, axes)
    return _served("gaussian_filter", gaussians.gaussian(*arguments, DEVICE) if _known(mode) else None, arguments)


def gaussian_filter1d(
    input: Any,
    sigma: float,
    axis: int = -1,
    order: int = 0,
    output: Any = None,
    mode: str = "reflect",
    cval: float = 0.0,
    truncate: float = 4.0,
) -> Any:
    """Gaussian smoothing along one axis, as ``cupyx.scipy.ndimage.gaussian_filter1d``."""
    arguments = (output, mode, cval, truncate)
    done = gaussians.gaussian(input, sigma, order, *arguments, None, (axis,), DEVICE) if _known(mode) else None
    return _served("gaussian_filter1d", done, (input, sigma, axis, order, *arguments))


def _ranked(input: Any, rank: Any, arguments: tuple[Any, ...]) -> Any:
    size, footprint, output, mode, cval, origin, axes = arguments
    if not _known(mode):
        return None
    return ranks.ranked(input, rank, size, footprint, output, mode, cval, origin, axes, DEVICE)


def _known(mode: Any) -> bool:
    """CuPy's filters have no such border, though SciPy's do."""
    return mode != "grid-constant" and not (isinstance(mode, tuple | list) and "grid-constant" in mode)


def _served(name: str, done: Any, arguments: tuple[Any, ...]) -> Any:
    """What our kernel made, or CuPy's answer where it did not."""
    if done is None:
        return theirs(f"cupyx.scipy.ndimage.{name}", _ORIGINALS[name], *arguments)
    ours(f"cupyx.scipy.ndimage.{name}")
    return done
