"""Calls of the GPU backend that the tests make: images, parameters, how a result is judged.

Parameters are those of the grid that all backends go through (``tests/cases.py``) and more where the GPU has code
paths of its own.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np

from ctfast.dispatch.checks import check_params, for_kernel
from ctkernels import reference
from ctkernels.contract import MODES, OPERATIONS, SAME, SUMMARY_FIELDS
from ctkernels.testing import assert_close, assert_exact
from tests.cases import comparable, exact_of, images, results_of, tolerance, variants

Array = np.ndarray

SHAPES = [(1, 1, 1), (2, 33, 40), (1, 1, 9), (3, 16, 20), (1, 70, 133), (1, 5, 2), (2, 64, 64), (1, 9, 1), (5, 7, 11)]
"""(N, H, W): smaller than any tile, whole tiles, tiles and a rest; widths that vectors divide and that they don't."""

LARGE = (1, 110, 190)
"""Several blocks an image in every kernel that takes an image apart."""

HUGE = (251, 241)
"""A median window that no shared memory holds."""

HOLES = ((0, 1, 0, 0), (1, 1, 0, 1), (0, 1, 1, 1))
"""A window that is no box, wider to the left than to the right."""

MORE: dict[str, list[dict[str, Any]]] = {
    # Given numbers, and lines that go on; numbers that float32 can't hold, in which both are float64 arithmetic.
    "normalize": [{"clip": False, "in_range": (30, 90)}, {"clip": False, "in_range": (1e-35, 2e-35)}],
    "standardize": [{"mean": 40.0}, {"std": 90.0}, {"mean": -3.5, "std": 0.25}, {"mean": 1e300, "std": 1.0}],
    "median_filter": [
        # Networks of one pixel, of one column, and the only one of more than 25 pixels that is not square.
        *({"size": size} for size in (1, (5, 1), (9, 3))),
        # Borders of a network that packs pixels, and of the histograms of large windows.
        *({"size": 5, "mode": mode, "cval": 3} for mode in MODES),
        *({"size": (17, 21), "mode": mode, "cval": 3} for mode in ("wrap", "constant")),
        {"size": HUGE, "mode": "mirror"},
        *({"footprint": HOLES, "mode": mode, "cval": 3} for mode in ("mirror", "wrap", "constant")),
        {"footprint": ((1, 1, 1),) * 3},
    ],
    # Radii: 1 (halo narrower than a vector), 0 along one axis, several vectors, beyond the image.
    "gaussian_filter": [
        {"sigma": 0.3},
        {"sigma": (0.1, 2.0), "mode": "wrap"},
        {"sigma": 5.0, "mode": "constant", "cval": -7},
        {"sigma": 12.0, "mode": "mirror"},
    ],
    # As many bins as are counted at a time, more, and the fewest.
    "clahe": [
        {"nbins": 4096, "tile_grid": (3, 2)},
        {"nbins": 65536, "clip_limit": 3.0, "tile_grid": (2, 1)},
        {"nbins": 2, "tile_grid": (1, 1)},
    ],
    # One copy of the counters, one that leaves room for no second, and counters in global memory.
    "histogram": [
        {"bins": 1, "value_range": (0, 1)},
        {"bins": 5000, "value_range": (-1024, 3071)},
        {"bins": 20000, "value_range": (-1024, 3071)},
    ],
    "summary": [{"percentiles": (50,)}],  # one alone
    "label_tissue": [{"edges": tuple(range(-120, 120))}],  # more edges than a warp has lanes
}
"""Parameters beyond those of all backends, for code paths that the GPU alone has."""


