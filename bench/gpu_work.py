"""What is run on a GPU: every operation with the parameters that are timed and checked, by the kernels themselves."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import cupy
import numpy as np

from bench.images import image
from ctfast.dispatch.checks import check_params, for_kernel
from ctkernels.contract import OPERATIONS, SAME
from tests.cases import variants


class Work(NamedTuple):
    """One timed call."""

    row: str
    operation: str
    dtype: str
    out_dtype: str
    given: dict[str, Any]


_ROWS = (
    Work("window to float32", "window", "uint16", "float32", {"center": 1064, "width": 400}),
    Work("window to uint8", "window", "uint16", "uint8", {"center": 1064, "width": 400}),
    Work("normalize", "normalize", "uint16", "float32", {}),
    Work("normalize, 1st to 99th percentile", "normalize", "uint16", "float32", {"percentiles": (1, 99)}),
    Work("standardize", "standardize", "uint16", "float32", {}),
    Work("label_tissue", "label_tissue", "int16", "uint8", {}),
    Work("histogram, 256 bins", "histogram", "uint16", "int64", {"bins": 256, "value_range": (0, 4095)}),
    Work("histogram, 65,536 bins", "histogram", "uint16", "int64", {"bins": 65536, "value_range": (0, 65536)}),
    Work("histogram float32, 256 bins", "histogram", "float32", "int64", {"bins": 256, "value_range": (-1024, 3071)}),
    Work("summary", "summary", "uint16", "float64", {}),
    Work("median 3", "median_filter", "uint16", "uint16", {"size": 3}),
    Work("median 5", "median_filter", "uint16", "uint16", {"size": 5}),
    Work("median 11", "median_filter", "uint16", "uint16", {"size": 11}),
    Work("median 21", "median_filter", "uint16", "uint16", {"size": 21}),
    Work("Gaussian sigma 1", "gaussian_filter", "float32", "float32", {"sigma": 1.0}),
    Work("Gaussian sigma 5", "gaussian_filter", "float32", "float32", {"sigma": 5.0}),
    Work("CLAHE uint8", "clahe", "uint8", "uint8", {}),
    Work("CLAHE uint16, 65,536 bins", "clahe", "uint16", "uint16", {"nbins": 65536}),
)

TIMED = _ROWS + tuple(
    Work(name, name, "uint16", "uint16" if spec.out_dtypes == SAME else spec.out_dtypes[0], dict(spec.examples[0]))
    for name, spec in OPERATIONS.items()
    if name not in {work.operation for work in _ROWS}
)
"""Rows that are compared with peers, and the first example of every other operation."""

PIPELINE: tuple[dict[str, Any], ...] = (
    {"operation": "window", "center": 1064, "width": 400, "dtype": "uint8"},
    {"operation": "median_filter", "size": 3},
    {"operation": "gaussian_filter", "sigma": 1.0},
    {"operation": "clahe"},
    {"operation": "histogram", "bins": 256, "value_range": (0, 256)},
)


def values_of(operation: str, dtype: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Parameters as the kernels take them."""
    values = for_kernel(check_params(OPERATIONS[operation], {k: v for k, v in given.items() if k != "dtype"}))
    if operation == "histogram":
        own = np.float32 if np.dtype(dtype) == np.float32 else np.float64
        values = {"edges": np.histogram_bin_edges(np.empty(0, own), values["bins"], values["value_range"])}
    return values


def kernel(operation: str, backend: str) -> Callable[..., None]:
    """The backend's function."""
    function: Callable[..., None] = getattr(importlib.import_module(f"ctkernels.{backend}.{operation}"), operation)
    return function


def result_like(operation: str, x: Any, values: dict[str, Any], dtype: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of a result."""
    return OPERATIONS[operation].result_shape(x.shape, values), np.dtype(dtype)


def ideal_bytes(work: Work, x: Any, out: Any) -> int:
    """What must be read once and written once."""
    return int(x.nbytes) + int(out.nbytes)


def parity(
    size: int, dtypes: Sequence[str], variants: Callable[[str], Sequence[Mapping[str, Any]]] = variants
) -> list[dict[str, Any]]:
    """Every operation, dtype and result dtype against the CPU backend; what differs, and whether it may.

    ``variants`` gives the parameters of an operation.
    """
    cases = []
    for name in OPERATIONS:
        spec = OPERATIONS[name]
        for dtype in dtypes:
            x = np.stack([image(dtype, n)[: size - 3, : size - 1] for n in range(2)])
            outs = (dtype,) if spec.out_dtypes == SAME else spec.out_dtypes
            for given, out in ((dict(g), o) for g in variants(name) for o in outs):
                cases.append({"operation": name, "dtype": dtype, "out": out, "given": repr(given)})
                cases[-1] |= compare(name, np.ascontiguousarray(x), given, out)
    return cases


def compare(name: str, x: np.ndarray, given: dict[str, Any], out_dtype: str) -> dict[str, Any]:
    """One call on both backends."""
    values = values_of(name, x.dtype, given)
    shape, dtype = result_like(name, x, values, out_dtype)
    expected, result = np.empty(shape, dtype), cupy.empty(shape, dtype)
    kernel(name, "cpu")(x, expected, **values)
    kernel(name, "gpu")(cupy.asarray(x), result, **values)
    actual = result.get()
    with np.errstate(invalid="ignore"):
        apart = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    same = (actual == expected) | ((actual != actual) & (expected != expected))
    worst = float(np.where(same, 0.0, apart).max())
    whole = dtype.kind in "iu"
    scale = float(np.abs(expected[np.isfinite(expected)]).max(initial=1.0)) if not whole else 1.0
    allowed = 0.0 if OPERATIONS[name].parity == "exact" else 1.0 if whole else 1e-6 * scale
    return {"different": int((~same).sum()), "largest": worst, "right": bool(worst <= allowed)}


def large_batches(shapes: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
    """Batches beyond a grid's limit and beyond 4 GiB: the last images must be as right as the first."""
    cases = []
    for count, side in shapes:
        one = image("uint8", 1)[:side, :side]
        x = cupy.empty((count, side, side), np.uint8)
        x.fill(3)
        x[count - 1] = cupy.asarray(np.ascontiguousarray(one))
        for name, given in (("window", {"center": 99, "width": 77}), ("median_filter", {"size": 3}), ("normalize", {})):
            values = values_of(name, np.uint8, given)
            out, expected = cupy.empty(x.shape, np.uint8), np.empty((1, side, side), np.uint8)
            kernel(name, "gpu")(x, out, **values)
            kernel(name, "cpu")(np.ascontiguousarray(one[None]), expected, **values)
            right = bool((out[count - 1].get() == expected[0]).all())
            cases.append({"operation": name, "shape": list(x.shape), "right": right})
            del out
    return cases
