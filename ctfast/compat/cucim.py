"""Drop-ins for cuCIM's ``cucim.skimage``: CuPy arrays in and out, on the GPU, with its signatures, defaults and errors.

Everything else is cuCIM's own, ``exposure.equalize_adapthist`` too: our GPU kernel of CLAHE is OpenCV's, whose values
are others.

| function | our GPU kernel serves | values |
|---|---|---|
| exposure.rescale_intensity | float32 to float32 with two numbers or "image" as range | 1e-6 of the range |
| exposure.histogram | uint8, int16, uint16, of any shape; range "image" | the same |
| exposure.match_histograms | finite uint8, int16, uint16, float32, float64, also by channel | the same to rounding |
| filters.median | what ``ctfast.compat.cupyx`` serves, ``algorithm="auto"`` | the same |
| filters.gaussian | what ``ctfast.compat.cupyx`` serves of floats, no channels, no ``out`` | 2e-6 of the largest |

``ctfast.compat.calls()`` tells who served.
"""

from __future__ import annotations

from typing import Any, Final

from cucim.skimage import exposure, filters

from ctfast.compat import _skimage
from ctfast.compat._calls import ours, theirs
from ctfast.compat._homes import DEVICE
from ctfast.compat._ndimage import gaussians, ranks

HOMES: Final = {
    "gaussian": "cucim.skimage.filters",
    "histogram": "cucim.skimage.exposure",
    "match_histograms": "cucim.skimage.exposure",
    "median": "cucim.skimage.filters",
    "rescale_intensity": "cucim.skimage.exposure",
}
"""Where the original of each is found, and put back by ``patched``."""
_ORIGINALS: Final = {
    name: getattr(filters if home.endswith("filters") else exposure, name) for name, home in HOMES.items()
}


def rescale_intensity(image: Any, in_range: Any = "image", out_range: Any = "dtype") -> Any:
    """Stretch or shrink a range of values, as ``cucim.skimage.exposure.rescale_intensity``."""
    done = _skimage.rescaled(image, in_range, out_range, DEVICE)
    return _served("rescale_intensity", done, (image, in_range, out_range))


def histogram(
    image: Any,
    nbins: int = 256,
    source_range: str = "image",
    normalize: bool = False,
    *,
    channel_axis: int | None = None,
) -> Any:
    """Counts and bin centres, as ``cucim.skimage.exposure.histogram``: one bin a value."""
    done = None
    if getattr(getattr(image, "dtype", None), "kind", "") in "iu":  # CuPy's edges of floats are others than NumPy's
        done = _skimage.counted(image, nbins, source_range, normalize, channel_axis, DEVICE)
    return _served("histogram", done, (image, nbins, source_range, normalize), {"channel_axis": channel_axis})


def match_histograms(image: Any, reference: Any, *, channel_axis: int | None = None) -> Any:
    """Give an image the cumulative histogram of another, as ``cucim.skimage.exposure.match_histograms``."""
    done = _skimage.matched(image, reference, channel_axis, DEVICE)
    return _served("match_histograms", done, (image, reference), {"channel_axis": channel_axis})


def median(
    image: Any,
    footprint: Any = None,
    out: Any = None,
    mode: str = "nearest",
    cval: float = 0.0,
    behavior: str = "ndimage",
    *,
    algorithm: str = "auto",
    algorithm_kwargs: Any = {},  # noqa: B006, as the original has it
) -> Any:
    """Local median, as ``cucim.skimage.filters.median``."""
    done = None
    if behavior == "ndimage" and algorithm == "auto" and not algorithm_kwargs:
        size, window = (
            (footprint or 3, None) if footprint is None or isinstance(footprint, tuple) else (None, footprint)
        )
        done = ranks.ranked(image, ranks.middle, size, window, out, mode, cval, 0, None, DEVICE)
    options = {"algorithm": algorithm, "algorithm_kwargs": algorithm_kwargs}
    return _served("median", done, (image, footprint, out, mode, cval, behavior), options)


def gaussian(
    image: Any,
    sigma: Any = 1,
    mode: str = "nearest",
    cval: float = 0,
    preserve_range: bool = False,
    truncate: float = 4.0,
    *,
    channel_axis: int | None = None,
    out: Any = None,
) -> Any:
    """Gaussian smoothing in floats, as ``cucim.skimage.filters.gaussian``."""
    done = None
    known = getattr(image, "dtype", None) in ("float32", "float64") and channel_axis is None and out is None
    if known and not gaussians.is_negative(sigma):
        done = gaussians.gaussian(image, sigma, 0, None, mode, cval, truncate, None, None, DEVICE)
    options = {"channel_axis": channel_axis, "out": out}
    return _served("gaussian", done, (image, sigma, mode, cval, preserve_range, truncate), options)


def _served(name: str, done: Any, arguments: tuple[Any, ...], options: dict[str, Any] | None = None) -> Any:
    """What our kernel made, or cuCIM's answer where it did not."""
    if done is None:
        return theirs(f"{HOMES[name]}.{name}", _ORIGINALS[name], *arguments, **(options or {}))
    ours(f"{HOMES[name]}.{name}")
    return done
