"""Ranks of windows of any shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctfast import ops
from ctfast.compat._homes import HOST, Array, Home
from ctfast.compat._ndimage.arguments import (
    LONGEST,
    WHOLE,
    an_axis,
    holds,
    is_plain,
    mode_of,
    rising,
)
from ctfast.compat._ndimage.moving import moved_back, wanted_dtype
from ctfast.dispatch.kinds import MAX_FOOTPRINT
from ctkernels.contract import rank_of as rank_of_share


def middle(pixels: int) -> int:
    """The rank of the median."""
    return pixels // 2


def rank_of(rank: Any) -> Callable[[int], int | None]:
    """``rank_filter``'s: below 0 from the largest on."""
    known = isinstance(rank, WHOLE)
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
    x, border = home.array(image), mode_of(mode, cval)
    if x is None or border is None or not rising(axes, x.ndim) or (footprint is not None and size is not None):
        return None
    mask = None if footprint is None else np.asarray(home.on_host(footprint)).astype(bool)
    shown = None if mask is None else (mask.tobytes(), mask.shape)
    asked = (size, origin, axes)
    window = (_window if all(map(is_plain, asked)) else _window.__wrapped__)(x.ndim, shown, *asked)
    if window is None:
        return None
    rank, narrow = rank_of(window.ones), home.narrow(x)
    if rank is None or not 0 <= rank < window.ones or narrow is None:
        return None
    if border == "constant" and not (holds(narrow.dtype, cval) and holds(x.dtype, cval)):
        return None
    wanted = wanted_dtype(output, x.shape, x.dtype, home)
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

    return moved_back(run, narrow, window.used, output, wanted, home)


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
        sizes = an_axis(size, axes, ndim, 1, WHOLE)
        if not sizes or not all(1 <= n <= LONGEST for n in sizes) or math.prod(map(int, sizes)) > LONGEST**2:
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
    shifts = an_axis(origin, axes, ndim, 0, WHOLE)
    if not shifts:
        return None
    before = tuple(n // 2 + int(s) for n, s in zip(mask.shape, shifts))
    if ndim == 1:
        mask, before = mask[np.newaxis], (0, *before)
    if max(mask.shape) > LONGEST or not all(0 <= b < n for b, n in zip(before, mask.shape)):
        return None
    window = _Window(mask, before)
    return window if 1 <= window.ones <= MAX_FOOTPRINT else None
