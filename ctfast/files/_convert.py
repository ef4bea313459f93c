"""Lossless conversion of decoded pixels to the five dtypes of ctfast.

Whole numbers end as int16 (or uint16) where all of them fit: exact, a quarter of the size of the float64 in which the
Kaggle TIFFs hold their HU, and the fastest dtype of the kernels.
"""

from __future__ import annotations

import numpy as np

from ctfast.errors import FileFormatError
from ctfast.files.image import PIXEL_DTYPES

_CHUNK = 1 << 15  # elements; the pair (float64 in, int16 out) stays in the L2 cache between conversion and check
_EXACT_FLOAT32 = 1 << 24
_EXACT_FLOAT64 = 1 << 53


def native(pixels: np.ndarray) -> np.ndarray:
    """Same values, native byte order, C-contiguous."""
    return np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("="))


def whole_as_int16(pixels: np.ndarray) -> np.ndarray | None:
    """Float pixels as int16 if each is a whole number that fits, else None (NaN and infinities never fit)."""
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


def to_supported(pixels: np.ndarray) -> np.ndarray:
    """The same numbers in one of uint8, int16, uint16, float32, float64.

    int8 becomes int16, float16 float32; wider integers become int16, else uint16, else float64 (whichever holds all
    values first); float64 (but not float32) becomes int16 where all values are whole numbers that fit.

    Raises:
        FileFormatError: For other kinds (bool, complex, long double, records) and integers beyond 2**53.
    """
    pixels = native(pixels)
    name = pixels.dtype.name
    if name == "float64":
        whole = whole_as_int16(pixels)
        return pixels if whole is None else whole
    if name in PIXEL_DTYPES:
        return pixels
    if name == "int8":
        return pixels.astype(np.int16)
    if name == "float16":
        return pixels.astype(np.float32)
    if name in ("int32", "uint32", "int64", "uint64"):
        return integers_to_supported(pixels)
    raise FileFormatError(
        f"pixels of type {name} are not supported; integers of up to 64 bits and floats of up to 64 bits are"
    )


def integers_to_supported(pixels: np.ndarray) -> np.ndarray:
    """Integers of any width as int16, uint16 or float64, whichever holds all of them first."""
    low, high = int(pixels.min()), int(pixels.max())
    if low >= -32768 and high <= 32767:
        return pixels.astype(np.int16)
    if low >= 0 and high <= 65535:
        return pixels.astype(np.uint16)
    if max(-low, high) > _EXACT_FLOAT64:
        raise FileFormatError(f"values from {low} to {high} fit no supported dtype without loss")
    return pixels.astype(np.float64)


def linear(stored: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """``stored * slope + intercept`` in the smallest dtype that is exact for whole numbers.

    Whole slope and intercept: int16, else uint16, else float64. Otherwise float32, computed in float64 and rounded
    once (float64 where the stored values have more than 24 bits).

    Args:
        stored: Integers of 8 to 32 bits or floats, any shape.
        slope: Rescale slope, finite, not 0.
        intercept: Rescale intercept, finite.
    """
    if stored.dtype.kind == "f":
        result = stored.astype(np.float64) * slope + intercept
        return result if stored.dtype.itemsize > 4 else result.astype(np.float32)
    low, high = int(stored.min()), int(stored.max())
    if slope.is_integer() and intercept.is_integer() and max(abs(slope), abs(intercept)) < 1 << 31:
        return _linear_whole(stored, int(slope), int(intercept), low, high)
    result = stored.astype(np.float64)
    result *= slope
    result += intercept
    return result if max(-low, high) > _EXACT_FLOAT32 else result.astype(np.float32)


def _linear_whole(stored: np.ndarray, slope: int, intercept: int, low: int, high: int) -> np.ndarray:
    ends = (low * slope + intercept, high * slope + intercept)
    if min(ends) >= -32768 and max(ends) <= 32767:
        dtype: type = np.int16
    elif min(ends) >= 0 and max(ends) <= 65535:
        dtype = np.uint16
    else:
        return stored.astype(np.float64) * slope + intercept
    # 16-bit arithmetic wraps, and a result that fits is right whatever wrapped on the way. uint16 holds the
    # bit patterns of both.
    words = stored.astype(np.uint16)
    if slope != 1:
        words *= np.uint16(slope % 65536)
    if intercept:
        words += np.uint16(intercept % 65536)
    return words.view(dtype)
