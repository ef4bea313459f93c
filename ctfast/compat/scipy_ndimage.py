"""Drop-ins for ``scipy.ndimage``: its signatures, defaults, dtypes, errors and values.

Everything else is SciPy's own.

| function | our kernel serves | values |
|---|---|---|
| median_filter | windows of any shape, up to 4,096 pixels, longer than 1 along three axes at most | the same |
| rank_filter, percentile_filter | the same, any rank | the same |
| gaussian_filter | sigma above 0, a mode and a radius an axis; of floats any ``order`` up to 8 | see below |
| gaussian_filter1d | the same along its axis | see below |

All take uint8, int16, uint16, float32 and float64; medians also bool, int8, and wider integers whose values fit into 16
bits; ``output`` may be of any type that holds the same values. Integers are filtered along three axes at most.
NaN in medians counts as the largest number (SciPy's result depends on its place). Gaussians: float64 to 1e-12, float32
to 2e-6 of the largest value, which may be half of what the dtype holds (1.7e38 in float32; beyond come inf and NaN);
integers are rounded once, where SciPy cuts after each axis: up to one apart for each axis.
``ctfast.compat.calls()`` tells who served.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ctfast.compat._calls import ours, theirs
from ctfast.compat._ndimage import gaussians, ranks

_ORIGINALS: Final = {
    name: getattr(ndimage, name)
    for name in ("median_filter", "rank_filter", "percentile_filter", "gaussian_filter", "gaussian_filter1d")
}
_OUTPUT_OF: Final = {"median_filter": 3, "rank_filter": 4, "percentile_filter": 4}
"""The place of ``output`` among the arguments."""
HOMES: Final = dict.fromkeys(_ORIGINALS, "scipy.ndimage")
"""Where the original of each is found, and put back by ``patched``."""


def median_filter(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: float = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> NDArray[Any]:
    """Median of the window around each pixel, as ``scipy.ndimage.median_filter``."""
    done = ranks.ranked(input, ranks.middle, size, footprint, output, mode, cval, origin, axes)
    return _served("median_filter", done, (input, size, footprint, output, mode, cval, origin), {"axes": axes})


def rank_filter(
    input: Any,
    rank: int,
    size: Any = None,
    footprint: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: float = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> NDArray[Any]:
    """The value of one rank in the window around each pixel, as ``scipy.ndimage.rank_filter``."""
    done = ranks.ranked(input, ranks.rank_of(rank), size, footprint, output, mode, cval, origin, axes)
    return _served("rank_filter", done, (input, rank, size, footprint, output, mode, cval, origin), {"axes": axes})


def percentile_filter(
    input: Any,
    percentile: float,
    size: Any = None,
    footprint: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: float = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> NDArray[Any]:
    """A percentile of the window around each pixel, as ``scipy.ndimage.percentile_filter``."""
    done = ranks.ranked(input, ranks.rank_of_percentile(percentile), size, footprint, output, mode, cval, origin, axes)
    arguments = (input, percentile, size, footprint, output, mode, cval, origin)
    return _served("percentile_filter", done, arguments, {"axes": axes})


def gaussian_filter(
    input: Any,
    sigma: Any,
    order: Any = 0,
    output: Any = None,
    mode: Any = "reflect",
    cval: float = 0.0,
    truncate: float = 4.0,
    *,
    radius: Any = None,
    axes: Any = None,
) -> NDArray[Any]:
    """Gaussian smoothing, as ``scipy.ndimage.gaussian_filter``."""
    done = gaussians.gaussian(input, sigma, order, output, mode, cval, truncate, radius, axes)
    options = {"radius": radius, "axes": axes}
    return _served("gaussian_filter", done, (input, sigma, order, output, mode, cval, truncate), options)


def gaussian_filter1d(
    input: Any,
    sigma: float,
    axis: int = -1,
    order: int = 0,
    output: Any = None,
    mode: str = "reflect",
    cval: float = 0.0,
    truncate: float = 4.0,
    *,
    radius: int | None = None,
) -> NDArray[Any]:
    """Gaussian smoothing along one axis, as ``scipy.ndimage.gaussian_filter1d``."""
    done = gaussians.gaussian(input, sigma, order, output, mode, cval, truncate, radius, (axis,))
    return _served("gaussian_filter1d", done, (input, sigma, axis, order, output, mode, cval, truncate),
                   {"radius": radius})  # fmt: skip


def _theirs(name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> NDArray[Any]:
    """SciPy's answer.

    Ranks of lines are computed in their own dtype and cast then, as SciPy does it for images: its code for lines
    (1.17.1) takes line and ``output`` for arrays of one dtype, and gives wrong values.
    """
    shown, original, place = f"scipy.ndimage.{name}", _ORIGINALS[name], _OUTPUT_OF.get(name)
    output = None if place is None else arguments[place]
    into = output if isinstance(output, np.ndarray) else None
    shape = np.shape(arguments[0])
    if place is None or output is None or len(shape) != 1 or (into is not None and into.shape != shape):
        return theirs(shown, original, *arguments, **options)
    found = theirs(shown, original, *arguments[:place], None, *arguments[place + 1 :], **options)
    if into is None:
        return found.astype(output, copy=False)
    np.copyto(into, found, casting="unsafe")
    return into


def _served(name: str, done: NDArray[Any] | None, arguments: tuple[Any, ...], options: dict[str, Any]) -> NDArray[Any]:
    """What our kernel made, or SciPy's answer where it did not."""
    if done is None:
        return _theirs(name, arguments, options)
    ours(f"scipy.ndimage.{name}")
    return done
