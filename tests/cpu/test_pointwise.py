"""rescale and window of the CPU backend against the reference and pydicom."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctkernels import reference
from ctkernels.contract import IMAGE_DTYPES, VOI_FUNCTIONS
from ctkernels.cpu._core import parallel, pointwise
from ctkernels.cpu.rescale import rescale
from ctkernels.cpu.window import window
from ctkernels.shared import lines
from ctkernels.testing import assert_close, assert_exact, force_bands, ordinary_error

SHAPES = [(1, 1, 1), (1, 1, 7), (2, 3, 5), (1, 33, 67), (5, 16, 16)]
RESULTS = ("float32", "uint8", "uint16")


def pixels(dtype: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == "uint8":
        return rng.integers(0, 256, shape).astype(dtype)
    if dtype == "uint16":
        return np.where(rng.random(shape) < 0.1, 65535, rng.integers(0, 4096, shape)).astype(dtype)
    x = np.where(rng.random(shape) < 0.1, -32768, np.rint(rng.normal(0, 600, shape)))
    return x.astype(dtype) if dtype == "int16" else (x + rng.normal(0, 0.3, shape)).astype(dtype)


def values(**given: Any) -> dict[str, Any]:
    return {
        "center": 40.0, "width": 400.0, "function": "linear", "out_range": None, "slope": 1.0, "intercept": 0.0, **given
    }  # fmt: skip


def check_window(x: np.ndarray, dtype: str, **given: Any) -> np.ndarray:
    out = np.empty(x.shape, dtype)
    kwargs = values(**given)
    window(x, out, **kwargs)
    low, high = kwargs["out_range"] = kwargs["out_range"] or reference.default_out_range(out.dtype)
    exact = np.empty(x.shape)
    reference.window(x, exact, **kwargs)
    if out.dtype.kind in "iu":
        limits = np.iinfo(out.dtype)
        exact = np.clip(np.where(np.isnan(exact), low, exact), limits.min, limits.max)
    assert_close(out, exact, ordinary_error(exact, max(abs(low), abs(high), high - low)), str((x.dtype, dtype, given)))
    return out


@pytest.fixture
def two_threads():
    with force_bands(threads=2):
        yield


@pytest.mark.parametrize("function", VOI_FUNCTIONS)
@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_window_is_the_reference(dtype: str, result: str, function: str) -> None:
    for shape in SHAPES:
        check_window(pixels(dtype, shape), result, function=function)
    x = pixels(dtype, (2, 9, 31))
    for given_values in (
        {"center": -600.0, "width": 1500.0},
        {"slope": 1.000244, "intercept": -1024.0},
        {"slope": -0.5, "intercept": 100.25},
        {"center": 60.3, "width": 1.0},
        {"center": 30000.3, "width": 1.01},
        {"center": 0.1, "width": 1e6},
        {"out_range": (-1.0, 1.0)},
        {"out_range": (-10.5, 300.25)},
        {"slope": 0.0, "intercept": 100.0},
    ):
        check_window(x, result, function=function, **given_values)


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_window_in_bands_gives_the_same_bits(dtype: str, result: str, two_threads: None) -> None:
    x = pixels(dtype, (3, 41, 23))
    serial, banded = np.empty(x.shape, result), np.empty(x.shape, result)
    window(x, banded, **values())
    parallel.set_num_threads(1)
    window(x, serial, **values())
    assert_exact(banded, serial)


@pytest.mark.parametrize("result", RESULTS)
def test_whole_numbers_give_the_same_bits_in_every_dtype(result: str) -> None:
    x = np.arange(-32768, 32768, dtype=np.int16).reshape(1, 256, 256)
    for given_values in ({}, {"center": -600.3, "width": 1500.7}, {"slope": 1.000244, "intercept": -1024.0}):
        for function in VOI_FUNCTIONS:
            outs = [np.empty(x.shape, result) for _ in range(3)]
            for dtype, out in zip(("int16", "float32", "float64"), outs):
                window(x.astype(dtype), out, **values(function=function, **given_values))
            assert_exact(outs[1], outs[0])
            assert_exact(outs[2], outs[0])


def test_ends_of_the_window_are_reached_exactly() -> None:
    out = np.empty((1, 1, 2), np.float32)
    for center, width in ((40.0, 400.0), (50.5, 351.0), (-600.0, 1500.0), (300.25, 77.5)):
        ends = np.array([center - width / 2, center + width / 2]).reshape(1, 1, 2)
        window(ends, out, **values(center=center, width=width, function="linear_exact"))
        assert out.ravel().tolist() == [0.0, 1.0]


@pytest.mark.parametrize("function", VOI_FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_window_of_numbers_that_are_not_finite(dtype: str, function: str) -> None:
    x = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 40.0], dtype).reshape(1, 2, 3)
    out = check_window(x, "float32", function=function)
    assert np.isnan(out[0, 0, 0])
    assert out.ravel()[1:5].tolist() == [1.0, 0.0, 1.0, 0.0]
    assert check_window(x, "uint8", function=function).ravel()[:5].tolist() == [0, 255, 0, 255, 0]
    assert check_window(x, "uint16", function=function, out_range=(7.0, 9.0)).ravel()[:5].tolist() == [7, 9, 7, 9, 7]
    if dtype == "float64":
        x[0, 1] = (1e303, -1e303, 1e-310)
        assert check_window(x, "float32", function=function).ravel()[3:5].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("center", "width"), [(1e303, 1e300), (0.0, 3e38), (0.0, 1.7e308), (1e-300, 1e-290), (3e38, 2.0), (1e20, 1e-20)]
)
@pytest.mark.parametrize("function", ["linear_exact", "sigmoid"])
@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
def test_windows_that_float32_cannot_hold(dtype: str, function: str, center: float, width: float) -> None:
    x = np.array([0, 1, -1, 300, -300, 2], dtype).reshape(1, 2, 3)
    if dtype != "int16":
        x[0, 0] = (3e38, -3e38, 1e-30)
    for result in RESULTS:
        check_window(x, result, function=function, center=center, width=width)


def test_window_of_a_read_only_image() -> None:
    x = pixels("int16", (1, 8, 8))
    out, expected = np.empty(x.shape, np.float32), np.empty(x.shape, np.float32)
    window(x, expected, **values())
    x.flags.writeable = False
    window(x, out, **values())
    assert_exact(out, expected)


@pytest.mark.parametrize("function", VOI_FUNCTIONS)
def test_window_is_pydicoms(function: str) -> None:
    pydicom = pytest.importorskip("pydicom")
    from pydicom.pixels import apply_windowing

    data = pydicom.Dataset()
    data.PhotometricInterpretation = "MONOCHROME2"
    data.WindowCenter, data.WindowWidth, data.VOILUTFunction = 40, 400, function.upper()
    data.BitsStored, data.PixelRepresentation = 16, 1
    x = pixels("int16", (1, 32, 32))
    expected = apply_windowing(x, data)
    out = check_window(x, "float32", function=function, out_range=(-32768.0, 32767.0))
    assert_close(out, expected, ordinary_error(expected, 65536.0))


@settings(deadline=None, max_examples=100)
@given(
    st.floats(-1e4, 1e4), st.floats(1, 1e4), st.sampled_from(VOI_FUNCTIONS), st.sampled_from(RESULTS),
    st.sampled_from(IMAGE_DTYPES), st.floats(0.1, 10), st.floats(-2000, 2000), st.integers(0, 999),
)  # fmt: skip
def test_any_window(
    center: float, width: float, function: str, result: str, dtype: str, slope: float, intercept: float, seed: int
) -> None:
    x = pixels(dtype, (1, 4, 9), seed)
    exact = np.empty(x.shape)
    kwargs = values(center=center, width=width, function=function, slope=slope, intercept=intercept)
    out = np.empty(x.shape, result)
    window(x, out, **kwargs)
    low, high = reference.default_out_range(out.dtype)
    reference.window(x, exact, **{**kwargs, "out_range": (low, high)})
    # Ordinary float32 work subtracts numbers as large as pixel and centre before it divides by the width.
    magnitude = max(np.abs(x.astype(float) * slope).max(), abs(center), abs(intercept), width)
    steep = high / (width - 1 if function == "linear" and width > 1 else width)
    if steep * magnitude < 1e6 * high:
        assert_close(out, exact, ordinary_error(exact, max(high, steep * magnitude)))


def check_rescale(x: np.ndarray, dtype: str, slope: float, intercept: float) -> np.ndarray:
    out = np.empty(x.shape, dtype)
    rescale(x, out, slope=slope, intercept=intercept)
    exact = np.empty(x.shape)
    reference.rescale(x, exact, slope=slope, intercept=intercept)
    if dtype == "int16":
        expected = np.empty(x.shape, dtype)
        reference.rescale(x, expected, slope=slope, intercept=intercept)
        assert_exact(out, expected)
        exact = expected
    with np.errstate(over="ignore"):
        exact = exact.astype(np.float32).astype(float) if dtype == "float32" else exact
    finite = x[np.isfinite(x)].astype(float)
    parts = np.abs(finite).max(initial=0) * min(abs(slope), 1e10) + abs(intercept)
    error = ordinary_error(exact, parts) if dtype == "float32" else 0.0
    assert_close(out, exact, error, f"{x.dtype} to {dtype}, {slope}, {intercept}")
    return out


@pytest.mark.parametrize("result", ["float32", "float64", "int16"])
@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_rescale_is_the_reference(dtype: str, result: str) -> None:
    for shape in SHAPES:
        for slope, intercept in ((1.0, -1024.0), (1.000244, -1024.0), (-2.5, 3.25), (0.0, 12.0)):
            check_rescale(pixels(dtype, shape), result, slope, intercept)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rescale_of_numbers_that_are_not_finite(dtype: str) -> None:
    x = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 0.5], dtype).reshape(1, 2, 3)
    assert np.isnan(check_rescale(x, "float32", 2.0, 1.0)[0, 0, 0])
    assert check_rescale(x, "int16", 2.0, 1.0).ravel().tolist() == [-32768, 32767, -32768, 32767, -32768, 2]
    y = np.array([1e-30, 3e38], dtype).reshape(1, 1, 2)
    for slope in (1e200, 1e-60):
        for result in ("float32", "float64"):
            out, exact = np.empty(y.shape, result), np.empty(y.shape, result)
            rescale(y, out, slope=slope, intercept=0.0)
            reference.rescale(y, exact, slope=slope, intercept=0.0)
            np.testing.assert_allclose(out, exact, rtol=1e-6)


def test_rescale_is_pydicoms() -> None:
    pydicom = pytest.importorskip("pydicom")
    from pydicom.pixels import apply_rescale

    data = pydicom.Dataset()
    data.RescaleSlope, data.RescaleIntercept = "1.000244", "-1024"
    x = pixels("uint16", (1, 32, 32))
    out = check_rescale(x, "float64", 1.000244, -1024.0)
    assert_exact(out, apply_rescale(x, data))


def test_rescale_in_bands(two_threads: None) -> None:
    x = pixels("uint16", (1, 301, 23))
    check_rescale(x, "int16", 1.000244, -1024.0)


def test_the_compiled_line_is_that_of_the_gpu_backend() -> None:
    """Both come from one source; compiled, every operation must round as it does in Python."""
    rng = np.random.default_rng(0)
    for zero, span, low, rise in rng.normal(size=(2000, 4)) * 10.0 ** rng.integers(-6, 7, (2000, 4)):
        for base in (zero, float(np.float32(zero))):
            expected = lines.float32_line(zero, base, span, low, rise)
            assert tuple(float(v) for v in pointwise.float32_line(zero, base, span, low, rise)) == expected
