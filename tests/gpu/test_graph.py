"""Chains recorded as CUDA graphs: the bits of a plain run, on new pixels, with no memory that somebody else may get."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ctkernels.contract import OPERATIONS, Link
from ctkernels.testing import assert_exact
from tests.cuda_on_host.simulation import Simulation
from tests.gpu.chains import CHAINS, CLAHE, GAUSSIAN, HISTOGRAM, SUMMARY, WINDOW, link, one_by_one, slices

RECORDED: dict[str, Sequence[Link]] = {
    **{name: links for name, (links, _) in CHAINS.items()},
    "ranges and percentiles": (
        link("normalize", "float32", percentiles=(2, 98)),
        link("standardize", "float32"),
        SUMMARY,
    ),
    "CLAHE of int16, which finds its range": (link("clahe", nbins=5000, tile_grid=(2, 2)),),
    "labels": (link("label_tissue")._replace(dtype=np.dtype("uint8")),),
}


class Arrays:
    """Of one chain on the device."""

    def __init__(self, x: np.ndarray, links: Sequence[Link]) -> None:
        import cupy

        self.links, self.x = links, cupy.asarray(x)
        made = [step for step in links if not step.is_statistic]
        dtypes = [step.dtype for step in made if step.dtype is not None]
        self.out = cupy.empty(x.shape, dtypes[-1] if dtypes else x.dtype) if made else None
        counts = [(OPERATIONS[step.operation], step.params) for step in links if step.is_statistic]
        self.rows = [cupy.empty(spec.result_shape(x.shape, values), spec.out_dtypes[0]) for spec, values in counts]

    def capture(self) -> Any:
        from ctkernels.gpu import graph

        return graph.capture(self.x, self.out, self.links, self.rows)

    def check(self, x: np.ndarray) -> None:
        """Raises where results are not those of the operations one by one on ``x``."""
        image, statistics = one_by_one(x, self.links)
        if image is not None:
            assert self.out is not None
            assert_exact(self.out.get(), image)
        for row, expected in zip(self.rows, statistics, strict=True):
            assert_exact(row.get(), expected)

    def forget(self) -> None:
        """Results that no launch has written."""
        for array in (self.out, *self.rows):
            if array is not None:
                array.fill(77)


@pytest.mark.parametrize("name", RECORDED)
def test_a_launch_gives_what_the_operations_give_on_the_pixels_of_the_moment(host_gpu: Simulation, name: str) -> None:
    first, second = slices("int16"), slices("int16")[::-1] + np.int16(31)
    arrays = Arrays(first, RECORDED[name])
    captured = arrays.capture()
    arrays.check(first)
    for x in (second, first):
        arrays.x.set(x)
        arrays.forget()
        kernels = len(host_gpu.launches)
        allocations, waits = host_gpu.allocations, len(host_gpu.host_waits)
        captured.launch()
        assert len(host_gpu.launches) > kernels
        assert host_gpu.allocations == allocations
        assert len(host_gpu.host_waits) == waits
        arrays.check(x)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
def test_every_image_dtype(host_gpu: Simulation, dtype: str) -> None:
    x = np.abs(slices(dtype, 2))
    arrays = Arrays(np.zeros_like(x), RECORDED["preset"])
    captured = arrays.capture()
    arrays.x.set(x)
    captured.launch()
    arrays.check(x)


def test_parts_of_a_batch_and_a_gaussian_in_two_passes(host_gpu: Simulation) -> None:
    from ctkernels.gpu._core.geometry import lowered

    host_gpu.shared_optin = 48 * 1024
    x = slices("int16", 5)
    arrays = Arrays(np.zeros_like(x), (WINDOW, link("gaussian_filter", sigma=9.0), CLAHE, HISTOGRAM, SUMMARY))
    with lowered(chain_bytes=2 * x[0].size * 2):
        captured = arrays.capture()
    arrays.x.set(x)
    captured.launch()
    arrays.check(x)


def test_recording_allocates_once_and_launches_nothing_twice(host_gpu: Simulation) -> None:
    arrays = Arrays(slices("int16"), RECORDED["preset"])
    arrays.capture()
    before, kernels = host_gpu.allocations, len(host_gpu.launches)
    captured = arrays.capture()
    assert host_gpu.allocations == before + 1
    assert len(host_gpu.launches) == kernels + 4
    captured.launch()
    assert len(host_gpu.launches) == kernels + 8


def test_a_graph_keeps_all_that_it_uses(host_gpu: Simulation) -> None:
    from ctkernels.gpu._core import device

    x = slices("int16")
    arrays = Arrays(x, RECORDED["preset"])
    captured = arrays.capture()
    out, rows = arrays.out, arrays.rows
    arrays.forget()
    del arrays.x
    device.drop_uploads()
    gc.collect()
    captured.launch()
    arrays.out, arrays.rows = out, rows
    arrays.check(x)


@pytest.mark.parametrize("seed", range(4))
def test_launches_on_several_streams_never_overlap(host_gpu: Simulation, seed: int) -> None:
    import cupy

    host_gpu.lazy, host_gpu.seed = True, seed
    x = slices("int16")
    arrays = Arrays(x, RECORDED["preset"])
    captured = arrays.capture()
    cupy.cuda.Device().synchronize()
    arrays.forget()
    cupy.cuda.Device().synchronize()
    for _ in range(3):
        with cupy.cuda.Stream(non_blocking=True):
            captured.launch()
    cupy.cuda.Device().synchronize()
    arrays.check(x)


def test_another_device_is_refused(host_gpu: Simulation) -> None:
    import cupy

    from ctkernels.gpu._core.errors import GpuError

    host_gpu.devices = 2
    captured = Arrays(slices("int16"), RECORDED["preset"]).capture()
    with cupy.cuda.Device(1), pytest.raises(GpuError, match="recorded on device 0 was launched while device 1"):
        captured.launch()
    captured.launch()


def test_a_stream_that_is_capturing_is_refused(host_gpu: Simulation) -> None:
    import cupy

    from ctkernels.gpu._core.errors import GpuError

    arrays = Arrays(slices("int16"), RECORDED["labels"])
    with cupy.cuda.Stream(non_blocking=True) as stream:
        stream.begin_capture()
        with pytest.raises(GpuError, match="capturing already"):
            arrays.capture()
        stream.end_capture()
    blocking = cupy.cuda.Stream()
    blocking.begin_capture()
    with pytest.raises(GpuError, match="can't be recorded now: cudaErrorStreamCaptureImplicit"):
        arrays.capture()
    blocking.end_capture()
    arrays.capture()


@pytest.mark.parametrize("trouble", ["wait", "copy", "refused"])
def test_a_recording_that_fails_leaves_all_usable(
    host_gpu: Simulation, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    import cupy

    from ctkernels.gpu import chain
    from ctkernels.gpu._core.errors import GpuError

    x = slices("int16")
    arrays = Arrays(x, RECORDED["preset"])
    run, streams = chain.run, []

    def second_fails(*args: Any, **options: Any) -> None:
        run(*args, **options)
        stream = cupy.cuda.get_current_stream()
        if not stream.is_capturing():
            return
        streams.append(stream)
        if trouble == "wait":
            cupy.cuda.Device().synchronize()
        elif trouble == "copy":
            arrays.x.set(x)
        else:
            raise ValueError("something else")

    monkeypatch.setattr(chain, "run", second_fails)
    expected = {"wait": "StreamCaptureUnsupported", "copy": "H2D transfers", "refused": "something else"}[trouble]
    with pytest.raises(ValueError if trouble == "refused" else GpuError, match=expected):
        arrays.capture()
    assert not streams[0].is_capturing()
    monkeypatch.undo()
    captured = arrays.capture()
    arrays.forget()
    captured.launch()
    arrays.check(x)


def test_a_capture_that_another_thread_broke_off(host_gpu: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA tells the one who waited, and who records only at the next thing it asks for."""
    import cupy

    from ctkernels.gpu import chain
    from ctkernels.gpu._core.errors import GpuLaunchError

    run = chain.run

    def broken(*args: Any, **options: Any) -> None:
        run(*args, **options)
        if cupy.cuda.get_current_stream().is_capturing():
            with pytest.raises(cupy.cuda.runtime.CUDARuntimeError):
                cupy.cuda.Device().synchronize()

    monkeypatch.setattr(chain, "run", broken)
    arrays = Arrays(slices("int16"), (WINDOW, GAUSSIAN))
    with pytest.raises(GpuLaunchError, match=r"recording a chain failed: .*CaptureInvalidated.*try again"):
        arrays.capture()


def test_too_little_memory(host_gpu: Simulation) -> None:
    from ctkernels.gpu._core.errors import GpuMemoryError

    arrays = Arrays(slices("int16"), RECORDED["preset"])
    host_gpu.memory_limit = host_gpu.used[0] + 100
    with pytest.raises(GpuMemoryError, match="no memory left"):
        arrays.capture()
