"""What lies around the kernels: batches beyond a grid's limit, workspaces, refused arrays, errors in our words."""

from __future__ import annotations

import importlib
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from ctkernels import gpu
from ctkernels.contract import OPERATIONS
from tests.cuda_on_host.counts import counted
from tests.cuda_on_host.install import standin_for_cupy
from tests.cuda_on_host.simulation import Simulation
from tests.gpu.gpu_cases import Case, cases, check, prepared, run


def several(name: str, dtype: str, images: int) -> Case:
    case = next(c for c in cases(name, dtype) if c.kind == "values")
    if OPERATIONS[name].chooses_dtype:
        case = case._replace(params={"dtype": OPERATIONS[name].out_dtypes[0], **case.params})
    rng = np.random.default_rng(5)
    x = rng.integers(0, 250, (images, 9, 13)).astype(dtype)
    return case._replace(image=x, shift=0)


@pytest.mark.parametrize("name", OPERATIONS)
def test_more_images_than_a_grid_takes(host_gpu: Simulation, name: str) -> None:
    """Eleven where two go in a launch (``run`` sees to that): the kernels loop over the rest."""
    for dtype in ("uint8", "float32"):
        case = several(name, dtype, 11)
        check(case, run(case))
        counted["batches beyond a grid's limit"] += 1


LAUNCHERS = Path(gpu.__file__).parent
WITH_WORKSPACE = [name for name in OPERATIONS if "def workspace_bytes(" in (LAUNCHERS / f"{name}.py").read_text()]


@pytest.mark.parametrize("name", WITH_WORKSPACE)
def test_a_workspace_of_the_promised_size_is_enough(host_gpu: Simulation, name: str) -> None:
    import cupy

    module = importlib.import_module(f"ctkernels.gpu.{name}")
    for case in cases(name, "float64", picks=1):
        values, dtype = prepared(case)
        shape = OPERATIONS[name].result_shape(case.image.shape, values)  # type: ignore[arg-type]
        room = module.workspace_bytes(case.image.shape, case.image.dtype, **values)
        x, workspace = cupy.asarray(case.image), cupy.empty(max(room, 1), np.uint8)
        given, own = cupy.empty(shape, dtype), cupy.empty(shape, dtype)
        operation = getattr(module, name)
        operation(x, own, **values)
        before = host_gpu.allocations
        operation(x, given, **values, workspace=workspace)
        assert host_gpu.allocations == before, "memory was taken besides the workspace"
        np.testing.assert_array_equal(given.get(), own.get())
        if room > 256:
            with pytest.raises(ValueError, match="needs"):
                operation(x, given, **values, workspace=workspace[: room - 256])


@pytest.mark.parametrize(("name", "params"), [("clahe", {}), ("gaussian_filter", {"sigma": 9.0})])
def test_batches_beyond_the_scratch_go_in_parts(host_gpu: Simulation, name: str, params: dict[str, float]) -> None:
    from ctkernels.gpu._core.geometry import lowered

    host_gpu.shared_optin = 48 * 1024  # in which no tile of this sigma fits, so that it goes in two passes
    case = Case(name, np.random.default_rng(2).integers(0, 255, (5, 40, 37)).astype(np.uint8), params, "values")
    whole, launches = run(case), len(host_gpu.launches)
    with lowered(scratch_bytes=1):
        np.testing.assert_array_equal(run(case), whole)
    assert len(host_gpu.launches) > 3 * launches


def test_refused_arrays(host_gpu: Simulation) -> None:
    import cupy

    from ctkernels.gpu.label_tissue import label_tissue

    host_gpu.devices = 2
    x, out = cupy.empty((2, 8, 8), np.int16), cupy.empty((2, 8, 8), np.uint8)
    with pytest.raises(TypeError, match=r"cupy\.asarray"):
        label_tissue(np.zeros((2, 8, 8), np.int16), out, edges=(0.0,))
    with pytest.raises(ValueError, match="ascontiguousarray"):
        label_tissue(x[:, :, :4], out, edges=(0.0,))
    with cupy.cuda.Device(1), pytest.raises(RuntimeError, match="device 0, the current device is 1"):
        label_tissue(x, out, edges=(0.0,))


def test_python_numbers_are_refused(host_gpu: Simulation) -> None:
    """CuPy would hand a kernel eight bytes for an ``int`` that it declares with four."""
    from ctkernels.gpu._core.geometry import Plan
    from ctkernels.gpu._core.launch import launch

    with pytest.raises(TypeError, match="argument 0: int"):
        launch("label_tissue", {"CTK_IN": "short"}, "ctk_label_tissue", Plan((1, 1, 1), (256, 1, 1)), (3,))


def test_errors_in_our_words(host_gpu: Simulation) -> None:
    from ctkernels.gpu._core import device, errors
    from ctkernels.gpu._core.launch import kernel

    x = np.arange(64, dtype=np.int16).reshape(1, 8, 8)
    case = Case("label_tissue", x, {}, "values")
    check(case, run(case))
    host_gpu.memory_limit = host_gpu.used.get(0, 0) + 100
    with pytest.raises(errors.GpuMemoryError, match=r"1,000,000 bytes.*fewer images"):
        device.empty(1_000_000, np.uint8)
    host_gpu.memory_limit = None
    check(case, run(case))
    host_gpu.edit = lambda source: "this is no C++"
    with pytest.raises(errors.GpuCompileError, match="ctfast doctor"):
        kernel("label_tissue", {"CTK_IN": "float"}, "ctk_label_tissue")
    host_gpu.edit = None
    kernel("label_tissue", {"CTK_IN": "float"}, "ctk_label_tissue")
    check(case, run(case))


def test_tables_are_uploaded_once(host_gpu: Simulation) -> None:
    import cupy

    from ctkernels.gpu._core import device
    from ctkernels.gpu.histogram import histogram

    x, out = cupy.asarray(np.zeros((2, 8, 8), np.uint16)), cupy.empty((2, 4), np.int64)
    edges = np.histogram_bin_edges(np.empty(0), 4, (0, 8))
    histogram(x, out, edges=edges)
    host_gpu.host_waits.clear()
    before = host_gpu.allocations
    threads = [threading.Thread(target=histogram, args=(x, out), kwargs={"edges": edges.copy()}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (host_gpu.host_waits, host_gpu.allocations) == ([], before)
    kept = len(host_gpu.living())
    for number in range(2 * device.MOST_UPLOADS + 3):
        device.uploaded(("test", number), lambda: np.zeros(1))
    assert len(host_gpu.living()) <= kept + device.MOST_UPLOADS
    histogram(x, out, edges=edges)
    assert out.get().tolist() == [[64, 0, 0, 0]] * 2


def test_the_stand_in_leaves_no_trace() -> None:
    def loaded() -> dict[str, object]:
        return {name: module for name, module in sys.modules.items() if name.startswith(("cupy", "ctkernels.gpu"))}

    before = loaded()
    with standin_for_cupy():
        import cupy as cp

        assert cp.RawModule.__module__.startswith("tests.cuda_on_host.")
        import ctkernels.gpu.window  # noqa: F401
    assert loaded() == before
