"""Bad input: a ctfast error that says what came in and what is allowed."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

import ctfast
from ctfast.errors import ArgumentError, CTFastError, DTypeError, ShapeError, ValueRangeError

IMAGE = np.arange(80, dtype=np.int16).reshape(8, 10)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (
            "median_filter",
            {"size": 66},
            "4,356 pixels: up to 4,096 are allowed; median_filter takes odd",
        ),
        ("median_filter", {"size": 0}, "size=0"),
        ("median_filter", {"size": -3}, "size=-3"),
        ("median_filter", {"size": 3.0}, "size=3.0"),
        ("median_filter", {"size": (3, 65536)}, r"size=\(3, 65536\): a whole number from 1 to 65,535"),
        ("median_filter", {"size": (3, 3, 3, 3)}, "planes, rows, columns"),
        ("median_filter", {"size": True}, "size=True"),
        ("median_filter", {"mode": "edge"}, "mode='edge': one of reflect, mirror"),
        ("median_filter", {"mode": "constant", "cval": 40000}, "-32768 to 32767"),
        ("median_filter", {"mode": "constant", "cval": 0.5}, "whole numbers"),
        ("gaussian_filter", {"sigma": 0}, "sigma=0: a number above 0"),
        ("gaussian_filter", {"sigma": -1.0}, "sigma=-1.0"),
        ("gaussian_filter", {"sigma": float("nan")}, "sigma=nan"),
        ("gaussian_filter", {"sigma": (0.0, 0.0)}, "sigma"),
        ("gaussian_filter", {"truncate": 0}, "truncate=0"),
        ("gaussian_filter", {"cval": float("inf")}, "cval=inf"),
        ("window", {"center": 40, "width": 0}, "width=0"),
        ("window", {"center": 40, "width": -400}, "width=-400"),
        ("window", {"center": 40, "width": 0.5}, "at least 1 is allowed with function='linear'"),
        ("window", {"center": "40", "width": 400}, "center='40'"),
        ("window", {"center": 40, "width": 400, "function": "cubic"}, "linear, linear_exact, sigmoid"),
        ("window", {"center": 40, "width": 400, "dtype": "uint8", "out_range": (0, 300)}, "0 to 255"),
        ("normalize", {"in_range": (5, 5)}, "low < high"),
        ("normalize", {"percentiles": (99, 1)}, "percentiles"),
        ("normalize", {"percentiles": (-1, 50)}, "0 <= low"),
        ("normalize", {"in_range": (0, 1), "percentiles": (1, 99)}, "give one of them"),
        ("standardize", {"value_range": (10, 5)}, "low <= high"),
        ("clahe", {"clip_limit": -1}, "clip_limit=-1"),
        ("clahe", {"tile_grid": (0, 8)}, "tile_grid"),
        ("clahe", {"nbins": 1}, "from 2 to 65,536"),
        ("clahe", {"nbins": 70000}, "nbins=70000"),
        ("clahe", {"value_range": (0.5, 100)}, "whole numbers"),
        ("clahe", {"value_range": (0, 70000)}, "-32768 to 32767"),
        ("histogram", {"bins": 0}, "bins=0"),
        ("histogram", {"value_range": (5, 1)}, "low <= high"),
        ("histogram", {"value_range": (0, float("inf"))}, "finite"),
        ("summary", {"percentiles": (50, 101)}, "0 to 100"),
        ("rescale", {"slope": float("nan")}, "slope=nan"),
    ],
)
def test_parameter(name: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        getattr(ctfast, name)(IMAGE, **values)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.int64),
        np.zeros((4, 4), np.uint32),
        np.zeros((4, 4), bool),
        np.zeros((4, 4), np.float16),
        np.zeros((4, 4), complex),
        np.zeros((4, 4), object),
        np.array([["a", "b"]]),
        [[1, 2], [3, 4]],
    ],
)
def test_dtype(image: Any) -> None:
    with pytest.raises(DTypeError, match="uint8, int16, uint16, float32, float64 are allowed"):
        ctfast.clahe(image)


@pytest.mark.parametrize("given", [Decimal(40), [[Decimal(40)] * 3] * 3])
def test_images_of_objects_are_refused_by_their_type(given: Any) -> None:
    with pytest.raises(DTypeError, match=r"dtype object \(Decimal\)"):
        ctfast.median_filter(given, 3)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((), "image"),
        ((5,), r"\(H, W\)"),
        ((0, 5), "empty"),
        ((5, 0), "empty"),
        ((0, 5, 5), "empty"),
        ((64, 64, 3), "ambiguous"),
        ((64, 64, 4), "colour"),
        ((64, 64, 2), "channels"),
        ((5, 64, 4, 1), "ambiguous"),
        ((2, 64, 64, 3), "moveaxis"),
    ],
)
def test_shape(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        ctfast.clahe(np.zeros(shape, np.uint8))


def test_narrow_images_are_fine_one_by_one() -> None:
    for width in (1, 2, 3, 4):
        assert ctfast.median_filter(np.ones((6, width), np.uint8)).shape == (6, width)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_histogram_needs_a_range_for_data_that_are_not_finite(value: float) -> None:
    image = np.ones((4, 4), np.float32)
    image[1, 2] = value
    with pytest.raises(ValueRangeError, match="give value_range"):
        ctfast.histogram(image)
    assert ctfast.histogram(image, 4, value_range=(0, 2)).counts.sum() == 15


def test_histogram_of_too_small_a_range() -> None:
    with pytest.raises(ArgumentError, match="bins"):
        ctfast.histogram(np.ones((4, 4), np.float32), 1000, value_range=(1.0, 1.0000001))


def test_dtype_argument() -> None:
    with pytest.raises(DTypeError, match="float32, uint8, uint16 are allowed"):
        ctfast.window(IMAGE, center=0, width=10, dtype="int16")
    with pytest.raises(DTypeError, match="dtype='nonsense'"):
        ctfast.window(IMAGE, center=0, width=10, dtype="nonsense")


def test_masked_arrays_would_lose_their_mask() -> None:
    with pytest.raises(ArgumentError, match="filled"):
        ctfast.median_filter(np.ma.masked_array(IMAGE, IMAGE > 5))


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "2"])
def test_set_num_threads(n: Any) -> None:
    with pytest.raises(ArgumentError, match="whole number"):
        ctfast.set_num_threads(n)


def test_every_error_is_ours_and_the_builtin_one() -> None:
    from ctfast import errors

    for name, error in vars(errors).items():
        if isinstance(error, type) and issubclass(error, Exception) and error is not CTFastError:
            assert issubclass(error, CTFastError), name
            assert len(error.__mro__) > 4, f"{name} is also a built-in exception"


def test_numbers_as_other_libraries_hand_them_over() -> None:
    expected = ctfast.window(IMAGE, center=40, width=400)
    for center, width in ((np.array(40.0), np.float32(400)), (Decimal("40"), Decimal("400.0"))):
        np.testing.assert_array_equal(ctfast.window(IMAGE, center=center, width=width), expected)
    with pytest.raises(ArgumentError, match=r"\(builtins.complex\)"):
        ctfast.window(IMAGE, center=40j, width=400)
    with pytest.raises(ArgumentError, match=r"\(numpy.ndarray\)"):
        ctfast.window(IMAGE, center=np.array([40.0]), width=400)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("median_filter", {"size": (5, 5)}, {"size": (5.0, 5.0)}),
        ("normalize", {"in_range": (0, 1)}, {"in_range": (False, True)}),
        ("clahe", {"tile_grid": (1, 1)}, {"tile_grid": (True, True)}),
    ],
)
def test_the_same_answer_before_and_after_a_call_that_is_equal(
    name: str, good: dict[str, Any], bad: dict[str, Any]
) -> None:
    call = getattr(ctfast, name)
    for _ in range(2):
        with pytest.raises(ArgumentError):
            call(IMAGE, **bad)
        call(IMAGE, **good)


@pytest.mark.parametrize(
    ("variable", "value", "error", "message"),
    [
        ("CTFAST_NUM_THREADS", "0", "ArgumentError", "CTFAST_NUM_THREADS"),
        ("NUMBA_DISABLE_JIT", "1", "BackendUnavailableError", "CTFAST_BACKEND=reference"),
    ],
)
def test_variables_that_stop_the_kernels(variable: str, value: str, error: str, message: str) -> None:
    code = (
        "import numpy as np, ctfast\n"
        "for call in (ctfast.median_filter, ctfast.summary, ctfast.Pipeline([{'operation': 'clahe'}])):\n"
        "    try: call(np.zeros((64, 64), np.int16))\n"
        f"    except ctfast.errors.{error} as e: assert {message!r} in str(e), e\n"
        "    else: raise SystemExit('no error')\n"
        "from ctfast.tools.doctor import findings\n"
        f"assert any({variable!r} in f.message and not f.good for f in findings())\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, variable: value})
    inside = f"import os; os.environ[{variable!r}] = {value!r}\n"
    subprocess.run([sys.executable, "-c", inside + code], check=True)
    if variable.startswith("NUMBA"):
        inside = "import numba; numba.config.DISABLE_JIT = True\n"
        subprocess.run([sys.executable, "-c", inside + code], check=True)
