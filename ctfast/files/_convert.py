"""Lossless conversion of decoded pixels to the five dtypes of ctfast.

Whole numbers end as int16 (or uint16) where all of them fit: exact, a quarter of the size of the float64 in which the
Kaggle TIFFs hold their HU, and the fastest dtype of the kernels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ctfast.errors import FileFormatError
from ctfast.files.image import PIXEL_DTYPES, Allocate, MetaValue
from ctfast.files.next_steps import SAVE_NUMBERS

_CHUNK = 1 << 15  # elements; the pair (float64, int16) stays in the L2 cache between conversion and check
_EXACT_FLOAT32 = 1 << 24
_EXACT_FLOAT64 = 1 << 53


def native(pixels: np.ndarray) -> np.ndarray:
    """Same values, native byte order, C-contiguous."""
    return np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("="))


def room(shape: tuple[int, ...], dtype: DTypeLike, allocate: Allocate | None) -> np.ndarray:
    """The array for the pixels: what ``allocate`` gives, else a new one."""
    return np.empty(shape, dtype) if allocate is None else allocate(shape, np.dtype(dtype))


def put(values: np.ndarray, dtype: DTypeLike, allocate: Allocate | None) -> np.ndarray:
    """``values`` as ``dtype``, in native byte order; without ``allocate`` they stay where they are if they can."""
    dtype = np.dtype(dtype).newbyteorder("=")
    if allocate is None and values.flags.writeable:
        return np.ascontiguousarray(values, dtype)
    out = room(values.shape, dtype, allocate)  # also for views of a file's bytes: read-only arrays compile kernels anew
    np.copyto(out, values, casting="unsafe")
    return out


def _whole_as_int16(pixels: np.ndarray) -> np.ndarray | None:
    """Float pixels as int16 if each is a whole number that fits, else None (NaN and infinities never fit)."""
    # Conversion and comparison piece by piece: the first piece with a fraction ends it, which is nearly free, and
    # out-of-range floats, whose conversion is undefined, differ from whatever came of them.
    flat = pixels.reshape(-1)
    out = np.empty(flat.shape, np.int16)
    with np.errstate(invalid="ignore"):
        for start in range(0, flat.size, _CHUNK):
            part = flat[start : start + _CHUNK]
            whole = out[start : start + _CHUNK]
            np.copyto(whole, part, casting="unsafe")
            if not np.array_equal(whole, part):
                return None
    return out.reshape(pixels.shape)


def to_supported(pixels: np.ndarray, allocate: Allocate | None = None) -> np.ndarray:
    """The same numbers in one of uint8, int16, uint16, float32, float64, written to what ``allocate`` gives.

    int8 becomes int16, float16 float32; wider integers become int16, else uint16, float32 or float64 (whichever holds
    all values first); float64 (but not float32) becomes int16 where all values are whole numbers that fit.

    Raises:
        FileFormatError: For other kinds (bool, complex, long double, records) and integers beyond 2**53.
    """
    name = pixels.dtype.name
    if name == "float64":
        pixels = native(pixels)
        whole = _whole_as_int16(pixels)
        # Only converting them tells whether they fit; a copy of the int16 costs a tenth of converting them again.
        return put(pixels, np.float64, allocate) if whole is None else put(whole, np.int16, allocate)
    if name in PIXEL_DTYPES:
        return put(pixels, pixels.dtype, allocate)
    if name == "int8":
        return put(pixels, np.int16, allocate)
    if name == "float16":
        return put(pixels, np.float32, allocate)
    if name in ("int32", "uint32", "int64", "uint64"):
        return integers_to_supported(pixels, allocate)
    raise FileFormatError(
        f"pixels of type {name} are not supported; integers of up to 64 bits and floats of up to 64 bits are",
        SAVE_NUMBERS,
    )


def integers_to_supported(pixels: np.ndarray, allocate: Allocate | None = None) -> np.ndarray:
    """Integers of any width as int16, uint16, float32 or float64, whichever holds all of them first."""
    low, high = int(pixels.min()), int(pixels.max())
    dtype = _dtype_for(low, high)
    if dtype == np.float64 and max(-low, high) > _EXACT_FLOAT64:
        raise FileFormatError(
            f"values from {low} to {high} fit no supported dtype without loss",
            "scale the values, or save them as floats",
        )
    return put(pixels, dtype, allocate)


def _dtype_for(low: int, high: int) -> np.dtype:
    if low >= -32768 and high <= 32767:
        return np.dtype(np.int16)
    if low >= 0 and high <= 65535:
        return np.dtype(np.uint16)
    return np.dtype(np.float32 if max(-low, high) <= _EXACT_FLOAT32 else np.float64)


def linear(
    stored: np.ndarray, slope: float, intercept: float, allocate: Allocate | None = None, *, narrow: bool = False
) -> np.ndarray:
    """``stored * slope + intercept`` in the smallest dtype that is exact for whole numbers.

    Whole slope and intercept: int16, else uint16, float32 (to 2**24) or float64. Otherwise float32, computed in float64
    and rounded once (float64 where the stored values have more than 24 bits).

    Args:
        stored: Integers of 8 to 32 bits or floats, any shape.
        slope: Rescale slope, finite, not 0.
        intercept: Rescale intercept, finite.
        allocate: Gives the array for the result.
        narrow: Whether a float64 result becomes int16 where ``to_supported`` makes it that.
    """
    dtype = _dtype_of_line(stored, slope, intercept)
    if narrow and dtype == np.float64:
        return to_supported(linear(stored, slope, intercept), allocate)
    out = room(stored.shape, dtype, allocate)
    if dtype.kind == "f":
        _linear_floats(stored, slope, intercept, out)
    else:
        _linear_words(stored, int(slope), int(intercept), out.view(np.uint16))
    return out


def _dtype_of_line(stored: np.ndarray, slope: float, intercept: float) -> np.dtype:
    if stored.dtype.kind == "f":
        return np.dtype(np.float64 if stored.dtype.itemsize > 4 else np.float32)
    low, high = int(stored.min()), int(stored.max())
    if slope.is_integer() and intercept.is_integer() and max(abs(slope), abs(intercept)) < 1 << 31:
        # A line takes its extremes at the ends, so two Python integers, which never wrap, tell what all pixels need.
        return _dtype_for(*sorted(end * int(slope) + int(intercept) for end in (low, high)))
    return np.dtype(np.float64 if max(-low, high) > _EXACT_FLOAT32 else np.float32)


def _linear_floats(stored: np.ndarray, slope: float, intercept: float, out: np.ndarray) -> None:
    # In pieces that stay in cache: the float64 of a whole slice would go through memory twice.
    values, results = stored.reshape(-1), out.reshape(-1)
    wide = np.empty(min(values.size, _CHUNK), np.float64)
    for start in range(0, values.size, _CHUNK):
        part = values[start : start + _CHUNK]
        exact = np.multiply(part, slope, out=wide[: part.size], dtype=np.float64)
        exact += intercept
        results[start : start + _CHUNK] = exact


def _linear_words(stored: np.ndarray, slope: int, intercept: int, words: np.ndarray) -> None:
    # 16-bit arithmetic wraps, and a result that fits is right whatever wrapped on the way. uint16 holds the
    # bit patterns of both.
    np.copyto(words, stored, casting="unsafe")
    if slope != 1:
        words *= np.uint16(slope % 65536)
    if intercept:
        words += np.uint16(intercept % 65536)


def count_nonfinite(pixels: np.ndarray) -> dict[str, MetaValue]:
    """``{"nonfinite": n}`` for float pixels with NaN or infinities, else nothing.

    Raises:
        FileFormatError: If no pixel is finite.
    """
    if pixels.dtype.kind != "f":
        return {}
    bad = pixels.size - int(np.count_nonzero(np.isfinite(pixels)))
    if bad == pixels.size:
        raise FileFormatError(
            "no pixel is a finite number (all NaN or infinite)",
            "the software that wrote it lost the pixels: write it anew from the source",
        )
    return {"nonfinite": bad} if bad else {}
