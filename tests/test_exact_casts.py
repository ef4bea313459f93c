"""Filters of dtypes that no kernel has, but another holds exactly: SciPy is the oracle, the dtype is the image's."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import ctfast
from ctfast import Pipeline, Step
from ctfast.errors import ArgumentError, DTypeError, ShapeError
from ctkernels.testing import assert_exact

ndimage = pytest.importorskip("scipy.ndimage")

RNG = np.random.default_rng(41)
DTYPES = ("bool", "int8", "float16", "int32", "int64", "uint32", "uint64", ">i4", ">f2")


def image(dtype: str, shape: tuple[int, ...] = (23, 37)) -> np.ndarray:
    low, high = {"b": (0, 2), "i": (-120, 120), "u": (0, 60_000), "f": (-900, 900)}[np.dtype(dtype).kind]
    return RNG.integers(low, high, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_ranks_are_scipy_s(dtype: str) -> None:
    x = image(dtype)
    native = np.dtype(dtype).newbyteorder("=")
    plain = x.astype(np.float64)
    for mode in ("mirror", "constant"):
        found = ctfast.median_filter(x, 3, mode=mode, cval=1)
        assert found.dtype == native
        assert_exact(found, ndimage.median_filter(plain, 3, mode=mode, cval=1).astype(native), mode)
    assert_exact(ctfast.rank_filter(x, -1, size=(2, 3)), ndimage.rank_filter(plain, -1, (2, 3)).astype(native), "rank")
    found = ctfast.percentile_filter(x, 30, footprint=np.eye(3))
    assert_exact(found, ndimage.percentile_filter(plain, 30, footprint=np.eye(3)).astype(native), "percentile")


@pytest.mark.parametrize("dtype", DTYPES)
def test_gaussians_are_rounded_to_the_dtype(dtype: str) -> None:
    x = image(dtype)
    for params in ({"sigma": 1.3}, {"sigma": 1.3, "order": (0, 1)}):
        found = ctfast.gaussian_filter(x, **params)
        assert found.dtype == np.dtype(dtype).newbyteorder("=")
        expected = ndimage.gaussian_filter(x.astype(np.float64), **params)
        if found.dtype.kind in "bu":
            expected = expected.clip(0)
        apart = np.abs(found.astype(np.float64) - expected).max()
        assert apart <= (0.51 if found.dtype.kind in "biu" else 1.0)  # float16 has steps of .5 from 512 on


def test_places_axes_and_lists() -> None:
    x = image("int32", (4, 9, 12, 20))
    whole = ctfast.median_filter(x, 3, axes=(1, 2, 3))
    assert_exact(whole, ctfast.median_filter(x.astype(np.int16), 3, axes=(1, 2, 3)).astype(np.int32), "axes")
    out = np.empty_like(x)
    assert ctfast.median_filter(x, 3, out=out) is out
    assert_exact(out, ctfast.median_filter(x, 3), "out")
    ctfast.median_filter(x, 3, out=x)
    assert_exact(x, out, "in place")
    found = ctfast.median_filter([[1, 2, 9], [4, 5, 6], [7, 8, 3]])
    assert found.dtype == np.int64
    assert found[1, 1] == 5


def test_tensors_of_torch_and_arrays_of_jax() -> None:
    torch, jnp = pytest.importorskip("torch"), pytest.importorskip("jax.numpy")
    for dtype in ("int8", "bool", "int32", "float16"):
        x = image(dtype)
        expected = ctfast.median_filter(x, 3)
        tensor = ctfast.median_filter(torch.from_numpy(x), 3)
        assert isinstance(tensor, sys.modules["torch"].Tensor)
        assert_exact(tensor.numpy(), expected, dtype)
        array = ctfast.median_filter(jnp.asarray(x), 3)
        assert_exact(np.asarray(array), expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_but_clahe_take_them(dtype: str) -> None:
    x = image(dtype, (3, 23, 37))
    same = x.astype({"f": "float32", "i": "int16", "u": "uint16", "b": "uint8"}[np.dtype(dtype).kind])
    keep = RNG.random(x.shape) < 0.5
    for call in (
        lambda v: ctfast.rescale(v, slope=0.5, dtype="int16"),
        lambda v: ctfast.window(v, center=40, width=400),
        lambda v: ctfast.normalize(v, where=keep, dtype="uint8"),
        lambda v: ctfast.standardize(v, axes=3),
        lambda v: ctfast.label_tissue(v),
        lambda v: ctfast.histogram(v, 20).counts,
        lambda v: ctfast.summary(v, where=keep).percentiles,
        lambda v: ctfast.window(v, center=40, width=400, out=np.empty(x.shape, np.uint8)),
    ):
        assert_exact(call(x), call(same), dtype)
    assert_exact(ctfast.summary(x).mean, x.astype(np.float64).mean((1, 2)), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pipelines_take_them_as_steps_one_by_one_do(dtype: str) -> None:
    x = image(dtype, (3, 23, 37))
    smooth = [Step("median_filter"), Step("rank_filter", rank=-1)]
    assert_exact(Pipeline(smooth)(x), ctfast.rank_filter(ctfast.median_filter(x), -1), "kept")
    shown = [*smooth, Step("summary"), Step("window", center=40, width=400, dtype="uint8")]
    result = Pipeline(shown).run(x)
    assert_exact(result.image, ctfast.window(Pipeline(smooth)(x), center=40, width=400, dtype="uint8"), "shown")
    assert_exact(result.summary.max, ctfast.summary(Pipeline(smooth)(x)).max, "statistic")
    assert Pipeline([Step("summary")]).run(x).image is x


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda x: ctfast.median_filter(x * 1000), DTypeError, "image of dtype int32"),
        (lambda x: ctfast.median_filter(x - (x > 0) * np.int32(40_000)), DTypeError, "image of dtype int32"),
        (lambda x: ctfast.clahe(x), DTypeError, "image of dtype int32"),
        (lambda x: ctfast.rescale(x * 1000), DTypeError, "image of dtype int32"),
        (lambda x: ctfast.summary(x * 1000), DTypeError, "image of dtype int32"),
        (lambda x: Pipeline([Step("median_filter")])(x * 1000), DTypeError, r"to .* do not fit.*astype\('float32'\)"),
        (lambda x: Pipeline([Step("median_filter"), Step("clahe")])(x), DTypeError, r"fit: .*astype\('int16'\)"),
        (lambda x: ctfast.median_filter(x.astype(np.int64) << 30), DTypeError, r"not fit.*astype\('float64'\)"),
        (lambda x: ctfast.median_filter(x, out=np.empty(x.shape, np.int16)), DTypeError, "int32 is needed"),
        (lambda x: ctfast.median_filter(x, out=np.empty((9, 9), np.int32)), ShapeError, "is needed"),
        (lambda x: ctfast.median_filter(x[:0]), DTypeError, "int32"),
        (
            lambda x: ctfast.median_filter(x.clip(0, 9).astype(np.int8), mode="constant", cval=300),
            ArgumentError,
            "cval=300: whole numbers from -128 to 127 are allowed for int8",
        ),
    ],
)
def test_refused_with_the_way_out(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call(image("int32"))
