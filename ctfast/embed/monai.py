"""MONAI's intensity transforms on our kernels: its names, signatures, defaults, types and bookkeeping.

>>> from ctfast.embed.monai import ScaleIntensityRanged

Each class is a subclass of MONAI's, so that ``Compose``, ``CacheDataset`` and workers see the transform that they know;
what a ``MetaTensor`` carries (affine, meta data, applied operations) comes along. Where our kernels can't serve an
image, MONAI's own code does, with its results and errors; ``ctfast.compat.calls()`` counts both.

| transform | our kernel serves | values |
|---|---|---|
| ScaleIntensityRange | ``b_min`` and ``b_max`` given or both left out; rising with ``clip`` | 2e-6 of the range |
| ScaleIntensity | ``minv`` below ``maxv`` | 2e-6 of the range |
| ScaleIntensityRangePercentiles | as ScaleIntensityRange, of finite floats | 1e-5 of the range |
| NormalizeIntensity | nothing or numbers given (with ``channel_wise`` one a channel); ``nonzero`` | 1e-5 |
| MedianSmooth | 2 and 3 axes in space | the same |
| GaussianSmooth, RandGaussianSmooth | 2 and 3 axes in space, every ``approx`` | 2e-6 of the largest |

All for float32 results of tensors and arrays on the CPU, of any real type but half floats; ``(C, H, W)`` and
``(C, H, W, D)`` are filtered over all axes but the first, as MONAI does. NaN and infinities don't count for a range,
mean or deviation, where MONAI makes all pixels NaN. ``ScaleIntensityRange`` of whole numbers is as of the same floats;
MONAI wraps around where ``a_min`` is an int (0 of uint8 less 50 is 206).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from monai.data.meta_obj import get_track_meta
from monai.data.meta_tensor import MetaTensor
from monai.networks.layers.convutils import gaussian_1d
from monai.transforms.intensity import array, dictionary
from monai.utils.misc import ensure_tuple_rep, ensure_tuple_size
from monai.utils.type_conversion import convert_to_tensor
from numpy.typing import NDArray

from ctfast import ops
from ctfast.compat._calls import ours, theirs
from ctfast.compat._homes import OF_IMAGES
from ctfast.compat._ndimage import SHORT
from ctfast.dispatch.arrays import MOST_CHANNELS, known_axes
from ctfast.memory import empty
from ctkernels.cpu.gaussian_filter import gaussian_filter

Pixels = NDArray[Any]
Compute = Callable[[Any, Pixels], Pixels | None]
"""Takes the transform and the pixels; None for what MONAI has to do."""
_TAKEN: Final = {torch.uint8, torch.int16, torch.uint16, torch.float32, torch.float64}
_HALF: Final = {torch.float16, torch.bfloat16}
_EXACT: Final = 1 << 24
"""The integers up to here are float32."""
_MOST_RADIUS: Final = 127
_KINDS: Final = (int, float, np.integer, np.floating)


def _served(transform: Any, original: type, img: Any, compute: Compute) -> Any:
    """The result of ``compute`` as MONAI would give it, or MONAI's own."""
    name = f"monai.{original.__name__}"
    tracked = get_track_meta()
    # What MONAI's conversions find out anew for every image took as long as a line through a slice.
    tensor = img if tracked and type(img) is MetaTensor else convert_to_tensor(img, track_meta=tracked)
    pixels = _pixels(tensor) if isinstance(tensor, torch.Tensor) else None
    result = None
    if pixels is not None and getattr(transform, "dtype", np.float32) in (np.float32, torch.float32, "float32"):
        if pixels.shape[-1] > MOST_CHANNELS:
            result = compute(transform, pixels)
        else:
            with known_axes():  # not to be taken for colours
                result = compute(transform, pixels)
    if result is None:
        return theirs(name, original.__call__, transform, img)
    ours(name)
    made = torch.from_numpy(result.reshape(pixels.shape))  # type: ignore[union-attr]
    return made.as_subclass(MetaTensor).copy_meta_from(tensor) if isinstance(tensor, MetaTensor) else made


def _pixels(tensor: torch.Tensor) -> Pixels | None:
    """Where our kernels can read them, of a type whose numbers they take."""
    plain = tensor.as_tensor() if isinstance(tensor, MetaTensor) else tensor
    dense = type(plain) is torch.Tensor and plain.device.type == "cpu" and plain.layout is torch.strided
    if not dense or plain.requires_grad or not plain.numel() or not plain.ndim or plain.is_complex():
        return None
    if plain.dtype in _HALF or plain.dtype == torch.bool:  # of which MONAI takes no differences
        return None
    pixels = plain.contiguous().resolve_neg().numpy()
    if plain.dtype not in _TAKEN and (int(pixels.min()) < -_EXACT or int(pixels.max()) > _EXACT):
        return None  # differences are exact in MONAI
    return pixels


