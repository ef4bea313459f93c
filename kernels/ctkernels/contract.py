"""The one list of operations: parameters, dtype rules, units, how results are compared, how far a filter reaches.

The dispatcher, the argument checks, pipelines, the network's preprocessing, ``ctfast warm`` and ``ctfast bench``,
pictures, tests, benchmarks and the support table in the documents all read this table. It imports nothing but the
standard library, so that reading it costs nothing.

A backend is a package that has one module per operation, each with one function of the operation's name::

    op(x, out, *, <every parameter of the operation>) -> None

``x`` is a C-contiguous, native-endian array of shape ``(N, H, W)``, all sizes at least 1, dtype in ``IMAGE_DTYPES``;
``out`` is C-contiguous, already allocated, of the shape that ``Operation.result_shape`` gives and never overlaps ``x``.
Parameters arrive checked and in normal form (``size`` and ``sigma`` as pairs, ranges as pairs of floats or ``None``).
Where ``size``, ``sigma`` or ``tile_grid`` has three numbers, or ``footprint`` three axes, ``x`` and ``out`` are
volumes, ``(N, D, H, W)``.
A ``footprint`` stands instead of ``size``: rows (or planes of rows) of 0 and 1, tuples in a tuple.
``mode`` is one word, or a tuple of one for each axis where they differ; ``origin`` and ``order`` are 0, or a tuple of
one number for each axis. ``radius`` never reaches a kernel: ``truncate`` then is a tuple of what gives each its radius.
``rank`` counts from 0, the smallest; a ``percentile`` goes from 0 to 100.
``axes`` never reaches a kernel: a volume taken as a whole is an image of ``D * H`` rows.
Where ``Operation.masks``, kernels also take ``where=``: a boolean array of ``x``'s shape where ``x`` is, or None.
``histogram`` gets something else than it is called with: the bin ``edges`` that ``bins`` and ``value_range`` mean, an
array as ``numpy.histogram_bin_edges`` gives it (float32 for float32 images, else float64). ``match_histogram`` gets
``reference`` as two float64 arrays: rising values, and the share of the reference's pixels up to each, rising to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final, Literal, NamedTuple

IMAGE_DTYPES: Final = ("uint8", "int16", "uint16", "float32", "float64")
MODES: Final = ("reflect", "mirror", "nearest", "wrap", "constant")
VOI_FUNCTIONS: Final = ("linear", "linear_exact", "sigmoid")

SUMMARY_FIELDS: Final = ("count", "mean", "std", "min", "max")
"""The first columns that ``summary`` writes; the requested percentiles follow."""

TISSUE_EDGES: Final = (-1024.0, -950.0, -500.0, -190.0, -30.0, 15.0, 130.0, 400.0, 700.0, 2500.0)
"""Default edges of ``label_tissue`` in HU; ``ctfast.analysis`` names the tissues between them, with sources."""

NO_LABEL: Final = 255
"""What ``label_tissue`` writes where a pixel is NaN."""

REQUIRED: Final = object()
SAME: Final = ("same",)

Params = Mapping[str, Any]
Halo = tuple[int, int] | tuple[int, int, int]
"""How far a filter reaches along rows and columns, or along planes, rows and columns."""


@dataclass(frozen=True)
class Param:
    """One parameter: its name, the name of the check that brings it to normal form, its default."""

    name: str
    kind: str
    default: Any = REQUIRED
    fits: Literal["", "image", "result"] = ""
    """Whose dtype must hold the value: the image's (whole numbers, where that has them), or the result's."""

    @property
    def required(self) -> bool:
        """Whether a caller must give it."""
        return self.default is REQUIRED


def _no_halo(_: Params) -> Halo:
    return (0, 0)


def _window_halo(params: Params) -> Halo:
    sides = window_sides(params)
    shifts = params.get("origin") or (0,) * len(sides)
    befores = (n // 2 + shift for n, shift in zip(sides, shifts, strict=True))
    return tuple(max(before, n - 1 - before) for n, before in zip(sides, befores, strict=True))


def window_sides(params: Params) -> tuple[int, ...]:
    """Pixels along each axis of the window of a rank filter."""
    return footprint_shape(params.get("footprint")) or tuple(params["size"])


def window_pixels(params: Params) -> int:
    """How many pixels a window has."""
    if (footprint := params.get("footprint")) is None:
        return prod(params["size"])
    rows = footprint if len(footprint_shape(footprint)) == 2 else [row for plane in footprint for row in plane]
    return sum(map(sum, rows))


def rank_of(percentile: float, pixels: int) -> int:
    """The rank of a percentile of so many pixels, by SciPy's rule."""
    return pixels - 1 if percentile == 100 else int(pixels * percentile / 100.0)


