"""SciPy's arguments as those of our filters: what ``scipy_ndimage``, ``cupyx``, ``skimage`` and ``cucim`` share.

Each function gives the result, or None for what is left to the original. At most three axes may be filtered; they are
moved to the back, which costs a copy where they are not the last. ``home``: where arrays are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.polynomial.hermite_e import hermeval
from numpy.typing import NDArray

from ctfast import ops
from ctfast.compat._homes import HOST, Home
from ctfast.dispatch.arrays import known_axes
from ctkernels.contract import IMAGE_DTYPES

Array = Any
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
_MOST_ORDER: Final = 8
_MOST_PIXELS: Final = 4096
"""Of a window; making the program of a larger one would take seconds."""


def middle(pixels: int) -> int:
    """The rank of the median."""
    return pixels // 2


def rank_of(rank: Any) -> Callable[[int], int | None]:
    """``rank_filter``'s: below 0 from the largest on."""
    known = isinstance(rank, int | np.integer)
    return lambda pixels: int(rank) + (pixels if rank < 0 else 0) if known else None


def rank_of_percentile(percentile: Any) -> Callable[[int], int | None]:
    """``percentile_filter``'s."""
    if not isinstance(percentile, int | float) or not -100 <= percentile <= 100:
        return lambda pixels: None
    share = percentile + 100.0 if percentile < 0 else percentile
    return lambda pixels: pixels - 1 if share == 100 else int(pixels * share / 100.0)


def ranked(
    image: Any,
    rank_of: Callable[[int], int | None],
    size: Any,
    footprint: Any,
    output: Any,
    mode: Any,
    cval: Any,
    origin: Any,
    axes: Any,
    home: Home = HOST,
) -> Array | None:
    """One rank of a window of any shape.

    ``rank_of`` gives the rank for the window's number of pixels, 0 for the smallest; None where SciPy has to judge.
    """
    x, border = home.array(image), _mode(mode, cval)
    if x is None or border is None or not _rising(axes, x.ndim) or (footprint is not None and size is not None):
        return None
    window = _window(x, size, home.on_host(footprint), origin, axes)
    if window is None or not 1 <= (ones := int(window.mask.sum())) <= _MOST_PIXELS:
        return None
    rank, narrow = rank_of(ones), home.narrow(x)
    if rank is None or not 0 <= rank < ones or narrow is None:
        return None
    if border == "constant" and not (_holds(narrow.dtype, cval) and _holds(x.dtype, cval)):
        return None
    used = [axis for axis, n in enumerate(window.mask.shape) if n > 1]
    sides = window.mask.shape
    kind: Any = border
    odd = window.mask.all() and all(n % 2 and b == n // 2 for n, b in zip(window.mask.shape, window.before))

    def run(batch: Array, behind: list[int], out: Array) -> None:
        if odd and rank == ones // 2:
            box: Any = tuple(window.mask.shape[a] for a in behind)
            ops.median_filter(batch, box, mode=kind, cval=float(cval), out=out)
            return
        others = [a for a in range(window.mask.ndim) if a not in behind]
        mask = window.mask.transpose(*others, *behind).reshape([window.mask.shape[a] for a in behind])
        middle = [window.before[a] for a in behind]
        places = np.argwhere(mask) - middle
        pixels: list[Any] = [(0,) * (3 - mask.ndim) + tuple(place) for place in places.tolist()]
        home.rank_filter(batch, out, pixels, rank, kind, float(cval))

    return _moved(run, narrow, used, output, x.dtype, home) if max(sides) <= _LONGEST else None


class _Window(NamedTuple):
    mask: NDArray[np.bool_]
    """Which pixels count, an axis for each of the image's, and one in front for lines."""
    before: tuple[int, ...]
    """Pixels of the window before the one that it is the window of, along each axis."""


def _window(x: Array, size: Any, footprint: Any, origin: Any, axes: Any) -> _Window | None:
    """SciPy's window; None for what it has to judge."""
    if footprint is None:
        sizes = _an_axis(size, axes, x.ndim, 1, int | np.integer)
        if not sizes or not all(1 <= n <= _LONGEST for n in sizes) or math.prod(map(int, sizes)) > _LONGEST**2:
            return None
        mask = np.ones(tuple(map(int, sizes)), bool)
    else:
        mask = np.asarray(footprint).astype(bool)
        along = tuple(range(x.ndim)) if axes is None else axes
        if not isinstance(along, tuple | list) or not all(type(a) is int and -x.ndim <= a < x.ndim for a in along):
            return None
        places = [a % x.ndim for a in along]
        if mask.ndim != len(places) or len(set(places)) != len(places) or not mask.size:
            return None
        if x.ndim == 1 and not mask.all():
            return None  # SciPy does not see the holes
        mask = mask.reshape([mask.shape[places.index(a)] if a in places else 1 for a in range(x.ndim)])
    shifts = _an_axis(origin, axes, x.ndim, 0, int | np.integer)
    if not shifts:
        return None
    before = tuple(n // 2 + int(s) for n, s in zip(mask.shape, shifts))
    if x.ndim == 1:
        mask, before = mask[np.newaxis], (0, *before)
    return _Window(mask, before) if all(0 <= b < n for b, n in zip(before, mask.shape)) else None


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
    home: Home = HOST,
) -> Array | None:
    """The Gaussian, and its derivatives for floats."""
    if not _zero(order, axes, np.ndim(image)):
        return _derivative(image, sigma, order, output, mode, cval, truncate, radius, axes, home)
    if isinstance(mode, tuple | list) or isinstance(radius, tuple | list):
        return _one_by_one(image, sigma, order, output, mode, cval, truncate, radius, axes, home)
    x, border = home.array(image), _mode(mode, cval)
    if x is None or border is None or x.dtype.name not in IMAGE_DTYPES or not _zero(order, axes, x.ndim):
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
    return _smooth(x, sigmas, options, output, home)


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
    home: Home = HOST,
) -> Array | None:
    """Axis by axis, each with its own border or reach; floats alone, as integers would be rounded each time."""
    x = home.array(image)
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
        result = gaussian(result, s, 0, output if number == len(along) else None, m, cval, truncate, r, (axis,), home)
        if result is None:
            return None
    return result