def _taken(pixels: Pixels) -> Pixels:
    """Other whole numbers as float32, as MONAI's arithmetic makes them."""
    return pixels if pixels.dtype in OF_IMAGES else pixels.astype(np.float32)


def _groups(pixels: Pixels, channel_wise: bool) -> Pixels:
    """``(1, N, W)``, or ``(C, N, W)`` of the channels."""
    pixels = _taken(pixels)
    return pixels.reshape(pixels.shape[0] if channel_wise and pixels.ndim > 1 else 1, -1, pixels.shape[-1])


def _numbers(*values: Any) -> bool:
    return all(isinstance(v, _KINDS) and math.isfinite(v) for v in values)


class _Line(NamedTuple):
    """From one range to another, clipped to it, or a slope and an intercept."""

    ranges: tuple[tuple[float, float], tuple[float, float]] | None
    slope: float = 1.0
    intercept: float = 0.0


@lru_cache(maxsize=64, typed=True)
def _line(a0: Any, a1: Any, b0: Any, b1: Any, clip: bool) -> _Line | None:
    """Kept between calls: the very same numbers spare a call its checks, which take as long as a slice."""
    if b0 is b1 is None and not clip:
        b0, b1 = 0.0, 1.0
    if not _numbers(a0, a1, b0, b1) or a0 == a1:
        return None
    a0, a1, b0, b1 = (float(v) for v in (a0, a1, b0, b1))
    if clip:
        return _Line(((a0, a1), (b0, b1))) if a0 < a1 and b0 < b1 else None
    slope = (b1 - b0) / (a1 - a0)
    return _Line(None, slope, b0 - a0 * slope)


def _ranged(x: Pixels, a: tuple[Any, Any], b: tuple[Any, Any], clip: bool) -> Pixels | None:
    """The line from range ``a`` to ``b`` (None and None: 0 to 1)."""
    try:
        line = _line(*a, *b, clip)
    except TypeError:  # tensors and arrays of numbers
        return None
    if line is None:
        return None
    if line.ranges is None:
        return ops.rescale(x, slope=line.slope, intercept=line.intercept)
    return ops.normalize(x, in_range=line.ranges[0], out_range=line.ranges[1])


def _scale_intensity_range(t: Any, pixels: Pixels) -> Pixels | None:
    return _ranged(_groups(pixels, False), (t.a_min, t.a_max), (t.b_min, t.b_max), t.clip)


def _scale_intensity(t: Any, pixels: Pixels) -> Pixels | None:
    if t.channel_wise and pixels.ndim < 2:
        return None
    try:
        line = _line(0, 1, t.minv, t.maxv, True)
    except TypeError:
        line = None
    if line is None or line.ranges is None:
        return None
    x = _groups(pixels, t.channel_wise)
    result = ops.normalize(x, out_range=line.ranges[1])
    if t.minv:  # MONAI multiplies constant images by minv
        flat = result.reshape(len(x), -1)
        for k in np.flatnonzero(flat.max(axis=1) == flat.min(axis=1)):
            result[k] = x[k] * np.float32(t.minv)
    return result


def _scale_intensity_range_percentiles(t: Any, pixels: Pixels) -> Pixels | None:
    if pixels.dtype.kind != "f" or (t.channel_wise and pixels.ndim < 2) or (t.relative and t.b_min is t.b_max is None):
        return None
    x = _groups(pixels, t.channel_wise)
    b_min, b_max = t.b_min, t.b_max
    if t.relative:
        if not _numbers(b_min, b_max):
            return None
        b_min, b_max = (t.b_min + (t.b_max - t.b_min) * (p / 100.0) for p in (t.lower, t.upper))
    found = ops.summary(x, percentiles=(t.lower, t.upper))
    if (np.asarray(found.count) != x[0].size).any():
        return None
    done = [
        _ranged(channel[np.newaxis], (float(ends[0]), float(ends[1])), (b_min, b_max), t.clip)
        for channel, ends in zip(x, np.asarray(found.percentiles).reshape(len(x), 2))
    ]
    return None if any(d is None for d in done) else np.concatenate(done)  # type: ignore[arg-type]


