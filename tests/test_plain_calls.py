"""The short way of a call remembers what was checked, and nothing that may be otherwise the next time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ctfast
from ctfast.dispatch.arrays import known_axes
from ctfast.errors import ArgumentError, DTypeError, ShapeError
from ctkernels.testing import assert_exact, force_bands

IMAGE = np.random.default_rng(5).integers(-1000, 2000, (24, 40)).astype(np.int16)
COUNTS = np.histogram(IMAGE, 16, (-1000, 2000))[0]


def median(x: Any, **more: Any) -> Any:
    return ctfast.median_filter(x, 3, **more)


EXPECTED = median(IMAGE, backend="reference")
median(IMAGE)  # remembered from here on


def test_other_layouts_of_a_remembered_shape() -> None:
    wide = np.zeros((24, 80), np.int16)
    wide[:, ::2] = IMAGE
    locked = IMAGE.copy()
    locked.flags.writeable = False
    for image in (wide[:, ::2], np.asfortranarray(IMAGE), IMAGE.astype(">i2"), locked, IMAGE.view(np.recarray)):
        assert_exact(np.asarray(median(image)), EXPECTED)
        assert_exact(ctfast.histogram(image, 16, value_range=(-1000, 2000)).counts, COUNTS)


def test_batches_and_lists_of_axes() -> None:
    for lead in ((1,), (2,), (2, 3), (1, 1, 2)):
        batch = np.broadcast_to(IMAGE, (*lead, 24, 40)).copy()
        for _ in range(2):
            assert_exact(median(batch), np.broadcast_to(EXPECTED, batch.shape).copy())
            assert ctfast.histogram(batch, 16, value_range=(-1000, 2000)).counts.shape == (*lead, 16)


REFUSED: list[tuple[Callable[[], Any], type[Exception]]] = [
    (lambda: ctfast.median_filter(IMAGE, 3.0), ArgumentError),
    (lambda: ctfast.median_filter(IMAGE, (3.0, 3.0)), ArgumentError),
    (lambda: ctfast.median_filter(IMAGE, True), ArgumentError),
    (lambda: ctfast.histogram(IMAGE, 16.0, value_range=(-1000, 2000)), ArgumentError),
    (lambda: ctfast.normalize(IMAGE, dtype=float), DTypeError),
    (lambda: median(IMAGE.astype(np.int32) * 100_000), DTypeError),
    (lambda: median(IMAGE.reshape(-1)), ShapeError),
    (lambda: median(IMAGE.reshape(24, 20, 2)), ShapeError),
    (lambda: median(IMAGE[:0]), ShapeError),
    (lambda: median(IMAGE, out=np.empty((24, 41), np.int16)), ShapeError),
    (lambda: median(IMAGE, out=np.empty((24, 40), np.uint16)), DTypeError),
    (lambda: median(IMAGE, out=np.broadcast_to(np.int16(0), (24, 40))), ArgumentError),
    (lambda: median(IMAGE, backend="cuda"), ArgumentError),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_equals_a_remembered_call_and_is_wrong(number: int) -> None:
    ctfast.median_filter(IMAGE, 3)
    ctfast.median_filter(IMAGE, (3, 3))
    ctfast.median_filter(np.ones((24, 40), np.int16), 1)
    ctfast.histogram(IMAGE, 16, value_range=(-1000, 2000))
    ctfast.normalize(IMAGE)
    call, error = REFUSED[number]
    for _ in range(2):
        with pytest.raises(error):
            call()


def test_arguments_that_cannot_be_hashed() -> None:
    for _ in range(2):
        assert_exact(ctfast.median_filter(IMAGE, [3, 3]), EXPECTED)
        assert_exact(ctfast.histogram(IMAGE, 16, value_range=[-1000, 2000]).counts, COUNTS)


def test_out_of_every_kind() -> None:
    room = np.zeros((48, 80), np.int16)
    for out in (np.empty_like(IMAGE), np.empty_like(IMAGE, order="F"), room[::2, ::2], room[:24, :40]):
        assert median(IMAGE, out=out) is out
        assert_exact(np.ascontiguousarray(out), EXPECTED)


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32"])
def test_out_whose_pixels_share_memory_is_refused(dtype: str) -> None:
    x, out = np.zeros((3, 8, 8), np.int16), np.zeros((8, 8), dtype)
    spread = np.lib.stride_tricks.as_strided(out, x.shape, (0, *out.strides))
    with pytest.raises(ArgumentError, match="spread over more pixels"):
        ctfast.median_filter(x, 3, out=spread)
    ctfast.median_filter(x[:1], 3, out=spread[:1])  # shares nothing


def test_out_that_overlaps() -> None:
    own = IMAGE.copy()
    assert median(own, out=own) is own
    assert_exact(own, EXPECTED)
    memory = np.zeros(25 * 40, np.int16)
    image, out = memory[:960].reshape(24, 40), memory[40:].reshape(24, 40)
    image[:] = IMAGE
    median(image, out=out)
    assert_exact(out.copy(), EXPECTED)


def test_the_backend_is_asked_at_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    median(IMAGE)
    with ctfast.use_backend("reference"):
        assert_exact(median(IMAGE), EXPECTED)
    monkeypatch.setenv("CTFAST_BACKEND", "nonsense")
    with pytest.raises(ArgumentError, match="CTFAST_BACKEND='nonsense'"):
        median(IMAGE)
    with pytest.raises(ArgumentError, match="CTFAST_BACKEND='nonsense'"):
        ctfast.histogram(IMAGE, 16, value_range=(-1000, 2000))


def test_far_looks_are_refused_when_they_are_no_longer_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    row = np.ones((1, 8), np.int16)
    monkeypatch.setenv("CTFAST_ALLOW_LARGE", "1")
    ctfast.gaussian_filter(row, 300.0)
    monkeypatch.delenv("CTFAST_ALLOW_LARGE")
    with pytest.raises(ArgumentError, match="ALLOW_LARGE"):
        ctfast.gaussian_filter(row, 300.0)


def test_narrow_images_of_files_are_not_remembered_for_arrays() -> None:
    narrow = np.ones((2, 24, 3), np.int16)
    with known_axes():
        assert median(narrow).shape == narrow.shape
    with pytest.raises(ShapeError, match="ambiguous"):
        median(narrow)


def test_threads_are_asked_at_every_call() -> None:
    expected = {name: call() for name, call in CALLS.items()}
    with force_bands(threads=3):
        for name, call in CALLS.items():
            assert_exact(call(), expected[name], name)


CALLS: dict[str, Callable[[], Any]] = {
    "median": lambda: median(IMAGE),
    "normalize": lambda: ctfast.normalize(IMAGE),
    "standardize": lambda: ctfast.standardize(IMAGE),
    "gaussian": lambda: ctfast.gaussian_filter(IMAGE, 1.0),
    "histogram": lambda: ctfast.histogram(IMAGE, 16, value_range=(-1000, 2000)).counts,
}


def test_min_max_in_one_call_of_compiled_code() -> None:
    """What the two passes give one by one: ranges of no pixel, of one value, beyond float32, masked."""
    rng = np.random.default_rng(3)
    nothing = np.full((4, 8), np.nan, np.float32)
    holes = rng.normal(100, 40, (4, 8)).astype(np.float32)
    holes[0, :4] = np.nan, np.inf, -np.inf, 0.0
    images = [nothing, holes, np.full((4, 8), 7, np.float32), holes * np.float32(1e-42), IMAGE, IMAGE * 0]
    for image in images:
        for options in ({}, {"value_range": (0, 100)}, {"out_range": (-2, 5)}, {"dtype": "uint8"}):
            got = ctfast.normalize(image, **options)
            # A range that holds every value takes the way of two passes.
            with force_bands(threads=2):
                assert_exact(got, ctfast.normalize(image, **options), f"{image[:1]} {options}")
