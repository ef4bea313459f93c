"""SciPy's arguments as those of our filters: what ``scipy_ndimage``, ``cupyx``, ``skimage`` and ``cucim`` share.

Each function gives the result, or None for what is left to the original. At most three axes may be filtered; they are
moved to the back, which costs a copy where they are not the last. ``home``: where arrays are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctfast import ops
from ctfast.compat._homes import HOST, OF_IMAGES, Home
from ctfast.dispatch.arrays import known_axes
from ctfast.dispatch.kinds import MAX_FOOTPRINT, MAX_ORDER
from ctkernels.contract import rank_of as rank_of_share

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
_SCALARS: Final = frozenset({int, float, str, bool, type(None)})
_REAL: Final = (int, float, np.int64)
"""Of a sigma: SciPy computes in its type, so that a float32 gives weights of other values."""
_WHOLE: Final = (int, np.integer)
"""As tuples: a union of types is put together anew at each call."""
_OUTPUTS: Final = OF_IMAGES | {np.dtype(c) for c in "?bilqILQ"}
"""What results are written as: SciPy writes no float16."""
_LONGEST: Final = 255
"""Windows and kernels beyond this are left to SciPy."""


def middle(pixels: int) -> int:
    """The rank of the median."""
    return pixels // 2


def rank_of(rank: Any) -> Callable[[int], int | None]:
    """``rank_filter``'s: below 0 from the largest on."""
    known = isinstance(rank, _WHOLE)
    return lambda pixels: int(rank) + (pixels if rank < 0 else 0) if known else None


def rank_of_percentile(percentile: Any) -> Callable[[int], int | None]:
    """``percentile_filter``'s."""
    if not isinstance(percentile, int | float) or not -100 <= percentile <= 100:
        return lambda pixels: None
    share = percentile + 100.0 if percentile < 0 else percentile
    return lambda pixels: rank_of_share(share, pixels)


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
    mask = None if footprint is None else np.asarray(home.on_host(footprint)).astype(bool)
    shown = None if mask is None else (mask.tobytes(), mask.shape)
    asked = (size, origin, axes)
    window = (_window if all(map(_is_plain, asked)) else _window.__wrapped__)(x.ndim, shown, *asked)
    if window is None:
        return None
    rank, narrow = rank_of(window.ones), home.narrow(x)
    if rank is None or not 0 <= rank < window.ones or narrow is None:
        return None
    if border == "constant" and not (_holds(narrow.dtype, cval) and _holds(x.dtype, cval)):
        return None
    wanted = _wanted(output, x.shape, x.dtype, home)
    if wanted is None:
        return None
    kind: Any = border

    def run(batch: Array, behind: list[int], out: Array) -> None:
        sides, origin, mask = window.usual if behind == window.used else window.along(behind)
        fixed: Any = {"mode": kind, "cval": float(cval), "origin": origin, "out": out}
        if window.is_odd_box and rank == window.ones // 2:
            ops.median_filter(batch, sides, **fixed)
        else:
            ops.rank_filter(batch, rank, footprint=mask, **fixed)

    return _moved(run, narrow, window.used, output, wanted, home)


class _Along(NamedTuple):
    """Our arguments for some axes of an image."""

    sides: Any
    origin: Any
    footprint: NDArray[np.bool_]


