"""What every operation means, in plain NumPy: obvious, slow, and the law that all backends are tested against.

Arithmetic is float64 (or exact integers) unless the meaning itself is float32, as in CLAHE. Each function has the
backend signature of :mod:`ctkernels.contract`: ``x`` and ``out`` of shape ``(N, H, W)``, or ``(N, D, H, W)`` for
parameters of three numbers; parameters in normal form.
``out`` may also be float64 where the contract allows only narrower results: tests use that to see the unrounded value.

NaN and infinities, operation by operation (the same in every backend):

================  =====================================================================================================
rescale           NaN and inf go through; into an integer type NaN becomes the type's lowest value, inf saturates
window            NaN stays NaN in float results, becomes the low end in integer ones; inf saturates
normalize         the range comes from finite pixels; NaN as in window; inf saturates
standardize       mean and deviation come from finite pixels; NaN stays NaN, inf stays inf
match_histogram   the shares come from finite pixels; NaN stays NaN in float results, becomes the reference's lowest
                  value in integer ones; inf becomes the reference's highest value, -inf its lowest
median_filter     NaN counts as larger than every number, +inf included, as in ``numpy.sort``; so in rank_filter and
                  percentile_filter
gaussian_filter   NaN and inf spread to every pixel whose window holds them, as in SciPy
clahe             NaN and -inf count as the low end of the range, +inf as the high end; the result is always finite
histogram         NaN and values outside the range are not counted (the public function refuses to find a range by
                  itself in data that are not finite, as NumPy does)
summary           finite pixels only; ``count`` says how many; without any, everything else is NaN
label_tissue      NaN gets the label 255, which no value has; inf counts as larger than every edge, -inf as smaller
================  =====================================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.contract import NO_LABEL, each_axis, gaussian_radius, modes_of, rank_of

Array = NDArray[Any]
Pair = tuple[float, float]
Mode = str | tuple[str, ...]
Origin = int | tuple[int, ...]


def store(values: Array, out: Array) -> None:
    """Write float64 ``values`` to ``out``; integers are rounded half to even and saturated, NaN becomes the lowest."""
    if out.dtype.kind in "iu":
        limits = np.iinfo(out.dtype)
        values = np.where(np.isnan(values), limits.min, np.clip(np.rint(values), limits.min, limits.max))
    with np.errstate(over="ignore"):
        out[...] = values.astype(out.dtype)


def default_out_range(dtype: np.dtype[Any]) -> Pair:
    """0..1 for floats, the whole type for integers."""
    if dtype.kind == "f":
        return (0.0, 1.0)
    limits = np.iinfo(dtype)
    return (float(limits.min), float(limits.max))


def scale_to_unit(v: Array, low: float, high: float, clip: bool = True) -> Array:
    """0 at ``low``, 1 at ``high``, clipped; where both are equal a step: 0 up to and at the value, 1 above it.

    Without ``clip`` the line goes on beyond its ends.
    """
    if high == low:
        return np.where(np.isnan(v), np.nan, (v > high).astype(np.float64))
    # Halved first, where high - low could overflow.
    part = 0.5 if max(abs(low), abs(high)) > 1e300 else 1.0
    with np.errstate(over="ignore"):
        unit = (v * part - low * part) / (high * part - low * part)
    return np.clip(unit, 0.0, 1.0) if clip else unit


def rescale(x: Array, out: Array, *, slope: float, intercept: float) -> None:
    """Stored values to output units (HU): ``x * slope + intercept``, DICOM PS3.3 C.7.6.16.2.9.1 / C.11.1."""
    store(rescaled(x, slope, intercept), out)


def rescaled(x: Array, slope: float, intercept: float) -> Array:
    """``x * slope + intercept`` in float64; beyond its range infinity, ``inf * 0`` NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        return x.astype(np.float64) * slope + intercept


def window(
    x: Array,
    out: Array,
    *,
    center: float,
    width: float,
    function: str,
    out_range: Pair | None,
    slope: float,
    intercept: float,
) -> None:
    """Window Center and Width, DICOM PS3.3 C.11.2.1.2 (LINEAR, LINEAR_EXACT) and C.11.2.1.3 (SIGMOID)."""
    v = rescaled(x, slope, intercept)
    if function == "linear":
        low = center - 0.5 - (width - 1) / 2
        unit = scale_to_unit(v, low, low + (width - 1))
    elif function == "linear_exact":
        unit = scale_to_unit(v, center - width / 2, center + width / 2)
    else:
        with np.errstate(over="ignore"):
            unit = 1.0 / (1.0 + np.exp(-4.0 * (v - center) / width))
    low_out, high_out = out_range or default_out_range(out.dtype)
    store_unit(unit, low_out, high_out, out)


