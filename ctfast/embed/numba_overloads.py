"""Operations in a user's own ``numba.njit`` code: the same kernels, compiled in, on the thread that calls.

>>> from ctfast.embed import numba_overloads
>>> numba_overloads.register()
>>> @numba.njit(parallel=True)
... def each(volume):
...     out = np.empty_like(volume)
...     for z in numba.prange(len(volume)):
...         out[z] = ctfast.median_filter(volume[z], 3)
...     return out

``rescale``, ``window`` (lines), ``normalize`` with ``in_range``, ``median_filter`` (windows up to 15 x 15 or so) and
``gaussian_filter`` (two axes) are there; other operations, ``axes=`` and ``backend=`` are not. Images are C-contiguous.
``size``, ``mode``, ``function`` and ``dtype`` are constants in the code; all else may be computed. Numba forgets that a
tuple in a ``prange`` is constant: a call with ``size=(3, 5)`` goes into a function of its own.
"""

# mypy: disable-error-code="attr-defined,no-untyped-call,no-untyped-def"
# Numba infers the types of what is compiled, and has none of its own.

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
from numba.core import types
from numba.core.errors import TypingError
from numba.extending import overload
from numba.np import numpy_support

from ctfast import ops
from ctkernels.contract import IMAGE_DTYPES, OPERATIONS
from ctkernels.cpu import within_jit
from ctkernels.cpu._core.pointwise import line_to_float, line_to_integer
from ctkernels.cpu._median import small
from ctkernels.cpu.rescale import rescale_to_float, rescale_to_int16
from ctkernels.reference import default_out_range

_OUTSIDE: Final = "call ctfast outside of compiled code"
_KEYS: Final = {"i2": np.empty(0, np.int16), "i4": np.empty(0, np.int32), "i8": np.empty(0, np.int64)}


def _constant(value: Any, name: str) -> Any:
    """What a parameter is where the code is compiled."""
    if isinstance(value, types.Omitted):
        return value.value
    if isinstance(value, types.NoneType) or value is None:
        return None
    if isinstance(value, types.Literal):
        return value.literal_value
    if isinstance(value, types.BaseTuple) and all(isinstance(v, types.Literal) for v in value):
        return tuple(v.literal_value for v in value)
    if isinstance(value, types.Type):
        raise TypingError(
            f"ctfast: {name}= of type {value}: a constant in the code is needed (a tuple in a prange is none to Numba: "
            f"put the call into a function of its own), or {_OUTSIDE}"
        )
    return value  # a default


def _is_none(value: Any) -> bool:
    return value is None or isinstance(value, types.NoneType) or (isinstance(value, types.Omitted) and not value.value)


def _images(image: Any, name: str, axes: Any, backend: Any) -> np.dtype[Any] | None:
    """The dtype of the image; None for what is no array, which Numba then reports."""
    if not isinstance(image, types.Array):
        return None
    if not (_is_none(axes) or (name == "normalize" and _constant(axes, "axes") == 2)) or not _is_none(backend):
        raise TypingError(
            f"ctfast.{name}: axes= and backend= are not for compiled code: leave them away, or {_OUTSIDE}"
        )
    dtype = numpy_support.as_dtype(image.dtype)
    if dtype.name not in IMAGE_DTYPES or image.ndim < 2:
        raise TypingError(
            f"ctfast.{name}: an array of {image.ndim} axes of {dtype} came in: (H, W) or (..., H, W) of "
            f"{', '.join(IMAGE_DTYPES)} is allowed"
        )
    if image.layout != "C":
        raise TypingError(
            f"ctfast.{name}: an image of layout {image.layout!r} came in: a C-contiguous one is allowed, "
            "np.ascontiguousarray(image)"
        )
    return dtype


def _result(name: str, image: np.dtype[Any], dtype: Any, out: Any) -> np.dtype[Any]:
    """The dtype of the result."""
    if not _is_none(out):
        if not isinstance(out, types.Array) or out.layout != "C":
            raise TypingError(f"ctfast.{name}: out= is {out}: a C-contiguous array is allowed")
        result = numpy_support.as_dtype(out.dtype)
    elif isinstance(dtype, types.NumberClass):
        result = numpy_support.as_dtype(dtype.instance_type)
    elif _is_none(dtype):
        result = image if OPERATIONS[name].out_dtypes == ("same",) else np.dtype(OPERATIONS[name].out_dtypes[0])
    else:
        result = np.dtype(_constant(dtype, "dtype"))
    return result


@overload(within_jit.place, strict=False)  # type: ignore[untyped-decorator]
def _place(image: Any, out: Any, kind: Any) -> Any:
    if _is_none(out):
        return lambda image, out, kind: np.empty(image.shape, kind.dtype)

    def given(image: Any, out: Any, kind: Any) -> Any:
        if out.shape != image.shape:
            raise ValueError("ctfast: out= has another shape than the image")
        return out

    return given


