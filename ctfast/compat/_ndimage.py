"""SciPy's arguments as those of our filters: what ``scipy_ndimage`` and ``skimage`` share.

Each function gives the result, or None for what is left to the original. At most three axes may be filtered; they are
moved to the back, which costs a copy where they are not the last.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast import ops
from ctfast.dispatch.arrays import known_axes

Array = NDArray[Any]
DTYPES: Final = ("uint8", "int16", "uint16", "float32", "float64")
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
SHORT: Final = 64
"""Rows of fewer pixels leave vectors empty: 256 x 256 x 32 took 3.5 times as long as 32 x 256 x 256."""
_LONGEST: Final = 255
"""Windows and kernels beyond this are left to SciPy."""


def median(
    image: Any,
    size: Any,
    footprint: Any,
    output: Any,
    mode: Any,
    cval: Any,
    origin: Any,
    axes: Any,
    is_middle: Callable[[int], bool] = lambda _: True,
) -> Array | None:
    """The median, where the window is a box of odd sides and ``is_middle`` takes its number of pixels."""
    x, border = _array(image), _mode(mode, cval)
    if x is None or border is None or not _zero(origin, axes, x.ndim) or not _rising(axes, x.ndim):
        return None
    if footprint is not None:
        whole = np.asarray(footprint)
        if size is not None or not whole.size or not whole.all():
            return None
        size = whole.shape
    sizes = _an_axis(size, axes, x.ndim, 1, int | np.integer)
    if not sizes or not all(1 <= n <= _LONGEST and n % 2 for n in sizes):
        return None
    narrow = _narrow(x) if is_middle(math.prod(int(n) for n in sizes)) else None
    if narrow is None or (border == "constant" and not (_holds(narrow.dtype, cval) and _holds(x.dtype, cval))):
        return None
    options = {"mode": border, "cval": float(cval)}
    return _run("median_filter", "size", narrow, tuple(map(int, sizes)), 1, options, output, x.dtype)


def gaussian(
    image: Any,
    sigma: Any,
    order: Any,
    output: Any,
    mode: Any,
    cval: Any,
    truncate: Any,
    radius: Any,
    axes: Any,
) -> Array | None:
    """The Gaussian itself (no derivative)."""
    if isinstance(mode, tuple | list) or isinstance(radius, tuple | list):
        return _one_by_one(image, sigma, order, output, mode, cval, truncate, radius, axes)
    x, border = _array(image), _mode(mode, cval)
    if x is None or border is None or x.dtype.name not in DTYPES or not _zero(order, axes, x.ndim):
        return None
    sigmas = _an_axis(sigma, axes, x.ndim, 0.0, int | float | np.integer | np.floating)
    if not sigmas or not isinstance(truncate, int | float) or min(sigmas) < 0:
        return None
    sigmas = tuple(float(s) if s > 1e-15 else 0.0 for s in sigmas)  # SciPy's limit of what is nothing
    if radius is not None:
        if not isinstance(radius, int) or radius < 1 or len(set(sigmas) - {0.0}) != 1:
            return None
        truncate = (radius + 0.25) / max(sigmas)
    if not math.isfinite(truncate) or not 0 < max(sigmas) * truncate < _LONGEST:
        return None
    options = {"truncate": float(truncate), "mode": border, "cval": float(cval)}
    return _run("gaussian_filter", "sigma", x, sigmas, 0.0, options, output, x.dtype)


def _one_by_one(
    image: Any,
    sigma: Any,
    order: Any,
    output: Any,
    mode: Any,
    cval: Any,
    truncate: Any,
    radius: Any,
    axes: Any,
) -> Array | None:
    """Axis by axis, each with its own border or reach; floats alone, as integers would be rounded each time."""
    x = _array(image)
    if x is None or x.dtype.kind != "f" or not _zero(order, axes, x.ndim):
        return None
    along = tuple(range(x.ndim)) if axes is None else axes
    if not isinstance(along, tuple | list):
        return None
    each = [value if isinstance(value, tuple | list) else (value,) * len(along) for value in (sigma, mode, radius)]
    if any(len(values) != len(along) for values in each):
        return None
    result: Array | None = x
    for number, (axis, s, m, r) in enumerate(zip(along, *each), 1):
        result = gaussian(result, s, 0, output if number == len(along) else None, m, cval, truncate, r, (axis,))
        if result is None:
            return None
    return result


def _array(x: Any) -> Array | None:
    """What SciPy would take it for, where that is an array of numbers with at least one."""
    if not isinstance(x, np.ndarray | list | tuple) or isinstance(x, np.ma.MaskedArray):
        return None
    array = np.asarray(x)
    return array if array.ndim and array.size and array.dtype.isnative else None


def _mode(mode: Any, cval: Any) -> str | None:
    """Our word for a border."""
    known = isinstance(mode, str) and isinstance(cval, int | float) and math.isfinite(cval)
    return _MODES.get(mode) if known else None


def _rising(axes: Any, ndim: int) -> bool:
    """SciPy's rank filters give the first size to the first axis, whatever the order of ``axes``."""
    if not isinstance(axes, tuple | list) or not all(type(a) is int for a in axes):
        return True
    places = [a % ndim for a in axes]
    return places == sorted(places)


