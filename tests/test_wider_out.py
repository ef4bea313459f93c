"""``out=`` of a dtype that holds more than the image's: SciPy's ``output=`` is the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ctfast
from ctfast.errors import ArgumentError, DTypeError, ShapeError
from ctkernels.testing import assert_exact

ndimage = pytest.importorskip("scipy.ndimage")

HU = np.random.default_rng(5).normal(0, 500, (3, 21, 34)).astype(np.int16)
PAIRS = [
    ("uint8", "int16"), ("int16", "int32"), ("int16", "float32"), ("uint16", "float64"), ("float32", "float64"),
    ("int8", "int64"), ("float16", "float32"), ("bool", "uint8"), ("int32", "float64"), ("int16", ">f4"),
]  # fmt: skip


def image(dtype: str) -> np.ndarray:
    return (HU % {"b": 2, "i": 100, "u": 200, "f": 900}[np.dtype(dtype).kind]).astype(dtype)


@pytest.mark.parametrize(("dtype", "wanted"), PAIRS)
@pytest.mark.parametrize("backend", [None, "reference"])
def test_ranks_are_scipy_s(dtype: str, wanted: str, backend: str | None) -> None:
    x = image(dtype)
    plain = x.astype(np.float64)
    for axes in (None, (1, 2)):
        out = np.empty(x.shape, wanted)
        assert ctfast.median_filter(x, 3, axes=axes, out=out, backend=backend) is out
        assert_exact(out.astype(np.float64), ndimage.median_filter(plain, (1, 3, 3)), f"{axes}")
    ctfast.percentile_filter(x, 20, size=(2, 3), mode="mirror", out=out, backend=backend)
    assert_exact(out.astype(np.float64), ndimage.percentile_filter(plain, 20, (1, 2, 3), mode="mirror"), "percentile")


@pytest.mark.parametrize(("dtype", "wanted"), PAIRS)
def test_gaussians_have_the_precision_of_out(dtype: str, wanted: str) -> None:
    x, out = image(dtype), np.empty(HU.shape, wanted)
    for params in ({"sigma": 1.3}, {"sigma": (1.3, 2.0), "order": (0, 1), "mode": "wrap"}):
        assert ctfast.gaussian_filter(x, out=out, **params) is out
        sides = np.broadcast_to(params["sigma"], 2)
        expected = ndimage.gaussian_filter(
            x.astype(np.float64), (0, *sides), (0, *params.get("order", (0, 0))), mode=params.get("mode", "reflect")
        )
        if out.dtype.kind in "iu":
            expected = np.rint(expected).clip(np.iinfo(out.dtype).min, None)
            assert np.abs(out - expected).max() <= (0 if dtype != "float16" else 1)
        else:
            np.testing.assert_allclose(out, expected, rtol=0, atol=1e-3 if out.dtype.itemsize == 4 else 1e-10)


def test_places() -> None:
    expected = ctfast.median_filter(HU, 3)
    whole = np.empty((*HU.shape[:2], 2 * HU.shape[2]), np.float32)
    ctfast.median_filter(HU, 3, out=whole[..., ::2])
    assert_exact(whole[..., ::2], expected.astype(np.float32), "strided")
    wide = np.empty((*HU.shape, 1), np.int32)
    ctfast.median_filter(HU[..., None], 3, out=wide)
    assert_exact(wide[..., 0], expected.astype(np.int32), "channel")


def test_tensors_of_torch() -> None:
    torch = pytest.importorskip("torch")
    out = torch.empty(HU.shape, dtype=torch.float32)
    assert ctfast.median_filter(torch.from_numpy(HU), 3, out=out) is out
    assert_exact(out.numpy(), ctfast.median_filter(HU, 3).astype(np.float32), "torch")


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda x: ctfast.median_filter(x, out=np.empty(x.shape, np.uint16)), DTypeError, "int16 is needed, or one"),
        (lambda x: ctfast.median_filter(x, out=np.empty(x.shape, np.int8)), DTypeError, "out= has dtype int8"),
        (lambda x: ctfast.gaussian_filter(x, out=np.empty(x.shape, np.complex64)), DTypeError, "dtype complex64"),
        (lambda x: ctfast.gaussian_filter(x, out=np.empty((2, 2), np.float32)), ShapeError, r"\(3, 21, 34\) is needed"),
        (lambda x: ctfast.clahe(x, out=np.empty(x.shape, np.float32)), DTypeError, "out= has dtype float32: int16"),
        (
            lambda x: ctfast.median_filter(x, out=np.broadcast_to(np.float32(0), x.shape)),
            ArgumentError,
            "read-only",
        ),
    ],
)
def test_what_would_lose_values_is_refused(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call(HU)
