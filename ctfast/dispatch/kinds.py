"""The kinds of parameters: each check brings a value to its normal form or says what came in and what is allowed.

``contract.Param.kind`` names the check, so that functions, pipeline files and the command line check alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from numbers import Integral, Real
from os import PathLike
from typing import Any, Final

import numpy as np

from ctfast.errors import ArgumentError
from ctfast.reference_histogram import ReferenceHistogram
from ctkernels.contract import MODES, VOI_FUNCTIONS

MAX_BINS: Final = 1 << 24
MAX_CLAHE_BINS: Final = 1 << 16
MAX_FOOTPRINT: Final = 4096
"""Pixels of a window that is no box: a disk 72 pixels across."""
MAX_SIDE: Final = (1 << 16) - 1
"""Rows or columns of the largest DICOM image: a window or blur beyond it is a slip of the keyboard."""

MAX_ORDER: Final = 8
"""Of a derivative: higher ones are noise."""

Check = Callable[[str, Any], Any]
"""From name and value of a parameter to its normal form."""

_PLAIN: Final = (bool, int, float, str, tuple, list, type(None))


def failure(name: str, value: Any, allowed: str) -> ArgumentError:
    """The error that names the parameter, what came in and what is allowed."""
    kind = "" if isinstance(value, _PLAIN) else f" ({type(value).__module__}.{type(value).__qualname__})"
    return ArgumentError(f"{name}={_shown(value)}{kind}: {allowed}")


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of more digits than Python writes, lists in lists in lists
        return "(a value too large to show)"
    return text if len(text) <= 200 else f"{text[:100]}...{text[-20:]}"


_SYMBOLS: Final = {"SymFloat": float, "SymInt": int}
"""Of torch."""


def as_number(value: Any) -> Any:
    """Numbers as other libraries hand them over, Python's own: 0-d arrays of NumPy, decimals (as of pydicom).

    What ``torch.compile`` has as symbols becomes the number of the call that it traces; other numbers are traced anew.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return value.item()
    if (symbol := _SYMBOLS.get(type(value).__name__)) and type(value).__module__ == "torch":
        return symbol(value)
    if isinstance(value, Decimal):
        return float(value)
    return tuple(map(as_number, value)) if type(value) in (tuple, list) else value


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    """Whether a real number is finite as a float."""
    try:
        return _is_real(value) and math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False


def _one(what: str, fits: Callable[[Any], bool], normal: Callable[[Any], Any] = float) -> Check:
    def check(name: str, value: Any) -> Any:
        if not fits(value):
            raise failure(name, value, f"{what} is allowed")
        return normal(value)

    return check


def _whole(low: int, high: int) -> Check:
    return _one(f"a whole number from {low} to {high:,}", lambda v: _is_whole(v) and low <= v <= high, int)


def _choice(options: tuple[str, ...]) -> Check:
    return _one(f"one of {', '.join(options)}", lambda v: v in options, str)


def _an_axis(check: Check, what: str) -> Check:
    """One value, or two or three: one for each axis. How many there must be, ``check_params`` knows."""

    def several(name: str, value: Any) -> Any:
        if not isinstance(value, tuple | list):
            return check(name, value)
        if len(value) not in (2, 3):
            raise failure(
                name, value, f"{what} is allowed, or one for each axis: (rows, columns) or, for volumes, three"
            )
        return tuple(check(name, each) for each in value)

    return several


def _optional(check: Check) -> Check:
    return lambda name, value: None if value is None else check(name, value)


def _floats(*values: Any) -> tuple[float, ...]:
    return tuple(map(float, values))


def _several(allowed: str, fits: Callable[..., bool], normal: Callable[..., Any] = _floats) -> Check:
    """Of numbers, or of one by itself; ``fits`` and ``normal`` take each as an argument."""

    def check(name: str, value: Any) -> Any:
        try:
            values = (value,) if _is_real(value) else tuple(value)
        except TypeError:
            raise failure(name, value, allowed) from None
        if not fits(*values):
            raise failure(name, value, allowed)
        return normal(*values)

    return check


def _pair(allowed: str, fits: Callable[[Any, Any], bool], normal: Callable[..., Any] = _floats) -> Check:
    """Of (low, high), or None."""
    return _optional(_several(allowed, lambda *v: len(v) == 2 and fits(*v), normal))


def _finite_range(low: Any, high: Any) -> bool:
    return _is_finite(low) and _is_finite(high) and bool(low <= high)