def _normalize_intensity(t: Any, pixels: Pixels) -> Pixels | None:
    if t.channel_wise and pixels.ndim < 2:
        return None
    x = _groups(pixels, t.channel_wise)
    where = x != 0 if t.nonzero else None
    means, sds = (_each_channel(v, len(x), t.channel_wise) for v in (t.subtrahend, t.divisor))
    if means is None or sds is None or any(d is not None and d < 0 for d in sds):
        return None  # arrays, tensors, wrong numbers of them; a line that falls
    if t.subtrahend is not None and t.divisor is None:
        seen = [c if where is None else c[part] for c, part in zip(x, x if where is None else where)]
        if any(c.size and c.min() == c.max() for c in seen):
            return None  # no deviation: MONAI still subtracts
    result = empty(x.shape, np.dtype(np.float32))
    if t.subtrahend is None and t.divisor is None:
        ops.standardize(x, where=where, out=result)
    else:
        for k, (mean, sd) in enumerate(zip(means, sds)):
            part = None if where is None else where[k]
            ops.standardize(x[k], mean=mean, std=None if sd is None else sd or 1.0, where=part, out=result[k])
    if where is not None:
        result[~where] = 0.0
    return result


def _each_channel(value: Any, channels: int, channel_wise: bool) -> list[float | None] | None:
    """One number for each channel, or nothing for each; None for what MONAI has to judge."""
    if value is None:
        return [None] * channels
    if isinstance(value, Sequence) != channel_wise:
        return None
    values = value if channel_wise else (value,)
    return [float(v) for v in values] if len(values) == channels and _numbers(*values) else None


def _in_space(t: Any, pixels: Pixels, values: Any) -> tuple[Any, ...] | None:
    """One value for each axis in space, where there are two or three of them."""
    space = pixels.ndim - 1
    if space not in (2, 3):
        return None
    try:
        return tuple(ensure_tuple_rep(values, space))
    except ValueError:  # another number of values, which MONAI refuses
        return None


def _median_smooth(t: Any, pixels: Pixels) -> Pixels | None:
    radii = _in_space(t, pixels, t.radius)
    if radii is None or not all(type(r) is int and 0 <= r <= _MOST_RADIUS for r in radii):
        return None
    return ops.median_filter(_taken(pixels), tuple(2 * r + 1 for r in radii), mode="nearest").astype(
        np.float32, copy=False
    )