class _Window:
    """Which pixels count, an axis for each of the image's, and one in front for lines."""

    def __init__(self, mask: NDArray[np.bool_], before: tuple[int, ...]):
        self.mask, self.before, self.ones = mask, before, int(mask.sum())
        # Both axes of an image, as a window along one of them would take the other along anyway.
        self.used = [axis for axis, n in enumerate(mask.shape) if n > 1 or mask.ndim == 2]
        self.is_odd_box = bool(mask.all()) and all(n % 2 for n in mask.shape)
        self.usual = self.along(self.used)

    def along(self, axes: list[int]) -> _Along:
        """``before``: pixels of the window before the one that it is the window of."""
        shape = self.mask.shape
        sides = tuple(shape[a] for a in axes)
        origin = tuple(self.before[a] - shape[a] // 2 for a in axes)
        others = [a for a in range(self.mask.ndim) if a not in axes]
        return _Along(sides, origin, self.mask.transpose(*others, *axes).reshape(sides))


@lru_cache(maxsize=256, typed=True)
def _window(ndim: int, footprint: tuple[bytes, tuple[int, ...]] | None, size: Any, origin: Any, axes: Any) -> Any:
    """SciPy's ``_Window``; None for what it has to judge, or what our filters don't take."""
    if footprint is None:
        sizes = _an_axis(size, axes, ndim, 1, _WHOLE)
        if not sizes or not all(1 <= n <= _LONGEST for n in sizes) or math.prod(map(int, sizes)) > _LONGEST**2:
            return None
        mask = np.ones(tuple(map(int, sizes)), bool)
    else:
        mask = np.frombuffer(footprint[0], bool).reshape(footprint[1])
        along = tuple(range(ndim)) if axes is None else axes
        if not isinstance(along, tuple | list) or not all(type(a) is int and -ndim <= a < ndim for a in along):
            return None
        places = [a % ndim for a in along]
        if mask.ndim != len(places) or len(set(places)) != len(places) or not mask.size:
            return None
        if ndim == 1 and not mask.all():
            return None  # SciPy does not see the holes
        mask = mask.reshape([mask.shape[places.index(a)] if a in places else 1 for a in range(ndim)])
    shifts = _an_axis(origin, axes, ndim, 0, _WHOLE)
    if not shifts:
        return None
    before = tuple(n // 2 + int(s) for n, s in zip(mask.shape, shifts))
    if ndim == 1:
        mask, before = mask[np.newaxis], (0, *before)
    if max(mask.shape) > _LONGEST or not all(0 <= b < n for b, n in zip(before, mask.shape)):
        return None
    window = _Window(mask, before)
    return window if 1 <= window.ones <= MAX_FOOTPRINT else None


def is_negative(sigma: Any) -> bool:
    """Whether a blur is, or one of several: SciPy takes it for nothing, scikit-image and cuCIM refuse it."""
    try:
        return bool(np.min(sigma) < 0)
    except (TypeError, ValueError):  # the original says what is wrong with it
        return False


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
    """The Gaussian, and its derivatives where the result is a float."""
    x = home.array(image)
    if x is None or x.dtype not in OF_IMAGES:
        return None
    wanted = _wanted(output, x.shape, x.dtype, home)
    if wanted is None or wanted not in OF_IMAGES:
        return None
    asked = (sigma, order, mode, cval, truncate, radius, axes)
    blur = (_blur if all(map(_is_plain, asked)) else _blur.__wrapped__)(x.ndim, wanted.kind != "f", *asked)
    if blur is None or ("constant" in blur.borders and not _reaches(wanted, cval)):
        return None
    if len(blur.used) > 3:
        for part in (blur.used[:3], blur.used[3:]):
            sides = [[values[a] for a in part] for values in (blur.sigmas, blur.orders, blur.borders, blur.radii)]
            reach = None if radius is None else sides[3]
            target = output if part[-1] == blur.used[-1] else wanted
            x = gaussian(x, sides[0], sides[1], target, sides[2], cval, truncate, reach, part, home)
        return x

    def run(batch: Array, behind: list[int], out: Array) -> None:
        ops.gaussian_filter(batch, out=out, **(blur.usual if behind == blur.used else blur.along(behind)))

    used = [a + (x.ndim == 1) for a in blur.used]
    # A derivative's border is that of what the axes before it made.
    return _moved(run, x.astype(wanted, copy=False), used, output, wanted, home, keep_order=any(blur.orders))


def _is_plain(value: Any) -> bool:
    """Whether equal values of its kind are alike, so that what was found out for one holds for the other."""
    return type(value) in _SCALARS or (type(value) is tuple and all(type(v) is int for v in value))


class _Blur:
    """SciPy's arguments, understood: for each axis of the image."""

    def __init__(self, used: list[int], fixed: dict[str, Any], per_axis: tuple[tuple[Any, ...], ...], radius: bool):
        self.used, self.fixed = used, fixed
        self.sigmas, self.orders, self.borders, self.radii = per_axis
        self.has_radius = radius
        self.usual = self.along(used) if len(self.sigmas) > 1 else {}
        """Ours where no axis moves: the very same objects at each call, which ``ops`` knows again."""

    def along(self, axes: list[int]) -> dict[str, Any]:
        """Our arguments for these axes; a line has one in front that is none of SciPy's."""
        line = int(len(self.sigmas) == 1)

        def of(values: tuple[Any, ...], rest: Any) -> Any:
            return tuple(values[a - line] if a >= line else rest for a in axes)

        return {
            "sigma": of(self.sigmas, 0.0),
            "mode": of(self.borders, "nearest"),
            "order": of(self.orders, 0),
            "radius": of(self.radii, 0) if self.has_radius else None,
            **self.fixed,
        }


@lru_cache(maxsize=256, typed=True)
def _blur(
    ndim: int, whole: bool, sigma: Any, order: Any, mode: Any, cval: Any, truncate: Any, radius: Any, axes: Any
) -> _Blur | None:
    """None for what SciPy has to judge; kept between calls, as to find it out takes as long as a tenth of a slice."""
    if not isinstance(truncate, int | float):
        return None
    sigmas = _an_axis(sigma, axes, ndim, 0.0, _REAL)
    orders = _an_axis(order, axes, ndim, 0, int)
    borders = _modes(mode, cval, axes, ndim)
    radii = _an_axis(0 if radius is None else radius, axes, ndim, 0, int)
    if not (sigmas and orders and borders and radii):
        return None
    sigmas = tuple(float(s) if s > 1e-15 else 0.0 for s in sigmas)  # SciPy's limit of what is nothing
    used = [a % ndim for a in (range(ndim) if axes is None else axes) if sigmas[a % ndim]]
    if not used or min(sigmas) < 0 or not all(0 <= o <= MAX_ORDER for o in orders) or (whole and any(orders)):
        return None  # integers of SciPy's derivatives wrap around
    if radius is None:
        known = math.isfinite(truncate) and 0 < max(sigmas) * truncate < _LONGEST
    else:
        known = all(0 <= r < _LONGEST for r in radii)
    if not known or (len(used) > 3 and whole):  # integers would be rounded twice
        return None
    fixed = {"truncate": 4.0 if radius is not None else float(truncate), "cval": float(cval)}
    return _Blur(used, fixed, (sigmas, orders, borders, radii), radius is not None)


def _mode(mode: Any, cval: Any) -> str | None:
    """Our word for a border."""
    known = isinstance(mode, str) and isinstance(cval, int | float) and math.isfinite(cval)
    return _MODES.get(mode) if known else None


def _modes(mode: Any, cval: Any, axes: Any, ndim: int) -> tuple[str, ...] | None:
    """Our word for the border of each axis; None for what SciPy has to judge."""
    if axes is None and isinstance(mode, str):
        word = _mode(mode, cval)
        return None if word is None else (word,) * ndim
    along = tuple(range(ndim)) if axes is None else axes
    if not isinstance(along, tuple | list):
        return None
    words = [_mode(m, cval) for m in (mode if isinstance(mode, tuple | list) else (mode,) * len(along))]
    if None in words or len(words) != len(along):
        return None
    given = dict(zip((a % ndim for a in along), words))
    return tuple(given.get(a) or "nearest" for a in range(ndim))


def _rising(axes: Any, ndim: int) -> bool:
    """SciPy's rank filters give the first size to the first axis, whatever the order of ``axes``."""
    if not isinstance(axes, tuple | list) or not all(type(a) is int for a in axes):
        return True
    places = [a % ndim for a in axes]
    return places == sorted(places)


def _an_axis(value: Any, axes: Any, ndim: int, rest: float, kinds: Any) -> tuple[Any, ...] | None:
    """One number for each axis; ``rest`` for those that ``axes`` leaves out; None for what SciPy has to judge."""
    if axes is None:
        if isinstance(value, kinds):  # as nearly always
            return (value,) * ndim if math.isfinite(value) else None
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


def _reaches(dtype: np.dtype[Any], cval: float) -> bool:
    """Whether averages with ``cval`` stay within an integer's limits: SciPy's wrap around there."""
    return dtype.kind == "f" or np.iinfo(dtype).min <= cval <= np.iinfo(dtype).max


def _holds(dtype: np.dtype[Any], cval: float) -> bool:
    if dtype.kind == "f":
        return True
    if dtype.kind == "b":
        return cval in (0, 1)
    return float(cval).is_integer() and np.iinfo(dtype).min <= cval <= np.iinfo(dtype).max


def _moved(
    run: Callable[[Array, list[int], Array], None],
    x: Array,
    used: list[int],
    output: Any,
    dtype: np.dtype[Any],
    home: Home,
    keep_order: bool = False,
) -> Array | None:
    """``run(batch, axes, out)`` with the ``used`` axes of ``x`` (and others, so that there are two) as its last.

    A line has an axis in front. ``axes`` says which axes of ``x`` these are; they have an order of their own where rows
    would be short, unless ``keep_order`` says that they come in that of ``used``. ``dtype`` is that of the result.
    """
    if len(used) > 3:
        return None
    is_last = used == list(range(x.ndim)) and x.ndim > 1 and (keep_order or x.shape[-1] >= SHORT)
    if is_last and output is None and dtype == x.dtype and x.flags.c_contiguous:  # nothing to move, as nearly always
        result = home.empty(x.shape, dtype)
        with known_axes():
            run(x.reshape(1, *x.shape), used, result.reshape(1, *x.shape))
        return result
    shape, x = x.shape, x if x.ndim > 1 else x.reshape(1, -1)
    spare = [axis for axis in range(x.ndim - 1, -1, -1) if axis not in used]
    spare = spare[: max(0, 2 - len(used))]
    behind = spare + used if keep_order else sorted(used + spare)
    if not keep_order and x.shape[behind[-1]] < SHORT:  # rows are what is fast
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


def _wanted(output: Any, shape: tuple[int, ...], dtype: np.dtype[Any], home: Home) -> np.dtype[Any] | None:
    """The dtype of the result, which holds what ``dtype`` holds; None for outputs that SciPy has to judge."""
    if isinstance(output, home.xp.ndarray):
        writable = getattr(output.flags, "writeable", True)  # CuPy's always are
        wanted = np.dtype(output.dtype) if output.shape == shape and writable else None
    else:
        try:
            wanted = dtype if output is None else np.dtype(output)
        except TypeError:
            return None
    if wanted not in _OUTPUTS or not np.can_cast(dtype, wanted, "safe"):
        return None
    return None if isinstance(output, str) and wanted.kind == "b" else wanted
