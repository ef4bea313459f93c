"""Drop-ins for scikit-image: its signatures, defaults, dtypes, errors and values.

Everything else is scikit-image's own.

| function | our kernel serves | values |
|---|---|---|
| exposure.equalize_adapthist | images and volumes, gray or colour, floats or whole numbers | the same bits |
| exposure.rescale_intensity | float32 to float32 with two numbers or "image" as range | 1e-6 of the range |
| exposure.histogram | uint8, int16, uint16, float32, float64, of any shape; range "image" | the same |
| exposure.match_histograms | finite uint8, int16, uint16, float32, float64, also by channel | the same |
| filters.median | what ``ctfast.compat.scipy_ndimage`` serves | the same |
| filters.gaussian | what ``ctfast.compat.scipy_ndimage`` serves, no channels, no ``out`` | 2e-6 of the largest |

``ctfast.compat.calls()`` tells who served.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from skimage import exposure, filters
from skimage.util import img_as_float, img_as_float32, img_as_float64, img_as_uint

from ctfast.compat import _skimage
from ctfast.compat._calls import ours, theirs
from ctfast.compat._homes import OF_IMAGES
from ctfast.compat._ndimage import gaussians, ranks
from ctfast.memory import empty
from ctkernels.cpu import equalize_adapthist as kernels
from ctkernels.cpu import hsv_value

_ORIGINALS: Final = {
    name: getattr(exposure if name != "median" and name != "gaussian" else filters, name)
    for name in ("equalize_adapthist", "rescale_intensity", "histogram", "match_histograms", "median", "gaussian")
}
HOMES: Final = {
    "equalize_adapthist": "skimage.exposure",
    "gaussian": "skimage.filters",
    "histogram": "skimage.exposure",
    "match_histograms": "skimage.exposure",
    "median": "skimage.filters",
    "rescale_intensity": "skimage.exposure",
}
"""Where the original of each is found, and put back by ``patched``."""
_TAKEN: Final = OF_IMAGES | {np.dtype(name) for name in ("bool", "int32", "uint32")}
"""Of ``equalize_adapthist``."""
_GRAY: Final = np.dtype(np.uint16)


def equalize_adapthist(
    image: NDArray[Any], kernel_size: Any = None, clip_limit: float = 0.01, nbins: int = 256
) -> NDArray[Any]:
    """Contrast-limited adaptive histogram equalisation by ``skimage.exposure.equalize_adapthist``, bit for bit.

    Args:
        image: ``(H, W)``, ``(D, H, W)``, ``(H, W, 3)`` or ``(H, W, 4)``; floats from -1 to 1.
        kernel_size: pixels of a block, one number or one an axis; an eighth of each axis by default.
        clip_limit: share of a block's pixels that a bin may keep.
        nbins: number of bins.

    Returns:
        float32 for float32 and float16 images, else float64; 0 to 1.
    """
    known = isinstance(image, np.ndarray) and image.ndim in (2, 3) and image.size and image.dtype in _TAKEN
    sizes = tuple(kernel_size) if isinstance(kernel_size, list) else kernel_size
    done = None
    if known:
        try:
            done = (_of_colours if _is_colour(image) else _equalized)(image, sizes, clip_limit, nbins)
        except (ValueError, TypeError):  # scikit-image says what is wrong
            done = None
    return _served("equalize_adapthist", done, (image, kernel_size, clip_limit, nbins))


def _is_colour(image: NDArray[Any]) -> bool:
    """As ``skimage.color.adapt_rgb`` sees it."""
    return image.ndim == 3 and image.shape[-1] in (3, 4)


def _of_colours(image: NDArray[Any], *arguments: Any) -> NDArray[Any] | None:
    """Equalised by the value of the colours; a fourth channel is left out, as in the original."""
    kind = img_as_float32 if image.dtype == np.float32 else img_as_float64
    rgb = np.ascontiguousarray(kind(image[..., :3]))
    value = _equalized(hsv_value.of_colours(rgb), *arguments)
    return None if value is None else hsv_value.replaced(rgb, value)


class _Blocks(NamedTuple):
    kernel: tuple[int, int, int]
    limit: int
    """The most pixels that a bin keeps."""


@lru_cache(maxsize=64, typed=True)
def _blocks(shape: tuple[int, ...], kernel_size: Any, clip_limit: Any, nbins: Any) -> _Blocks | None:
    """Kept between calls, as the checks take as long as some thousand pixels; None for what is scikit-image's."""
    if type(nbins) is not int or not 1 <= nbins <= kernels.GRAYS or not math.isfinite(clip_limit):
        return None
    if kernel_size is None:
        kernel_size = tuple(max(size // 8, 1) for size in shape)
    sizes = kernel_size if isinstance(kernel_size, tuple) else (kernel_size,) * len(shape)
    if len(sizes) != len(shape) or not all(isinstance(k, int | float | np.integer) and k >= 1 for k in sizes):
        return None
    planes, height, width = (*(1,) * (3 - len(shape)), *(int(k) for k in sizes))
    pixels = planes * height * width
    limit = int(max(clip_limit * pixels, 1)) if clip_limit > 0.0 else pixels
    return _Blocks((planes, height, width), limit)


def _equalized(image: NDArray[Any], kernel_size: Any, clip_limit: float, nbins: int) -> NDArray[Any] | None:
    blocks = _blocks(image.shape, kernel_size, clip_limit, nbins)
    if blocks is None:
        return None
    bins = _bins(np.ascontiguousarray(image), nbins).reshape((1,) * (3 - image.ndim) + image.shape)
    out = empty(image.shape, np.dtype(np.float32 if image.dtype == np.float32 else np.float64))
    grays = kernels.grays_within(out)
    low, high = kernels.equalize(
        bins, grays.reshape(bins.shape), kernel=blocks.kernel, clip_limit=blocks.limit, nbins=nbins
    )
    if low == high:
        out.fill(min(low, 1))
    else:
        kernels.rescaled(grays, low, high, out)
    return out


def _bins(image: NDArray[Any], nbins: int) -> NDArray[Any]:
    """The bin of each pixel: scikit-image's own conversions, done once for each value that there is."""
    if image.dtype not in OF_IMAGES:
        image = img_as_uint(image)
    ends = kernels.extent(image)
    if ends is None:
        raise ValueError("floats outside of -1 to 1, or NaN")
    dtype = _GRAY if image.dtype.kind == "f" else image.dtype
    out = empty(image.shape, kernels.bins_dtype(nbins))
    kernels.bin_pixels(image, _binning(dtype, *ends, nbins), out)
    return out


@lru_cache(maxsize=16)
def _binning(dtype: np.dtype[Any], low: int, high: int, nbins: int) -> kernels.Binning:
    """That of all values from ``low`` to ``high``, kept for the next image of the same range."""
    values = img_as_uint(np.arange(low, high + 1).astype(dtype))
    grays = np.round(_ORIGINALS["rescale_intensity"](values, out_range=(0, kernels.GRAYS - 1)))
    return kernels.binning(low, grays.astype(np.uint16), nbins)


def rescale_intensity(image: NDArray[Any], in_range: Any = "image", out_range: Any = "dtype") -> NDArray[Any]:
    """Stretch or shrink a range of values, as ``skimage.exposure.rescale_intensity``."""
    done = _skimage.rescaled(image, in_range, out_range)
    return _served("rescale_intensity", done, (image, in_range, out_range))


def histogram(
    image: NDArray[Any],
    nbins: int = 256,
    source_range: str = "image",
    normalize: bool = False,
    *,
    channel_axis: int | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Counts and bin centres, as ``skimage.exposure.histogram``: one bin a value for whole numbers."""
    done = _skimage.counted(image, nbins, source_range, normalize, channel_axis)
    return _served("histogram", done, (image, nbins, source_range, normalize), {"channel_axis": channel_axis})


def match_histograms(image: NDArray[Any], reference: NDArray[Any], *, channel_axis: int | None = None) -> NDArray[Any]:
    """Give an image the cumulative histogram of another, as ``skimage.exposure.match_histograms``."""
    done = _skimage.matched(image, reference, channel_axis)
    return _served("match_histograms", done, (image, reference), {"channel_axis": channel_axis})


def median(
    image: NDArray[Any],
    footprint: Any = None,
    out: Any = None,
    mode: str = "nearest",
    cval: float = 0.0,
    behavior: str = "ndimage",
) -> NDArray[Any]:
    """Local median, as ``skimage.filters.median``."""
    done = None
    if behavior == "ndimage" and type(image) is np.ndarray:
        size = 3 if footprint is None else None
        done = ranks.ranked(image, ranks.middle, size, footprint, out, mode, cval, 0, None)
    return _served("median", done, (image, footprint, out, mode, cval, behavior))


def gaussian(
    image: NDArray[Any],
    sigma: Any = 1.0,
    *,
    mode: str = "nearest",
    cval: float = 0,
    preserve_range: bool = False,
    truncate: float = 4.0,
    channel_axis: int | None = None,
    out: Any = None,
) -> NDArray[Any]:
    """Gaussian smoothing in floats, as ``skimage.filters.gaussian``."""
    done = None
    known = type(image) is np.ndarray and image.dtype in OF_IMAGES and channel_axis is None and out is None
    if known and not gaussians.is_negative(sigma):  # which SciPy takes for nothing, and scikit-image refuses
        if not preserve_range:
            floats = img_as_float(image)
        else:
            floats = image if image.dtype.kind == "f" else image.astype(np.float64)
        done = gaussians.gaussian(floats, sigma, 0, None, mode, cval, truncate, None, None)
    options = {"mode": mode, "cval": cval, "preserve_range": preserve_range, "truncate": truncate,
               "channel_axis": channel_axis, "out": out}  # fmt: skip
    return _served("gaussian", done, (image, sigma), options)


def _served(name: str, done: Any, arguments: tuple[Any, ...], options: dict[str, Any] | None = None) -> Any:
    """What our kernel made, or scikit-image's answer where it did not."""
    if done is None:
        return theirs(f"{HOMES[name]}.{name}", _ORIGINALS[name], *arguments, **(options or {}))
    ours(f"{HOMES[name]}.{name}")
    return done
