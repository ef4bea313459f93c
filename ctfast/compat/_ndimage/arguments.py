"""What SciPy takes as one value or one for each axis, understood; None for what it has to judge."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

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
_SCALARS: Final = frozenset({int, float, str, bool, type(None)})
REAL: Final = (int, float, np.int64)
"""Of a sigma: SciPy computes in its type, so that a float32 gives weights of other values."""
WHOLE: Final = (int, np.integer)
"""As tuples: a union of types is put together anew at each call."""
LONGEST: Final = 255
"""Windows and kernels beyond this are left to SciPy."""


def is_plain(value: Any) -> bool:
    """Whether equal values of its kind are alike, so that what was found out for one holds for the other."""
    return type(value) in _SCALARS or (type(value) is tuple and all(type(v) is int for v in value))


def mode_of(mode: Any, cval: Any) -> str | None:
    """Our word for a border."""
    known = isinstance(mode, str) and isinstance(cval, int | float) and math.isfinite(cval)
    return _MODES.get(mode) if known else None


def modes_of(mode: Any, cval: Any, axes: Any, ndim: int) -> tuple[str, ...] | None:
    """Our word for the border of each axis; None for what SciPy has to judge."""
    if axes is None and isinstance(mode, str):
        word = mode_of(mode, cval)
        return None if word is None else (word,) * ndim
    along = tuple(range(ndim)) if axes is None else axes
    if not isinstance(along, tuple | list):
        return None
    words = [mode_of(m, cval) for m in (mode if isinstance(mode, tuple | list) else (mode,) * len(along))]
    if None in words or len(words) != len(along):
        return None
    given = dict(zip((a % ndim for a in along), words))
    return tuple(given.get(a) or "nearest" for a in range(ndim))


def rising(axes: Any, ndim: int) -> bool:
    """SciPy's rank filters give the first size to the first axis, whatever the order of ``axes``."""
    if not isinstance(axes, tuple | list) or not all(type(a) is int for a in axes):
        return True
    places = [a % ndim for a in axes]
    return places == sorted(places)


def an_axis(value: Any, axes: Any, ndim: int, rest: float, kinds: Any) -> tuple[Any, ...] | None:
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


def reaches(dtype: np.dtype[Any], cval: float) -> bool:
    """Whether averages with ``cval`` stay within an integer's limits: SciPy's wrap around there."""
    return dtype.kind == "f" or np.iinfo(dtype).min <= cval <= np.iinfo(dtype).max


def holds(dtype: np.dtype[Any], cval: float) -> bool:
    if dtype.kind == "f":
        return True
    if dtype.kind == "b":
        return cval in (0, 1)
    return float(cval).is_integer() and np.iinfo(dtype).min <= cval <= np.iinfo(dtype).max
