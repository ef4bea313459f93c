"""The launchers' Python: the way from the public functions, input that they must refuse, batches beyond the limits of a
grid and of 32-bit offsets."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import ctfast
from ctkernels import reference
from ctkernels.contract import OPERATIONS
from ctkernels.testing import assert_exact
from tests.cuda_on_host.counts import counted
from tests.cuda_on_host.simulation import Simulation
from tests.gpu.gpu_cases import Case, plainest, prepared, run


def image(shape: tuple[int, ...] = (2, 20, 36), dtype: str = "int16") -> np.ndarray:
    return np.random.default_rng(5).normal(40, 300, shape).round().astype(dtype)


def parts(result: Any) -> list[Any]:
    return [result.counts, result.edges] if hasattr(result, "counts") else [result]


@pytest.mark.parametrize("name", [n for n in OPERATIONS if n != "summary"])
def test_the_public_function_on_host_and_device_arrays(host_gpu: Simulation, name: str) -> None:
    import cupy as cp

    function, params, x = getattr(ctfast, name), plainest(name), image()
    expected = run(case_of(name, x))
    host = parts(function(x, **params, backend="gpu"))
    device = parts(function(cp.asarray(x), **params))
    assert host_gpu.launches
    for got in (host[0], device[0]):
        assert_exact(got if isinstance(got, np.ndarray) else got.get(), expected.reshape(got.shape), name)
    assert isinstance(host[0], np.ndarray)
    assert isinstance(device[0], cp.ndarray) or name == "histogram"


def result_shape(case: Case, values: dict[str, Any]) -> tuple[int, ...]:
    images, height, width = case.image.shape
    return OPERATIONS[case.name].result_shape((images, height, width), values)


def case_of(name: str, x: np.ndarray) -> Case:
    return Case(name, x, plainest(name), "ct")


@pytest.mark.parametrize("name", OPERATIONS)
def test_input_that_a_kernel_would_misread(host_gpu: Simulation, name: str) -> None:
    import cupy as cp

    host_gpu.devices = 2
    case = case_of(name, image())
    values, dtype = prepared(case)
    out = cp.empty(result_shape(case, values), dtype)
    operation = getattr(importlib.import_module(f"ctkernels.gpu.{name}"), name)
    x = cp.asarray(case.image)
    with cp.cuda.Device(1):
        elsewhere = cp.asarray(case.image)
    refused = ((TypeError, case.image, out), (ValueError, x[:, :, ::2], out), (RuntimeError, elsewhere, out))
    for error, wrong, result in refused:
        before = len(host_gpu.launches)
        with pytest.raises(error):
            operation(wrong, result, **values)
        assert len(host_gpu.launches) == before
    with pytest.raises(TypeError):
        operation(x, out.get(), **values)
    operation(x, out, **values)


@pytest.mark.parametrize("name", OPERATIONS)
def test_out_of_memory_is_said_and_leaves_the_process_usable(host_gpu: Simulation, name: str) -> None:
    import cupy as cp

    from ctkernels.gpu._core.errors import GpuMemoryError

    case = case_of(name, image())
    values, dtype = prepared(case)
    operation = getattr(importlib.import_module(f"ctkernels.gpu.{name}"), name)
    x, out = cp.asarray(case.image), cp.empty(result_shape(case, values), dtype)
    operation(x, out, **values)  # tables stay up after the first call
    before = host_gpu.allocations
    operation(x, out, **values)
    if host_gpu.allocations > before:
        host_gpu.memory_limit = sum(host_gpu.used.values())
        with pytest.raises(GpuMemoryError, match="fewer images"):
            operation(x, out, **values)
        host_gpu.memory_limit = None
        operation(x, out, **values)
    assert_exact(out.get(), run(case), name)


def test_a_kernel_that_cuda_refuses_is_named(host_gpu: Simulation) -> None:
    import cupy as cp

    from ctkernels.gpu._core import launch
    from ctkernels.gpu._core.errors import GpuCompileError, GpuLaunchError
    from ctkernels.gpu._core.geometry import Plan, c_type

    defines = {"CTK_IN": c_type("uint8")}
    pixels = cp.empty(4, np.uint8)
    arguments = (pixels, pixels, np.int64(4), cp.empty(4, np.int32), np.int32(1), np.int32(0))
    with pytest.raises(GpuLaunchError, match=r"ctk_label_tissue \(grid \(0, 1, 1\)"):
        launch.launch("label_tissue", defines, "ctk_label_tissue", Plan((0, 1, 1), (32, 1, 1)), arguments)
    with pytest.raises(GpuCompileError, match="ctk_missing"):
        launch.launch("label_tissue", defines, "ctk_missing", Plan((1, 1, 1), (32, 1, 1)), ())
    with pytest.raises(GpuCompileError, match="nothing"):
        launch.launch("label_tissue", {"CTK_IN": "nothing"}, "ctk_label_tissue", Plan((1, 1, 1), (32, 1, 1)), ())
    with pytest.raises(TypeError, match="argument 0"):
        launch.launch("label_tissue", defines, "ctk_label_tissue", Plan((1, 1, 1), (32, 1, 1)), (5,))


MANY = 65_537
SMALL = {
    "clahe": {"tile_grid": (1, 1)},
    "histogram": {"bins": 3, "value_range": (0, 200)},
    "match_histogram": {"reference": ((-3.0, 9.0), (2, 1))},
    "percentile_filter": {"percentile": 20},
    "rank_filter": {"rank": -1},
}
"""For tables and results of so many images; otherwise they take gigabytes."""


@pytest.mark.parametrize("name", [name for name in OPERATIONS if OPERATIONS[name].kind != "pointwise"])
def test_more_images_than_a_grid_has_rows(host_gpu: Simulation, name: str) -> None:
    """The first and last blocks alone: the first go on with the images beyond the limit."""
    x = np.random.default_rng(3).integers(0, 200, (MANY, 1, 3)).astype(np.uint8)
    case, ends = Case(name, x, SMALL.get(name, {}), "small"), np.r_[0, 1, MANY - 2, MANY - 1]
    expected = run(case._replace(image=x[ends]))
    host_gpu.only_blocks = (8, 8)
    assert_exact(run(case)[ends], expected, name)
    counted["launches of batches beyond a grid's limit"] += 1


SIDE = 33_000
WAYS = ("label_tissue", "median_filter", "gaussian_filter")
"""One operation for each way over the pixels: one after the other, tiles of words, tiles with halos."""


@pytest.mark.parametrize("name", WAYS)
def test_offsets_beyond_32_bits(host_gpu: Simulation, name: str) -> None:
    """Two images of a thousand million pixels each; the last blocks alone, on memory that is touched nowhere else."""
    import cupy as cp

    try:
        x, out = cp.empty((2, SIDE, SIDE), np.uint8), cp.empty((2, SIDE, SIDE), np.uint8)
    except MemoryError:
        pytest.skip("no room for arrays of 2 GB: offsets beyond 32 bits were not run")
    corner = np.random.default_rng(3).integers(0, 200, (300, 700)).astype(np.uint8)
    x._host[1, -300:, -700:] = corner
    values, _ = prepared(Case(name, corner[None], {}, "ct"))
    host_gpu.only_blocks = (0, 1)
    getattr(importlib.import_module(f"ctkernels.gpu.{name}"), name)(x, out, **values)
    expected = np.empty((1, 300, 700), np.uint8)
    getattr(reference, name)(corner[None], expected, **values)
    rows = 1 if name == "label_tissue" else 8
    assert_exact(out._host[1, -rows:, -32:].copy(), expected[0, -rows:, -32:], name)
    counted["launches with offsets beyond 32 bits"] += 1