@cache
def register() -> None:
    """Make the public functions known to Numba, in this process: once, before the first function that calls them."""
    for function, implementation in (
        (ops.rescale, _rescale),
        (ops.window, _window),
        (ops.normalize, _normalize),
        (ops.median_filter, _median_filter),
        (ops.gaussian_filter, _gaussian_filter),
    ):
        # Not strict: annotations count as a difference.
        options: Any = {"nogil": True, "error_model": "numpy"}
        overload(function, prefer_literal=True, strict=False, jit_options=options)(implementation)


def _kind(dtype: np.dtype[Any]) -> Any:
    return np.empty(0, dtype)


def _rescale(
    image: Any, slope: Any = 1.0, intercept: Any = 0.0, axes: Any = None, dtype: Any = None, out: Any = None,
    backend: Any = None,
) -> Any:  # fmt: skip
    pixel = _images(image, "rescale", axes, backend)
    if pixel is None:
        return None
    result = _result("rescale", pixel, dtype, out)
    if result.name not in OPERATIONS["rescale"].out_dtypes:
        raise TypingError(f"ctfast.rescale to {result}: {', '.join(OPERATIONS['rescale'].out_dtypes)} are allowed")
    kind = _kind(result)
    kernel = rescale_to_int16 if result == np.int16 else rescale_to_float
    number: Any = np.float32 if result == np.float32 and pixel != np.float64 else np.float64

    def run(image, slope=1.0, intercept=0.0, axes=None, dtype=None, out=None, backend=None):
        made = within_jit.place(image, out, kind)
        kernel(image, made, number(slope), number(intercept))
        return made

    return run


def _line(name: str, image: np.dtype[Any], result: np.dtype[Any]) -> tuple[Any, Any, bool, float, float, float, float]:
    """Kernel, kind of result, whether the base is all of ``zero``, the usual ends, and where the type ends."""
    if result.name not in ("float32", "uint8", "uint16"):
        raise TypingError(f"ctfast.{name} to {result}: {_OUTSIDE} (float32, uint8 and uint16 are compiled in)")
    low, high = default_out_range(result)
    floor, ceiling = (-np.inf, np.inf) if result.kind == "f" else (low, high)
    kernel = line_to_float if result.kind == "f" else line_to_integer
    return kernel, _kind(result), image == np.float64, low, high, floor, ceiling


def _window(
    image: Any, center: Any = None, width: Any = None, function: Any = "linear", out_range: Any = None,
    slope: Any = 1.0, intercept: Any = 0.0, axes: Any = None, dtype: Any = None, out: Any = None, backend: Any = None,
) -> Any:  # fmt: skip
    pixel = _images(image, "window", axes, backend)
    if pixel is None:
        return None
    which = _constant(function, "function")
    if which not in ("linear", "linear_exact"):
        raise TypingError(
            f"ctfast.window with function={which!r}: 'linear' and 'linear_exact' are compiled in; {_OUTSIDE}"
        )
    kernel, kind, _, usual_low, usual_high, floor, ceiling = _line(
        "window", pixel, _result("window", pixel, dtype, out)
    )
    less = 1.0 if which == "linear" else 0.0
    usual = _is_none(out_range)

    def run(
        image,
        center=None,
        width=None,
        function="linear",
        out_range=None,
        slope=1.0,
        intercept=0.0,
        axes=None,
        dtype=None,
        out=None,
        backend=None,
    ):
        low, high = (usual_low, usual_high) if usual else (np.float64(out_range[0]), np.float64(out_range[1]))
        start = center - 0.5 * less - (width - less) / 2
        zero, span = (start - intercept) / slope, (width - less) / slope
        within_jit.check_line(zero, span, low, high - low)
        made = within_jit.place(image, out, kind)
        ends = (min(max(low, floor), ceiling), min(max(high, floor), ceiling))
        kernel(image, made, zero, within_jit.narrowed(zero), span, low, high - low, ends[0], ends[1])
        return made

    return run


def _normalize(
    image: Any, in_range: Any = None, percentiles: Any = None, value_range: Any = None, out_range: Any = None,
    clip: Any = True, where: Any = None, axes: Any = 2, dtype: Any = None, out: Any = None, backend: Any = None,
) -> Any:  # fmt: skip
    pixel = _images(image, "normalize", axes, backend)
    if pixel is None:
        return None
    if _is_none(in_range) or not all(map(_is_none, (percentiles, value_range, where))):
        raise TypingError(f"ctfast.normalize without in_range=(low, high), or with where=: {_OUTSIDE}")
    kernel, kind, whole, usual_low, usual_high, floor, ceiling = _line(
        "normalize", pixel, _result("normalize", pixel, dtype, out)
    )
    usual = _is_none(out_range)

    def run(
        image,
        in_range=None,
        percentiles=None,
        value_range=None,
        out_range=None,
        clip=True,
        where=None,
        axes=2,
        dtype=None,
        out=None,
        backend=None,
    ):
        low, high = (usual_low, usual_high) if usual else (np.float64(out_range[0]), np.float64(out_range[1]))
        zero = np.float64(in_range[0])
        span = in_range[1] - zero
        within_jit.check_line(zero, span, low, high - low)
        base = zero if whole else within_jit.narrowed(zero)
        made = within_jit.place(image, out, kind)
        ends = (min(max(low, floor), ceiling), min(max(high, floor), ceiling)) if clip else (floor, ceiling)
        kernel(image, made, zero, base, span, low, high - low, ends[0], ends[1])
        return made

    return run


