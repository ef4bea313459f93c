"""On a real GPU: kernels, launchers and public functions with the real CuPy. Skipped aloud where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import ctfast
from ctkernels import gpu
from ctkernels.contract import IMAGE_DTYPES, OPERATIONS
from tests.gpu.gpu_cases import Case, cases, check, prepared, run

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def device() -> Iterator[Any]:
    usable, reason, _ = gpu.probe()
    if not usable:
        pytest.skip(f"on a real GPU: {reason}")
    import cupy

    yield cupy
    cupy.get_default_memory_pool().free_all_blocks()


def on_device(case: Case, cupy: Any) -> np.ndarray:
    """The kernel's result, asked for as the dispatcher does."""
    from ctfast import backend

    values, dtype = prepared(case)
    shape = OPERATIONS[case.name].result_shape(case.image.shape, values)  # type: ignore[arg-type]
    room = cupy.empty(int(np.prod(shape)) + case.shift, dtype)
    out = room[case.shift :].reshape(shape)
    source = cupy.empty(case.image.size + case.shift, case.image.dtype)
    x = source[case.shift :].reshape(case.image.shape)
    x.set(case.image)
    backend.kernel("gpu", case.name)(x, out, **values)
    assert (x.get().tobytes()) == case.image.tobytes(), "the input was changed"
    result: np.ndarray = out.get()
    return result


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_equals_the_cpu(device: Any, name: str, dtype: str) -> None:
    for case in cases(name, dtype):
        check(case, on_device(case, device))


@pytest.mark.parametrize("name", [name for name in OPERATIONS if OPERATIONS[name].parity == "exact"])
def test_a_large_batch_is_right_to_its_end(device: Any, name: str) -> None:
    for case in cases(name, "uint16", picks=1):
        images = np.broadcast_to(case.image[:1], (70_000, *case.image.shape[1:]))
        if images.size > 1 << 26:
            continue
        many = case._replace(image=np.ascontiguousarray(images), shift=0)
        got, one = on_device(many, device), run(case._replace(image=case.image[:1].copy()), "cpu")
        assert (got == one).all(), str(case)
        return
    pytest.fail(f"no case of {name} is small enough")


def test_on_a_stream_of_its_own(device: Any) -> None:
    x = np.random.default_rng(0).integers(0, 4096, (40, 128, 129), dtype=np.uint16)
    expected = ctfast.median_filter(x, 3)
    with device.cuda.Stream(non_blocking=True) as stream:
        result = ctfast.median_filter(device.asarray(x), 3)
        stream.synchronize()
    assert (result.get() == expected).all()


def test_out_of_memory_leaves_the_process_usable(device: Any) -> None:
    from ctkernels.gpu._core import device as device_module
    from ctkernels.gpu._core.errors import GpuMemoryError

    with pytest.raises(GpuMemoryError, match="fewer images"):
        device_module.empty((1 << 45,), np.uint8)
    x = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    assert (ctfast.median_filter(device.asarray(x), 3).get() == ctfast.median_filter(x, 3)).all()


def test_the_pipeline_equals_its_steps(device: Any) -> None:
    x = np.stack([np.roll(np.arange(96 * 97, dtype=np.uint16).reshape(96, 97) % 4096, k) for k in range(9)])
    steps = [
        ctfast.Step("window", center=1064, width=400, dtype="uint8"),
        ctfast.Step("median_filter", size=3),
        ctfast.Step("gaussian_filter", sigma=1.0),
        ctfast.Step("clahe"),
        ctfast.Step("histogram", bins=256, value_range=(0, 256)),
    ]
    plain = ctfast.Pipeline(steps).run(device.asarray(x))
    held = device.zeros(x.shape, np.uint16)
    captured = ctfast.Pipeline(steps).capture(held)
    for stream in (device.cuda.Stream.null, device.cuda.Stream(non_blocking=True)):
        device.cuda.Device().synchronize()
        with stream:
            held.set(x)
            result = captured.launch()
            assert (result.image.get() == plain.image.get()).all()
            assert (result.histogram.counts.get() == plain.histogram.counts.get()).all()
            held.fill(0)
    y = ctfast.window(device.asarray(x), center=1064, width=400, dtype="uint8")
    y = ctfast.clahe(ctfast.gaussian_filter(ctfast.median_filter(y, 3), 1.0))
    assert (plain.image.get() == y.get()).all()
