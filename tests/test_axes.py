"""Where rows and columns lie: every public way in takes gray images with their channel last as the images they are.

Right values are those of the same call on ``(H, W)``. What an entry does not take is refused with an error of ctfast.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ctfast
from ctfast.errors import CTFastError, ShapeError
from ctfast.files import read_image
from ctfast.results import Histogram, PipelineResult, Summary
from ctkernels.contract import OPERATIONS


def _operation(name: str) -> Callable[..., Any]:
    return partial(getattr(ctfast, name), **OPERATIONS[name].examples[0])


CALLS: dict[str, Callable[..., Any]] = {name: _operation(name) for name in OPERATIONS}
CALLS["pipeline"] = ctfast.Pipeline([ctfast.Step("clahe"), ctfast.Step("summary")]).run
CALLS["statistics alone"] = ctfast.Pipeline([ctfast.Step("histogram"), ctfast.Step("summary")]).run
IMAGES = np.random.default_rng(5).integers(0, 256, (3, 24, 20)).astype(np.uint8)


def _parts(result: Any) -> list[np.ndarray]:
    """Image first where there is one, then every number."""
    if isinstance(result, PipelineResult):
        return [result.image, *_parts(result.summary), *([] if result.histogram is None else _parts(result.histogram))]
    if isinstance(result, Histogram):
        return [result.counts, result.edges]
    if isinstance(result, Summary):
        return [result.count, result.mean, result.std, result.min, result.max, result.percentiles]
    return [result]


def _assert_same(result: Any, expected: Any, shape: tuple[int, ...]) -> None:
    is_image = not isinstance(expected, Histogram | Summary)
    for k, (a, b) in enumerate(zip(_parts(result), _parts(expected), strict=True)):
        if is_image and k == 0:
            assert np.shape(a) == shape
            a = np.reshape(a, np.shape(b))
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("image", [IMAGES[0], IMAGES], ids=["HW1", "NHW1"])
def test_gray_images_with_their_channel_last(call: Callable[..., Any], image: np.ndarray, backend: str) -> None:
    _assert_same(call(image[..., None], backend=backend), call(image, backend=backend), (*image.shape, 1))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    "x",
    [
        np.stack([IMAGES[0]] * 2, axis=-1),
        np.stack([IMAGES] * 3, axis=-1),
        IMAGES[:, :, :2, None],
        IMAGES[:0],
        np.array(7, np.uint8),
        (IMAGES[0].astype(int) * 1000).tolist(),
        [],
        None,
    ],
    ids=["HW2", "NHW3", "NHW1 of 2 columns", "empty", "0-d", "list of large int", "empty list", "None"],
)
def test_refused_by_an_error_of_ours(call: Callable[..., Any], x: Any) -> None:
    with pytest.raises(CTFastError):
        call(x)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_any_layout_gives_the_same(call: Callable[..., Any]) -> None:
    wide, expected = IMAGES.astype(np.float64), call(IMAGES.astype(np.float64))
    for x in (wide.astype(">f8"), np.asfortranarray(wide), np.repeat(wide, 2, axis=2)[:, :, ::2], wide.tolist()):
        _assert_same(call(x), expected, IMAGES.shape)


def test_out_has_the_channel_too() -> None:
    image = IMAGES[..., None]
    out = np.empty_like(image)
    assert ctfast.median_filter(image, 3, out=out) is out
    np.testing.assert_array_equal(out[..., 0], ctfast.median_filter(IMAGES, 3))
    with pytest.raises(ShapeError, match="needed"):
        ctfast.median_filter(image, 3, out=np.empty_like(IMAGES))
    with pytest.raises(CTFastError, match="out="):
        ctfast.median_filter(image, 3, out=image.tolist())


def test_an_image_that_was_read_is_taken_for_its_pixels(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IMAGES[0])
    image = read_image(tmp_path / "a.npy")
    np.testing.assert_array_equal(ctfast.median_filter(image, 3), ctfast.median_filter(IMAGES[0], 3))


def test_jax_arrays_with_a_channel() -> None:
    jax = pytest.importorskip("jax", reason="jax is not installed")
    result = ctfast.median_filter(jax.numpy.asarray(IMAGES)[..., None], 3)
    assert isinstance(result, jax.Array)
    np.testing.assert_array_equal(np.asarray(result)[..., 0], ctfast.median_filter(IMAGES, 3))


def test_training_data_with_a_channel() -> None:
    pytest.importorskip("jax", reason="jax is not installed")
    from ctfast.model import Dataset, Preprocessing

    for channels in (1, 3):
        preprocessing = Preprocessing(image_size=(16, 16), channels=channels)
        plain = Dataset.from_arrays(IMAGES, [0, 1, 0], preprocessing=preprocessing)
        with_channel = Dataset.from_arrays(IMAGES[..., None], [0, 1, 0], preprocessing=preprocessing)
        np.testing.assert_array_equal(with_channel.images, plain.images)
    for x in (IMAGES[0], IMAGES[:0], np.stack([IMAGES] * 2, axis=-1), np.ma.masked_array(IMAGES), np.uint8(3), []):
        with pytest.raises(CTFastError):
            Dataset.from_arrays(x, [0, 1, 0], preprocessing=Preprocessing(image_size=(16, 16)))
