"""Every operation of the contract, on every backend that is usable here, against the reference: one grid for all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ctfast
from ctkernels import reference
from ctkernels.contract import IMAGE_DTYPES, MODES, OPERATIONS
from ctkernels.testing import assert_close, assert_exact, ordinary_error

SHAPES = [(1, 1), (1, 9), (5, 2), (7, 11), (33, 40), (2, 3, 16, 20)]

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "rescale": [{}, {"slope": 1.000244, "intercept": -1024}, {"slope": -2.5, "intercept": 7}],
    "window": [
        {"center": 40, "width": 400},
        {"center": 50, "width": 100, "function": "linear_exact", "out_range": (10, 200)},
        {"center": 0, "width": 300, "function": "sigmoid", "slope": 0.5, "intercept": -50},
        {"center": 128.25, "width": 1},
    ],
    "normalize": [
        {},
        {"in_range": (-100, 300)},
        {"percentiles": (1, 99)},
        {"value_range": (0, None), "out_range": (10, 90)},
    ],
    "standardize": [{}, {"value_range": (-500, 500)}],
    "median_filter": [
        *({"size": 3, "mode": mode, "cval": 9} for mode in MODES),
        {"size": 5},
        {"size": (1, 7)},
        {"size": 13},
    ],
    "gaussian_filter": [
        *({"sigma": 1.2, "mode": mode, "cval": 9} for mode in MODES),
        {"sigma": (3.0, 0.4)},
        {"sigma": 8.0, "truncate": 2.0},
    ],
    "clahe": [{}, {"clip_limit": 0.0, "tile_grid": (3, 2)}, {"nbins": 1000, "value_range": (10, 200)}],
    "histogram": [{}, {"bins": 37, "value_range": (-10.5, 100)}],
    "summary": [{}, {"percentiles": (0, 0.1, 33, 100)}],
    "label_tissue": [{}, {"edges": (-0.5,)}, {"edges": (-1e9, 0.1, 41, 127.5, 255, 40000, 1e300)}],
}


def test_there_are_variants_of_every_operation() -> None:
    assert set(VARIANTS) == set(OPERATIONS)


def usable_backends() -> list[str]:
    return [name for name, status in ctfast.backends().items() if status.usable and name != "reference"]


def images(shape: tuple[int, ...], dtype: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    if dtype.startswith("float"):
        values = rng.normal(60, 300, shape).astype(dtype)
        extreme = values.copy()
        extreme.flat[0] = np.finfo(dtype).max / 4
    else:
        limits = np.iinfo(dtype)
        values = np.clip(rng.normal(60, 300, shape), limits.min, limits.max).astype(dtype)
        extreme = rng.choice(np.array([limits.min, limits.max, 0, 1], dtype), shape)
    return {"values": values, "constant": np.full(shape, 41, dtype), "extreme": extreme}


def results_of(name: str) -> tuple[str | None, ...]:
    operation = OPERATIONS[name]
    return operation.out_dtypes if operation.chooses_dtype else (None,)


@pytest.mark.parametrize("backend", usable_backends())
@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_backend_equals_reference(name: str, dtype: str, backend: str) -> None:
    for shape in SHAPES:
        for kind, image in images(shape, dtype).items():
            for values in VARIANTS[name]:
                context = f"{name} {dtype} {shape} {kind} {values} on {backend}"
                for result in results_of(name):
                    compare(name, image, values if result is None else {**values, "dtype": result}, backend, context)


def compare(name: str, image: np.ndarray, values: dict[str, Any], backend: str, context: str) -> None:
    function = getattr(ctfast, name)
    if name == "gaussian_filter" and abs(image.astype(np.float64)).max() > 1e30:
        return  # a lone huge value: the error of its neighbours is measured in its own size, nothing to compare
    if name == "histogram" and "value_range" not in values and abs(image.astype(np.float64)).max() > 1e30:
        return  # NumPy finds no range of that many bins there, and neither do we
    got, expected = function(image, **values, backend=backend), function(image, **values, backend="reference")
    if name == "histogram":
        assert_exact(got.counts, expected.counts, context)
        assert_exact(got.edges, expected.edges, context)
    elif name == "summary":
        compare_summaries(got, expected, context)
    elif OPERATIONS[name].parity == "exact":
        assert_exact(got, expected, context)
    else:
        assert got.dtype == expected.dtype, context
        assert_close(got, exact_of(name, image, values), tolerance(name, image, values), context)


def exact_of(name: str, image: np.ndarray, values: dict[str, Any]) -> np.ndarray:
    """The reference's unrounded float64 result, with the range ends of the wanted integer type."""
    from ctfast.dispatch.checks import check_params

    wanted = np.dtype(values.get("dtype", image.dtype))
    given = {k: v for k, v in values.items() if k != "dtype"}
    if name in ("window", "normalize") and wanted.kind == "u":
        given.setdefault("out_range", reference.default_out_range(wanted))
    checked = check_params(OPERATIONS[name], given)
    batch = image.reshape(-1, *image.shape[-2:])
    out = np.empty(batch.shape)
    getattr(reference, name)(batch, out, **checked)
    if wanted.kind in "iu":
        out = np.clip(out, np.iinfo(wanted).min, np.iinfo(wanted).max)
    else:
        limit = np.finfo(wanted).max
        out = np.where(np.abs(out) > limit, np.copysign(np.inf, out), out)
    return out.reshape(image.shape)


def tolerance(name: str, image: np.ndarray, values: dict[str, Any]) -> np.ndarray:
    """Error of ordinary float32 work: a few roundings of the largest intermediate value."""
    exact = exact_of(name, image, values)
    largest = float(np.abs(image.astype(np.float64)).max())
    if name == "rescale":
        return ordinary_error(exact, largest * abs(values.get("slope", 1)) + abs(values.get("intercept", 0)))
    if name == "gaussian_filter":
        return ordinary_error(exact, largest, steps=8)
    if name == "standardize":
        with np.errstate(all="ignore"):
            sd = float(image.astype(np.float64).std()) or 1.0
        return ordinary_error(exact, max(1.0, largest / sd))
    span = np.ptp(exact) if exact.size else 1.0
    magnitude = max(1.0, abs(float(span)))
    if name == "window" and values.get("function", "linear") != "sigmoid":
        # x - low is rounded in float32 before it is divided by the width
        inside = np.abs(image.astype(np.float64)) < 1e4
        reach = float(np.abs(np.where(inside, image, 0)).max()) + abs(values["center"])
        magnitude *= max(1.0, reach / max(values["width"] - 1, 1e-3))
    return ordinary_error(exact, magnitude)


def compare_summaries(got: Any, expected: Any, context: str) -> None:
    for field in ("count", "min", "max", "percentiles"):
        assert_exact(getattr(got, field), getattr(expected, field), f"{field} {context}")
    for field in ("mean", "std"):
        a, e = getattr(got, field), getattr(expected, field)
        scale = np.maximum(np.abs(expected.min), np.abs(expected.max))
        with np.errstate(invalid="ignore", over="ignore"):
            # float64 sums in another order; the deviation of a huge value overflows in both or in neither
            near = np.isclose(a, e, rtol=1e-9, atol=0) | (np.abs(a - e) <= 1e-12 * scale) | ((a != a) & (e != e))
        assert np.all(near), f"{field} {a} {e} {context}"