def _gaussian_smooth(t: Any, pixels: Pixels) -> Pixels | None:
    sigmas = _in_space(t, pixels, t.sigma)
    if sigmas is None or not all(_numbers(s) and 0 < s < _MOST_RADIUS / 4 for s in sigmas):
        return None
    kernels = [gaussian_1d(torch.tensor(float(s)), truncated=4.0, approx=t.approx).double().tolist() for s in sigmas]
    halves = tuple(tuple(k[len(k) // 2 :]) for k in kernels)
    x = pixels.astype(np.float32, copy=False)
    order = list(range(1, x.ndim))
    if x.shape[-1] < SHORT:  # as D of (C, H, W, D) often is
        order.sort(key=lambda axis: x.shape[axis])
    x = np.ascontiguousarray(x.transpose(0, *order))
    out = empty(x.shape, x.dtype)
    gaussian_filter(x, out, sigma=tuple(halves[axis - 1] for axis in order), truncate=4.0, mode="constant", cval=0.0)
    return np.ascontiguousarray(out.transpose(np.argsort([0, *order])))


class ScaleIntensityRange(array.ScaleIntensityRange):  # type: ignore[misc]
    """As ``monai.transforms.ScaleIntensityRange``: a line from ``(a_min, a_max)`` to ``(b_min, b_max)``."""

    def __call__(self, img: Any) -> Any:
        """Apply the transform to ``img``."""
        return _served(self, array.ScaleIntensityRange, img, _scale_intensity_range)


class ScaleIntensity(array.ScaleIntensity):  # type: ignore[misc]
    """As ``monai.transforms.ScaleIntensity``: the image's own range to ``(minv, maxv)``."""

    def __call__(self, img: Any) -> Any:
        """Apply the transform to ``img``."""
        return _served(self, array.ScaleIntensity, img, _scale_intensity)


class ScaleIntensityRangePercentiles(array.ScaleIntensityRangePercentiles):  # type: ignore[misc]
    """As ``monai.transforms.ScaleIntensityRangePercentiles``: the range between two percentiles."""

    def __call__(self, img: Any) -> Any:
        """Apply the transform to ``img``."""
        return _served(self, array.ScaleIntensityRangePercentiles, img, _scale_intensity_range_percentiles)


class NormalizeIntensity(array.NormalizeIntensity):  # type: ignore[misc]
    """As ``monai.transforms.NormalizeIntensity``: less the mean, by the deviation, or by given numbers."""

    def __call__(self, img: Any) -> Any:
        """Apply the transform to ``img``."""
        return _served(self, array.NormalizeIntensity, img, _normalize_intensity)


class MedianSmooth(array.MedianSmooth):  # type: ignore[misc]
    """As ``monai.transforms.MedianSmooth``."""

    def __call__(self, img: Any) -> Any:
        """Apply the transform to ``img``."""
        return _served(self, array.MedianSmooth, img, _median_smooth)


class GaussianSmooth(array.GaussianSmooth):  # type: ignore[misc]
    """As ``monai.transforms.GaussianSmooth``."""

    def __call__(self, img: Any) -> Any:
        """Apply the transform to ``img``."""
        return _served(self, array.GaussianSmooth, img, _gaussian_smooth)


class RandGaussianSmooth(array.RandGaussianSmooth):  # type: ignore[misc]
    """As ``monai.transforms.RandGaussianSmooth``, with the same random numbers."""

    def __call__(self, img: Any, randomize: bool = True) -> Any:
        """Apply the transform to ``img``."""
        img = convert_to_tensor(img, track_meta=get_track_meta())
        if randomize:
            self.randomize()
        if not self._do_transform:
            return img
        sigma = ensure_tuple_size(vals=(self.x, self.y, self.z), dim=getattr(img, "spatial_ndim", img.ndim - 1))
        return GaussianSmooth(sigma=sigma, approx=self.approx)(img)


def _each(transform: Any, data: Mapping[Hashable, Any], one: Callable[[Any], Any]) -> dict[Hashable, Any]:
    done = dict(data)
    for key in transform.key_iterator(done):
        done[key] = one(done[key])
    return done


class ScaleIntensityRanged(dictionary.ScaleIntensityRanged):  # type: ignore[misc]
    """Dictionary-based ``ScaleIntensityRange``."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply the transform to each of its keys."""
        return _each(self, data, lambda img: ScaleIntensityRange.__call__(self.scaler, img))


class ScaleIntensityd(dictionary.ScaleIntensityd):  # type: ignore[misc]
    """Dictionary-based ``ScaleIntensity``."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply the transform to each of its keys."""
        return _each(self, data, lambda img: ScaleIntensity.__call__(self.scaler, img))


class ScaleIntensityRangePercentilesd(dictionary.ScaleIntensityRangePercentilesd):  # type: ignore[misc]
    """Dictionary-based ``ScaleIntensityRangePercentiles``."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply the transform to each of its keys."""
        return _each(self, data, lambda img: ScaleIntensityRangePercentiles.__call__(self.scaler, img))


class NormalizeIntensityd(dictionary.NormalizeIntensityd):  # type: ignore[misc]
    """Dictionary-based ``NormalizeIntensity``."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply the transform to each of its keys."""
        return _each(self, data, lambda img: NormalizeIntensity.__call__(self.normalizer, img))


class MedianSmoothd(dictionary.MedianSmoothd):  # type: ignore[misc]
    """Dictionary-based ``MedianSmooth``."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply the transform to each of its keys."""
        return _each(self, data, lambda img: MedianSmooth.__call__(self.converter, img))


class GaussianSmoothd(dictionary.GaussianSmoothd):  # type: ignore[misc]
    """Dictionary-based ``GaussianSmooth``."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply the transform to each of its keys."""
        return _each(self, data, lambda img: GaussianSmooth.__call__(self.converter, img))


class RandGaussianSmoothd(dictionary.RandGaussianSmoothd):  # type: ignore[misc]
    """Dictionary-based ``RandGaussianSmooth``: all keys share the random sigma."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply the transform to each of its keys."""
        self.randomize(None)
        if not self._do_transform:
            return _each(self, data, lambda img: convert_to_tensor(img, track_meta=get_track_meta()))
        self.rand_smooth.randomize(None)
        return _each(self, data, lambda img: RandGaussianSmooth.__call__(self.rand_smooth, img, randomize=False))


ScaleIntensityRangeD = ScaleIntensityRangeDict = ScaleIntensityRanged
ScaleIntensityD = ScaleIntensityDict = ScaleIntensityd
ScaleIntensityRangePercentilesD = ScaleIntensityRangePercentilesDict = ScaleIntensityRangePercentilesd
NormalizeIntensityD = NormalizeIntensityDict = NormalizeIntensityd
MedianSmoothD = MedianSmoothDict = MedianSmoothd
GaussianSmoothD = GaussianSmoothDict = GaussianSmoothd
RandGaussianSmoothD = RandGaussianSmoothDict = RandGaussianSmoothd
