"""Argument checks: each brings one parameter to its normal form or says what came in and what is allowed.

``contract.Param.kind`` names the check, so that functions, pipeline files and the command line check alike.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from numbers import Integral, Real
from typing import Any, Final

import numpy as np

from ctfast.errors import ArgumentError, ShapeError, one_of
from ctkernels.contract import MODES, VOI_FUNCTIONS, Operation

MAX_BINS: Final = 1 << 24
MAX_CLAHE_BINS: Final = 1 << 16
FREE_REACH: Final = 1024
"""Pixels to each side that a filter may look at however small the image is; else twice the image."""
MAX_TABLES: Final = 1 << 28
"""Levels in the tables of all tiles of a volume, up to 1 GB."""
_NO_WIDTH: Final = 1e-300
MAX_FOOTPRINT: Final = 4096
"""Pixels of a window that is no box: a disk 72 pixels across."""
MAX_SIDE: Final = (1 << 16) - 1
"""Rows or columns of the largest DICOM image: a window or blur beyond it is a slip of the keyboard."""


_PLAIN: Final = (bool, int, float, str, tuple, list, type(None))


def _fail(name: str, value: Any, allowed: str) -> ArgumentError:
    kind = "" if isinstance(value, _PLAIN) else f" ({type(value).__module__}.{type(value).__qualname__})"
    return ArgumentError(f"{name}={_shown(value)}{kind}: {allowed}")


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of more digits than Python writes, lists in lists in lists
        return "(a value too large to show)"
    return text if len(text) <= 200 else f"{text[:100]}...{text[-20:]}"


def _as_number(value: Any) -> Any:
    """Numbers as other libraries hand them over, Python's own: 0-d arrays of NumPy, decimals (as of pydicom)."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return value.item()
    if isinstance(value, Decimal):
        return float(value)
    return tuple(map(_as_number, value)) if type(value) in (tuple, list) else value


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


def number(name: str, value: Any) -> float:
    """A finite number."""
    if not _is_finite(value):
        raise _fail(name, value, "a finite number is allowed")
    return float(value)


def positive(name: str, value: Any) -> float:
    """A finite number above 0."""
    if not _is_finite(value) or value <= 0:
        raise _fail(name, value, "a finite number above 0 is allowed")
    return float(value)


def optional_number(name: str, value: Any) -> float | None:
    """A finite number, or None."""
    return None if value is None else number(name, value)


def optional_positive(name: str, value: Any) -> float | None:
    """A finite number above 0, or None."""
    return None if value is None else positive(name, value)


def flag(name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool | np.bool_):
        raise _fail(name, value, "True or False is allowed")
    return bool(value)


def not_negative(name: str, value: Any) -> float:
    """A finite number of at least 0."""
    if not _is_finite(value) or value < 0:
        raise _fail(name, value, "a finite number of at least 0 is allowed")
    return float(value)


def _pair(name: str, value: Any, allowed: str) -> tuple[Any, Any]:
    try:
        first, second = value
    except (TypeError, ValueError):
        raise _fail(name, value, allowed) from None
    return first, second


def _sides(name: str, value: Any, one: bool, allowed: str, ok: Callable[[Any], bool]) -> tuple[Any, ...]:
    """One number for rows and columns (``one`` says that it is one), two, or three: planes, rows, columns."""
    try:
        sides = (value, value) if one else tuple(value)
    except TypeError:
        raise _fail(name, value, allowed) from None
    if len(sides) not in (2, 3) or not all(map(ok, sides)):
        raise _fail(name, value, allowed)
    return sides


def odd_size(name: str, value: Any) -> tuple[int, ...]:
    """Odd window size, one number, (rows, columns) or (planes, rows, columns)."""
    sides = _sides(
        name,
        value,
        _is_whole(value),
        f"an odd whole number from 1 to {MAX_SIDE:,} is allowed, or (rows, columns) or, for volumes, (planes, rows, "
        "columns) of them",
        lambda v: _is_whole(v) and 1 <= v <= MAX_SIDE and int(v) % 2 == 1,
    )
    return tuple(map(int, sides))


