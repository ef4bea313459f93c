"""Arrays on a GPU through the public functions: where the result is, what waits for what, what is refused.

The GPU is the stand-in (see ``host``); the expected values are those of the CPU backend on the same pixels.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

import ctfast
from ctfast import Pipeline, Step
from ctfast.dispatch.jax_arrays import to_jax
from ctfast.errors import ArgumentError, BackendUnavailableError, DeviceError, DeviceMemoryError, DTypeError, ShapeError
from tests.cuda_on_host.simulation import Simulation
from tests.gpu.foreign import Array, Tensor, jax_module, torch_with

X = np.random.default_rng(1).normal(0, 600, (3, 20, 34)).astype(np.int16)
EXACT: dict[str, Callable[..., Any]] = {
    "median_filter": lambda x, **k: ctfast.median_filter(x, 3, **k),
    "clahe": lambda x, **k: ctfast.clahe(x, value_range=(-1000, 2000), tile_grid=2, **k),
    "label_tissue": ctfast.label_tissue,
    "window to uint8": lambda x, **k: ctfast.window(x, center=40, width=400, dtype="uint8", **k),
}
STATISTICS: dict[str, Callable[..., Any]] = {
    "histogram": lambda x, **k: ctfast.histogram(x, 50, value_range=(-1024, 1500), **k),
    "histogram of its own range": lambda x, **k: ctfast.histogram(x, 50, **k),
    "summary": ctfast.summary,
}
CHAIN = Pipeline(
    [
        Step("window", center=40, width=400, dtype="uint8"),
        Step("median_filter"),
        Step("histogram", value_range=(0, 256)),
    ]
)


def on_host(array: Any) -> np.ndarray:
    return array.get() if hasattr(array, "get") else array.host if hasattr(array, "host") else np.asarray(array)


def parts(result: Any) -> list[Any]:
    if isinstance(result, tuple):
        return list(result)
    return [getattr(result, f.name) for f in fields(result) if f.name != "levels"]


@pytest.mark.parametrize("name", EXACT)
def test_the_result_is_where_the_image_was(host_gpu: Simulation, name: str) -> None:
    import cupy

    host_gpu.devices = 2
    for device in (0, 1):
        with cupy.cuda.Device(device):
            x = cupy.asarray(X)
        result = EXACT[name](x)
        assert isinstance(result, cupy.ndarray)
        assert result.device.id == device
        np.testing.assert_array_equal(on_host(result), EXACT[name](X))
    assert cupy.cuda.Device().id == 0, "the caller's device is as it was"


def test_nothing_waits_on_the_way(host_gpu: Simulation) -> None:
    import cupy

    x = cupy.asarray(X)
    for call in (*EXACT.values(), CHAIN):  # tables are uploaded once
        call(x)
    host_gpu.host_waits.clear()
    for call in EXACT.values():
        call(x)
    CHAIN(x)
    assert host_gpu.host_waits == []


@pytest.mark.parametrize("name", STATISTICS)
def test_statistics_are_where_the_image_was(host_gpu: Simulation, name: str) -> None:
    import cupy

    for image in (X, X[0], X[:, None]):
        expected = STATISTICS[name](image)
        for x, backend, kind in (
            (cupy.asarray(image), None, cupy.ndarray),
            (cupy.asarray(image), "cpu", cupy.ndarray),
            (image, "gpu", type(expected[0]) if isinstance(expected, tuple) else None),
        ):
            result = STATISTICS[name](x, backend=backend)
            for got, want in zip(parts(result), parts(expected), strict=True):
                assert kind is None or isinstance(got, kind)
                assert got.shape == np.shape(want)
                assert got.dtype == want.dtype
                np.testing.assert_allclose(on_host(got), want, rtol=1e-6)


def test_a_histogram_of_values_that_are_not_finite(host_gpu: Simulation) -> None:
    import cupy

    x = X.astype(np.float32)
    x[1, 2, 3] = np.nan
    with pytest.raises(ctfast.errors.ValueRangeError, match="give value_range"):
        ctfast.histogram(cupy.asarray(x))
    counts, _ = ctfast.histogram(cupy.asarray(x), value_range=(-5000, 5000))
    assert int(on_host(counts).sum()) == x.size - 1


def test_backend_is_an_explicit_request(host_gpu: Simulation) -> None:
    import cupy

    expected = ctfast.median_filter(X, 5)
    result = ctfast.median_filter(X, 5, backend="gpu")
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, expected)
    launches = len(host_gpu.launches)
    assert launches
    result = ctfast.median_filter(cupy.asarray(X), 5, backend="cpu")
    assert isinstance(result, cupy.ndarray)
    np.testing.assert_array_equal(on_host(result), expected)
    assert len(host_gpu.launches) == launches, "it ran on the CPU"
    with ctfast.use_backend("gpu"):
        np.testing.assert_array_equal(
            ctfast.median_filter(X[0].astype(">i2")[::-1], 5), ctfast.median_filter(X[0, ::-1], 5)
        )


def test_layouts_are_read_as_they_are(host_gpu: Simulation) -> None:
    import cupy

    x = cupy.asarray(X)
    for view in (np.s_[:, ::2, ::-1], np.s_[1], np.s_[None, :, 3:, 1:], np.s_[::2]):
        np.testing.assert_array_equal(on_host(ctfast.median_filter(x[view])), ctfast.median_filter(X[view]))
    np.testing.assert_array_equal(on_host(ctfast.median_filter(x[0].T)), ctfast.median_filter(X[0].T))


def test_out(host_gpu: Simulation) -> None:
    import cupy

    expected = ctfast.median_filter(X)
    x, out = cupy.asarray(X), cupy.zeros(X.shape, np.int16)
    assert ctfast.median_filter(x, out=out) is out
    np.testing.assert_array_equal(on_host(out), expected)
    assert ctfast.median_filter(x, out=x) is x, "in place"
    np.testing.assert_array_equal(on_host(x), expected)
    x, wide = cupy.asarray(X), cupy.zeros((*X.shape[:2], 2 * X.shape[2]), np.int16)
    ctfast.median_filter(x, out=wide[:, :, ::2])
    np.testing.assert_array_equal(on_host(wide)[:, :, ::2], expected)
    assert not on_host(wide)[:, :, 1::2].any()
    host = np.zeros_like(X)
    assert ctfast.median_filter(X, out=host, backend="gpu") is host
    np.testing.assert_array_equal(host, expected)
    back = cupy.zeros(X.shape, np.int16)
    assert ctfast.median_filter(x, out=back, backend="cpu") is back
    np.testing.assert_array_equal(on_host(back), expected)


def test_out_elsewhere_is_refused(host_gpu: Simulation) -> None:
    import cupy

    host_gpu.devices = 2
    x = cupy.asarray(X)
    with cupy.cuda.Device(1):
        other = cupy.zeros(X.shape, np.int16)
    for image, out, backend, words in (
        (X, x, None, "out= is on GPU 0 but the image is on the host"),
        (X, x, "gpu", "out= is on GPU 0 but the image is on the host"),
        (x, np.zeros_like(X), None, "out= is on the host but the image on GPU 0"),
        (x, np.zeros_like(X), "cpu", "out= is on the host but the image on GPU 0"),
        (x, other, None, "out= is on GPU 1 but the image on GPU 0"),
        (other, x, None, "out= is on GPU 0 but the image on GPU 1"),
    ):
        with pytest.raises(ArgumentError, match=f"{words}.*bring both"):
            ctfast.median_filter(image, out=out, backend=backend)
    for backend in (None, "cpu"):
        with pytest.raises(ShapeError, match="out= has shape"):
            ctfast.median_filter(x, out=x[:1], backend=backend)
        with pytest.raises(DTypeError, match="out= has dtype uint8"):
            ctfast.median_filter(x, out=cupy.zeros(X.shape, np.uint8), backend=backend)
    with pytest.raises(ShapeError, match="out= has shape"):
        ctfast.median_filter(X, out=np.zeros_like(X[:1]), backend="gpu")


def test_what_is_no_image_is_refused_before_anything_moves(host_gpu: Simulation) -> None:
    import cupy

    with pytest.raises(DTypeError, match=r"int64.*astype"):
        ctfast.median_filter(cupy.asarray(np.full((4, 4), 70_000, np.int64)))
    with pytest.raises(DTypeError, match=r"foreign byte orders.*astype\('int16'\)"):
        ctfast.median_filter(cupy.zeros((4, 4), ">i2"))
    with pytest.raises(ShapeError, match="ambiguous"):
        ctfast.median_filter(cupy.zeros((4, 4, 3), np.int16))
    with pytest.raises(ShapeError, match="empty"):
        ctfast.median_filter(cupy.zeros((0, 4), np.int16))
    with pytest.raises(ArgumentError, match="size=0"):
        ctfast.median_filter(cupy.zeros((4, 4), np.int16), 0)
    other = type("DeviceNDArray", (), {"__cuda_array_interface__": {}, "__array__": lambda self, *_: X})()
    with pytest.raises(ArgumentError, match=r"cupy\.asarray"):
        ctfast.median_filter(other)
    assert host_gpu.launches == []


def test_the_current_stream_is_respected(host_gpu: Simulation) -> None:
    import cupy

    ctfast.label_tissue(cupy.asarray(X.astype(np.uint8)))  # its table is uploaded once
    host_gpu.lazy = True
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        x = cupy.asarray(X)
        result = ctfast.window(ctfast.median_filter(x), center=40, width=400, dtype="uint8")
        again = ctfast.label_tissue(result)
    waiting = len(stream.queue)
    stream.synchronize()
    assert waiting >= 4, "the copy and the three operations were on this stream"
    expected = ctfast.window(ctfast.median_filter(X), center=40, width=400, dtype="uint8")
    np.testing.assert_array_equal(on_host(result), expected)
    np.testing.assert_array_equal(on_host(again), ctfast.label_tissue(expected))


def test_a_stream_of_another_device_gets_no_work(host_gpu: Simulation) -> None:
    import cupy

    host_gpu.devices = 2
    with cupy.cuda.Device(1):
        x = cupy.asarray(X)
    with cupy.cuda.Stream(non_blocking=True):
        result = ctfast.median_filter(x)
    assert result.device.id == 1
    np.testing.assert_array_equal(on_host(result), ctfast.median_filter(X))


def test_pipelines(host_gpu: Simulation) -> None:
    import cupy

    unknown_range = Pipeline([Step("median_filter"), Step("histogram", bins=40), Step("label_tissue"), Step("summary")])
    for pipeline in (CHAIN, unknown_range, Pipeline([Step("histogram", value_range=(0, 99))])):
        expected = pipeline.run(X)
        for x, backend in ((cupy.asarray(X), None), (X, "gpu"), (cupy.asarray(X), "cpu")):
            result = pipeline.run(x, backend=backend)
            assert type(result.image) is type(x)
            assert result.histogram is not None
            assert expected.histogram is not None
            np.testing.assert_array_equal(on_host(result.image), expected.image)
            np.testing.assert_array_equal(on_host(result.histogram.counts), expected.histogram.counts)
            np.testing.assert_array_equal(on_host(result.histogram.edges), expected.histogram.edges)
    with pytest.raises(DTypeError) as error:
        CHAIN(cupy.asarray(np.full((4, 4), -70_000)))
    assert "step 1" in error.value.__notes__[0]


@pytest.mark.parametrize("stream", [0, 0x7000])
def test_torch_arrays_on_a_gpu(host_gpu: Simulation, monkeypatch: pytest.MonkeyPatch, stream: int) -> None:
    monkeypatch.setitem(sys.modules, "torch", torch_with(stream))
    x = Tensor(X.copy())
    host_gpu.host_waits.clear()
    result = ctfast.median_filter(x, 5)
    assert isinstance(result, Tensor)
    assert result.device.type == "cuda"
    np.testing.assert_array_equal(result.host, ctfast.median_filter(X, 5))
    assert x.asked_with == [stream or 1], "on torch's own stream nothing has to wait"
    assert not [wait for wait in host_gpu.host_waits if wait == "get"], "no trip over the host"
    out = Tensor(np.zeros_like(X))
    assert ctfast.median_filter(x, 5, out=out) is out
    np.testing.assert_array_equal(out.host, result.host)
    counts, edges = ctfast.histogram(x, 20, value_range=(0, 99))
    assert isinstance(counts, Tensor)
    assert isinstance(edges, Tensor)
    assert isinstance(ctfast.summary(x).mean, Tensor)
    cpu = ctfast.median_filter(x, 5, backend="cpu")
    assert isinstance(cpu, Tensor)
    np.testing.assert_array_equal(cpu.host, result.host)
    assert ctfast.median_filter(x, 5, backend="cpu", out=out) is out
    assert isinstance(CHAIN.run(x).image, Tensor)
    with pytest.raises(DTypeError, match=r"requires grad.*detach"):
        ctfast.median_filter(Tensor(X, refuses=BufferError("requires grad")))
    with pytest.raises(DTypeError, match="requires grad"):
        ctfast.median_filter(Tensor(X, refuses=BufferError("requires grad")), backend="cpu")
    with pytest.raises(BackendUnavailableError, match="type 'mps'"):
        ctfast.median_filter(Tensor(X, type_="mps"))
    with pytest.raises(ArgumentError, match="out= is on the host"):
        ctfast.median_filter(x, out=np.zeros_like(X))


def test_jax_arrays_on_a_gpu(host_gpu: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", jax_module())
    host_gpu.devices = 2
    x = Array(X.copy(), 1)
    result = ctfast.median_filter(x, 5)
    assert isinstance(result, Array)
    assert result.__dlpack_device__() == (2, 1)
    np.testing.assert_array_equal(result.host, ctfast.median_filter(X, 5))
    assert host_gpu.host_waits[-1] == "Stream.synchronize", "JAX may use the input's memory again now"
    assert "get" not in host_gpu.host_waits
    counts, _ = ctfast.histogram(x, 20, value_range=(0, 99))
    assert counts.host.dtype == np.int32, "as JAX has it without 64 bits"
    assert isinstance(ctfast.median_filter(x, 5, backend="cpu"), Array)
    with pytest.raises(ArgumentError, match="JAX array, which can't be written"):
        ctfast.median_filter(x, out=x)
    two = Array(X)
    monkeypatch.setattr(two, "devices", lambda: {*x.devices(), *two.__class__(X).devices()}, raising=False)
    with pytest.raises(ArgumentError, match=r"on 2 devices.*device_put"):
        ctfast.median_filter(two)


def test_a_cupy_image_and_torch_memory_for_the_result(host_gpu: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    import cupy

    monkeypatch.setitem(sys.modules, "torch", torch_with(0))
    out = Tensor(np.zeros_like(X))
    assert ctfast.median_filter(cupy.asarray(X), out=out) is out
    np.testing.assert_array_equal(out.host, ctfast.median_filter(X))
    assert host_gpu.host_waits[-1] == "Stream.synchronize", "torch may read it on another stream"


def test_out_of_memory_is_an_error_of_ours_and_the_process_goes_on(host_gpu: Simulation) -> None:
    import cupy

    x = cupy.asarray(X)
    host_gpu.memory_limit = X.nbytes + 1000
    with pytest.raises(DeviceMemoryError, match=r"pass fewer images|fewer images at a time") as error:
        ctfast.median_filter(x)
    assert isinstance(error.value, MemoryError)
    with pytest.raises(DeviceMemoryError):
        CHAIN(x)
    host_gpu.memory_limit = None
    np.testing.assert_array_equal(on_host(ctfast.median_filter(x)), ctfast.median_filter(X))


def test_a_host_batch_larger_than_the_gpu_goes_in_parts(host_gpu: Simulation) -> None:
    x = np.random.default_rng(2).normal(0, 600, (5, 2, 40, 50)).astype(np.int16)
    host_gpu.memory_limit = 2 * x.nbytes - 1000
    np.testing.assert_array_equal(ctfast.median_filter(x, 3, backend="gpu"), ctfast.median_filter(x, 3))
    out = np.zeros_like(x)
    assert ctfast.median_filter(x, 3, backend="gpu", out=out) is out
    np.testing.assert_array_equal(out, ctfast.median_filter(x, 3))
    expected, result = CHAIN.run(x), CHAIN.run(x, backend="gpu")
    np.testing.assert_array_equal(result.image, expected.image)
    assert result.histogram is not None
    assert expected.histogram is not None
    np.testing.assert_array_equal(result.histogram.counts, expected.histogram.counts)
    for got, want in zip(parts(ctfast.summary(x, backend="gpu")), parts(ctfast.summary(x)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)
    host_gpu.memory_limit = 1000
    with pytest.raises(DeviceMemoryError):
        ctfast.median_filter(x, 3, backend="gpu")


def test_an_error_of_cuda_comes_in_our_words(host_gpu: Simulation) -> None:
    import cupy

    x = cupy.asarray(X)

    def fails(_: int) -> None:
        raise cupy.cuda.runtime.CUDARuntimeError(1)

    host_gpu.before_allocation = fails
    with pytest.raises(DeviceError, match=r"CUDARuntimeError: cudaErrorInvalidValue.*ctfast doctor"):
        ctfast.median_filter(x)
    host_gpu.before_allocation = None
    np.testing.assert_array_equal(on_host(ctfast.median_filter(x)), ctfast.median_filter(X))


def test_results_go_to_jax_where_they_are(host_gpu: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    import cupy

    monkeypatch.setitem(sys.modules, "jax", jax_module())
    host_gpu.devices = 2
    with cupy.cuda.Device(1):
        x = cupy.asarray(X)
    host_gpu.host_waits.clear()
    result = ctfast.window(x, center=40, width=400)
    given = to_jax(result)
    assert isinstance(given, Array)
    assert given.__dlpack_device__() == (2, 1)
    assert np.shares_memory(given.host, result._host)
    assert host_gpu.host_waits == []
    assert to_jax(given) is given
    assert to_jax(ctfast.summary(x).mean).host.dtype == np.float32
    monkeypatch.setattr(sys.modules["jax"], "dlpack", None)
    with pytest.raises(BackendUnavailableError, match="JAX for CUDA"):
        to_jax(result)


def test_the_real_jax_here_takes_what_is_on_the_host() -> None:
    jax = pytest.importorskip("jax", reason="jax is not installed")
    given = to_jax(ctfast.window(X, center=40, width=400))
    assert isinstance(given, jax.Array)
    np.testing.assert_array_equal(np.asarray(given), ctfast.window(X, center=40, width=400))


@pytest.mark.parametrize("dtype", ["bool", "int8", "int32", "uint32", "int64", "uint64"])
def test_dtypes_with_an_exact_cast_are_looked_at_where_they_are(host_gpu: Simulation, dtype: str) -> None:
    import cupy

    x = (np.abs(X) % 90).astype(dtype)
    found = ctfast.median_filter(cupy.asarray(x), 3)
    assert isinstance(found, cupy.ndarray)
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(on_host(found), ctfast.median_filter(x, 3))
    result = CHAIN.run(cupy.asarray(x))
    expected = CHAIN.run(x)
    assert isinstance(result.image, cupy.ndarray)
    np.testing.assert_array_equal(on_host(result.image), expected.image)
    np.testing.assert_array_equal(on_host(result.histogram.counts), expected.histogram.counts)
    if x.dtype.itemsize > 2:
        for beyond in (70_000, np.iinfo(x.dtype).max):
            with pytest.raises(DTypeError, match=r"else x.astype\('float32'\)"):
                ctfast.median_filter(cupy.asarray(np.full_like(x, beyond)), 3)


def test_results_of_a_wider_dtype(host_gpu: Simulation) -> None:
    import cupy

    for call in (lambda x, out: ctfast.median_filter(x, 3, out=out), lambda x, out: ctfast.gaussian_filter(x, out=out)):
        for dtype in (np.float32, np.int32):
            out, expected = cupy.empty(X.shape, dtype), np.empty(X.shape, dtype)
            assert call(cupy.asarray(X), out) is out
            call(X, expected)
            np.testing.assert_allclose(on_host(out), expected, rtol=0, atol=1e-3)
    with pytest.raises(ArgumentError, match="out= is on the host"):
        ctfast.median_filter(cupy.asarray(X), 3, out=np.empty(X.shape, np.float32))