def _derivative(
    image: Any,
    sigma: Any,
    order: Any,
    output: Any,
    mode: Any,
    cval: Any,
    truncate: Any,
    radius: Any,
    axes: Any,
    home: Home = HOST,
) -> Array | None:
    """Axis by axis with a derivative of any order, in the order of ``axes``, as SciPy does."""
    x = home.array(image)
    if x is None or x.dtype.name not in ("float32", "float64") or not _writable(output, x.shape, x.dtype, home):
        return None
    along = tuple(range(x.ndim)) if axes is None else axes
    sigmas = _an_axis(sigma, axes, x.ndim, 0.0, int | float | np.integer | np.floating)
    orders = _an_axis(order, axes, x.ndim, 0, int)
    if not sigmas or not orders or min(sigmas) < 0 or min(orders) < 0 or not isinstance(truncate, int | float):
        return None
    borders, radii = (v if isinstance(v, tuple | list) else (v,) * len(along) for v in (mode, radius))
    if len(borders) != len(along) or len(radii) != len(along):
        return None
    passes = []
    for axis, border, reach in zip((a % x.ndim for a in along), borders, radii):
        if sigmas[axis] > 1e-15:  # SciPy's limit of what is nothing
            known = _mode(border, cval)
            if reach is None and math.isfinite(truncate):
                reach = int(truncate * float(sigmas[axis]) + 0.5)
            if known is None or not isinstance(reach, int) or not 0 <= reach <= _LONGEST or orders[axis] > _MOST_ORDER:
                return None
            sign = -1.0 if orders[axis] % 2 else 1.0
            passes.append((axis, _weights(float(sigmas[axis]), orders[axis], reach), sign, known))
    if not passes:
        return None
    result = home.xp.ascontiguousarray(x)
    for axis, weights, sign, known in passes:
        made = home.empty(x.shape, x.dtype)
        if not home.correlate(result, made, axis, weights, sign, known, float(cval)):
            return None
        result = made
    if isinstance(output, home.xp.ndarray):
        output[...] = result
        return output
    return result


