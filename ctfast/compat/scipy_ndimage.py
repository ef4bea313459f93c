"""Drop-ins for ``scipy.ndimage``: its signatures, defaults, dtypes, errors and values.

Everything else is SciPy's own.

| function | our kernel serves | values |
|---|---|---|
| median_filter | odd windows without holes over the last two axes (1 in the others), no ``origin`` | the same |
| rank_filter, percentile_filter | the same, where they ask for the median | the same |
| gaussian_filter | the last two axes (sigma 0 or ``axes``), ``order=0``, no ``radius``, one mode | see below |
| gaussian_filter1d | nothing yet | the same |

All take uint8, int16, uint16, float32 and float64; medians also bool, int8, and wider integers whose values fit into 16
bits. NaN in medians counts as the largest number (SciPy's result depends on its place). Gaussians: float64 to 1e-12,
float32 to 2e-6 of the largest value; integers are rounded once, where SciPy cuts after each axis: up to 2 apart.
``ctfast.compat.calls()`` tells who served.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ctfast import ops
from ctfast.compat._calls import ours, theirs

_ORIGINALS: Final = {
    name: getattr(ndimage, name)
    for name in ("median_filter", "rank_filter", "percentile_filter", "gaussian_filter", "gaussian_filter1d")
}
HOMES: Final = dict.fromkeys(_ORIGINALS, "scipy.ndimage")
"""Where the original of each is found, and put back by ``patched``."""
_DTYPES: Final = ("uint8", "int16", "uint16", "float32", "float64")
_MODES: Final = {
    "reflect": "reflect",
    "grid-mirror": "reflect",
    "mirror": "mirror",
    "nearest": "nearest",
    "wrap": "wrap",
    "grid-wrap": "wrap",
    "constant": "constant",
    "grid-constant": "constant",
}
_LONGEST: Final = 255
"""Windows and kernels beyond this are left to SciPy."""


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
    done = _median(input, size, footprint, output, mode, cval, origin, axes)
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

    def middle(pixels: int) -> bool:
        return isinstance(rank, int | np.integer) and rank in (pixels // 2, pixels // 2 - pixels)

    done = _median(input, size, footprint, output, mode, cval, origin, axes, middle)
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

    def middle(pixels: int) -> bool:
        return isinstance(percentile, int | float) and percentile in (50, -50)

    done = _median(input, size, footprint, output, mode, cval, origin, axes, middle)
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
    done = None
    x = _array(input)
    if x is not None and x.dtype.name in _DTYPES and _is_zero(order) and radius is None and _known_mode(mode, cval):
        sigmas = _an_axis(sigma, axes, x.ndim, 0.0)
        if sigmas and all(s <= 1e-15 for s in sigmas[:-2]) and all(0 < s * truncate < _LONGEST for s in sigmas[-2:]):
            params = {"sigma": sigmas[-2:], "truncate": float(truncate), "mode": _MODES[mode], "cval": float(cval)}
            done = _run("gaussian_filter", x, params, output)
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
    """Gaussian smoothing along one axis: SciPy's own."""
    return _served("gaussian_filter1d", None, (input, sigma, axis, order, output, mode, cval, truncate),
                   {"radius": radius})  # fmt: skip


def _served(name: str, done: NDArray[Any] | None, arguments: tuple[Any, ...], options: dict[str, Any]) -> NDArray[Any]:
    """What our kernel made, or SciPy's answer where it did not."""
    if done is None:
        return theirs(f"scipy.ndimage.{name}", _ORIGINALS[name], *arguments, **options)
    ours(f"scipy.ndimage.{name}")
    return done


def _array(x: Any) -> NDArray[Any] | None:
    """What SciPy would take it for, where that is an image or a stack of them."""
    if not isinstance(x, np.ndarray | list | tuple) or isinstance(x, np.ma.MaskedArray):
        return None
    array = np.asarray(x)
    return array if array.ndim >= 2 and array.size and array.dtype.isnative else None


def _known_mode(mode: Any, cval: Any) -> bool:
    return isinstance(mode, str) and mode in _MODES and isinstance(cval, int | float) and math.isfinite(cval)