def footprint(name: str, value: Any) -> Any:
    """A window of any shape, (rows, columns) or (planes, rows, columns) of 0 and 1, as tuples in a tuple; or None."""
    if value is None:
        return None
    allowed = (
        f"an array (rows, columns) or, for volumes, (planes, rows, columns) of 0 and 1, with 1 to {MAX_FOOTPRINT:,} "
        "ones, is allowed, such as skimage.morphology.disk(3)"
    )
    try:
        mask = np.asarray(value)
    except ValueError:  # lists of uneven length
        raise _fail(name, value, allowed) from None
    if mask.dtype.kind not in "biuf" or mask.ndim not in (2, 3) or not (mask == mask.astype(bool)).all():
        raise _fail(name, value, allowed)
    if not 1 <= (ones := int(mask.sum())) <= MAX_FOOTPRINT:
        raise _fail(name, value, f"it has {ones:,} ones; {allowed}")
    return _kept(mask.astype(bool).tobytes(), mask.shape)


@lru_cache(maxsize=256)
def _kept(ones: bytes, shape: tuple[int, ...]) -> Any:
    return _tuples(np.frombuffer(ones, np.uint8).reshape(shape).tolist())


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def grid(name: str, value: Any) -> tuple[int, ...]:
    """Tile grid, one number, (rows, columns) or (planes, rows, columns)."""
    sides = _sides(
        name,
        value,
        _is_whole(value),
        "a whole number from 1 to 1,024 is allowed, or (rows, columns) or, for volumes, (planes, rows, columns) of "
        "them",
        lambda v: _is_whole(v) and 1 <= v <= 1024,
    )
    return tuple(map(int, sides))


def sigma(name: str, value: Any) -> tuple[float, ...]:
    """Standard deviation in pixels, one number, (rows, columns) or (planes, rows, columns); 0 leaves an axis alone."""
    sides = _sides(
        name,
        value,
        _is_real(value),
        f"a number above 0 and up to {MAX_SIDE:,}, in pixels, is allowed, or (rows, columns) or, for volumes, (planes, "
        "rows, columns) of them, where 0 leaves an axis alone",
        lambda v: _is_finite(v) and 0 <= v <= MAX_SIDE,
    )
    if not any(sides):
        raise _fail(name, value, "a number above 0 is allowed, in pixels; 0 leaves an axis alone, and one must be left")
    return tuple(map(float, sides))


def in_pixels(sigma: Any, spacing: Any) -> Any:
    """``sigma`` in mm as pixels: divided by the distance of pixels along each axis.

    Raises:
        ArgumentError: a spacing that is no distance, or other than two or three axes for all images.
    """
    allowed = (
        "the distance of pixels in mm, a finite number above 0, is allowed, or (rows, columns) or (planes, rows, "
        "columns) of them, the same for all images of a batch: images of different spacing go one by one"
    )
    sigma, spacing = _as_number(sigma), _as_number(spacing.tolist() if isinstance(spacing, np.ndarray) else spacing)
    if _is_real(spacing):
        spacing = (spacing, spacing) if _is_real(sigma) else (spacing,) * len(sigma)
    sides = _sides("spacing", spacing, False, allowed, lambda v: _is_finite(v) and v > 0)
    along = _sides(
        "sigma",
        (sigma,) * len(sides) if _is_real(sigma) else sigma,
        False,
        "a number in mm is allowed, or one for each axis",
        _is_real,
    )
    if len(along) != len(sides):
        raise _fail("sigma", sigma, f"{len(sides)} axes have a spacing: one number in mm, or one for each, is allowed")
    return tuple(s / float(d) for s, d in zip(along, sides, strict=True))


def _choice(options: tuple[str, ...]) -> Callable[[str, Any], str]:
    def check(name: str, value: Any) -> str:
        if value not in options:
            raise _fail(name, value, f"one of {', '.join(options)} is allowed")
        return str(value)

    return check


def optional_range(name: str, value: Any) -> tuple[float, float] | None:
    """Two different finite numbers, low then high, or None."""
    if value is None:
        return None
    allowed = "a pair (low, high) of finite numbers with low < high, or None, is allowed"
    low, high = _pair(name, value, allowed)
    if not (_is_finite(low) and _is_finite(high) and low < high):
        raise _fail(name, value, allowed)
    return float(low), float(high)