def _open_ends(low: Any, high: Any) -> tuple[Any, Any]:
    return -math.inf if low is None else low, math.inf if high is None else high


def _open_range(low: Any, high: Any) -> bool:
    low, high = _open_ends(low, high)
    return all(_is_finite(v) or v in (-math.inf, math.inf) for v in (low, high)) and bool(low <= high)


def _widened(low: float, high: float) -> tuple[float, float]:
    """Equal ends half a unit to each side, as ``numpy.histogram`` does."""
    return (float(low), float(high)) if low < high else (float(low) - 0.5, float(high) + 0.5)


def _along_axes(name: str, value: Any, allowed: str, fits: Callable[[Any], bool]) -> tuple[Any, ...]:
    """One number for rows and columns, two, or three: planes, rows, columns."""
    try:
        sides = (value, value) if _is_real(value) else tuple(value)
    except TypeError:
        raise failure(name, value, allowed) from None
    if len(sides) not in (2, 3) or not all(map(fits, sides)):
        raise failure(name, value, allowed)
    return sides


def _sides(what: str, fits: Callable[[Any], bool], normal: Callable[[Any], Any], of_several: str = "") -> Check:
    allowed = f"{what} is allowed, or (rows, columns) or, for volumes, (planes, rows, columns) of them{of_several}"
    return lambda name, value: tuple(map(normal, _along_axes(name, value, allowed, fits)))


def footprint(name: str, value: Any) -> Any:
    """A window of any shape, (rows, columns) or (planes, rows, columns) of 0 and 1, as tuples in a tuple; or None."""
    if value is None:
        return None
    if type(value) is np.ndarray and value.dtype.kind in "biuf":  # whose checks are remembered by what it holds
        return _of_bytes(name, value.tobytes(), value.dtype, value.shape)
    return _checked(name, value)