def _border(name: str, mode: Any, cval: Any, dtype: np.dtype[Any]) -> int:
    word = _constant(mode, "mode")
    if word not in within_jit.BORDERS:
        raise TypingError(f"ctfast.{name}: mode={word!r}: one of {', '.join(within_jit.BORDERS)} is allowed")
    return within_jit.BORDERS[word]


def _median_filter(
    image: Any, size: Any = 3, footprint: Any = None, mode: Any = "reflect", cval: Any = 0.0, axes: Any = None,
    out: Any = None, backend: Any = None,
) -> Any:  # fmt: skip
    pixel = _images(image, "median_filter", axes, backend)
    if pixel is None:
        return None
    if _result("median_filter", pixel, None, out) != pixel:
        raise TypingError(f"ctfast.median_filter: out= of {out}: {pixel} is needed")
    if not _is_none(footprint):
        raise TypingError(f"ctfast.median_filter with footprint=: {_OUTSIDE}")
    sides = _constant(size, "size")
    window = sides if isinstance(sides, tuple) else (sides, sides)
    odd = len(window) == 2 and all(isinstance(n, int) and n > 0 and n % 2 for n in window)
    if not odd or not small.serves(window):
        raise TypingError(
            f"ctfast.median_filter of size={sides!r}: odd windows up to 15 x 15 are compiled in; {_OUTSIDE}"
        )
    border = _border("median_filter", mode, cval, pixel)
    images, kind = within_jit.median_images(*window), _kind(pixel)
    ways = small.KEYS[pixel.char]
    (first_key, first), (last_key, last) = ways[0], ways[-1]
    first_keys, last_keys = (_KEYS.get(key, _kind(np.dtype(key))) for key in (first_key, last_key))

    if len(ways) == 1:

        def run(image, size=3, footprint=None, mode="reflect", cval=0.0, axes=None, out=None, backend=None):
            made = within_jit.place(image, out, kind)
            shape = (-1, image.shape[-2], image.shape[-1])
            images(image.reshape(shape), made.reshape(shape), border, cval, first_keys, first)
            return made

        return run

    def run_floats(image, size=3, footprint=None, mode="reflect", cval=0.0, axes=None, out=None, backend=None):
        made = within_jit.place(image, out, kind)
        shape = (-1, image.shape[-2], image.shape[-1])
        x, result = image.reshape(shape), made.reshape(shape)
        # Whole numbers first, in narrower keys.
        if not images(x, result, border, cval, first_keys, first):
            images(x, result, border, cval, last_keys, last)
        return made

    return run_floats


def _gaussian_filter(
    image: Any, sigma: Any = 1.0, truncate: Any = 4.0, mode: Any = "reflect", cval: Any = 0.0, spacing: Any = None,
    axes: Any = None, out: Any = None, backend: Any = None,
) -> Any:  # fmt: skip
    pixel = _images(image, "gaussian_filter", axes, backend)
    if pixel is None:
        return None
    if _result("gaussian_filter", pixel, None, out) != pixel:
        raise TypingError(f"ctfast.gaussian_filter: out= of {out}: {pixel} is needed")
    pair = isinstance(sigma, types.BaseTuple)
    if not _is_none(spacing) or (pair and len(sigma) != 2):
        raise TypingError(f"ctfast.gaussian_filter along three axes or with spacing=: {_OUTSIDE}")
    border, kind = _border("gaussian_filter", mode, cval, pixel), _kind(pixel)
    work = _kind(np.dtype(np.float64 if pixel == np.float64 else np.float32))
    limits = (-np.inf, np.inf) if pixel.kind == "f" else (np.iinfo(pixel).min, np.iinfo(pixel).max)
    lowest, highest = map(float, limits)
    beyond = np.inf if pixel.kind == "f" else 1e30

    def run(image, sigma=1.0, truncate=4.0, mode="reflect", cval=0.0, spacing=None, axes=None, out=None, backend=None):
        sigma_y, sigma_x = (sigma[0], sigma[1]) if pair else (sigma, sigma)
        if not (sigma_y > 0 and sigma_x > 0 and truncate > 0):
            raise ValueError("ctfast.gaussian_filter: sigma and truncate above 0 are allowed")
        made = within_jit.place(image, out, kind)
        shape = (-1, image.shape[-2], image.shape[-1])
        exceeds = border == within_jit.CONSTANT and not lowest <= cval <= highest
        fill = min(max(np.float64(cval), -beyond), beyond)
        within_jit.gaussian_images(
            image.reshape(shape), made.reshape(shape), np.float64(sigma_y), np.float64(sigma_x), truncate, border, fill,
            exceeds, work,
        )  # fmt: skip
        return made

    return run