VOLUMES: dict[str, list[dict[str, Any]]] = {
    # Networks of every border mode, of one column and of one row; histograms in a tile, and beside it.
    "median_filter": [
        *({"size": (3, 3, 3), "mode": mode, "cval": 3} for mode in MODES),
        {"size": (5, 3, 1)},
        {"size": (1, 3, 3)},
        {"size": (7, 1, 13), "mode": "mirror"},
        *({"size": (3, 13, 5), "mode": mode, "cval": 3} for mode in ("reflect", "wrap", "constant")),
        {"size": (3, *HUGE), "mode": "constant", "cval": 3},
        *({"footprint": (HOLES, ((0,) * 4, (0, 0, 1, 0), (1,) * 4)), "mode": mode, "cval": 3} for mode in MODES[3:]),
        {"size": (3, 1, 5), "origin": (1, 0, -2), "mode": ("wrap", "constant", "mirror"), "cval": 3},
    ],
    "rank_filter": [
        {"rank": 1, "size": (2, 1, 3), "origin": (0, 0, 1), "mode": ("wrap", "constant", "mirror"), "cval": 3}
    ],
    "percentile_filter": [{"percentile": 30, "footprint": ((HOLES),) * 2, "mode": "nearest"}],
    "gaussian_filter": [
        *({"sigma": (1.2, 0.8, 1.0), "mode": mode, "cval": -7} for mode in MODES),
        {"sigma": (0.1, 2.0, 0.3)},
        {"sigma": (0.0, 1.0, 0.0), "mode": "mirror"},
        {"sigma": (9.0, 0.1, 0.1), "mode": "wrap"},
        {"sigma": (1.2, 0.8, 1.0), "mode": ("mirror", "constant", "wrap"), "cval": -7},
        {"sigma": (1.2, 0.8, 1.0), "radius": (2, 1, 7)},
        {"sigma": (1.2, 0, 1.0), "order": (1, 0, 2), "mode": "wrap"},
        {"sigma": (0, 1.0, 0), "order": (0, 1, 0), "mode": "constant", "cval": -7},
        {"sigma": (0.8, 1.0, 2.0), "mode": ("wrap", "reflect", "constant"), "cval": -7},
    ],
    # A range that is found, more bins than entries of a block, than are counted at a time; one box.
    "clahe": [
        {"tile_grid": (2, 3, 2), "value_range": (0, 255), "clip_limit": 40.0},
        {"tile_grid": (3, 2, 2), "clip_limit": 0.0},
        {"tile_grid": (2, 1, 3), "nbins": 3000},
        {"tile_grid": (2, 2, 1), "nbins": 65536},
        {"tile_grid": (1, 1, 1), "nbins": 2},
    ],
}
"""Parameters of three numbers, for volumes."""

VOLUME_SHAPES = [(1, 5, 9, 13), (2, 3, 33, 40), (1, 1, 1, 1), (3, 2, 6, 20), (1, 9, 5, 2), (1, 4, 7, 133)]
"""(N, D, H, W)"""


def plainest(name: str) -> dict[str, Any]:
    """The defaults; where something is required, the contract's first example."""
    operation = OPERATIONS[name]
    if not any(param.required for param in operation.params):
        return {}
    return {k: v for k, v in operation.examples[0].items() if k != "dtype"}


class Case(NamedTuple):
    """One call."""

    name: str
    image: Array
    """(N, H, W), or (N, D, H, W) where a parameter has three numbers."""
    params: dict[str, Any]
    """As a user gives them, ``dtype`` among them where the operation lets one choose."""
    kind: str
    shift: int = 0
    """Elements that input and result lie beyond a 256-byte boundary, as a part of a larger array does."""
    masked: bool = False
    """Whether a mask leaves half of the pixels out, and all of the second image's."""

    def __str__(self) -> str:
        return f"{self.name} {self.image.dtype} {self.image.shape} {self.kind} {self.params} shift {self.shift}" + (
            " masked" if self.masked else ""
        )

    @property
    def mask(self) -> dict[str, Array]:
        """What a kernel takes besides its parameters."""
        if not self.masked:
            return {}
        where = np.random.default_rng(4).random(self.image.shape) < 0.5
        where[1:2] = False
        return {"where": where}


