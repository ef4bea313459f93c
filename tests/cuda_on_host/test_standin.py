"""The stand-in for CuPy refuses what CuPy would pass on wrongly, and fails where a GPU would fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.cuda_on_host.install import standin_for_cupy
from tests.cuda_on_host.runtime import LaunchError
from tests.cuda_on_host.simulation import Simulation

SOURCE = """
extern "C" __global__ void __launch_bounds__(128)
add(const short* __restrict__ x, float* y, int n, float by, long long at) {
    extern __shared__ unsigned char scratch[];
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) y[at + i] = x[i] + by;
}
"""


def module() -> Any:
    import cupy as cp

    return cp.RawModule(code=SOURCE, options=("-std=c++17",), backend="nvrtc")


def arguments(**change: Any) -> tuple[Any, ...]:
    import cupy as cp

    given = {
        "x": cp.asarray(np.arange(200, dtype=np.int16)),
        "y": cp.zeros(200, np.float32),
        "n": np.int32(200),
        "by": np.float32(0.5),
        "at": np.int64(0),
    }
    return tuple({**given, **change}.values())


def test_a_right_call(host_gpu: Simulation) -> None:
    args = arguments()
    module().get_function("add")((2,), (128,), args, shared_mem=64)
    np.testing.assert_array_equal(args[1].get(), np.arange(200) + 0.5)
    module().get_function("add")((2,), (128,), arguments(at=0))  # CuPy passes a Python int as 8 bytes, which fits here
    assert [launch.kernel for launch in host_gpu.launches] == ["add", "add"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n": 200}, "passed as i8"),
        ({"n": np.int64(200)}, "passed as i8"),
        ({"n": np.float32(200)}, "passed as f4"),
        ({"n": np.uint32(200)}, None),
        ({"by": 0.5}, "passed as f8"),
        ({"by": np.float64(0.5)}, "passed as f8"),
        ({"by": True}, "passed as b1"),
        ({"n": "200"}, "can't pass"),
        ({"more": np.int32(1)}, "takes 5 arguments"),
        ({"y": None}, None),
        ({"y": 4096}, "no live allocation"),
        ({"x": np.arange(200, dtype=np.int16)}, "address of 8 bytes"),
    ],
)
def test_arguments_that_a_kernel_would_misread(host_gpu: Simulation, change: dict[str, Any], words: str | None) -> None:
    kernel, args = module().get_function("add"), arguments(**change)
    if words is None and "y" not in change:
        kernel((2,), (128,), args)
        return
    host_gpu.variant = "checked"
    with pytest.raises(AssertionError, match=words):
        kernel((2,), (128,), args)


def test_arrays_that_a_kernel_would_misread(host_gpu: Simulation) -> None:
    import cupy as cp

    kernel = module().get_function("add")
    wide = cp.zeros((20, 20), np.int16)
    for x, words in (
        (cp.zeros(200, np.int32), "array of int32"),
        (cp.zeros(200, np.float16), "array of float16"),
        (wide[:, :10], "C-contiguous"),
        (wide.T[:, 3:5], "C-contiguous"),
    ):
        with pytest.raises(LaunchError, match=words):
            kernel((2,), (128,), arguments(x=x))
    gone = cp.zeros(200, np.int16).data.ptr
    with pytest.raises(LaunchError, match="no live allocation"):
        kernel((2,), (128,), arguments(x=gone))


@pytest.mark.parametrize(
    ("grid", "block", "shared"),
    [
        ((1, 65536), (32,), 0), ((1, 1, 65536), (32,), 0), ((0,), (32,), 0), ((1,), (129,), 0), ((1,), (1024,), 0),
        ((1,), (1, 1, 65), 0), ((1,), (32,), 48 * 1024 + 4), ((1,), (0,), 0),
    ],
)  # fmt: skip
def test_sizes_that_a_gpu_refuses(host_gpu: Simulation, grid: Any, block: Any, shared: int) -> None:
    import cupy as cp

    with pytest.raises(cp.cuda.driver.CUDADriverError):
        module().get_function("add")(grid, block, arguments(), shared_mem=shared)


def test_large_shared_memory_after_asking_for_it(host_gpu: Simulation) -> None:
    kernel = module().get_function("add")
    kernel.max_dynamic_shared_size_bytes = 100 * 1024
    kernel((1,), (32,), arguments(), shared_mem=100 * 1024)


def test_sizes_are_tuples_of_python_ints(host_gpu: Simulation) -> None:
    for grid, block in ((2, (32,)), ((2,), [32]), ((np.int64(2),), (32,)), ((2.0,), (32,))):
        with pytest.raises(LaunchError):
            module().get_function("add")(grid, block, arguments())


def test_arrays_are_no_numpy_arrays(host_gpu: Simulation) -> None:
    import cupy as cp

    x = cp.asarray(np.arange(6.0).reshape(2, 3))
    with pytest.raises(TypeError, match="Implicit"):
        np.asarray(x)
    with pytest.raises(TypeError):
        x[...] = np.zeros((2, 3))
    assert x[1].shape == (3,)
    assert x[0, 0].shape == ()
    assert x.data.ptr % 256 == 0
    np.testing.assert_array_equal(x[:, 1:].get(), np.arange(6.0).reshape(2, 3)[:, 1:])
    np.testing.assert_array_equal(x.view(np.int64).view(np.float64).get(), x.get())
    assert float(x[1, 2]) == 5.0
    assert host_gpu.host_waits


def test_fresh_memory_is_not_zero(host_gpu: Simulation) -> None:
    import cupy as cp

    assert (cp.empty(5, np.uint8).get() == 0xA5).all()


def test_out_of_memory_and_what_remains_usable(host_gpu: Simulation) -> None:
    import cupy as cp

    host_gpu.memory_limit = sum(host_gpu.used.values()) + 1000
    kept = cp.zeros(600, np.uint8)
    with pytest.raises(cp.cuda.memory.OutOfMemoryError):
        cp.zeros(600, np.uint8)
    del kept
    cp.zeros(600, np.uint8)
    free, total = cp.cuda.Device().mem_info
    assert 0 <= free <= total


def test_devices_and_streams_must_fit(host_gpu: Simulation) -> None:
    import cupy as cp

    host_gpu.devices = 2
    here = arguments()
    stream = cp.cuda.Stream()
    with cp.cuda.Device(1):
        assert cp.zeros(1).device.id == 1
        with pytest.raises(LaunchError, match="device 0 while device 1"):
            module().get_function("add")((1,), (32,), here)
        assert cp.cuda.get_current_stream() is cp.cuda.Stream.null
    with stream:
        assert cp.cuda.get_current_stream() is stream
        assert cp.cuda.get_current_stream(1) is cp.cuda.Stream.null
    with pytest.raises(cp.cuda.runtime.CUDARuntimeError):
        cp.cuda.Device(2).use()


def copies(wait: bool, seed: int) -> bool:
    """Up on one stream, down on another: right only if the second waits for the first."""
    with standin_for_cupy(lazy=True, seed=seed):
        import cupy as cp

        up, down = cp.cuda.Stream(non_blocking=True), cp.cuda.Stream(non_blocking=True)
        pinned = np.frombuffer(cp.cuda.alloc_pinned_memory(80), np.int64, 10)
        pinned[:] = 7
        x = cp.empty(10, np.int64)
        x.set(pinned, stream=up)
        if wait:
            down.wait_event(up.record())
        result = np.zeros(10, np.int64)
        x.get(stream=down, out=result, blocking=False)
        down.synchronize()
        return bool((result == 7).all())


def test_a_missing_wait_between_streams_shows() -> None:
    assert all(copies(wait=True, seed=seed) for seed in range(8))
    assert not all(copies(wait=False, seed=seed) for seed in range(8))


def test_a_pinned_buffer_reused_too_early_shows() -> None:
    with standin_for_cupy(lazy=True):
        import cupy as cp

        pinned = np.frombuffer(cp.cuda.alloc_pinned_memory(80), np.int64, 10)
        pinned[:] = 1
        x = cp.empty(10, np.int64)
        x.set(pinned)
        pinned[:] = 2
        assert (x.get() == 2).all()


def test_what_a_capturing_stream_refuses(host_gpu: Simulation) -> None:
    import cupy

    errors = cupy.cuda.runtime.CUDARuntimeError
    with pytest.raises(RuntimeError, match="cannot capture on the default"):
        cupy.cuda.Stream.null.begin_capture()
    x = cupy.zeros(5, np.uint8)
    with cupy.cuda.Stream(non_blocking=True) as stream:
        with pytest.raises(errors, match="IllegalState"):
            stream.end_capture()
        for waits in (stream.synchronize, cupy.cuda.Device().synchronize):
            stream.begin_capture()
            with pytest.raises(errors, match="CaptureUnsupported"):
                waits()
            with pytest.raises(errors, match="CaptureInvalidated"):
                x.fill(1)
            with pytest.raises(errors, match="CaptureInvalidated"):
                stream.end_capture()
        stream.begin_capture()
        assert stream.done  # a question that CUDA answers by breaking off the capture
        with pytest.raises(errors, match="CaptureInvalidated"):
            stream.end_capture()
        stream.begin_capture()
        with pytest.raises(RuntimeError, match="D2H transfers are disallowed"):
            x.get()
        with pytest.raises(LaunchError, match="launches and fills only"):
            x[:] = 3
        stream.end_capture()
        assert not stream.is_capturing()
        stream.synchronize()


def test_a_graph_that_uses_memory_given_back_shows(host_gpu: Simulation) -> None:
    import cupy

    x, kept = cupy.zeros(5, np.uint8), cupy.zeros(5, np.uint8)
    with cupy.cuda.Stream(non_blocking=True) as stream:
        stream.begin_capture()
        kept.fill(3)
        x.fill(3)
        graph = stream.end_capture()
        graph.launch()
        assert x.get().tolist() == kept.get().tolist() == [3] * 5
        del x
        with pytest.raises(LaunchError, match="memory that was given back"):
            graph.launch()
