"""The one list of operations: parameters, dtype rules, how results are compared, how far a filter reaches.

The dispatcher, the argument checks, pipelines, tests, benchmarks and the support table in the documents all read
this table. It imports nothing but the standard library, so that reading it costs nothing.

A backend is a package that has one module per operation, each with one function of the operation's name::

    op(x, out, *, <every parameter of the operation>) -> None

``x`` is a C-contiguous, native-endian array of shape ``(N, H, W)``, all sizes at least 1, dtype in ``IMAGE_DTYPES``;
``out`` is C-contiguous, already allocated, of the shape that ``Operation.result_shape`` gives and never overlaps ``x``.
Parameters arrive checked and in normal form (``size`` and ``sigma`` as pairs, ranges as pairs of floats or ``None``).
``histogram`` alone gets something else than it is called with: the bin ``edges`` that ``bins`` and ``value_range``
mean, an array as ``numpy.histogram_bin_edges`` gives it (float32 for float32 images, else float64).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Param:
    """One parameter: its name, the name of the check that brings it to normal form, its default."""

    name: str
    kind: str
    default: Any = REQUIRED

    @property
    def required(self) -> bool:
        """Whether a caller must give it."""
        return self.default is REQUIRED


def _no_halo(_: Params) -> tuple[int, int]:
    return (0, 0)


def _median_halo(params: Params) -> tuple[int, int]:
    rows, columns = params["size"]
    return (rows // 2, columns // 2)


def gaussian_radius(sigma: float, truncate: float) -> int:
    """Half-width of a Gaussian kernel in pixels, by the rule of ``scipy.ndimage``."""
    return int(truncate * sigma + 0.5)


def _gaussian_halo(params: Params) -> tuple[int, int]:
    truncate = params["truncate"]
    rows, columns = params["sigma"]
    return (gaussian_radius(rows, truncate), gaussian_radius(columns, truncate))


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
    halo: Callable[[Params], tuple[int, int]] = _no_halo
    oracles: tuple[str, ...] = ()
    """Functions of other libraries that the tests compare with."""

    @property
    def chooses_dtype(self) -> bool:
        """Whether a caller may choose the dtype of the result."""
        return len(self.out_dtypes) > 1

    def result_shape(self, shape: tuple[int, int, int], params: Params) -> tuple[int, ...]:
        """Shape of ``out`` for an input of shape ``(N, H, W)``."""
        if self.name == "histogram":
            return (shape[0], len(params["edges"]) - 1)
        if self.name == "summary":
            return (shape[0], len(SUMMARY_FIELDS) + len(params["percentiles"]))
        return shape


_BORDER = (Param("mode", "mode", "reflect"), Param("cval", "number", 0.0))

OPERATIONS: Final[Mapping[str, Operation]] = {
    op.name: op
    for op in (
        Operation(
            "rescale",
            (Param("slope", "number", 1.0), Param("intercept", "number", 0.0)),
            ("float32", "float64", "int16"),
            "close",
            "pointwise",
            oracles=("pydicom.pixels.apply_rescale",),
        ),
        Operation(
            "window",
            (
                Param("center", "number"),
                Param("width", "positive"),
                Param("function", "voi_function", "linear"),
                Param("out_range", "optional_range", None),
                Param("slope", "number", 1.0),
                Param("intercept", "number", 0.0),
            ),
            ("float32", "uint8", "uint16"),
            "close",
            "pointwise",
            oracles=("pydicom.pixels.apply_windowing",),
        ),
        Operation(
            "normalize",
            (
                Param("in_range", "optional_range", None),
                Param("percentiles", "optional_percentile_pair", None),
                Param("value_range", "optional_mask_range", None),
                Param("out_range", "optional_range", None),
            ),
            ("float32", "uint8", "uint16"),
            "close",
            "range",
            oracles=("cv2.normalize", "skimage.exposure.rescale_intensity"),
        ),
        Operation(
            "standardize",
            (Param("value_range", "optional_mask_range", None),),
            ("float32", "float64"),
            "close",
            "range",
            oracles=("scipy.stats.zscore",),
        ),
        Operation(
            "median_filter",
            (Param("size", "odd_size", 3), *_BORDER),
            SAME,
            "exact",
            "filter",
            _median_halo,
            ("scipy.ndimage.median_filter",),
        ),
        Operation(
            "gaussian_filter",
            (Param("sigma", "sigma", 1.0), Param("truncate", "positive", 4.0), *_BORDER),
            SAME,
            "close",
            "filter",
            _gaussian_halo,
            ("scipy.ndimage.gaussian_filter",),
        ),
        Operation(
            "clahe",
            (
                Param("clip_limit", "not_negative", 2.0),
                Param("tile_grid", "grid", (8, 8)),
                Param("nbins", "clahe_bins", 256),
                Param("value_range", "optional_range", None),
            ),
            SAME,
            "exact",
            "filter",
            oracles=("cv2.createCLAHE",),
        ),
        Operation(
            "histogram",
            (Param("bins", "bins", 256), Param("value_range", "optional_wide_range", None)),
            ("int64",),
            "exact",
            "statistic",
            oracles=("numpy.histogram",),
        ),
        Operation(
            "summary",
            (Param("percentiles", "percentiles", (25.0, 50.0, 75.0)),),
            ("float64",),
            "close",
            "statistic",
            oracles=("numpy.percentile",),
        ),
        Operation(
            "label_tissue",
            (Param("edges", "edges", TISSUE_EDGES),),
            ("uint8",),
            "exact",
            "pointwise",
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
        return OPERATIONS[self.operation].kind == "statistic"