def store_unit(unit: Array, low: float, high: float, out: Array) -> None:
    """Spread 0..1 over ``low..high``; in an integer result NaN becomes ``low``."""
    if out.dtype.kind in "iu":
        unit = np.where(np.isnan(unit), 0.0, unit)
    store(low + unit * (high - low), out)


def counted(v: Array, value_range: Pair | None, where: Array | None = None) -> Array:
    """The pixels that statistics are taken from: finite, inside ``value_range`` (ends included), and in the mask."""
    keep = np.isfinite(v)
    if where is not None:
        keep &= where
    if value_range is not None:
        keep &= (v >= value_range[0]) & (v <= value_range[1])
    return v[keep]


def percentile(pixels: Array, percentiles: Sequence[float]) -> Array:
    """``numpy.percentile`` (linear); quartered first where the difference of two pixels could overflow."""
    if np.abs(pixels).max() > 1e300:
        return np.percentile(pixels / 4, percentiles) * 4
    return np.percentile(pixels, percentiles)


def mean_and_sd(pixels: Array) -> Pair:
    """Mean and population standard deviation; scaled down first where sums or squares could overflow."""
    if pixels.min() == pixels.max():  # the mean of equal numbers, rounded, need not be that number
        return (float(pixels[0]), 0.0)
    scale = 2.0**-600 if np.abs(pixels).max() > 1e140 else 1.0
    return (float((pixels * scale).mean() / scale), float((pixels * scale).std() / scale))


def normalize(
    x: Array,
    out: Array,
    *,
    in_range: Pair | None,
    percentiles: Pair | None,
    value_range: Pair | None,
    out_range: Pair | None,
    clip: bool = True,
    where: Array | None = None,
) -> None:
    """Map each image's range to ``out_range``; without a single counted pixel everything becomes its low end."""
    low_out, high_out = out_range or default_out_range(out.dtype)
    for image, result, keep in zip(x, out, masks(x, where), strict=True):
        v = image.astype(np.float64)
        if in_range is not None:
            low, high = in_range
        else:
            pixels = counted(v, value_range, keep)
            if pixels.size == 0:
                store_unit(np.where(np.isnan(v), np.nan, 0.0), low_out, high_out, result)
                continue
            low, high = percentile(pixels, percentiles or (0.0, 100.0))
        store_unit(scale_to_unit(v, low, high, clip), low_out, high_out, result)


def masks(x: Array, where: Array | None) -> Sequence[Array | None]:
    """The mask of each image."""
    return [None] * len(x) if where is None else list(where)


def standardize(
    x: Array,
    out: Array,
    *,
    value_range: Pair | None,
    mean: float | None = None,
    std: float | None = None,
    where: Array | None = None,
) -> None:
    """``(x - mean) / sd`` per image, population sd; zeros where sd is 0 or, if one is looked for, no pixel counts."""
    given = mean, std
    for image, result, keep in zip(x, out, masks(x, where), strict=True):
        v = image.astype(np.float64)
        pixels = counted(v, value_range, keep)
        own = mean_and_sd(pixels) if pixels.size else (0.0, 0.0)
        mean = own[0] if given[0] is None else given[0]
        sd = own[1] if given[1] is None else given[1]
        if pixels.size == 0 and None in given:
            sd = 0.0
        if sd > 0:
            # Quartered first, where v - mean could overflow.
            part = 0.25 if abs(mean) > 1e300 else 1.0
            with np.errstate(over="ignore"):
                store((v * part - mean * part) / (sd * part), result)
        else:
            store(np.where(np.isnan(v), np.nan, 0.0), result)


def match_histogram(
    x: Array, out: Array, *, reference: tuple[Array, Array], value_range: Pair | None, where: Array | None = None
) -> None:
    """The value that has in the reference the share of pixels at or below it that each pixel has in its image.

    Between values of the reference a straight line, as ``skimage.exposure.match_histograms``. Shares are of the pixels
    that count; without any, all pixels have the share 0. Without ``value_range`` and mask that is scikit-image's.
    """
    values, shares = reference
    for image, result, keep in zip(x, out, masks(x, where), strict=True):
        v = image.astype(np.float64)
        pixels = np.sort(counted(v, value_range, keep))
        share = np.searchsorted(pixels, v, side="right") / max(pixels.size, 1)
        nothing = values[0] if result.dtype.kind in "iu" else np.nan
        store(np.where(np.isnan(v), nothing, np.interp(share, shares, values)), result)


