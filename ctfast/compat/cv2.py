"""Drop-ins for OpenCV: its signatures, defaults, dtypes, errors and values.

Everything else is OpenCV's own.

| function | our kernel serves | values |
|---|---|---|
| medianBlur | all that OpenCV takes | the same; NaN is the largest |
| GaussianBlur | one size and sigma both ways; uint8, int16, uint16, floats | integers to 2, floats to 2e-6 |
| createCLAHE | uint8 and uint16, bit shift 0 | the same bits |
| calcHist | one uint8 or uint16 image, one channel, no mask, whole numbers of values a bin | the same |
| normalize | ``NORM_MINMAX`` of uint8, uint16, finite float32 to their dtype, no mask | integers to 1, floats to 2e-6 |

Gray images, and 2 to 4 channels for the filters. ``ctfast.compat.calls()`` tells who served.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ctfast import ops
from ctfast.compat._calls import ours, theirs

_ORIGINALS: Final = {
    name: getattr(cv2, name) for name in ("medianBlur", "GaussianBlur", "createCLAHE", "calcHist", "normalize")
}
HOMES: Final = dict.fromkeys(_ORIGINALS, "cv2")
"""Where the original of each is found, and put back by ``patched``."""
_COUNTS: Final = (-1,) if int(cv2.__version__.partition(".")[0]) > 4 else (-1, 1)
"""Shape of a histogram: a column before OpenCV 5."""
_BORDERS: Final = {
    cv2.BORDER_REFLECT_101: "mirror",
    cv2.BORDER_REPLICATE: "nearest",
    cv2.BORDER_REFLECT: "reflect",
    cv2.BORDER_CONSTANT: "constant",
}


def medianBlur(src: Any, ksize: int, dst: Any = None) -> NDArray[Any]:
    """Median of the square around each pixel, as ``cv2.medianBlur``."""
    known = {"uint8"} if _whole(ksize) and ksize > 5 else {"uint8", "int16", "uint16", "float32"}
    if _whole(ksize) and 1 < ksize <= 255 and ksize % 2 and _is_picture(src, known) and _medians(src, ksize):
        ours("cv2.medianBlur")
        return _filtered("median_filter", src, {"size": ksize, "mode": "nearest", "cval": 0.0}, dst)
    return theirs("cv2.medianBlur", _ORIGINALS["medianBlur"], src, ksize, dst)


def _medians(src: NDArray[Any], ksize: int) -> bool:
    """Whether OpenCV has them: of two channels small ones only."""
    return ksize <= 5 or src.shape[2:] != (2,)


def GaussianBlur(
    src: Any,
    ksize: Sequence[int],
    sigmaX: float,
    dst: Any = None,
    sigmaY: float = 0,
    borderType: int = cv2.BORDER_DEFAULT,
    hint: int = 0,
) -> NDArray[Any]:
    """Gaussian smoothing, as ``cv2.GaussianBlur``."""
    if _is_picture(src, {"uint8", "int16", "uint16", "float32", "float64"}) and borderType in _BORDERS:
        sigma, size = _kernel(src.dtype, ksize, sigmaX, sigmaY)
        if sigma:
            ours("cv2.GaussianBlur")
            truncate = (size // 2 + 0.25) / sigma  # so that the radius is exactly OpenCV's
            params = {"sigma": sigma, "truncate": truncate, "mode": _BORDERS[borderType], "cval": 0.0}
            return _filtered("gaussian_filter", src, params, dst)
    arguments = (src, ksize, sigmaX, dst, sigmaY, borderType, hint)
    return theirs("cv2.GaussianBlur", _ORIGINALS["GaussianBlur"], *arguments)


def _kernel(dtype: np.dtype[Any], ksize: Any, sigma_x: Any, sigma_y: Any) -> tuple[float, int]:
    """Sigma and size, the same both ways, by OpenCV's rules; sigma 0 for what is left to OpenCV."""
    sizes = tuple(ksize) if isinstance(ksize, tuple | list) else ()
    numbers = all(isinstance(s, int | float) and math.isfinite(s) for s in (sigma_x, sigma_y))
    if not numbers or sigma_y not in (0, sigma_x) or len(sizes) != 2 or sizes[0] != sizes[1] or not _whole(sizes[0]):
        return 0.0, 0
    sigma, size = float(sigma_x), int(sizes[0])
    if size <= 0 and sigma > 0:
        size = round(sigma * (3 if dtype == np.uint8 else 4) * 2 + 1) | 1
    elif sigma <= 0 and size > 9:  # smaller ones are fixed tables
        sigma = 0.3 * ((size - 1) * 0.5 - 1) + 0.8
    return (sigma, size) if sigma > 0 and size % 2 and 1 < size <= 255 else (0.0, 0)


