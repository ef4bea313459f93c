"""Which backend a call runs on, and arrays of other libraries."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import ctfast
from ctfast import backend
from ctfast.errors import ArgumentError, BackendUnavailableError

IMAGE = np.arange(80, dtype=np.int16).reshape(8, 10)


def test_order_of_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert backend.select(None) == "cpu"
    monkeypatch.setenv("CTFAST_BACKEND", "reference")
    assert backend.select(None) == "reference"
    with ctfast.use_backend("cpu"):
        assert backend.select(None) == "cpu"
        assert backend.select("reference") == "reference"
        with ctfast.use_backend("auto"):
            assert backend.select(None) == "reference"
        assert backend.select("auto") == "cpu"
    assert backend.select(None) == "reference"


def test_use_backend_is_this_threads_own() -> None:
    seen = []
    with ctfast.use_backend("reference"):
        thread = threading.Thread(target=lambda: seen.append(backend.select(None)))
        thread.start()
        thread.join()
    assert seen == ["cpu"]


def test_unknown_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArgumentError, match="cpu, gpu, reference"):
        ctfast.median_filter(IMAGE, backend="cuda")
    with pytest.raises(ArgumentError, match="use_backend"), ctfast.use_backend("cuda"):
        pass
    monkeypatch.setenv("CTFAST_BACKEND", "tpu")
    with pytest.raises(ArgumentError, match="CTFAST_BACKEND='tpu'"):
        ctfast.median_filter(IMAGE)


def test_backends_tells_why_not() -> None:
    states = ctfast.backends()
    assert list(states) == ["cpu", "gpu", "reference"]
    assert states["cpu"].usable
    gpu = states["gpu"]
    if not gpu.usable:
        assert gpu.reason
        assert gpu.remedy
        with pytest.raises(BackendUnavailableError, match=gpu.reason[:20]):
            ctfast.median_filter(IMAGE, backend="gpu")
        with pytest.raises(BackendUnavailableError), ctfast.use_backend("gpu"):
            pass


def test_torch_arrays_come_back_as_torch_arrays() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    tensor = torch.arange(80, dtype=torch.float32).reshape(8, 10)
    expected = ctfast.gaussian_filter(tensor.numpy(), 1.0)
    result = ctfast.gaussian_filter(tensor, 1.0)
    assert isinstance(result, torch.Tensor)
    np.testing.assert_array_equal(result.numpy(), expected)
    out = torch.zeros(8, 10)
    assert ctfast.gaussian_filter(tensor.T.contiguous().T, 1.0, out=out) is out
    np.testing.assert_array_equal(out.numpy(), expected)
    counts, edges = ctfast.histogram(tensor, 8)
    assert isinstance(counts, torch.Tensor)
    assert isinstance(edges, torch.Tensor)
    with pytest.raises(ctfast.errors.ArgumentError, match=r"asks for gradients.*detach"):
        ctfast.median_filter(tensor.clone().requires_grad_(), 3)  # tests/embed has those that have gradients
    with pytest.raises(ctfast.errors.DTypeError, match=r"image of dtype bfloat16: .*astype\('float32'\)"):
        ctfast.gaussian_filter(tensor.to(torch.bfloat16), 1.0)


def test_tensors_whose_memory_does_not_hold_their_values() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x = torch.linspace(1, 2, 80).reshape(8, 10)
    negative = torch.complex(x, x).conj().imag
    assert negative.is_neg()
    np.testing.assert_array_equal(ctfast.rescale(negative).numpy(), -x.numpy())
    with pytest.raises(ArgumentError, match="negative bit"):
        ctfast.rescale(x, out=negative)
    nothing = torch._efficientzerotensor((8, 10))  # a tangent of nothing: it has no memory, which DLPack doesn't say
    np.testing.assert_array_equal(ctfast.rescale(nothing, intercept=5.0).numpy(), np.full((8, 10), 5.0))
    with pytest.raises(ArgumentError, match="without memory"):
        ctfast.rescale(x, out=nothing)


def test_jax_arrays_come_back_as_jax_arrays() -> None:
    jax = pytest.importorskip("jax", reason="jax is not installed")
    array = jax.numpy.arange(80, dtype=jax.numpy.float32).reshape(8, 10)
    result = ctfast.median_filter(array, 3)
    assert isinstance(result, jax.Array)
    np.testing.assert_array_equal(np.asarray(result), ctfast.median_filter(np.asarray(array), 3))
    counts, _ = ctfast.histogram(array, 8)
    assert isinstance(counts, jax.Array)
    assert int(counts.sum()) == 80
    assert isinstance(ctfast.summary(array).mean, jax.Array)
    with pytest.raises(ArgumentError, match="out="):
        ctfast.median_filter(array, 3, out=array)


def test_anything_numpy_reads_comes_back_as_numpy() -> None:
    class Wrapped:
        def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
            return IMAGE

    assert type(ctfast.median_filter(Wrapped())) is np.ndarray
