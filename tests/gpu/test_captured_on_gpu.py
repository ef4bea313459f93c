"""``Pipeline.capture``: recorded once, launched often, with the results of ``run``; refusals that say what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ctfast
from ctfast import Pipeline, Step
from ctfast.errors import ArgumentError, CTFastError, DeviceError, DTypeError, ShapeError
from ctkernels.contract import SUMMARY_FIELDS
from ctkernels.testing import assert_exact
from tests.cuda_on_host.simulation import Simulation

STEPS = [
    Step("window", center=40, width=400, dtype="uint8"),
    Step("median_filter", size=3),
    Step("gaussian_filter", sigma=1.0),
    Step("clahe", tile_grid=(2, 2)),
    Step("histogram", bins=64, value_range=(0, 256)),
    Step("summary"),
]


def pixels(seed: int, shape: tuple[int, ...] = (2, 33, 40), dtype: str = "int16") -> np.ndarray:
    return np.random.default_rng(seed).normal(40, 150, shape).astype(dtype)


def assert_same(result: Any, expected: Any) -> None:
    """Raises where two pipeline results differ."""
    assert_exact(result.image.get(), expected.image.get())
    assert (result.histogram is None) == (expected.histogram is None)
    if expected.histogram is not None:
        assert_exact(result.histogram.counts.get(), expected.histogram.counts.get())
        assert_exact(result.histogram.edges.get(), expected.histogram.edges.get())
    assert (result.summary is None) == (expected.summary is None)
    if expected.summary is not None:
        for name in (*SUMMARY_FIELDS, "percentiles"):
            assert_exact(getattr(result.summary, name).get(), getattr(expected.summary, name).get(), name)


@pytest.mark.parametrize("dtype", ["int16", "uint16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(33, 40), (3, 20, 31), (2, 2, 16, 17)])
def test_every_launch_has_the_results_of_run(host_gpu: Simulation, shape: tuple[int, ...], dtype: str) -> None:
    import cupy

    pipeline = Pipeline(STEPS)
    x = cupy.asarray(pixels(0, shape, dtype))
    captured = pipeline.capture(x)
    for seed in (1, 2):
        x.set(np.abs(pixels(seed, shape, dtype)))
        result = captured.launch()
        assert result.image.shape == shape
        assert_same(result, pipeline.run(x))


@pytest.mark.parametrize("shape", [(5, 20, 33), (2, 3, 12, 17)])
def test_steps_along_three_axes_are_recorded(host_gpu: Simulation, shape: tuple[int, ...]) -> None:
    import cupy

    pipeline = Pipeline(
        [
            Step("summary", axes=3),
            Step("median_filter", size=(3, 3, 3)),
            Step("window", center=40, width=400),
            Step("gaussian_filter", sigma=(0.8, 1.0, 1.2)),
            Step("clahe", tile_grid=(2, 2, 2), value_range=(0.0, 1.0)),
            Step("normalize", axes=3, dtype="uint8"),
            Step("median_filter", size=5),
            Step("histogram", bins=64, value_range=(0, 256), axes=3),
        ]
    )
    x = cupy.asarray(pixels(0, shape))
    out = cupy.zeros(shape, np.uint8)
    captured = pipeline.capture(x, out=out)
    for seed in (1, 2):
        x.set(pixels(seed, shape))
        result = captured.launch()
        assert result.image is out
        assert_same(result, pipeline.run(x))
        assert_exact(result.image.get(), pipeline.run(x.get(), backend="cpu").image)
    # Slices alone are counted slice by slice though they are planes of a volume to another step.
    per_slice = Pipeline([Step("gaussian_filter", sigma=(1, 1, 1)), Step("summary")]).capture(x)
    assert per_slice.launch().summary.count.shape == shape[:-2]


def test_the_result_appears_in_out(host_gpu: Simulation) -> None:
    import cupy

    x, out = cupy.asarray(pixels(0)), cupy.zeros((2, 33, 40), np.uint8)
    pipeline = Pipeline(STEPS[:5])
    captured = pipeline.capture(x, out=out)
    first = captured.launch()
    assert first.image is out
    assert captured.launch() is first
    assert_same(first, pipeline.run(x))


def test_statistics_alone_and_no_statistics(host_gpu: Simulation) -> None:
    import cupy

    x = cupy.asarray(pixels(3))
    for steps in (STEPS[5:], STEPS[:2]):
        pipeline = Pipeline(steps)
        result = pipeline.capture(x).launch()
        assert (result.image is x) == (steps == STEPS[5:])
        assert_same(result, pipeline.run(x))


def refusals() -> list[tuple[type[CTFastError], str, Any, dict[str, Any]]]:
    import cupy

    x = cupy.asarray(pixels(0))
    return [
        (ArgumentError, r"numpy array on the host came in.*cupy\.asarray", pixels(0), {}),
        (ArgumentError, "not C-contiguous", x.transpose(0, 2, 1), {}),
        (ShapeError, r"out= has shape \(2, 33\)", x, {"out": cupy.zeros((2, 33), np.uint8)}),
        (DTypeError, "out= has dtype int16: uint8", x, {"out": cupy.zeros((2, 33, 40), np.int16)}),
        (ArgumentError, "out= is on the host", x, {"out": np.zeros((2, 33, 40), np.uint8)}),
        (ArgumentError, "share no memory", x, {"out": x.view(np.uint8).ravel()[: x.size].reshape(x.shape)}),
        (DTypeError, "image of dtype int64", cupy.zeros((3, 4), np.int64), {}),
    ]


def test_what_cannot_be_recorded_is_refused(host_gpu: Simulation) -> None:
    for error, words, x, options in refusals():
        with pytest.raises(error, match=words):
            Pipeline(STEPS).capture(x, **options)


def test_steps_that_cannot_be_recorded_are_refused(host_gpu: Simulation) -> None:
    import cupy

    x = cupy.asarray(pixels(0))
    with pytest.raises(ArgumentError, match="histogram without value_range"):
        Pipeline([Step("histogram")]).capture(x)
    with pytest.raises(ArgumentError, match="no step changes the image"):
        Pipeline(STEPS[5:]).capture(x, out=cupy.zeros(x.shape, np.int16))
    with ctfast.use_backend("cpu"), pytest.raises(ArgumentError, match="only gpu records"):
        Pipeline(STEPS).capture(x)


def test_another_device(host_gpu: Simulation) -> None:
    import cupy

    host_gpu.devices = 2
    x = cupy.asarray(pixels(0))
    captured = Pipeline(STEPS).capture(x)
    with cupy.cuda.Device(1):
        with pytest.raises(ArgumentError, match="on GPU 0, which must be current"):
            Pipeline(STEPS).capture(x)
        with pytest.raises(DeviceError, match="recorded on device 0"):
            captured.launch()


def test_a_cpu_array_needs_no_gpu_to_be_refused() -> None:
    with pytest.raises(ArgumentError, match="for one CuPy array"):
        Pipeline(STEPS).capture(pixels(0))