class CLAHE:
    """As the object of ``cv2.createCLAHE``."""

    def __init__(self, clipLimit: float = 40.0, tileGridSize: Sequence[int] = (8, 8)) -> None:
        self._original = _ORIGINALS["createCLAHE"](clipLimit, tileGridSize)

    def apply(self, src: Any, dst: Any = None) -> NDArray[Any]:
        """Equalise an image of uint8 or uint16."""
        columns, rows = self._original.getTilesGridSize()
        limit, shift = self._original.getClipLimit(), getattr(self._original, "getBitShift", int)()
        gray = _is_picture(src, {"uint8", "uint16"}) and src.ndim == 2
        known = 1 <= rows <= 1024 and 1 <= columns <= 1024 and 0 <= limit < math.inf
        if not gray or shift or not known or _overflows(src, limit, rows, columns):
            return theirs("cv2.CLAHE.apply", self._original.apply, src, dst)
        ours("cv2.CLAHE.apply")
        params = {"clip_limit": limit, "tile_grid": (rows, columns), "nbins": 256**src.dtype.itemsize}
        return _filtered("clahe", src, params, dst)

    def __getattr__(self, name: str) -> Any:
        if name == "_original":  # not made yet, as in copy.copy
            raise AttributeError(name)
        return getattr(self._original, name)


def _overflows(src: NDArray[Any], limit: float, rows: int, columns: int) -> bool:
    """Whether OpenCV's limit, in pixels of a tile, is beyond an int."""
    tile = -(-src.shape[0] // rows) * -(-src.shape[1] // columns)
    return bool(limit * tile / 256**src.dtype.itemsize >= 2**31)


def createCLAHE(clipLimit: float = 40.0, tileGridSize: Sequence[int] = (8, 8)) -> CLAHE:
    """Contrast-limited adaptive histogram equalisation, as ``cv2.createCLAHE``."""
    return CLAHE(clipLimit, tileGridSize)


def calcHist(
    images: Any,
    channels: Any,
    mask: Any,
    histSize: Any,
    ranges: Any,
    hist: Any = None,
    accumulate: bool = False,
) -> NDArray[Any]:
    """Histogram of one image, as ``cv2.calcHist``: float32, ``(bins,)``, before OpenCV 5 ``(bins, 1)``."""
    lists = all(isinstance(given, list | tuple) for given in (images, channels, histSize, ranges))
    single = lists and len(images) == 1 and list(channels) == [0] and len(histSize) == 1 and len(ranges) == 2
    if single and mask is None and hist is None and not accumulate:
        (image,), bins, (low, high) = images, histSize[0], ranges
        if _is_picture(image, {"uint8", "uint16"}) and image.ndim == 2 and _even_bins(bins, low, high):
            ours("cv2.calcHist")
            width = (high - low) / bins
            # One bin more: OpenCV's range ends before ``high``, numpy's with it.
            flat = np.ascontiguousarray(image).reshape(1, -1)
            counts = ops.histogram(flat, bins + 1, value_range=(low, high + width)).counts
            return counts[:bins].astype(np.float32).reshape(_COUNTS)
    options = {} if hist is None else {"hist": hist, "accumulate": accumulate}
    return theirs("cv2.calcHist", _ORIGINALS["calcHist"], images, channels, mask, histSize, ranges, **options)


def _even_bins(bins: Any, low: Any, high: Any) -> bool:
    """Whether every bin has the same whole number of values."""
    return _whole(bins) and bins > 0 and float(low).is_integer() and low < high and (high - low) % bins == 0


def normalize(
    src: Any,
    dst: Any,
    alpha: float = 1,
    beta: float = 0,
    norm_type: int = cv2.NORM_L2,
    dtype: int = -1,
    mask: Any = None,
) -> NDArray[Any]:
    """Scale to a range or a norm, as ``cv2.normalize``."""
    low, high = min(alpha, beta), max(alpha, beta)
    if norm_type == cv2.NORM_MINMAX and dtype == -1 and mask is None and low < high:
        known = _is_picture(src, {"uint8", "uint16", "float32"})
        if known and _fits(src, low, high):
            ours("cv2.normalize")
            flat = np.ascontiguousarray(src).reshape(1, -1)
            result = ops.normalize(flat, out_range=(low, high), dtype=src.dtype)
            return _into(result.reshape(src.shape[:2] if src.shape[2:] == (1,) else src.shape), dst)
    return theirs("cv2.normalize", _ORIGINALS["normalize"], src, dst, alpha, beta, norm_type, dtype, mask)


def _fits(src: NDArray[Any], low: float, high: float) -> bool:
    """Whether the result holds the range; where a float is not finite, what OpenCV gives depends on its place."""
    if src.dtype.kind == "f":
        return math.isfinite(src.min()) and math.isfinite(src.max())
    return low >= 0 and high <= np.iinfo(src.dtype).max


def _whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_picture(src: Any, dtypes: set[str]) -> bool:
    """Whether it is an image (H, W) or (H, W, 1 to 4) of one of the dtypes."""
    if type(src) is not np.ndarray or not src.size or not src.dtype.isnative or src.dtype.name not in dtypes:
        return False
    return src.ndim == 2 or (src.ndim == 3 and src.shape[2] <= 4)


def _filtered(name: str, src: NDArray[Any], params: dict[str, Any], dst: Any) -> NDArray[Any]:
    if src.ndim == 2:
        return _into(getattr(ops, name)(src, **params), dst)
    planes = [getattr(ops, name)(src[..., k], **params) for k in range(src.shape[2])]
    # OpenCV drops a channel axis of one.
    return _into(planes[0] if len(planes) == 1 else np.stack(planes, axis=-1), dst)


def _into(result: NDArray[Any], dst: Any) -> NDArray[Any]:
    """In ``dst`` where it fits, as OpenCV reuses it, else an array of its own."""
    if type(dst) is np.ndarray and dst.shape == result.shape and dst.dtype == result.dtype:
        dst[...] = result
        return dst
    return result