def optional_mask_range(name: str, value: Any) -> tuple[float, float] | None:
    """As optional_range, but either end may be infinite or None (open) and both may be equal."""
    if value is None:
        return None
    allowed = "a pair (low, high) with low <= high is allowed; None or inf leaves an end open"
    low, high = _pair(name, value, allowed)
    low = -math.inf if low is None else low
    high = math.inf if high is None else high
    if not (all(_is_finite(v) or v in (-math.inf, math.inf) for v in (low, high)) and low <= high):
        raise _fail(name, value, allowed)
    return float(low), float(high)


def optional_wide_range(name: str, value: Any) -> tuple[float, float] | None:
    """As optional_range; equal ends are widened by half a unit to each side, as numpy.histogram does."""
    if value is None:
        return None
    allowed = "a pair (low, high) of finite numbers with low <= high, or None, is allowed"
    low, high = _pair(name, value, allowed)
    if not (_is_finite(low) and _is_finite(high) and low <= high):
        raise _fail(name, value, allowed)
    return (float(low), float(high)) if low < high else (float(low) - 0.5, float(high) + 0.5)


def optional_percentile_pair(name: str, value: Any) -> tuple[float, float] | None:
    """Two percentiles, low < high, or None."""
    if value is None:
        return None
    allowed = "a pair (low, high) with 0 <= low < high <= 100, or None, is allowed"
    low, high = _pair(name, value, allowed)
    if not (_is_real(low) and _is_real(high) and 0 <= low < high <= 100):
        raise _fail(name, value, allowed)
    return float(low), float(high)


def percentiles(name: str, value: Any) -> tuple[float, ...]:
    """Any number of percentiles."""
    allowed = "numbers from 0 to 100 are allowed"
    try:
        values = (value,) if _is_real(value) else tuple(value)
    except TypeError:
        raise _fail(name, value, allowed) from None
    if not all(_is_real(v) and 0 <= v <= 100 for v in values):
        raise _fail(name, value, allowed)
    return tuple(float(v) for v in values)


def bins(name: str, value: Any) -> int:
    """Number of histogram bins."""
    if not _is_whole(value) or not 1 <= value <= MAX_BINS:
        raise _fail(name, value, f"a whole number from 1 to {MAX_BINS:,} is allowed")
    return int(value)


def clahe_bins(name: str, value: Any) -> int:
    """Number of bins of CLAHE's tables."""
    if not _is_whole(value) or not 2 <= value <= MAX_CLAHE_BINS:
        raise _fail(name, value, f"a whole number from 2 to {MAX_CLAHE_BINS:,} is allowed")
    return int(value)


def edges(name: str, value: Any) -> tuple[float, ...]:
    """Rising numbers between which pixels get labels."""
    allowed = "1 to 254 finite numbers, each above the one before, are allowed"
    try:
        values = (value,) if _is_real(value) else tuple(value)
    except TypeError:
        raise _fail(name, value, allowed) from None
    numbers = all(map(_is_finite, values))
    if not numbers or not 1 <= len(values) <= 254 or any(a >= b for a, b in itertools.pairwise(values)):
        raise _fail(name, value, allowed)
    return tuple(float(v) for v in values)


def axes(name: str, value: Any) -> int:
    """How many trailing axes are taken as a whole."""
    if not _is_whole(value) or value not in (2, 3):
        raise _fail(name, value, "2 (each image by itself) or 3 (each volume (D, H, W) as a whole) is allowed")
    return int(value)


CHECKS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "axes": axes,
    "bins": bins,
    "clahe_bins": clahe_bins,
    "edges": edges,
    "flag": flag,
    "footprint": footprint,
    "grid": grid,
    "mode": _choice(MODES),
    "not_negative": not_negative,
    "number": number,
    "odd_size": odd_size,
    "optional_mask_range": optional_mask_range,
    "optional_number": optional_number,
    "optional_percentile_pair": optional_percentile_pair,
    "optional_positive": optional_positive,
    "optional_range": optional_range,
    "optional_wide_range": optional_wide_range,
    "percentiles": percentiles,
    "positive": positive,
    "sigma": sigma,
    "voi_function": _choice(VOI_FUNCTIONS),
}