@lru_cache(maxsize=256)
def _of_bytes(name: str, values: bytes, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Any:
    return _checked(name, np.frombuffer(values, dtype).reshape(shape))


def _checked(name: str, value: Any) -> Any:
    allowed = (
        f"an array (rows, columns) or, for volumes, (planes, rows, columns) of 0 and 1, with 1 to {MAX_FOOTPRINT:,} "
        "ones, is allowed, such as skimage.morphology.disk(3)"
    )
    try:
        mask = np.asarray(value)
    except ValueError:  # lists of uneven length
        raise failure(name, value, allowed) from None
    if mask.dtype.kind not in "biuf" or mask.ndim not in (2, 3) or not (mask == mask.astype(bool)).all():
        raise failure(name, value, allowed)
    if not 1 <= (ones := int(mask.sum())) <= MAX_FOOTPRINT:
        raise failure(name, value, f"it has {ones:,} ones; {allowed}")
    return _kept(mask.astype(bool).tobytes(), mask.shape)


@lru_cache(maxsize=256)
def _kept(ones: bytes, shape: tuple[int, ...]) -> Any:
    return _tuples(np.frombuffer(ones, np.uint8).reshape(shape).tolist())


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def in_pixels(sigma: Any, spacing: Any) -> Any:
    """``sigma`` in mm as pixels: divided by the distance of pixels along each axis.

    Raises:
        ArgumentError: a spacing that is no distance, or other than two or three axes for all images.
    """
    allowed = (
        "the distance of pixels in mm, a finite number above 0, is allowed, or (rows, columns) or (planes, rows, "
        "columns) of them, the same for all images of a batch: images of different spacing go one by one"
    )
    sigma, spacing = as_number(sigma), as_number(spacing.tolist() if isinstance(spacing, np.ndarray) else spacing)
    if _is_real(spacing):
        spacing = (spacing, spacing) if _is_real(sigma) else (spacing,) * len(sigma)
    sides = _along_axes("spacing", spacing, allowed, lambda v: _is_finite(v) and v > 0)
    along = _along_axes(
        "sigma",
        (sigma,) * len(sides) if _is_real(sigma) else sigma,
        "a number in mm is allowed, or one for each axis",
        _is_real,
    )
    if len(along) != len(sides):
        raise failure(
            "sigma", sigma, f"{len(sides)} axes have a spacing: one number in mm, or one for each, is allowed"
        )
    return tuple(s / float(d) for s, d in zip(along, sides, strict=True))


_widths: Final = _sides(
    f"a number above 0 and up to {MAX_SIDE:,}, in pixels,",
    lambda v: _is_finite(v) and 0 <= v <= MAX_SIDE,
    float,
    ", where 0 leaves an axis alone",
)


def _sigma(name: str, value: Any) -> Any:
    if not any(sides := _widths(name, value)):
        raise failure(
            name, value, "a number above 0 is allowed, in pixels; 0 leaves an axis alone, and one must be left"
        )
    return sides


_number: Final = _one("a finite number", _is_finite)
_positive: Final = _one("a finite number above 0", lambda v: _is_finite(v) and v > 0)


def reference_histogram(name: str, value: Any) -> ReferenceHistogram:
    """A reference histogram, its file, its file with the digest that it must have, or its values and counts."""
    if isinstance(value, tuple | list) and len(value) == 1:  # see ``ops.match_histogram``
        (value,) = value
    if isinstance(value, ReferenceHistogram):
        return value
    if isinstance(value, str | PathLike):
        return ReferenceHistogram.load(value)
    if not isinstance(value, tuple | list) or len(value) != 2:
        allowed = "the file of one (see its save()), or (values, counts) as numpy.unique(images, return_counts=True)"
        raise failure(name, value, f"a ctfast.ReferenceHistogram, {allowed} gives them, is allowed")
    first, second = value
    if isinstance(first, str) and isinstance(second, str):
        return ReferenceHistogram.load(first, digest=second)
    return ReferenceHistogram(first, second)


CHECKS: Final[Mapping[str, Check]] = {
    "axes": _one(
        "2 (each image by itself) or 3 (each volume (D, H, W) as a whole)", lambda v: _is_whole(v) and v in (2, 3), int
    ),
    "bins": _whole(1, MAX_BINS),
    "clahe_bins": _whole(2, MAX_CLAHE_BINS),
    "edges": _several(
        "1 to 254 finite numbers, each above the one before, are allowed",
        lambda *v: all(map(_is_finite, v)) and 1 <= len(v) <= 254 and all(a < b for a, b in pairwise(v)),
    ),
    "flag": _one("True or False", lambda v: isinstance(v, bool | np.bool_), bool),
    "footprint": footprint,
    "grid": _sides("a whole number from 1 to 1,024", lambda v: _is_whole(v) and 1 <= v <= 1024, int),
    "mode": _an_axis(_choice(MODES), f"one of {', '.join(MODES)}"),
    "not_negative": _one("a finite number of at least 0", lambda v: _is_finite(v) and v >= 0),
    "number": _number,
    "optional_mask_range": _pair(
        "a pair (low, high) with low <= high is allowed; None or inf leaves an end open",
        _open_range,
        lambda *v: _floats(*_open_ends(*v)),
    ),
    "optional_number": _optional(_number),
    "optional_percentile_pair": _pair(
        "a pair (low, high) with 0 <= low < high <= 100, or None, is allowed",
        lambda low, high: _is_real(low) and _is_real(high) and bool(0 <= low < high <= 100),
    ),
    "optional_positive": _optional(_positive),
    "optional_range": _pair(
        "a pair (low, high) of finite numbers with low < high, or None, is allowed",
        lambda low, high: _finite_range(low, high) and low != high,
    ),
    "optional_wide_range": _pair(
        "a pair (low, high) of finite numbers with low <= high, or None, is allowed", _finite_range, _widened
    ),
    "optional_radius": _optional(_an_axis(_whole(0, MAX_SIDE), "a whole number of pixels, or None,")),
    "order": _an_axis(_whole(0, MAX_ORDER), f"a whole number from 0 to {MAX_ORDER}"),
    "origin": _an_axis(_whole(-MAX_SIDE, MAX_SIDE), "a whole number of pixels"),
    "percentiles": _several(
        "numbers from 0 to 100 are allowed", lambda *v: all(_is_real(p) and 0 <= p <= 100 for p in v)
    ),
    "percentile": _one(
        "a number from 0 to 100 (or from -100, counted from 100 down)",
        lambda v: _is_finite(v) and -100 <= v <= 100,
        lambda v: float(v) + (100.0 if v < 0 else 0.0),
    ),
    "positive": _positive,
    "rank": _whole(-(1 << 31), 1 << 31),
    "reference_histogram": reference_histogram,
    "sigma": _sigma,
    "voi_function": _choice(VOI_FUNCTIONS),
    "window_size": _sides(f"a whole number from 1 to {MAX_SIDE:,}", lambda v: _is_whole(v) and 1 <= v <= MAX_SIDE, int),
}
