"""The public operations on CT images.

Every function takes an image ``(H, W)`` or a batch ``(..., H, W)`` of uint8, int16, uint16, float32 or float64: a NumPy
array of any layout, or an array of CuPy, PyTorch or JAX on the CPU or a CUDA GPU; the result is of the same kind and in
the same place. All but ``clahe`` also take bool, int8, float16, and wider integers whose values fit into 16 bits, for
which they look at the pixels. Gray images with their channel last, ``(..., H, W, 1)`` with three axes or
more, are the images ``(..., H, W)`` and come back as they came; 2, 3 or 4 in the last of three axes or more is refused,
as it may be colour. What ``read_image`` gives is taken for its ``pixels``. Everything after the image is keyword-only
but for the one obvious argument. ``out=`` takes an array of the result's shape and dtype in the image's place (in place
works); filters that keep the units (medians, ranks, Gaussians) write to any wider dtype, Gaussians with the fractions
that a float one holds.
``backend=`` is ``"cpu"``, ``"gpu"``, ``"reference"`` or ``None`` for where the array lives; an array from elsewhere is
copied there and the result back.

Filters take one number for rows and columns, two (rows, columns), or three (planes, rows, columns). Three filter
volumes ``(..., D, H, W)``; with one or two, slices of a volume are images like any others. So they are to
``normalize``, ``standardize``, ``match_histogram``, ``histogram`` and ``summary``, unless ``axes=3`` takes each volume
as a whole.

On a GPU the work is put on the current stream (CuPy's; for torch arrays, torch's) and the call returns at once. Calls
with JAX arrays wait for their result, as JAX can't be told to keep its memory until then.

All raise ``ctfast.errors``: ``DTypeError``, ``ShapeError``, ``ArgumentError``, ``BackendUnavailableError``. What NaN
and infinities do is said in each function and listed in ``ctkernels.reference``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from numpy.typing import DTypeLike

from ctfast.dispatch.call import call
from ctfast.dispatch.kinds import footprint as checked_footprint
from ctfast.dispatch.kinds import in_pixels
from ctfast.dispatch.kinds import reference_histogram as checked_reference
from ctfast.dispatch.statistics import statistic
from ctfast.results import Histogram, Summary
from ctkernels.contract import TISSUE_EDGES

_MOST_REMEMBERED = 1 << 16
"""Values of a reference histogram."""

Mode = Literal["reflect", "mirror", "nearest", "wrap", "constant"]
Modes = Mode | tuple[Mode, Mode] | tuple[Mode, Mode, Mode]
VOIFunction = Literal["linear", "linear_exact", "sigmoid"]
Axes = Literal[2, 3] | tuple[int, int] | tuple[int, int, int]
Range = tuple[float, float]
OpenRange = tuple[float | None, float | None]


def rescale(
    image: Any,
    *,
    slope: float = 1.0,
    intercept: float = 0.0,
    axes: Axes | None = None,
    dtype: DTypeLike | None = None,
    out: Any = None,
    backend: str | None = None,
) -> Any:
    """Stored values to output units: ``image * slope + intercept`` (DICOM Rescale Slope and Intercept, PS3.3 C.11.1).

    For CT the result is in Hounsfield units (HU).

    Args:
        image: ``(..., H, W)``.
        slope: output units per stored unit.
        intercept: output units at stored value 0, often -1024.
        axes: which axes are rows and columns, where they are not the last; the result is the same.
        dtype: float32 (default), float64, or int16 (rounded half to even, saturated).
        out: array for the result.
        backend: see the module's documentation.

    NaN and inf go through; in an int16 result NaN becomes -32768 and inf saturates.
    """
    return call(
        "rescale",
        image,
        {"slope": slope, "intercept": intercept},
        dtype=dtype,
        out=out,
        backend_name=backend,
        axes=axes,
    )


def window(
    image: Any,
    *,
    center: float,
    width: float,
    function: VOIFunction = "linear",
    out_range: Range | None = None,
    slope: float = 1.0,
    intercept: float = 0.0,
    axes: Axes | None = None,
    dtype: DTypeLike | None = None,
    out: Any = None,
    backend: str | None = None,
) -> Any:
    """Show the values around ``center`` (DICOM Window Center and Width, PS3.3 C.11.2.1.2 and C.11.2.1.3).

    ``linear`` is DICOM's default: it maps ``center - 0.5 - (width - 1) / 2`` to the low end of ``out_range`` and
    ``center - 0.5 + (width - 1) / 2`` to the high end and clips; ``linear_exact`` uses ``center - width / 2`` and
    ``center + width / 2``; ``sigmoid`` is ``1 / (1 + exp(-4 (x - center) / width))``.

    Args:
        image: ``(..., H, W)``.
        center: middle of the window, in HU (after ``slope`` and ``intercept``).
        width: width of the window in HU, above 0 (``linear``: at least 1).
        function: DICOM's VOI LUT Function.
        out_range: what the window maps to; default 0..1 for float32, the whole type for uint8 and uint16.
        slope: Rescale Slope, applied first in the same pass, for images of stored values.
        intercept: Rescale Intercept.
        axes: which axes are rows and columns, where they are not the last; the result is the same.
        dtype: float32 (default), uint8 or uint16 (rounded half to even).
        out: array for the result.
        backend: see the module's documentation.

    NaN stays NaN in a float result and becomes the low end in an integer one; inf saturates.
    """
    params = {
        "center": center,
        "width": width,
        "function": function,
        "out_range": out_range,
        "slope": slope,
        "intercept": intercept,
    }
    return call("window", image, params, dtype=dtype, out=out, backend_name=backend, axes=axes)


def normalize(
    image: Any,
    *,
    in_range: Range | None = None,
    percentiles: Range | None = None,
    value_range: OpenRange | None = None,
    out_range: Range | None = None,
    clip: bool = True,
    where: Any = None,
    axes: Axes = 2,
    dtype: DTypeLike | None = None,
    out: Any = None,
    backend: str | None = None,
) -> Any:
    """Map a range of values linearly to ``out_range``, clipped; each image of a batch by its own range.

    The range is each image's minimum and maximum, or ``in_range``, or two ``percentiles`` (``numpy.percentile``).
    An image without any range (constant) becomes the low end of ``out_range``.

    Args:
        image: ``(..., H, W)``.
        in_range: fixed input range (low, high).
        percentiles: (low, high) in percent, such as ``(1, 99)``.
        value_range: only pixels inside it count when the range is found; ``(-1100, None)`` leaves padding of -2000 out.
        out_range: default 0..1 for float32, the whole type for uint8 and uint16.
        clip: False lets values outside the range go on along the line (integers end with their type).
        where: a boolean array, or one that NumPy spreads over the image: only these pixels count when the range is
            found; all are mapped.
        axes: 2 for a range for each image, 3 for one for each volume ``(D, H, W)``, or which axes these are.
        dtype: float32 (default), uint8 or uint16 (rounded half to even).
        out: array for the result.
        backend: see the module's documentation.

    NaN and inf don't count for the range; NaN stays NaN (integers: the low end), inf saturates.
    """
    params = {
        "in_range": in_range,
        "percentiles": percentiles,
        "value_range": value_range,
        "out_range": out_range,
        "clip": clip,
        "axes": axes,
    }
    return call("normalize", image, params, dtype=dtype, out=out, backend_name=backend, where=where)


def standardize(
    image: Any,
    *,
    value_range: OpenRange | None = None,
    mean: float | None = None,
    std: float | None = None,
    where: Any = None,
    axes: Axes = 2,
    dtype: DTypeLike | None = None,
    out: Any = None,
    backend: str | None = None,
) -> Any:
    """Z-score: ``(x - mean) / sd`` with each image's own mean and population standard deviation, or given ones.

    Args:
        image: ``(..., H, W)``.
        value_range: only pixels inside it (both ends included) count for mean and sd; all pixels are transformed.
        mean: instead of each image's own, such as that of a training set.
        std: standard deviation, above 0, instead of each image's own.
        where: a boolean array, or one that NumPy spreads over the image: only these pixels count for mean and sd; all
            are transformed.
        axes: 2 for each image's own mean and deviation, 3 for those of each volume ``(D, H, W)``, or which axes these
            are.
        dtype: float32 (default) or float64.
        out: array for the result.
        backend: see the module's documentation.

    NaN and inf don't count and stay what they are. A constant image becomes 0 everywhere, unless ``std`` is given.
    """
    params = {"value_range": value_range, "mean": mean, "std": std, "axes": axes}
    return call("standardize", image, params, dtype=dtype, out=out, backend_name=backend, where=where)


def match_histogram(
    image: Any,
    reference: Any,
    *,
    value_range: OpenRange | None = None,
    where: Any = None,
    axes: Axes = 2,
    dtype: DTypeLike | None = None,
    out: Any = None,
    backend: str | None = None,
) -> Any:
    """Give each image the histogram of a reference, as ``skimage.exposure.match_histograms``.

    A pixel that has some share of its image's pixels at or below it becomes the value that has this share in the
    reference; between the reference's values a straight line. Only the order of an image's values matters, so stored
    values and HU give the same. The result is in the reference's units, but no measurement any more.

    Args:
        image: ``(..., H, W)``.
        reference: a :class:`ctfast.ReferenceHistogram`, the file of one, or ``(values, counts)`` as
            ``numpy.unique(images, return_counts=True)`` gives them.
        value_range: only pixels inside it (both ends included) count for the shares; all are mapped, those below to the
            reference's lowest value and those above to its highest. ``(-1100, None)`` leaves padding of -2000 out.
        where: a boolean array, or one that NumPy spreads over the image: only these pixels count for the shares; all
            are mapped.
        axes: 2 for each image's own shares, 3 for those of each volume ``(D, H, W)``, or which axes these are.
        dtype: float32 (default), float64, or int16, uint8 or uint16 (rounded half to even, saturated).
        out: array for the result.
        backend: see the module's documentation.

    NaN and inf don't count; NaN stays NaN (integers: the reference's lowest value), inf becomes the reference's highest
    value and -inf its lowest.
    """
    reference = checked_reference("reference", reference)  # so that a file is read once, and the call remembered
    # Calls are remembered with what they were given, but not by hundreds of histograms of megabytes: lists can't be.
    given = reference if reference.values.size <= _MOST_REMEMBERED else [reference]
    params = {"reference": given, "value_range": value_range, "axes": axes}
    return call("match_histogram", image, params, dtype=dtype, out=out, backend_name=backend, where=where)


def median_filter(
    image: Any,
    size: int | tuple[int, int] | tuple[int, int, int] = 3,
    *,
    footprint: Any = None,
    mode: Modes = "reflect",
    cval: float = 0.0,
    origin: int | tuple[int, ...] = 0,
    axes: Axes | None = None,
    out: Any = None,
    backend: str | None = None,
) -> Any:
    """Median of the window around each pixel, equal to ``scipy.ndimage.median_filter`` in every value.

    Args:
        image: ``(..., H, W)``; images of a batch are never mixed, unless ``size`` has three numbers.
        size: window size in pixels, or (rows, columns); (planes, rows, columns) for volumes ``(..., D, H, W)``. It may
            be larger than the image. Odd sides are fast; with even ones up to 4,096 pixels, whose middle and value are
            those of a ``footprint`` of ones.
        footprint: instead of ``size``, a window of any shape: an array (rows, columns) or (planes, rows, columns) of 0
            and 1, such as ``skimage.morphology.disk(3)`` or ``ball(2)``. Its middle is at half of each side, rounded
            down; of an even number of ones the upper of the middle two values is taken, as in SciPy.
        mode: how the border is extended (``scipy.ndimage``'s words; OpenCV's default REFLECT_101 is ``mirror``), one
            for all axes or one for each.
        cval: value outside the image for ``mode="constant"``.
        origin: by how many pixels the window lies before its pixel, one number for all axes or one for each, as in
            SciPy: 1 moves a window of three pixels to the two before and the pixel itself.
        axes: which axes ``size`` is of, where they are not the last: see the module's documentation.
        out: array for the result.
        backend: see the module's documentation.

    NaN counts as larger than every number.
    """
    if footprint is not None:
        footprint = checked_footprint("footprint", footprint)  # tuples, so that the call can be remembered
    params = {"size": size, "footprint": footprint, "mode": mode, "cval": cval, "origin": origin}
    return call("median_filter", image, params, out=out, backend_name=backend, axes=axes)


def rank_filter(
    image: Any,
    rank: int,
    *,
    size: int | tuple[int, int] | tuple[int, int, int] = 3,
    footprint: Any = None,
    mode: Modes = "reflect",
    cval: float = 0.0,
    origin: int | tuple[int, ...] = 0,
    axes: Axes | None = None,
    out: Any = None,
    backend: str | None = None,
) -> Any:
    """The value of one rank in the window around each pixel, equal to ``scipy.ndimage.rank_filter``.

    Args:
        image: ``(..., H, W)``; images of a batch are never mixed, unless ``size`` has three numbers.
        rank: 0 is the smallest of the window, so 0 erodes; below 0 from the largest on: -1 dilates.
        size: window size in pixels, odd or even, or (rows, columns); (planes, rows, columns) for volumes
            ``(..., D, H, W)``. Its middle is at half of each side, rounded down.
        footprint: instead of ``size``, a window of any shape, as for ``median_filter``; 4,096 pixels at most.
        mode: how the border is extended (``scipy.ndimage``'s words), one for all axes or one for each.
        cval: value outside the image for ``mode="constant"``.
        origin: by how many pixels the window lies before its pixel, as for ``median_filter``.
        axes: which axes ``size`` is of, where they are not the last: see the module's documentation.
        out: array for the result.
        backend: see the module's documentation.

    NaN counts as larger than every number.
    """
    if footprint is not None:
        footprint = checked_footprint("footprint", footprint)
    params = {
        "rank": rank,
        "size": size,
        "footprint": footprint,
        "mode": mode,
        "cval": cval,
        "origin": origin,
    }
    return call("rank_filter", image, params, out=out, backend_name=backend, axes=axes)


def percentile_filter(
    image: Any,
    percentile: float,
    *,
    size: int | tuple[int, int] | tuple[int, int, int] = 3,
    footprint: Any = None,
    mode: Modes = "reflect",
    cval: float = 0.0,
    origin: int | tuple[int, ...] = 0,
    axes: Axes | None = None,
    out: Any = None,
    backend: str | None = None,
) -> Any:
    """A percentile of the window around each pixel, equal to ``scipy.ndimage.percentile_filter``.

    Args:
        image: ``(..., H, W)``; images of a batch are never mixed, unless ``size`` has three numbers.
        percentile: from 0 (smallest) to 100 (largest), cut down to a rank; below 0 from 100 down: -20 is 80.
        size: window size in pixels, odd or even, or (rows, columns); (planes, rows, columns) for volumes
            ``(..., D, H, W)``. Its middle is at half of each side, rounded down.
        footprint: instead of ``size``, a window of any shape, as for ``median_filter``; 4,096 pixels at most.
        mode: how the border is extended (``scipy.ndimage``'s words), one for all axes or one for each.
        cval: value outside the image for ``mode="constant"``.
        origin: by how many pixels the window lies before its pixel, as for ``median_filter``.
        axes: which axes ``size`` is of, where they are not the last: see the module's documentation.
        out: array for the result.
        backend: see the module's documentation.

    NaN counts as larger than every number.
    """
    if footprint is not None:
        footprint = checked_footprint("footprint", footprint)
    params = {
        "percentile": percentile,
        "size": size,
        "footprint": footprint,
        "mode": mode,
        "cval": cval,
        "origin": origin,
    }
    return call("percentile_filter", image, params, out=out, backend_name=backend, axes=axes)


def gaussian_filter(
    image: Any,
    sigma: float | tuple[float, float] | tuple[float, float, float] = 1.0,
    *,
    truncate: float = 4.0,
    mode: Modes = "reflect",
    cval: float = 0.0,
    spacing: float | Sequence[float] | None = None,
    order: int | tuple[int, ...] = 0,
    radius: int | tuple[int, ...] | None = None,
    axes: Axes | None = None,
    out: Any = None,
    backend: str | None = None,
) -> Any:
    """Gaussian smoothing with the kernel of ``scipy.ndimage.gaussian_filter``, or its derivatives.

    float64 images are filtered in float64, all others in float32; integers are rounded half to even (SciPy cuts).
    Derivatives are summed in float64.

    Args:
        image: ``(..., H, W)``; images of a batch are never mixed, unless ``sigma`` has three numbers.
        sigma: standard deviation in pixels, above 0, or (rows, columns); (planes, rows, columns) for volumes
            ``(..., D, H, W)``. Of several, 0 leaves an axis alone.
        truncate: the kernel ends at this many standard deviations.
        mode: how the border is extended (``scipy.ndimage``'s words), one for all axes or one for each.
        cval: value outside the image for ``mode="constant"``.
        spacing: distance of pixels along each axis in mm, as ``Image.spacing`` (rows, columns) or
            ``Image.geometry.spacing`` (planes, rows, columns) of a file; ``sigma`` is in mm then, one number or one an
            axis. All images of a batch have the same.
        order: derivative of the Gaussian, one number for all axes or one for each: 0 smooths, ``(0, 1)`` is the slope
            along the rows, per pixel. Integers are rounded and end with their type: unsigned ones have no slopes
            below 0.
        radius: half-width of the kernel in pixels instead of ``truncate``, one number for all axes or one for each.
        axes: which axes ``sigma`` is of, where they are not the last: see the module's documentation.
        out: array for the result.
        backend: see the module's documentation.

    NaN and inf spread to every pixel whose window holds them. Pixels at equal distances are added before they are
    weighed, so values beyond half of the largest of the dtype (1.7e38 in float32) become inf or NaN.
    """
    if spacing is not None:
        sigma = in_pixels(sigma, spacing)
    params = {
        "sigma": sigma,
        "truncate": truncate,
        "mode": mode,
        "cval": cval,
        "order": order,
        "radius": radius,
    }
    return call("gaussian_filter", image, params, out=out, backend_name=backend, axes=axes)


def clahe(
    image: Any,
    *,
    clip_limit: float = 2.0,
    tile_grid: int | tuple[int, int] | tuple[int, int, int] = (8, 8),
    nbins: int = 256,
    value_range: Range | None = None,
    axes: Axes | None = None,
    out: Any = None,
    backend: str | None = None,
) -> Any:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld 1994), with the semantics of ``cv2.createCLAHE``.

    uint8 with 256 bins and uint16 with ``nbins=65536`` are OpenCV's results bit for bit. Three numbers as ``tile_grid``
    equalise volumes: tiles are boxes, and a voxel is blended from those of the eight around it, OpenCV's rules along
    one axis more. Slices are then equalised alike, and noise less than slice by slice.

    Args:
        image: ``(..., H, W)``; images of a batch are never mixed, unless ``tile_grid`` has three numbers.
        clip_limit: highest bin, as a multiple of the mean bin height; 0 switches clipping off.
        tile_grid: tiles as (rows, columns); (planes, rows, columns) for volumes ``(..., D, H, W)``.
        nbins: bins over ``value_range``, 2 to 65,536.
        value_range: the values that the bins and the result span, (low, high); values outside are clipped. Default:
            all of the type for uint8 and uint16; each image's (volume's) own minimum and maximum for int16 and floats.
        axes: which axes ``tile_grid`` is of, where they are not the last: see the module's documentation.
        out: array for the result, which has the dtype of the image.
        backend: see the module's documentation.

    NaN and -inf count as the low end, +inf as the high end; the result is always finite.
    """
    params = {"clip_limit": clip_limit, "tile_grid": tile_grid, "nbins": nbins, "value_range": value_range}
    return call("clahe", image, params, out=out, backend_name=backend, axes=axes)


def histogram(
    image: Any,
    bins: int = 256,
    *,
    value_range: Range | None = None,
    where: Any = None,
    axes: Axes = 2,
    backend: str | None = None,
) -> Histogram:
    """Pixel counts in equal bins by the rules of ``numpy.histogram``: the same counts and edges.

    Args:
        image: ``(..., H, W)``; each image of a batch gets its own counts over shared edges.
        bins: number of bins.
        value_range: (low, high); values outside are not counted. Default: minimum and maximum of the whole array.
        where: a boolean array, or one that NumPy spreads over the image: only these pixels are counted.
        axes: 2 for the counts of each image, 3 for those of each volume ``(D, H, W)``, or which axes these are.
        backend: see the module's documentation.

    Returns:
        ``(counts, edges)``: int64 of shape ``(..., bins)``, and ``(bins + 1,)`` (read-only).

    Raises:
        ValueRangeError: no ``value_range`` and NaN or inf in the data. With a range, NaN is not counted.
    """
    params = {"bins": bins, "value_range": value_range, "axes": axes}
    return statistic("histogram", image, params, backend_name=backend, where=where)


def summary(
    image: Any,
    *,
    percentiles: float | Sequence[float] = (25.0, 50.0, 75.0),
    where: Any = None,
    axes: Axes = 2,
    backend: str | None = None,
) -> Summary:
    """The box-plot statistics of each image: count, mean, population sd, minimum, maximum and percentiles.

    Args:
        image: ``(..., H, W)``.
        percentiles: in percent, by ``numpy.percentile``'s linear rule; the default gives the quartiles.
        where: a boolean array, or one that NumPy spreads over the image: only these pixels count.
        axes: 2 for the statistics of each image, 3 for those of each volume ``(D, H, W)``, or which axes these are.
        backend: see the module's documentation.

    NaN and inf are left out; ``count`` says how many pixels were used.
    """
    params = {"percentiles": percentiles, "axes": axes}
    return statistic("summary", image, params, backend_name=backend, where=where)


def label_tissue(
    image: Any,
    *,
    edges: Sequence[float] = TISSUE_EDGES,
    axes: Axes | None = None,
    out: Any = None,
    backend: str | None = None,
) -> Any:
    """Label each pixel by the range of HU that it falls in: 0 below the first edge, then 1, 2, ... (uint8).

    A pixel's label is the number of edges that it reaches, as in ``numpy.digitize``. The default edges are those of
    ``ctfast.analysis.TISSUES``, which names the tissue of each label with its source.

    Args:
        image: ``(..., H, W)`` in HU (the default edges mean nothing for other values).
        edges: 1 to 254 rising numbers; an edge belongs to the range above it.
        axes: which axes are rows and columns, where they are not the last; the result is the same.
        out: uint8 array for the result.
        backend: see the module's documentation.

    NaN gets the label 255.
    """
    return call("label_tissue", image, {"edges": edges}, out=out, backend_name=backend, axes=axes)