def check_reach(operation: Operation, halo: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Refuse what takes three axes together where there are two, and a filter that looks much further than the image.

    ``halo`` is what the operation's own gives for its parameters. The cost of a far look grows, its result does not.

    Raises:
        ShapeError: three numbers, or ``axes=3``, for an image ``(H, W)``.
        ArgumentError: further than allowed, unless the environment variable ``CTFAST_ALLOW_LARGE`` is set.
    """
    if len(halo) <= len(shape) and max(halo) <= FREE_REACH:
        return
    if len(halo) > len(shape) and operation.kind != "filter":
        raise ShapeError(
            f"{operation.name} with axes=3 takes volumes (..., D, H, W), an image of shape {shape} came in: leave "
            "axes= away, or give the volume (files: a series as one, ctfast run --series)"
        )
    if len(halo) > len(shape):
        raise ShapeError(
            f"{operation.name} with three numbers filters volumes (..., D, H, W), an image of shape {shape} came in: "
            "give two numbers for its rows and columns, or the volume (files: a series as one, ctfast run --series)"
        )
    for reach, side in zip(reversed(halo), reversed(shape)):
        if reach > max(FREE_REACH, 2 * side) and os.environ.get("CTFAST_ALLOW_LARGE", "0") in ("", "0"):
            raise ArgumentError(
                f"{operation.name} would look at {reach:,} pixels to each side, the image has {side:,}: smaller values "
                "are allowed (see its parameters), or CTFAST_ALLOW_LARGE=1 (ctfast run --allow-large)"
            )


def check_params(operation: Operation, values: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of ``operation`` in normal form, defaults filled in; unknown or missing names are errors."""
    known = [p.name for p in operation.params]
    for name in values:
        if name == "where" and operation.masks:
            raise ArgumentError(
                f"{operation.name} in a pipeline has no where=: pipelines are data, masks are arrays; give it to "
                f"ctfast.{operation.name}, or say which values count by value_range="
            )
        if name not in known:
            raise ArgumentError(f"{operation.name} has no parameter {name!r}: {one_of(name, known)}")
    result = {}
    for param in operation.params:
        if param.required and param.name not in values:
            raise ArgumentError(f"{operation.name} needs {param.name}=")
        result[param.name] = CHECKS[param.kind](param.name, _as_number(values.get(param.name, param.default)))
    if operation.name == "window" and result["function"] == "linear" and result["width"] < 1:
        raise _fail("width", result["width"], "at least 1 is allowed with function='linear' (DICOM PS3.3 C.11.2.1.2)")
    if operation.name == "median_filter" and result["footprint"] is not None and set(result["size"]) != {3}:
        raise ArgumentError(
            f"size={result['size']!r} and footprint=: give one of them, the footprint has its own sides"
        )
    if operation.name == "clahe" and len(result["tile_grid"]) == 3:
        levels = math.prod(result["tile_grid"]) * result["nbins"]
        if levels > MAX_TABLES:
            raise ArgumentError(
                f"tile_grid={result['tile_grid']!r} with nbins={result['nbins']:,}: tables of {levels:,} levels; tiles "
                f"times bins up to {MAX_TABLES:,} are allowed: fewer tiles, or fewer bins"
            )
    if operation.name == "normalize" and result["in_range"] is not None:
        other = next((n for n in ("percentiles", "value_range") if result[n] is not None), None)
        if other:
            raise ArgumentError(f"in_range= fixes the range, {other}= finds it: give one of them")
    return result


def for_kernel(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters in normal form as kernels take them.

    Without ``axes``, which they see in the shape that they get; an axis that a Gaussian leaves alone has a width of
    next to nothing, whose only weight is 1.
    """
    given = {name: value for name, value in params.items() if name != "axes"}
    if 0.0 in given.get("sigma", ()):
        given["sigma"] = tuple(s or _NO_WIDTH for s in given["sigma"])
    return given