def _weights(sigma: float, order: int, radius: int) -> Array:
    """SciPy's weights of a Gaussian's derivative, for a correlation: Hermite's polynomial times the Gaussian.

    Of the pixel itself and those behind it.
    """
    place = np.arange(-radius, radius + 1) / sigma
    bell = np.exp(-0.5 * place**2)
    weights: Array = hermeval(-place, [0] * order + [1]) * (-1 / sigma) ** order * (bell / bell.sum())
    return weights[radius:]


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


def _smooth(x: Array, sigmas: tuple[float, ...], options: dict[str, Any], output: Any, home: Home) -> Array | None:
    """The Gaussian with a sigma for each axis, where ``output`` is nothing, the image's dtype or an array of it."""
    if x.ndim == 1:
        sigmas = (0.0, *sigmas)
    alone = 0.25 / options["truncate"]  # a kernel that is the pixel itself

    def run(batch: Array, behind: list[int], out: Array) -> None:
        sides: Any = tuple(sigmas[a] or alone for a in behind)
        ops.gaussian_filter(batch, sides, out=out, **options)

    return _moved(run, x, [axis for axis, sigma in enumerate(sigmas) if sigma], output, x.dtype, home)


def _moved(
    run: Callable[[Array, list[int], Array], None],
    x: Array,
    used: list[int],
    output: Any,
    dtype: np.dtype[Any],
    home: Home,
) -> Array | None:
    """``run(batch, axes, out)`` with the ``used`` axes of ``x`` (and others, so that there are two) as its last.

    A line has an axis in front. ``axes`` says which axes of ``x`` these are; they have an order of their own where rows
    would be short. ``dtype`` is that of the result.
    """
    if len(used) > 3 or not _writable(output, x.shape, dtype, home):
        return None
    shape, x = x.shape, x if x.ndim > 1 else x.reshape(1, -1)
    spare = [axis for axis in range(x.ndim - 1, -1, -1) if axis not in used]
    behind = sorted(used + spare[: max(0, 2 - len(used))])
    if x.shape[behind[-1]] < SHORT:  # rows are what is fast
        behind.sort(key=lambda axis: x.shape[axis])
    order = [axis for axis in range(x.ndim) if axis not in behind] + behind
    moved = x.transpose(order)
    batch = home.xp.ascontiguousarray(moved).reshape(-1, *moved.shape[-len(behind) :])
    in_place = output if isinstance(output, home.xp.ndarray) and output.flags.c_contiguous else None
    in_order = order == list(range(x.ndim)) and dtype == x.dtype
    if not in_order or (in_place is not None and home.xp.may_share_memory(in_place, batch)):
        in_place = None
    done = home.empty(batch.shape, x.dtype) if in_place is None else in_place.reshape(batch.shape)
    with known_axes():  # so that three or four columns are never taken for channels
        run(batch, behind, done)
    if in_place is not None:
        return in_place
    result = done.reshape(moved.shape).transpose(np.argsort(order).tolist()).reshape(shape)
    if isinstance(output, home.xp.ndarray):
        output[...] = result
        return output
    return home.xp.ascontiguousarray(result, dtype)


def _writable(output: Any, shape: tuple[int, ...], dtype: np.dtype[Any], home: Home) -> bool:
    if isinstance(output, home.xp.ndarray):
        writable = getattr(output.flags, "writeable", True)  # CuPy's always are
        return bool(output.shape == shape and output.dtype == dtype and writable)
    try:
        return output is None or np.dtype(output) == dtype
    except TypeError:
        return False