def extended(n: int, before: int, after: int, mode: str) -> NDArray[np.int64]:
    """Source index of positions ``-before .. n + after - 1``, by walking; -1 stands for ``cval``."""
    source = []
    for i in range(-before, n + after):
        while not 0 <= i < n and mode != "constant":
            if mode == "nearest":
                i = 0 if i < 0 else n - 1
            elif mode == "wrap":
                i += n if i < 0 else -n
            elif mode == "reflect":
                i = -1 - i if i < 0 else 2 * n - 1 - i
            elif n == 1:
                i = 0
            else:
                i = -i if i < 0 else 2 * n - 2 - i
        source.append(i if 0 <= i < n else -1)
    return np.array(source)


def padded(image: Array, before: Sequence[int], after: Sequence[int], mode: Mode, cval: float) -> Array:
    """``image`` with its border extended, by a number before and after it for each axis."""
    modes = modes_of(mode, image.ndim)
    sources = [extended(n, b, a, m) for n, b, a, m in zip(image.shape, before, after, modes, strict=True)]
    wide = image[np.ix_(*sources)].copy()
    for axis, source in enumerate(sources):
        np.moveaxis(wide, axis, 0)[source < 0] = cval
    return wide


def median_filter(
    x: Array, out: Array, *, size: tuple[int, ...], footprint: Any = None, mode: Mode, cval: float, origin: Origin = 0
) -> None:
    """The middle value of the ``size`` window around each pixel, as ``scipy.ndimage.median_filter``.

    A ``footprint`` says by ones which pixels of a window count; its middle is at half of each side, rounded down, and
    of an even number of pixels the upper of the middle two is taken. The ``origin`` is how far behind its middle the
    pixel lies that a window is of.
    """
    mask = window_mask(size, footprint)
    ranked(x, out, mask, int(mask.sum()) // 2, mode, cval, origin)


def rank_filter(
    x: Array,
    out: Array,
    *,
    rank: int,
    size: tuple[int, ...],
    footprint: Any = None,
    mode: Mode,
    cval: float,
    origin: Origin = 0,
) -> None:
    """The value of one rank, 0 the smallest, in the window around each pixel, as ``scipy.ndimage.rank_filter``."""
    ranked(x, out, window_mask(size, footprint), rank, mode, cval, origin)


def percentile_filter(
    x: Array,
    out: Array,
    *,
    percentile: float,
    size: tuple[int, ...],
    footprint: Any = None,
    mode: Mode,
    cval: float,
    origin: Origin = 0,
) -> None:
    """The value whose rank is this share of the window's pixels, cut down, as ``scipy.ndimage.percentile_filter``."""
    mask = window_mask(size, footprint)
    ranked(x, out, mask, rank_of(percentile, int(mask.sum())), mode, cval, origin)


def window_mask(size: tuple[int, ...], footprint: Any) -> Array:
    """Which pixels of a box count."""
    return np.ones(size, bool) if footprint is None else np.array(footprint, bool)


def ranked(x: Array, out: Array, mask: Array, rank: int, mode: Mode, cval: float, origin: Origin) -> None:
    """The value of one rank of the window around each pixel; NaN sorts last."""
    before = [side // 2 + shift for side, shift in zip(mask.shape, each_axis(origin, mask.ndim), strict=True)]
    after = [side - 1 - b for side, b in zip(mask.shape, before, strict=True)]
    for image, result in zip(x, out, strict=True):
        wide = padded(image, before, after, mode, cval)
        windows = np.lib.stride_tricks.sliding_window_view(wide, mask.shape)
        result[...] = np.sort(windows[..., mask], axis=-1)[..., rank]


def gaussian_weights(sigma: float, truncate: float, order: int = 0) -> NDArray[np.float64]:
    """Weights of ``scipy.ndimage.gaussian_filter1d``, centre first and then those behind: shape ``(radius + 1,)``.

    Those of a derivative are Hermite's polynomial times the normalised Gaussian; of an odd one they change their sign
    before the centre.
    """
    radius = gaussian_radius(sigma, truncate)
    place = np.arange(-radius, radius + 1) / sigma
    full = np.exp(-0.5 * place**2)
    full /= full.sum()
    if order and sigma > 1e-15:
        from numpy.polynomial.hermite_e import hermeval

        full *= hermeval(-place, [0] * order + [1]) * (-1 / sigma) ** order
    weights: NDArray[np.float64] = full[radius:]
    return weights


def gaussian_filter(
    x: Array,
    out: Array,
    *,
    sigma: tuple[float, ...],
    truncate: float | tuple[float, ...],
    mode: Mode,
    cval: float,
    order: Origin = 0,
) -> None:
    """Separable Gaussian, first axis first, as ``scipy.ndimage.gaussian_filter``; integers are rounded, not cut."""
    axes = len(sigma)
    orders = each_axis(order, axes)
    weights = [gaussian_weights(*each) for each in zip(sigma, each_axis(truncate, axes), orders, strict=True)]
    for image, result in zip(x, out, strict=True):
        v = image.astype(np.float64)
        for axis, w in enumerate(weights):
            r = len(w) - 1
            n = v.shape[axis]
            reach = [r if a == axis else 0 for a in range(v.ndim)]
            wide = np.moveaxis(padded(v, reach, reach, mode, cval), axis, 0)
            sign = -1.0 if orders[axis] % 2 else 1.0
            total = w[0] * wide[r : r + n]
            for j in range(1, r + 1):
                total = total + w[j] * (sign * wide[r - j : r - j + n] + wide[r + j : r + j + n])
            v = np.moveaxis(total, 0, axis)
        store(v, result)


def clahe_range(image: Array, value_range: Pair | None) -> Pair:
    """What the bins span: the given range, else all of an unsigned dtype, else the image's finite range."""
    if value_range is not None:
        if image.dtype.kind == "f":
            limits = np.finfo(image.dtype)
            low, high = np.clip(value_range, float(limits.min), float(limits.max)).astype(image.dtype)
            return (float(low), float(high))
        return value_range
    if image.dtype.kind == "u":
        return default_out_range(image.dtype)
    finite = image[np.isfinite(image)] if image.dtype.kind == "f" else image.ravel()
    if finite.size == 0:
        return (0.0, 0.0)
    return (float(finite.min()), float(finite.max()))


def clahe_bin_index(image: Array, low: float, high: float, nbins: int) -> NDArray[np.int64]:
    """Bin of each pixel. Integers: exact, the range's ends included. Floats: in the image's own precision."""
    if image.dtype.kind in "iu":
        v = np.clip(image.astype(np.int64), int(low), int(high)) - int(low)
        return v * nbins // (int(high) - int(low) + 1)
    t = image.dtype.type
    half = t(0.5)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        v = np.where(image > t(low), np.minimum(image, t(high)), t(low))  # NaN compares false: the low end
        # Halved first: high - low of two huge floats overflows, and halving is exact.
        scale = t(nbins) / (t(high) * half - t(low) * half)
        position = (v * half - t(low) * half) * scale
        return np.where(position < t(nbins - 1), position, t(nbins - 1)).astype(np.int64)


def clahe_tile_lut(
    bins: NDArray[np.int64], nbins: int, clip_limit: float, span: float, whole: bool
) -> NDArray[np.float32]:
    """One tile's table from bin to level, OpenCV's clip and redistribution.

    Integers: the offset from the range's low end, a whole number. Floats: 0 at the low end, 1 at the high end.
    """
    hist = np.bincount(bins.ravel(), minlength=nbins)
    if clip_limit > 0:
        limit = max(int(min(clip_limit * bins.size / nbins, bins.size)), 1)
        excess = int(np.maximum(hist - limit, 0).sum())
        hist = np.minimum(hist, limit) + excess // nbins
        residual = excess % nbins
        if residual:
            step = max(nbins // residual, 1)
            hist[: step * residual : step] += 1
    total = np.cumsum(hist).astype(np.float32)
    if not whole:
        return total / np.float32(bins.size)
    scale = np.float32(span) / np.float32(bins.size)
    return np.minimum(np.rint(total * scale), np.float32(span))


def clahe_padding(shape: Sequence[int], tile_grid: Sequence[int]) -> list[int]:
    """By how much tiles reach over the end of each axis.

    OpenCV pads rows and columns when either does not divide, the other by a whole grid row or column more. Planes are
    padded for themselves, so that a grid of one tile along them makes no difference to the slices of one plane.
    """
    over = [tiles - n % tiles for n, tiles in zip(shape, tile_grid, strict=True)]
    uneven = [n % tiles > 0 for n, tiles in zip(shape, tile_grid, strict=True)]
    uneven[-2:] = [any(uneven[-2:])] * 2
    return [pixels if needed else 0 for pixels, needed in zip(over, uneven, strict=True)]


def clahe(
    x: Array, out: Array, *, clip_limit: float, tile_grid: tuple[int, ...], nbins: int, value_range: Pair | None
) -> None:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld 1994) with the semantics of ``cv2.createCLAHE``.

    The result spans the same range as the bins, in the dtype of the input, so that uint8 with 256 and uint16 with
    65,536 bins are OpenCV's results bit for bit. A range of no width gives its one value everywhere.

    A grid of (planes, rows, columns) is the same with tiles that are boxes: each plane of a volume gets tables of its
    own, blended linearly from those of the tiles before and behind it, and is blended from them as an image is.
    """
    for image, result in zip(x, out, strict=True):
        low, high = clahe_range(image, value_range)
        if low == high:
            result[...] = low
            continue
        bins = clahe_bin_index(image, low, high, nbins)
        padding = clahe_padding(image.shape, tile_grid)
        wide = bins[np.ix_(*(extended(n, 0, p, "mirror") for n, p in zip(image.shape, padding, strict=True)))]
        tile = [n // tiles for n, tiles in zip(wide.shape, tile_grid, strict=True)]
        luts = np.empty((*tile_grid, nbins), np.float32)
        for place in np.ndindex(*tile_grid):
            inside = tuple(slice(k * side, (k + 1) * side) for k, side in zip(place, tile, strict=True))
            luts[place] = clahe_tile_lut(wide[inside], nbins, clip_limit, high - low, image.dtype.kind in "iu")
        if len(tile_grid) == 2:
            result[...] = clahe_blend(bins, luts, tile, (low, high), image.dtype)
            continue
        before, behind, weight = clahe_neighbours(image.shape[0], tile[0], tile_grid[0])
        for z, w in enumerate(weight):
            mixed = luts[before[z]] * (np.float32(1) - w) + luts[behind[z]] * w
            result[z] = clahe_blend(bins[z], mixed, tile[1:], (low, high), image.dtype)


def clahe_neighbours(n: int, tile: int, tiles: int) -> tuple[Array, Array, Array]:
    """The tiles between whose centres each position of an axis lies, and the weight of the second."""
    position = np.arange(n, dtype=np.float32) * (np.float32(1) / np.float32(tile)) - np.float32(0.5)
    first = np.floor(position).astype(np.int64)
    return np.maximum(first, 0), np.minimum(first + 1, tiles - 1), position - first.astype(np.float32)


def clahe_blend(
    bins: NDArray[np.int64], luts: NDArray[np.float32], tile: Sequence[int], ends: Pair, dtype: np.dtype[Any]
) -> Array:
    """Bilinear blend of the four neighbouring tiles' tables, float32 in OpenCV's order of operations."""
    j1, j2, ya = clahe_neighbours(bins.shape[0], tile[0], luts.shape[0])
    i1, i2, xa = clahe_neighbours(bins.shape[1], tile[1], luts.shape[1])
    j1, j2, ya = j1[:, None], j2[:, None], ya[:, None]
    one = np.float32(1)
    top = luts[j1, i1, bins] * (one - xa) + luts[j1, i2, bins] * xa
    bottom = luts[j2, i1, bins] * (one - xa) + luts[j2, i2, bins] * xa
    blended = top * (one - ya) + bottom * ya
    if dtype.kind in "iu":
        return np.rint(blended).astype(np.int64) + int(ends[0])
    share = blended.astype(dtype)
    low, high = dtype.type(ends[0]), dtype.type(ends[1])
    return low * (dtype.type(1) - share) + high * share  # stays within the ends however large they are


def histogram(x: Array, out: Array, *, edges: Array, where: Array | None = None) -> None:
    """Counts per image between ``edges``, the last bin closed on the right, as ``numpy.histogram``."""
    for image, counts, keep in zip(x, out, masks(x, where), strict=True):
        pixels = image if keep is None else image[keep]
        counts[...] = np.histogram(pixels.astype(edges.dtype), edges)[0]


def summary(x: Array, out: Array, *, percentiles: tuple[float, ...], where: Array | None = None) -> None:
    """Per image: count, mean, population sd, minimum, maximum of the finite pixels, then ``numpy.percentile``."""
    for image, row, keep in zip(x, out, masks(x, where), strict=True):
        pixels = counted(image.astype(np.float64), None, keep)
        if pixels.size == 0:
            row[...] = np.nan
            row[0] = 0
            continue
        row[:5] = (pixels.size, *mean_and_sd(pixels), pixels.min(), pixels.max())
        row[5:] = percentile(pixels, percentiles)


def label_tissue(x: Array, out: Array, *, edges: tuple[float, ...]) -> None:
    """How many of the rising ``edges`` each pixel reaches (``numpy.digitize``); NaN becomes ``NO_LABEL``."""
    labels = np.searchsorted(np.asarray(edges), x.astype(np.float64), side="right")
    out[...] = np.where(np.isnan(x), NO_LABEL, labels)
