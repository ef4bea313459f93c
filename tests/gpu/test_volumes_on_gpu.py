"""Filters of volumes on the GPU: the CPU's bits, the way from the public functions and runs, bounded memory."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ctfast
from ctfast import Pipeline, Step
from ctfast.errors import DeviceMemoryError
from ctfast.files import read_image, write_image
from ctfast.runner import run as run_files
from ctkernels.contract import IMAGE_DTYPES
from ctkernels.gpu._core import geometry_volumes as geometry
from ctkernels.gpu._core.geometry import Plan, ceilings
from ctkernels.testing import assert_exact
from tests.cuda_on_host.simulation import Simulation
from tests.gpu.gpu_cases import Case, check, pictures, prepared, run

CALLS: dict[str, dict[str, Any]] = {
    "median_filter": {"size": (3, 3, 3)},
    "gaussian_filter": {"sigma": (0.8, 1.0, 1.2)},
    "clahe": {"tile_grid": (2, 2, 2), "value_range": (-1000, 1000)},
}
STEPS = Pipeline([Step(name, **params) for name, params in CALLS.items()])


def volume(shape: tuple[int, ...] = (5, 20, 36), dtype: str = "int16") -> np.ndarray:
    return np.random.default_rng(5).normal(40, 300, shape).astype(dtype)


@pytest.mark.parametrize("name", CALLS)
def test_arrays_of_either_place_and_batches_give_the_bits_of_the_cpu(host_gpu: Simulation, name: str) -> None:
    import cupy as cp

    function, params = getattr(ctfast, name), CALLS[name]
    for dtype in ("int16", "float32"):
        x = volume((2, 3, 4, 9, 11), dtype)
        expected = function(x, **params, backend="cpu")
        assert_exact(function(x, **params, backend="gpu"), expected, f"{name} {dtype}")
        place = cp.asarray(x)
        function(place, **params, out=place)
        assert_exact(place.get(), expected, f"{name} {dtype} in place")
        turned = x.transpose(0, 1, 3, 4, 2)
        assert_exact(function(turned, **params, axes=(4, 2, 3), backend="gpu"), expected.transpose(0, 1, 3, 4, 2))


def test_a_window_of_one_plane_is_a_filter_of_images(host_gpu: Simulation) -> None:
    x = volume()
    assert_exact(ctfast.median_filter(x, (1, 5, 3), backend="gpu"), ctfast.median_filter(x, (5, 3), backend="cpu"))
    assert {launch.kernel for launch in host_gpu.launches} == {"ctk_median_network"}


def test_memory_that_is_short_splits_no_volume(host_gpu: Simulation) -> None:
    x = volume((6, 40, 64))
    host_gpu.memory_limit = sum(host_gpu.used.values()) + 3 * x.nbytes // 2
    with pytest.raises(DeviceMemoryError):
        ctfast.median_filter(x, (3, 3, 3), backend="gpu")
    assert_exact(ctfast.median_filter(x, 3, backend="gpu"), ctfast.median_filter(x, 3, backend="cpu"))


@pytest.mark.parametrize(
    ("shared", "params"),
    [(227, {"sigma": (1.0, 1.0, 2.0)}), (48, {"sigma": (1.0, 9.0, 9.0)}), (227, {"tile_grid": (2, 2, 2)})],
    ids=["bands of rows", "two passes", "volumes"],
)
@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_what_goes_in_parts_gives_the_same(host_gpu: Simulation, dtype: str, shared: int, params: Any) -> None:
    from ctkernels.gpu._core.geometry import lowered  # of the modules that were loaded for the simulation

    host_gpu.shared_optin = shared * 1024
    name = "clahe" if "tile_grid" in params else "gaussian_filter"
    case = Case(name, pictures((2, 3, 70, 37), dtype)["values"], params, "values")
    whole = run(case)  # tables go up
    check(case, whole)
    host_gpu.launches.clear()
    run(case)
    launches = len(host_gpu.launches)
    module, values = importlib.import_module(f"ctkernels.gpu.{name}"), prepared(case)[0]
    host_gpu.launches.clear()
    with lowered(scratch_bytes=1):
        assert_exact(run(case), whole)
        least = module.workspace_bytes(case.image.shape, case.image.dtype, **values)
    assert len(host_gpu.launches) >= 2 * launches, "in parts"
    assert least <= module.workspace_bytes(case.image.shape, case.image.dtype, **values)


@pytest.mark.parametrize("name", CALLS)
def test_equals_the_cpu_on_the_oldest_device(host_gpu: Simulation, name: str) -> None:
    host_gpu.compute_capability, host_gpu.shared_optin = "75", 64 * 1024
    larger = [{"size": (9, 9, 9)}] if name == "median_filter" else []
    for params in (CALLS[name], *larger):
        case = Case(name, pictures((2, 3, 20, 37), "int16")["values"], params, "values")
        check(case, run(case))


def test_a_pipeline_and_a_run_filter_volumes(host_gpu: Simulation, tmp_path: Path) -> None:
    x = volume()
    expected = STEPS.run(x, backend="cpu").image
    result = STEPS.run(x, backend="gpu").image
    assert_exact(result, expected)
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in" / "v.nii", x, units="hu")
    report = run_files(tmp_path / "in", tmp_path / "out", STEPS, format="npy", backend="gpu")
    assert (report.ok, report.failed) == (1, 0)
    host_gpu.launches.clear()
    again = run_files(tmp_path / "in", tmp_path / "cpu", STEPS, format="npy", backend="cpu")
    assert (again.ok, len(host_gpu.launches)) == (1, 0)
    outputs = [next((tmp_path / place).glob("*.npy")) for place in ("out", "cpu")]
    assert_exact(read_image(outputs[0]).pixels, read_image(outputs[1]).pixels)


def _fits(plan: Plan, shared: int) -> bool:
    grid = plan.grid[0] < 2**31 and plan.grid[1] <= ceilings().images_a_launch and plan.grid[2] == 1
    return grid and min(plan.grid) >= 1 and plan.shared_bytes <= shared


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
@pytest.mark.parametrize("shared", [64 * 1024, 227 * 1024])
def test_launches_stay_within_what_a_device_allows(dtype: str, shared: int) -> None:
    work = "float64" if dtype == "float64" else "float32"
    for shape in ((1, 1, 1, 1), (1, 400, 512, 512), (1, 2000, 1024, 1024), (70_000, 2, 3, 5), (1, 70_000, 9, 9)):
        volumes, depth, height, width = shape
        for size in ((3, 3, 3), (5, 5, 5), (49, 1, 1), (9, 9, 9), (101, 51, 51)):
            assert _fits(geometry.median_volume_plan(shape, size, dtype, 90, shared).launch, shared)
        for radii in ((0, 0), (4, 4), (300, 300)):
            plan = geometry.smooth_volume_plan(shape, radii, work, shared)
            assert 1 <= plan.rows <= height
            assert 1 <= plan.volumes <= volumes
            if plan.tile is not None:
                assert _fits(geometry.slices_launch(plan, plan.volumes * depth, plan.rows, width), shared)
                row = depth * width * np.dtype(work).itemsize
                assert plan.scratch_bytes <= max(ceilings().scratch_bytes, 64 * row)
            assert _fits(geometry.planes_launch(plan.volumes, depth, plan.rows * width), shared)
        boxes = geometry.clahe_volume_plan(shape, (4, 8, 8), 65536, dtype, given_range=False)
        launches = [boxes.find_range, boxes.tables, boxes.blend, *([boxes.extents] if boxes.extents else [])]
        assert all(_fits(launch, 48 * 1024) for launch in launches)
