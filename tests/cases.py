"""Parameters, images and tolerances with which tests run every operation, once for all backends.

Typical parameters are the contract's examples; ``EDGES`` adds what is not typical but must be right: borders, uneven
windows, ends of ranges. An operation without an entry is run with its examples alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ctfast.dispatch.checks import check_params, for_kernel
from ctkernels import reference
from ctkernels.contract import MODES, OPERATIONS
from ctkernels.testing import ordinary_error

EDGES: dict[str, list[dict[str, Any]]] = {
    "rescale": [{}, {"slope": 1.000244, "intercept": -1024}, {"slope": -2.5, "intercept": 7}],
    "window": [
        {"center": 50, "width": 100, "function": "linear_exact", "out_range": (10, 200)},
        {"center": 0, "width": 300, "function": "sigmoid", "slope": 0.5, "intercept": -50},
        {"center": 128.25, "width": 1},
    ],
    "normalize": [{"in_range": (-100, 300)}, {"value_range": (0, None), "out_range": (10, 90)}],
    "standardize": [{"value_range": (-500, 500)}],
    "match_histogram": [
        {"reference": ((7.5,), (1,))},
        {"reference": ((-20.25, 0, 1e5), (1, 1000, 1)), "value_range": (0, 100)},
    ],
    "median_filter": [
        *({"size": 3, "mode": mode, "cval": 9} for mode in MODES),
        {"size": (1, 7)},
        {"size": 13},
        {"size": (2, 4)},
        {"size": (1, 7), "origin": (0, -2)},
        {"size": 3, "mode": ("constant", "mirror"), "cval": 9, "origin": (0, 1)},
        {"footprint": ((1, 0, 1, 1), (0, 1, 1, 0)), "mode": ("wrap", "nearest"), "origin": (-1, 1)},
    ],
    "rank_filter": [
        {"rank": 0},
        {"rank": -1, "size": (2, 4), "origin": (0, -1), "mode": "wrap"},
        {"rank": 2, "footprint": ((1, 0, 1, 1), (0, 1, 1, 0)), "mode": ("constant", "mirror"), "cval": 9},
        {"rank": 4, "origin": (1, 0)},
    ],
    "percentile_filter": [
        {"percentile": 100, "size": (1, 6), "mode": "nearest"},
        {"percentile": -70, "origin": -1, "mode": "mirror"},
        {"percentile": 25, "footprint": ((0, 1, 0), (1, 1, 1), (0, 1, 0)), "mode": "constant", "cval": 9},
    ],
    "gaussian_filter": [
        *({"sigma": 1.2, "mode": mode, "cval": 9} for mode in MODES),
        {"sigma": (3.0, 0.4)},
        {"sigma": (0, 1.5)},
        {"sigma": 8.0, "truncate": 2.0},
        {"sigma": (1.5, 0.8), "radius": (2, 5), "mode": "mirror"},
        {"sigma": (1.2, 0.9), "order": (0, 1), "mode": ("wrap", "constant"), "cval": 9},
        {"sigma": 2.0, "order": (2, 1), "radius": 6},
        *({"sigma": (1.4, 2.1), "mode": modes, "cval": 9} for modes in (("constant", "wrap"), ("mirror", "constant"))),
    ],
    "clahe": [{"clip_limit": 0.0, "tile_grid": (3, 2)}, {"nbins": 1000, "value_range": (10, 200)}],
    "histogram": [{}, {"bins": 37, "value_range": (-10.5, 100)}],
    "summary": [{"percentiles": (0, 0.1, 33, 100)}],
    "label_tissue": [{"edges": (-0.5,)}, {"edges": (-1e9, 0.1, 41, 127.5, 255, 40000, 1e300)}],
}


def variants(name: str) -> list[dict[str, Any]]:
    """All parameters that an operation is run with; one that chooses its dtype gets each in turn (``results_of``)."""
    examples = [{k: v for k, v in example.items() if k != "dtype"} for example in OPERATIONS[name].examples]
    return examples + EDGES.get(name, [])


def results_of(name: str) -> tuple[str | None, ...]:
    """The result dtypes to ask for; None where there is nothing to ask."""
    operation = OPERATIONS[name]
    return operation.out_dtypes if operation.chooses_dtype else (None,)


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


def comparable(name: str, image: np.ndarray, params: dict[str, Any]) -> bool:
    """Not where a lone huge value leaves nothing to compare, or where no range can be found."""
    operation = OPERATIONS[name]
    with np.errstate(invalid="ignore"):
        finite = bool(np.isfinite(image).all())
        huge = bool(np.abs(np.nan_to_num(image.astype(np.float64), posinf=0, neginf=0)).max() > 1e30)
    if operation.units == "keeps" and operation.parity == "close":
        return not huge  # the error of its neighbours is measured in its own size
    if name == "histogram" and "value_range" not in params:
        return finite and not huge  # NumPy finds no range of that many bins there, and neither do we
    return True


def exact_of(name: str, image: np.ndarray, params: dict[str, Any], where: np.ndarray | None = None) -> np.ndarray:
    """The reference's unrounded float64 result, with the range ends of the wanted integer type."""
    wanted = np.dtype(params.get("dtype", image.dtype))
    given = {k: v for k, v in params.items() if k != "dtype"}
    if wanted.kind == "u" and any(p.name == "out_range" for p in OPERATIONS[name].params):
        given.setdefault("out_range", reference.default_out_range(wanted))
    checked = for_kernel(check_params(OPERATIONS[name], given))
    batch = image.reshape(-1, *image.shape[-OPERATIONS[name].axes(checked) :])
    out = np.empty(batch.shape)
    mask = {} if where is None else {"where": where.reshape(batch.shape)}
    getattr(reference, name)(batch, out, **checked, **mask)
    if wanted.kind in "iu":
        out = np.clip(out, np.iinfo(wanted).min, np.iinfo(wanted).max)
    else:
        limit = np.finfo(wanted).max
        out = np.where(np.abs(out) > limit, np.copysign(np.inf, out), out)
    return out.reshape(image.shape)


def tolerance(name: str, image: np.ndarray, params: dict[str, Any]) -> np.ndarray:
    """Error of ordinary float32 work: a few roundings of the largest intermediate value."""
    exact = exact_of(name, image, params)
    largest = float(np.abs(image.astype(np.float64)).max())
    if name == "rescale":
        return ordinary_error(exact, largest * abs(params.get("slope", 1)) + abs(params.get("intercept", 0)))
    if OPERATIONS[name].units == "keeps":
        return ordinary_error(exact, largest, steps=8)
    if name == "match_histogram":  # float64 work, rounded once
        return ordinary_error(exact, float(np.nanmax(np.abs(exact), initial=0)))
    if name == "standardize":
        with np.errstate(all="ignore"):
            sd = float(image.astype(np.float64).std()) or 1.0
            sd = params.get("std", sd)
            largest += abs(params.get("mean", 0.0))
        return ordinary_error(exact, max(1.0, largest / sd))
    span = np.ptp(exact) if exact.size else 1.0
    magnitude = max(1.0, abs(float(span)))
    if name == "window" and params.get("function", "linear") != "sigmoid":
        # x - low is rounded in float32 before it is divided by the width
        inside = np.abs(image.astype(np.float64)) < 1e4
        reach = float(np.abs(np.where(inside, image, 0)).max()) + abs(params["center"])
        magnitude *= max(1.0, reach / max(params["width"] - 1, 1e-3))
    return ordinary_error(exact, magnitude)