def modes_of(mode: str | tuple[str, ...], axes: int) -> tuple[str, ...]:
    """The border of each axis; those in front that a window of fewer axes never leaves are any."""
    return (mode,) * axes if isinstance(mode, str) else ("nearest",) * (axes - len(mode)) + mode


def footprint_shape(footprint: Any) -> tuple[int, ...]:
    """Sides of a footprint in normal form, tuples in tuples of 0 and 1; () for None."""
    shape = []
    while isinstance(footprint, tuple):
        shape.append(len(footprint))
        footprint = footprint[0]
    return tuple(shape)


def gaussian_radius(sigma: float, truncate: float) -> int:
    """Half-width of a Gaussian kernel in pixels, by the rule of ``scipy.ndimage``."""
    return int(truncate * sigma + 0.5)


def each_axis(value: Any, axes: int) -> tuple[Any, ...]:
    """A value for each axis, of one for all or of a tuple."""
    return value if isinstance(value, tuple) else (value,) * axes


def gaussian_radii(params: Params) -> tuple[int, ...]:
    """Half-widths of the kernels along each axis."""
    sigma, given = params["sigma"], params.get("radius")
    if given is not None:
        return tuple(radius if s else 0 for s, radius in zip(sigma, given, strict=True))
    return tuple(gaussian_radius(s, t) for s, t in zip(sigma, each_axis(params["truncate"], len(sigma)), strict=True))


def _gaussian_halo(params: Params) -> Halo:
    return gaussian_radii(params)  # type: ignore[return-value]


def _no_halo_of_axes(params: Params) -> Halo:
    return (0, 0, 0) if params.get("axes") == 3 else (0, 0)


def _no_halo_of_tiles(params: Params) -> Halo:
    return (0, 0, 0) if len(params["tile_grid"]) == 3 else (0, 0)


def _histogram_columns(params: Params) -> int:
    return len(params["edges"]) - 1


def _summary_columns(params: Params) -> int:
    return len(SUMMARY_FIELDS) + len(params["percentiles"])


@dataclass(frozen=True)
class Operation:
    """What the rest of the project needs to know about one operation."""

    name: str
    params: tuple[Param, ...]
    out_dtypes: tuple[str, ...]
    """Allowed result dtypes, the default first; ``SAME`` means the dtype of the input."""
    parity: Literal["exact", "close"]
    """``exact``: equal to the reference in every bit. ``close``: within twice the error of ordinary float32 work."""
    kind: Literal["pointwise", "range", "filter", "statistic"]
    """``range``: pointwise after a pass that finds a range. ``statistic``: the result is not an image."""
    units: Literal["keeps", "display", "labels", "statistic"]
    """``keeps``: the result is in the units of the image. ``display``: on a scale of its own, brightness and no longer
    a measurement. ``labels``: numbers of classes, which have no mean. ``statistic``: the result is not an image."""
    examples: tuple[Params, ...]
    """Typical parameters, as keyword arguments of the public function. The first is what ``ctfast bench`` times; each
    takes compiled code of its own, which ``ctfast warm --all`` compiles; tests run all of them."""
    needs_hu: bool = False
    """Whether its parameters are named in Hounsfield units, so that other images make no sense."""
    halo: Callable[[Params], Halo] = _no_halo
    local: bool = True
    """Of a filter: whether a pixel depends on those within its halo alone, so that a volume may be cut."""
    columns: Callable[[Params], int] | None = None
    """How many numbers an image a statistic writes, by the kernel's parameters; None where the result is an image."""
    masks: bool = False
    """Whether a call may say by ``where=`` which pixels count. It is no parameter: pipelines are data, masks arrays."""
    oracles: tuple[str, ...] = ()
    """Functions of other libraries that the tests compare with."""

    @property
    def is_statistic(self) -> bool:
        """Whether it looks at the image without changing it."""
        return self.kind == "statistic"

    @property
    def chooses_dtype(self) -> bool:
        """Whether a caller may choose the dtype of the result."""
        return len(self.out_dtypes) > 1

    def axes(self, params: Params) -> int:
        """How many trailing axes belong together: 2, or 3 where a parameter has three numbers or ``axes`` is 3."""
        return len(self.halo(params))

    def result_shape(self, shape: tuple[int, int, int], params: Params) -> tuple[int, ...]:
        """Shape of ``out`` for an input of shape ``(N, H, W)``."""
        return shape if self.columns is None else (shape[0], self.columns(params))