def _zero(value: Any, axes: Any, ndim: int) -> bool:
    """0, or one for each axis that is filtered."""
    if isinstance(value, tuple | list):
        number = len(axes) if isinstance(axes, tuple | list) else ndim
        return len(value) == number and all(isinstance(v, int) and v == 0 for v in value)
    return isinstance(value, int) and value == 0


def _an_axis(value: Any, axes: Any, ndim: int, rest: float, kinds: Any) -> tuple[Any, ...] | None:
    """One number for each axis; ``rest`` for those that ``axes`` leaves out; None for what SciPy has to judge."""
    if axes is None:
        axes = tuple(range(ndim))
    if not isinstance(axes, tuple | list) or not all(type(a) is int and -ndim <= a < ndim for a in axes):
        return None
    numbers = value if isinstance(value, tuple | list) else (value,) * len(axes)
    places = [a % ndim for a in axes]
    if len(numbers) != len(axes) or len(set(places)) != len(places):
        return None
    if not all(isinstance(n, kinds) and math.isfinite(n) for n in numbers):
        return None
    given = dict(zip(places, numbers))
    return tuple(given.get(a, rest) for a in range(ndim))


def _holds(dtype: np.dtype[Any], cval: float) -> bool:
    if dtype.kind == "f":
        return True
    if dtype.kind == "b":
        return cval in (0, 1)
    return float(cval).is_integer() and np.iinfo(dtype).min <= cval <= np.iinfo(dtype).max


def _narrow(x: Array) -> Array | None:
    """The same values in a dtype that the kernel takes."""
    if x.dtype.name in DTYPES:
        return x
    if x.dtype.name in ("bool", "int8"):
        return x.astype(np.uint8 if x.dtype.kind == "b" else np.int16)
    if x.dtype.kind not in "iu":
        return None
    low, high = int(x.min()), int(x.max())
    return next(
        (x.astype(t) for t in (np.int16, np.uint16) if np.iinfo(t).min <= low and high <= np.iinfo(t).max), None
    )


def _run(
    name: str,
    word: str,
    x: Array,
    numbers: tuple[float, ...],
    none: float,
    options: dict[str, Any],
    output: Any,
    dtype: np.dtype[Any],
) -> Array | None:
    """Run our kernel where ``output`` is nothing, the image's dtype or an array of it.

    Args:
        name: the operation.
        word: its parameter that has a number for each axis.
        x: the array, in a dtype that the operation takes.
        numbers: one for each axis.
        none: the number that leaves an axis alone.
        options: the other parameters.
        output: SciPy's ``output``.
        dtype: of the result.
    """
    used = [axis for axis, n in enumerate(numbers) if n != none]
    if len(used) > 3 or not _writable(output, x.shape, dtype):
        return None
    shape = x.shape
    if x.ndim == 1:
        x, numbers, used = x[np.newaxis], (none, *numbers), [axis + 1 for axis in used]
    spare = [axis for axis in range(x.ndim - 1, -1, -1) if axis not in used]
    behind = sorted(used + spare[: max(0, 2 - len(used))])
    if x.shape[behind[-1]] < SHORT:  # rows are what is fast; boxes and Gaussians are the same in any order of axes
        behind.sort(key=lambda axis: x.shape[axis])
    # A Gaussian of no width is one whose kernel is the pixel itself.
    alone = 0.25 / options["truncate"] if word == "sigma" else none
    options = {**options, word: tuple(alone if numbers[a] == none else numbers[a] for a in behind)}
    moved = np.moveaxis(x, behind, range(-len(behind), 0))
    batch = np.ascontiguousarray(moved).reshape(-1, *moved.shape[-len(behind) :])
    in_place = output if isinstance(output, np.ndarray) and output.flags.c_contiguous else None
    if behind != list(range(x.ndim - len(behind), x.ndim)) or dtype != x.dtype:
        in_place = None
    with known_axes():  # so that three or four columns are never taken for channels
        done = getattr(ops, name)(batch, out=None if in_place is None else in_place.reshape(batch.shape), **options)
    if in_place is not None:
        return in_place
    result = np.moveaxis(done.reshape(moved.shape), range(-len(behind), 0), behind).reshape(shape)
    if isinstance(output, np.ndarray):
        output[...] = result
        return output
    return np.ascontiguousarray(result, dtype)


def _writable(output: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    if isinstance(output, np.ndarray):
        return output.shape == shape and output.dtype == dtype and output.flags.writeable
    try:
        return output is None or np.dtype(output) == dtype
    except TypeError:
        return False
