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

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final

import numpy as np
import torch
from monai.data.meta_obj import get_track_meta
from monai.data.meta_tensor import MetaTensor
from monai.transforms.intensity import array, dictionary
from monai.utils.misc import ensure_tuple_size
from monai.utils.type_conversion import convert_to_tensor

from ctfast.compat._calls import ours, theirs
from ctfast.dispatch.arrays import MOST_CHANNELS, known_axes
from ctfast.embed import _monai_values as values
from ctfast.embed._monai_values import Pixels

Compute = Callable[[Any, Pixels], Pixels | None]
"""Takes the transform and the pixels; None for what MONAI has to do."""
_TAKEN: Final = {torch.uint8, torch.int16, torch.uint16, torch.float32, torch.float64}
_HALF: Final = {torch.float16, torch.bfloat16}
_EXACT: Final = 1 << 24
"""The integers up to here are float32."""


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


class ScaleIntensityRange(array.ScaleIntensityRange):  # type: ignore[misc]
    """As ``monai.transforms.ScaleIntensityRange``: a line from ``(a_min, a_max)`` to ``(b_min, b_max)``."""

    def __call__(self, img: Any) -> Any:
        """Apply the transform to ``img``."""
        return _served(self, array.ScaleIntensityRange, img, values.scale_intensity_range)


class ScaleIntensity(array.ScaleIntensity):  # type: ignore[misc]
    """As ``monai.transforms.ScaleIntensity``: the image's own range to ``(minv, maxv)``."""

    def __call__(self, img: Any) -> Any:
        """Apply the transform to ``img``."""
        return _served(self, array.ScaleIntensity, img, values.scale_intensity)


class ScaleIntensityRangePercentiles(array.ScaleIntensityRangePercentiles):  # type: ignore[misc]
    """As ``monai.transforms.ScaleIntensityRangePercentiles``: the range between two percentiles."""

    def __call__(self, img: Any) -> Any:
        """Apply the transform to ``img``."""
        return _served(self, array.ScaleIntensityRangePercentiles, img, values.scale_intensity_range_percentiles)


class NormalizeIntensity(array.NormalizeIntensity):  # type: ignore[misc]
    """As ``monai.transforms.NormalizeIntensity``: less the mean, by the deviation, or by given numbers."""

    def __call__(self, img: Any) -> Any:
        """Apply the transform to ``img``."""
        return _served(self, array.NormalizeIntensity, img, values.normalize_intensity)


class MedianSmooth(array.MedianSmooth):  # type: ignore[misc]
    """As ``monai.transforms.MedianSmooth``."""

    def __call__(self, img: Any) -> Any:
        """Apply the transform to ``img``."""
        return _served(self, array.MedianSmooth, img, values.median_smooth)


class GaussianSmooth(array.GaussianSmooth):  # type: ignore[misc]
    """As ``monai.transforms.GaussianSmooth``."""

    def __call__(self, img: Any) -> Any:
        """Apply the transform to ``img``."""
        return _served(self, array.GaussianSmooth, img, values.gaussian_smooth)


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