def _is_zero(value: Any) -> bool:
    return isinstance(value, int) and value == 0


def _an_axis(value: Any, axes: Any, ndim: int, rest: float) -> tuple[Any, ...] | None:
    """One number for each axis; ``rest`` for those that ``axes`` leaves out; None for what SciPy has to judge."""
    if axes is None:
        axes = tuple(range(ndim))
    if not isinstance(axes, tuple | list) or not all(type(a) is int and -ndim <= a < ndim for a in axes):
        return None
    numbers = value if isinstance(value, tuple | list) else (value,) * len(axes)
    places = [a % ndim for a in axes]
    if len(numbers) != len(axes) or len(set(places)) != len(places):
        return None
    if not all(isinstance(n, int | float | np.integer | np.floating) and math.isfinite(n) for n in numbers):
        return None
    given = dict(zip(places, numbers))
    return tuple(given.get(a, rest) for a in range(ndim))


def _median(
    image: Any,
    size: Any,
    footprint: Any,
    output: Any,
    mode: Any,
    cval: Any,
    origin: Any,
    axes: Any,
    middle: Callable[[int], bool] = lambda _: True,
) -> NDArray[Any] | None:
    x = _array(image)
    if x is None or not _known_mode(mode, cval) or not _no_origin(origin):
        return None
    if footprint is not None:
        whole = np.asarray(footprint)
        if size is not None or not whole.size or not whole.all():
            return None
        size = whole.shape
    sizes = _an_axis(size, axes, x.ndim, 1)
    if not sizes or not all(float(n).is_integer() and 1 <= n <= _LONGEST and n % 2 for n in sizes):
        return None
    if any(n != 1 for n in sizes[:-2]) or not middle(math.prod(int(n) for n in sizes)):
        return None
    narrow = _narrow(x)
    if narrow is None or (mode.endswith("constant") and not _fits(cval, narrow.dtype)):
        return None
    params = {"size": (int(sizes[-2]), int(sizes[-1])), "mode": _MODES[mode], "cval": float(cval)}
    return _run("median_filter", narrow, params, output, x.dtype)


def _no_origin(origin: Any) -> bool:
    return all(_is_zero(o) for o in origin) if isinstance(origin, tuple | list) else _is_zero(origin)


def _fits(cval: float, dtype: np.dtype[Any]) -> bool:
    if dtype.kind == "f":
        return True
    return float(cval).is_integer() and np.iinfo(dtype).min <= cval <= np.iinfo(dtype).max


def _narrow(x: NDArray[Any]) -> NDArray[Any] | None:
    """The same values in a dtype that the kernel takes."""
    if x.dtype.name in _DTYPES:
        return x
    if x.dtype.name in ("bool", "int8"):
        return x.astype(np.uint8 if x.dtype.kind == "b" else np.int16)
    if x.dtype.kind not in "iu":
        return None
    low, high = int(x.min()), int(x.max())
    return next(
        (x.astype(t) for t in (np.int16, np.uint16) if np.iinfo(t).min <= low and high <= np.iinfo(t).max), None
    )


def _run(name: str, x: NDArray[Any], params: dict[str, Any], output: Any, dtype: Any = None) -> NDArray[Any] | None:
    """Run our kernel where ``output`` is nothing, the image's dtype or an array of it."""
    dtype = dtype or x.dtype
    if isinstance(output, np.ndarray):
        if output.shape != x.shape or output.dtype != dtype:
            return None
    elif output is not None and not _names(output, dtype):
        return None
    # One batch of images, so that three or four columns are never taken for channels.
    batch = np.ascontiguousarray(x).reshape(-1, *x.shape[-2:])
    if x.shape[-1] <= 4:
        result = np.stack([getattr(ops, name)(image, **params) for image in batch]).reshape(x.shape)
    else:
        result = getattr(ops, name)(batch, **params).reshape(x.shape)
    result = result.astype(dtype, copy=False)
    if not isinstance(output, np.ndarray):
        return result
    output[...] = result
    return output


def _names(output: Any, dtype: np.dtype[Any]) -> bool:
    try:
        return np.dtype(output) == dtype
    except TypeError:
        return False