def pictures(shape: tuple[int, ...], dtype: str) -> dict[str, Array]:
    """Images of every kind that changes a code path."""
    made = images(shape, dtype)
    if dtype.startswith("float"):
        holes = made["values"].copy()
        holes.flat[::5] = np.nan
        holes.flat[1::17] = np.inf
        holes.flat[3::19] = -np.inf
        made["holes"] = holes
        made["whole"] = made["values"].round()
    return made


def cases(name: str, dtype: str, picks: int = 2, *, pairs: bool = True) -> Iterator[Case]:
    """Every variant and result dtype, each with ``picks`` of the shapes and kinds of image in turn.

    Without ``pairs`` each of both in turn, not every pair: for what does not depend on how a result's pixel is stored.
    """
    operation = OPERATIONS[name]
    results = results_of(name)
    kinds = list(pictures((1, 1, 1), dtype))
    turn = itertools.count()
    if operation.kind in ("range", "statistic"):  # large enough for several blocks an image
        for values in variants(name):
            given = {**values, "dtype": results[0]} if results[0] else values
            image = pictures(LARGE, dtype)["values"]
            if comparable(name, image, given):
                yield Case(name, image, given, "values")
    every = variants(name) + MORE.get(name, [])
    number = max(len(every), len(results))
    in_turn = [(every[n % len(every)], results[n % len(results)]) for n in range(number)]
    for values, result in itertools.product(every, results) if pairs else in_turn:
        for _ in range(picks):
            n = next(turn)
            shape, kind = SHAPES[n % len(SHAPES)], kinds[(n + n // len(SHAPES)) % len(kinds)]
            given = values if result is None else {**values, "dtype": result}
            shape = (2, 6, 5) if values.get("size") == HUGE else shape
            case = Case(name, pictures(shape, dtype)[kind], given, kind, (0, 0, 1, 0, 2)[n % 5])
            if _allowed(case) and comparable(name, case.image, given):
                yield case
    if operation.masks:
        for n, values in enumerate(variants(name) + MORE.get(name, [])):
            given = {**values, "dtype": results[n % len(results)]} if results[0] else values
            yield Case(
                name, pictures((3, 33, 40), dtype)[kinds[n % len(kinds)]], given, kinds[n % len(kinds)], masked=True
            )
    yield from volumes(name, dtype, picks)


def volumes(name: str, dtype: str, picks: int = 2) -> Iterator[Case]:
    """The variants for volumes, as ``cases`` has them for images."""
    kinds = list(pictures((1, 1, 1), dtype))
    turn = itertools.count()
    for given in VOLUMES.get(name, []):
        for _ in range(picks):
            n = next(turn)
            shape, kind = VOLUME_SHAPES[n % len(VOLUME_SHAPES)], kinds[(n + n // len(VOLUME_SHAPES)) % len(kinds)]
            shape = (1, 3, 4, 5) if given.get("size", ())[1:] == HUGE else shape
            case = Case(name, pictures(shape, dtype)[kind], given, kind, (0, 0, 1, 0, 2)[n % 5])
            if _allowed(case) and comparable(name, case.image, given):
                yield case


LARGE_NETWORKS = (7, 9, 11, (9, 3))
"""Medians whose sorting networks take g++ seconds: run for two dtypes, which differ in how they are packed."""


def _allowed(case: Case) -> bool:
    """What the public function refuses for the dtype does not reach a kernel."""
    if case.name == "median_filter" and case.params.get("size") in LARGE_NETWORKS:
        return case.image.dtype in (np.dtype(np.uint16), np.dtype(np.float32))
    if case.image.dtype.kind not in "iu":
        return True
    limits = np.iinfo(case.image.dtype)
    if case.name in ("median_filter", "rank_filter", "percentile_filter") and "constant" in case.params.get("mode", ""):
        return bool(limits.min <= case.params["cval"] <= limits.max)
    return True


def prepared(case: Case) -> tuple[dict[str, Any], np.dtype[Any]]:
    """Parameters as a backend gets them, and the dtype of the result."""
    operation = OPERATIONS[case.name]
    values = for_kernel(check_params(operation, {k: v for k, v in case.params.items() if k != "dtype"}))
    if case.name == "histogram":
        x = case.image
        kind = np.float32 if x.dtype == np.float32 else np.float64
        edges = np.histogram_bin_edges(x.astype(kind), values["bins"], values["value_range"])
        values = {"edges": edges.astype(kind)}
    if operation.out_dtypes == SAME:
        return values, case.image.dtype
    return values, np.dtype(case.params.get("dtype", operation.out_dtypes[0]))


def run(case: Case, backend: str = "gpu") -> Array:
    """The backend's result as a NumPy array; on ``gpu`` also checks that the host never waits and x stays as it is."""
    values, dtype = prepared(case)
    shape = OPERATIONS[case.name].result_shape(case.image.shape, values)  # type: ignore[arg-type]
    if backend != "gpu":
        out = np.empty(shape, dtype)
        module: Any = reference if backend == "reference" else importlib.import_module(f"ctkernels.cpu.{case.name}")
        with np.errstate(all="ignore"):
            getattr(module, case.name)(case.image, out, **values, **case.mask)
        return out
    import cupy as cp

    from ctkernels.gpu._core import geometry
    from tests.cuda_on_host.simulation import sim

    # Batches of 3 and more go through launches that are made for 2 images: each block does several, as from 65,536 on.
    several = case.image.ndim == 4 or 2 < len(case.image) < 100
    most = geometry.lowered(images_a_launch=2) if several else nullcontext()
    operation = getattr(importlib.import_module(f"ctkernels.gpu.{case.name}"), case.name)
    x = _part(cp.empty(case.image.size + case.shift, case.image.dtype), case.shift, case.image.shape)
    result = _part(cp.empty(int(np.prod(shape)) + case.shift, dtype), case.shift, shape)
    x.set(case.image)
    values |= {word: cp.asarray(where) for word, where in case.mask.items()}
    sim.host_waits.clear()
    with most:
        operation(x, result, **values)
        if sim.host_waits:  # a table went up, once for all calls
            sim.host_waits.clear()
            operation(x, result, **values)
    assert not sim.host_waits, f"the host waited for the device ({sim.host_waits}): {case}"
    assert_exact(x.get(), case.image, f"the input changed: {case}")
    got: Array = result.get()
    return got


def _part(whole: Any, start: int, shape: tuple[int, ...]) -> Any:
    return whole[start:].reshape(shape)


def check(case: Case, got: Array) -> None:
    """Raises where the result is not what the contract promises."""
    if case.name == "summary":
        _check_summary(case, got, run(case, "reference"))
    elif OPERATIONS[case.name].parity == "exact":
        assert_exact(got, run(case, "reference"), str(case))
    else:
        expected = run(case, "reference")
        for i in range(len(got)):  # each image by itself: its tolerance comes from its own values
            image = case.image[i]
            with np.errstate(all="ignore"):
                exact = exact_of(case.name, image, case.params, case.mask["where"][i] if case.masked else None)
                allowed = tolerance(case.name, np.where(np.isfinite(image), image, 0), case.params)
            # In integer results NaN has become a number, which the float64 result does not tell.
            exact = np.where(np.isnan(exact) & (got.dtype.kind in "iu"), expected[i], exact)
            assert_close(got[i], exact, np.nan_to_num(allowed, posinf=1e300), str(case))


def _check_summary(case: Case, got: Array, expected: Array) -> None:
    same = [SUMMARY_FIELDS.index(f) for f in ("count", "min", "max")]
    columns = [*same, *range(len(SUMMARY_FIELDS), got.shape[1])]
    assert_exact(got[:, columns], expected[:, columns], str(case))
    scale = np.maximum(np.abs(expected[:, 3]), np.abs(expected[:, 4]))
    for column in (1, 2):
        a, e = got[:, column], expected[:, column]
        with np.errstate(all="ignore"):
            near = np.isclose(a, e, rtol=1e-9, atol=0) | (np.abs(a - e) <= 1e-12 * scale) | ((a != a) & (e != e))
        assert near.all(), f"{SUMMARY_FIELDS[column]} {a} {e} {case}"
