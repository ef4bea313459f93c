"""Chains that the tests run whole, recorded or operation by operation."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ctfast.dispatch.checks import check_params, for_kernel
from ctkernels.contract import OPERATIONS, Link

Array = np.ndarray


def link(operation: str, dtype: str | None = None, **values: Any) -> Link:
    """As ``ctfast`` makes it."""
    spec = OPERATIONS[operation]
    checked = for_kernel(check_params(spec, values))
    if operation == "histogram":
        checked = {"edges": np.histogram_bin_edges(np.empty(0, np.uint8), checked["bins"], checked["value_range"])}
    made = None if spec.kind == "statistic" else np.dtype(dtype or "uint8") if spec.chooses_dtype else None
    return Link(operation, made, checked)


WINDOW = link("window", "uint8", center=40, width=400)
WINDOW16 = link("window", "uint16", center=40, width=400, out_range=(0, 4095))
MEDIAN, GAUSSIAN = link("median_filter", size=3), link("gaussian_filter", sigma=1.0)
CLAHE = link("clahe", tile_grid=(2, 3))
HISTOGRAM = link("histogram", bins=100, value_range=(3, 250))
SUMMARY = link("summary")

CHAINS: dict[str, tuple[Sequence[Link], int]] = {
    "preset": ((WINDOW, MEDIAN, GAUSSIAN, CLAHE, HISTOGRAM), 4),
    "window, Gaussian": ((WINDOW, GAUSSIAN), 1),
    "window of 16 bits, median with a constant border": (
        (WINDOW16, link("median_filter", size=(3, 5), mode="constant", cval=9)),
        1,
    ),
    "window, median too large for a network": ((WINDOW, link("median_filter", size=13)), 2),
    "sigmoid window, median": ((link("window", "uint8", center=40, width=400, function="sigmoid"), MEDIAN), 2),
    "CLAHE, histogram, median": ((WINDOW, CLAHE, HISTOGRAM, MEDIAN), 4),
    "a flat image counted": ((link("window", "uint8", center=9000, width=2), CLAHE, HISTOGRAM), 3),
    "statistics alone": ((SUMMARY,), 0),
    "window to float, Gaussian": ((link("window", "float32", center=40, width=400), GAUSSIAN), 1),
}
"""Name -> links, and launches (0: not looked at)."""


def changed(dtype: np.dtype[Any], step: Link) -> np.dtype[Any]:
    """Dtype of the image after a step."""
    return dtype if step.dtype is None else np.dtype(step.dtype)


def one_by_one(x: Array, links: Sequence[Link]) -> tuple[Array | None, list[Array]]:
    """Each operation of the GPU backend by itself."""
    import cupy

    current, statistics, image = cupy.asarray(x), [], None
    for step in links:
        spec = OPERATIONS[step.operation]
        dtype = spec.out_dtypes[0] if step.is_statistic else changed(current.dtype, step)
        result = cupy.empty(spec.result_shape(x.shape, step.params), dtype)
        getattr(importlib.import_module(f"ctkernels.gpu.{step.operation}"), step.operation)(
            current, result, **step.params
        )
        if step.is_statistic:
            statistics.append(cupy.asnumpy(result))
        else:
            current = image = result
    return None if image is None else cupy.asnumpy(image), statistics


def slices(dtype: str, images: int = 3) -> Array:
    """Noise around soft tissue."""
    return np.random.default_rng(5).normal(40, 150, (images, 37, 44)).astype(dtype)
