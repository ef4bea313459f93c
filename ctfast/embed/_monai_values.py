"""What MONAI's intensity transforms compute, by our kernels: a transform and its pixels in, the result out.

None where MONAI itself has to do it, or to refuse. ``embed.monai`` has the transforms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from monai.networks.layers.convutils import gaussian_1d
from monai.utils.misc import ensure_tuple_rep
from numpy.typing import NDArray

from ctfast import ops
from ctfast.compat._homes import OF_IMAGES
from ctfast.compat._ndimage.moving import SHORT
from ctfast.memory import empty
from ctkernels.cpu.gaussian_filter import gaussian_filter

Pixels = NDArray[Any]
_MOST_RADIUS: Final = 127
_KINDS: Final = (int, float, np.integer, np.floating)


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


def scale_intensity_range(t: Any, pixels: Pixels) -> Pixels | None:
    return _ranged(_groups(pixels, False), (t.a_min, t.a_max), (t.b_min, t.b_max), t.clip)


def scale_intensity(t: Any, pixels: Pixels) -> Pixels | None:
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


def scale_intensity_range_percentiles(t: Any, pixels: Pixels) -> Pixels | None:
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


def normalize_intensity(t: Any, pixels: Pixels) -> Pixels | None:
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


def median_smooth(t: Any, pixels: Pixels) -> Pixels | None:
    radii = _in_space(t, pixels, t.radius)
    if radii is None or not all(type(r) is int and 0 <= r <= _MOST_RADIUS for r in radii):
        return None
    return ops.median_filter(_taken(pixels), tuple(2 * r + 1 for r in radii), mode="nearest").astype(
        np.float32, copy=False
    )


def gaussian_smooth(t: Any, pixels: Pixels) -> Pixels | None:
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