_WINDOW: Final = (
    Param("size", "window_size", 3),
    Param("footprint", "footprint", None),
    Param("mode", "mode", "reflect"),
    Param("cval", "number", 0.0, fits="image"),
    Param("origin", "origin", 0),
)
"""Parameters of every filter that ranks the pixels of a window."""

OPERATIONS: Final[Mapping[str, Operation]] = {
    op.name: op
    for op in (
        Operation(
            "rescale",
            (Param("slope", "number", 1.0), Param("intercept", "number", 0.0)),
            ("float32", "float64", "int16"),
            "close",
            "pointwise",
            "display",
            ({"slope": 1.0, "intercept": -1024.0},),
            oracles=("pydicom.pixels.apply_rescale",),
        ),
        Operation(
            "window",
            (
                Param("center", "number"),
                Param("width", "positive"),
                Param("function", "voi_function", "linear"),
                Param("out_range", "optional_range", None, fits="result"),
                Param("slope", "number", 1.0),
                Param("intercept", "number", 0.0),
            ),
            ("float32", "uint8", "uint16"),
            "close",
            "pointwise",
            "display",
            (
                {"center": 40.0, "width": 400.0, "dtype": "uint8"},
                {"center": 40.0, "width": 400.0, "function": "linear_exact"},
                {"center": 40.0, "width": 400.0, "function": "sigmoid"},
            ),
            needs_hu=True,
            oracles=("pydicom.pixels.apply_windowing",),
        ),
        Operation(
            "normalize",
            (
                Param("in_range", "optional_range", None),
                Param("percentiles", "optional_percentile_pair", None),
                Param("value_range", "optional_mask_range", None),
                Param("out_range", "optional_range", None, fits="result"),
                Param("clip", "flag", True),
                Param("axes", "axes", 2),
            ),
            ("float32", "uint8", "uint16"),
            "close",
            "range",
            "display",
            ({"percentiles": (1, 99)}, {}, {"in_range": (0, 255)}, {"value_range": (0, 255)}),
            halo=_no_halo_of_axes,
            masks=True,
            oracles=("cv2.normalize", "skimage.exposure.rescale_intensity"),
        ),
        Operation(
            "standardize",
            (
                Param("value_range", "optional_mask_range", None),
                Param("mean", "optional_number", None),
                Param("std", "optional_positive", None),
                Param("axes", "axes", 2),
            ),
            ("float32", "float64"),
            "close",
            "range",
            "display",
            ({}, {"value_range": (0, 255)}),
            halo=_no_halo_of_axes,
            masks=True,
            oracles=("scipy.stats.zscore", "monai.transforms.NormalizeIntensity"),
        ),
        Operation(
            "match_histogram",
            (
                Param("reference", "reference_histogram"),
                Param("value_range", "optional_mask_range", None),
                Param("axes", "axes", 2),
            ),
            ("float32", "float64", "int16", "uint8", "uint16"),
            "close",
            "range",
            "display",
            ({"reference": ((-1000.0, -100.0, 40.0, 60.0, 900.0), (4, 2, 5, 3, 1))},),
            halo=_no_halo_of_axes,
            masks=True,
            oracles=("skimage.exposure.match_histograms",),
        ),
        Operation(
            "median_filter",
            _WINDOW,
            SAME,
            "exact",
            "filter",
            "keeps",
            tuple({"size": size} for size in (5, 3, 7, 9, 11, 15, 21)),
            halo=_window_halo,
            oracles=("scipy.ndimage.median_filter",),
        ),
        Operation(
            "rank_filter",
            (Param("rank", "rank"), *_WINDOW),
            SAME,
            "exact",
            "filter",
            "keeps",
            ({"rank": -2, "size": 3},),
            halo=_window_halo,
            oracles=("scipy.ndimage.rank_filter",),
        ),
        Operation(
            "percentile_filter",
            (Param("percentile", "percentile"), *_WINDOW),
            SAME,
            "exact",
            "filter",
            "keeps",
            ({"percentile": 75.0, "size": 3},),
            halo=_window_halo,
            oracles=("scipy.ndimage.percentile_filter",),
        ),
        Operation(
            "gaussian_filter",
            (
                Param("sigma", "sigma", 1.0),
                Param("truncate", "positive", 4.0),
                Param("mode", "mode", "reflect"),
                Param("cval", "number", 0.0),
                Param("order", "order", 0),
                Param("radius", "optional_radius", None),
            ),
            SAME,
            "close",
            "filter",
            "keeps",
            tuple({"sigma": sigma} for sigma in (2.0, 0.6, 1.0, 5.0)),
            halo=_gaussian_halo,
            oracles=("scipy.ndimage.gaussian_filter",),
        ),
        Operation(
            "clahe",
            (
                Param("clip_limit", "not_negative", 2.0),
                Param("tile_grid", "grid", (8, 8)),
                Param("nbins", "clahe_bins", 256),
                Param("value_range", "optional_range", None, fits="image"),
            ),
            SAME,
            "exact",
            "filter",
            "display",
            ({"value_range": (0, 255)}, {}, {"nbins": 1024, "value_range": (0, 255)}),
            halo=_no_halo_of_tiles,
            local=False,
            oracles=("cv2.createCLAHE",),
        ),
        Operation(
            "histogram",
            (Param("bins", "bins", 256), Param("value_range", "optional_wide_range", None), Param("axes", "axes", 2)),
            ("int64",),
            "exact",
            "statistic",
            "statistic",
            ({"bins": 256, "value_range": (0, 256)}, {"bins": 1000}),
            halo=_no_halo_of_axes,
            columns=_histogram_columns,
            masks=True,
            oracles=("numpy.histogram",),
        ),
        Operation(
            "summary",
            (Param("percentiles", "percentiles", (25.0, 50.0, 75.0)), Param("axes", "axes", 2)),
            ("float64",),
            "close",
            "statistic",
            "statistic",
            ({},),
            halo=_no_halo_of_axes,
            columns=_summary_columns,
            masks=True,
            oracles=("numpy.percentile",),
        ),
        Operation(
            "label_tissue",
            (Param("edges", "edges", TISSUE_EDGES),),
            ("uint8",),
            "exact",
            "pointwise",
            "labels",
            ({},),
            needs_hu=True,
            oracles=("numpy.digitize",),
        ),
    )
}


class Link(NamedTuple):
    """One step of a chain, as the ``chain.run(x, out, links, statistics)`` of a backend takes it."""

    operation: str
    dtype: Any
    """Of the image it makes; None for statistics."""
    params: Params
    """Parameters in normal form. ``histogram`` has ``edges``: a range found from all slices can't be known in one."""

    @property
    def is_statistic(self) -> bool:
        """Whether it looks at the image without changing it."""
        return OPERATIONS[self.operation].is_statistic
