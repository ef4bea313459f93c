"""Augmentation on arrays: against SciPy, alike for images and masks, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ctfast.augment import Augmentation, Change, augment, change_of, flip, move
from ctfast.errors import ArgumentError, CTFastError, ShapeError

ALL = Augmentation(True, True, True, rotation=30, shift=0.1, contrast=0.2, brightness=0.1, noise=0.05)
MOVES = Augmentation(True, True, True, rotation=30, shift=0.1)


def slices(number: int = 3, size: tuple[int, int] = (40, 40)) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 300, (number, *size)).round().astype(np.int16)


@pytest.mark.parametrize(("angle", "shift"), [(0.0, (3.0, -2.0)), (17.0, (0.0, 0.0)), (-33.0, (1.25, 4.5))])
def test_moves_are_scipy_s(angle: float, shift: tuple[float, float]) -> None:
    image = np.random.default_rng(1).random((31, 44))
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    matrix, centre = np.array([[cos, -sin], [sin, cos]]), (np.array(image.shape) - 1) / 2
    offset = centre - matrix @ (centre + np.array(shift))
    expected = ndimage.affine_transform(image, matrix, offset, order=1, mode="grid-constant", cval=-0.5)
    found = move(image, Change(angle=angle, shift=shift), cval=-0.5)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_positive_angles_turn_clockwise() -> None:
    image = np.random.default_rng(2).random((31, 44))
    expected = ndimage.rotate(image, -17, reshape=False, order=1, mode="grid-constant", cval=-0.5)
    np.testing.assert_allclose(move(image, Change(angle=17), cval=-0.5), expected, atol=1e-9)
    corner = np.zeros((9, 9))
    corner[0, 0] = 1.0
    np.testing.assert_allclose(move(corner, Change(angle=90))[0, 8], 1.0)


def test_an_image_changes_alike_in_any_batch() -> None:
    images = slices(5)
    words = {"settings": ALL, "value_range": (-1024.0, 3071.0)}
    whole = augment(images, seed=3, **words)
    assert whole.dtype == np.int16
    np.testing.assert_array_equal(augment(images, seed=3, **words), whole)
    np.testing.assert_array_equal(augment(images[3:4], seed=3, numbers=[3], **words)[0], whole[3])
    np.testing.assert_array_equal(augment(images[0], seed=3, **words), whole[0])
    assert (augment(images, seed=4, **words) != whole).any(axis=(1, 2)).all()
    np.testing.assert_array_equal(images, slices(5), "the input stays")


def test_masks_follow_their_images() -> None:
    masks = np.zeros((4, 60, 60), np.uint8)
    masks[:, 20:35, 25:50] = 3
    images = np.where(masks == 3, 100.0, 0.0)
    changed, moved = augment(images, masks, settings=MOVES, seed=0, value_range=(0, 100))
    assert set(np.unique(moved)) == {0, 3}
    inside, outside = changed > 75, changed < 25
    assert (moved[inside] == 3).mean() > 0.99
    assert (moved[outside] == 0).mean() > 0.99
    one, one_mask = augment(images[0], masks[0], settings=MOVES, seed=0, value_range=(0, 100))
    np.testing.assert_array_equal(one, changed[0])
    np.testing.assert_array_equal(one_mask, moved[0])


def test_flips_and_quarter_turns_keep_every_pixel() -> None:
    image = slices(1)[0]
    found = flip(image, Change(flip_rows=True, flip_columns=True, quarter_turns=3))
    np.testing.assert_array_equal(found, np.rot90(image[::-1, ::-1], 3))


def test_what_is_drawn_stays_within_what_was_asked_for() -> None:
    drawn = [change_of(ALL, (50, 100), 0, k) for k in range(300)]
    assert {d.quarter_turns for d in drawn} == {0, 1, 2, 3}
    assert 0.4 < np.mean([d.flip_rows for d in drawn]) < 0.6
    for name, most in (("angle", 30), ("offset", 0.1)):
        values = [getattr(d, name) for d in drawn]
        assert -most <= min(values) < -0.9 * most
        assert 0.9 * most < max(values) <= most
    assert max(abs(d.shift[1]) for d in drawn) <= 10
    assert change_of(Augmentation(), (5, 5), 0) == Change()


def test_values_stay_within_their_range_and_noise_is_as_strong_as_drawn() -> None:
    image = np.full((200, 200), 500.0)
    settings = Augmentation(noise=0.05)
    found = augment(image, settings=settings, seed=1, value_range=(0, 1000))
    assert found.std() == pytest.approx(change_of(settings, (200, 200), 1).noise * 1000, rel=0.05)
    bright = augment(
        np.full((8, 8), 1000, np.uint16), settings=Augmentation(brightness=1), seed=2, value_range=(0, 1000)
    )
    assert bright.max() <= 1000


@pytest.mark.parametrize(
    ("images", "masks", "words", "error"),
    [
        (np.zeros(3), None, {}, ShapeError),
        (np.zeros((4, 5)), None, {"settings": ALL}, ArgumentError),
        (np.zeros((2, 5, 5)), None, {"numbers": [1]}, ArgumentError),
        (np.zeros((2, 5, 5)), np.zeros((2, 5, 5)), {}, ShapeError),
        (np.zeros((2, 5, 5), complex), None, {}, CTFastError),
    ],
)
def test_what_does_not_fit_is_refused(images: np.ndarray, masks: np.ndarray | None, words: dict, error: type) -> None:
    with pytest.raises(error):
        augment(images, masks, **{"settings": MOVES, "seed": 0, **words})


@pytest.mark.parametrize(
    ("images", "words", "told"),
    [
        (slices(), {"settings": Augmentation(noise=0.1)}, "value_range"),
        (slices(), {"settings": Augmentation(rotation=5)}, "give cval"),
        (slices(), {"settings": Augmentation(contrast=0.1), "cval": -1024}, "value_range"),
        (slices().astype(np.uint16), {"settings": MOVES, "cval": -1024}, "uint16 holds 0 to 65535"),
        (slices(), {"settings": MOVES, "cval": np.nan}, "int16 holds"),
    ],
)
def test_hu_in_the_range_of_0_to_1_are_refused(images: np.ndarray, words: dict, told: str) -> None:
    """They would be clipped to 0 and 1, or have water around them."""
    with pytest.raises(ArgumentError, match=told):
        augment(images, seed=0, **words)


@pytest.mark.parametrize(("dtype", "cval"), [("uint8", -1), ("int8", 255), ("bool", 2), ("uint16", np.nan)])
def test_labels_that_a_mask_cannot_hold_are_refused(dtype: str, cval: float) -> None:
    with pytest.raises(ArgumentError, match=f"mask_cval={cval!r}: {dtype} holds"):
        augment(np.zeros((9, 9)), np.zeros((9, 9), dtype), settings=MOVES, seed=0, mask_cval=cval)


def test_what_the_default_range_serves() -> None:
    rng = np.random.default_rng(0)
    augment(rng.random((2, 9, 9)), settings=ALL, seed=0)
    augment(rng.integers(0, 256, (2, 9, 9)).astype(np.uint8), settings=MOVES, seed=0)
    augment(slices(), settings=Augmentation(flip_horizontal=True), seed=0)
    inside = augment(np.ones((9, 9), bool), settings=Augmentation(rotation=30), seed=0)
    assert (inside.dtype, inside[4, 4], inside.all()) == (bool, True, False)
