"""Augmentation: each change against NumPy or SciPy; the same result however a batch is cut."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from ctfast.model.config import Augmentation
from ctfast.model.training.augmentation import apply, augment, draw, image_keys, turned

EVERYTHING = Augmentation(
    flip_horizontal=True,
    flip_vertical=True,
    rot90=True,
    rotation=30.0,
    shift=0.1,
    contrast=0.2,
    brightness=0.1,
    noise=0.05,
)


def keys(count: int, *, seed: int = 0, epoch: int = 1) -> jax.Array:
    return image_keys(seed, epoch, jnp.arange(count))


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.random((12, 21, 21), dtype=np.float32)


@pytest.mark.parametrize("shape", [(21, 34), (20, 20), (15, 17, 3)])
@pytest.mark.parametrize(("angle", "shift"), [(0.3, (2.5, -3.2)), (-2.0, (0, 0)), (np.pi / 2, (1, 2)), (0, (40, 0))])
def test_turns_and_shifts_are_scipys(
    rng: np.random.Generator, shape: tuple[int, ...], angle: float, shift: tuple[float, float]
) -> None:
    image = rng.random(shape, dtype=np.float32)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = (np.array(shape[:2]) - 1) / 2
    offset = centre - matrix @ (centre + np.array(shift))
    channels = image[..., None] if image.ndim == 2 else image
    wanted = np.stack(
        [
            ndimage.affine_transform(channels[..., c].astype(float), matrix, offset, order=1, mode="grid-constant")
            for c in range(channels.shape[-1])
        ],
        axis=-1,
    ).reshape(shape)
    found = turned(jnp.asarray(image), jnp.float32(angle), jnp.asarray(shift, jnp.float32))
    np.testing.assert_allclose(found, wanted, atol=2e-5)  # float32 coordinates of about 20, times slopes of up to 1


def test_flips_and_quarter_turns_are_numpys(images: np.ndarray) -> None:
    settings = Augmentation(flip_horizontal=True, flip_vertical=True, rot90=True)
    found, seen = augment(jnp.asarray(images), keys(12), settings), set()
    for image, key, result in zip(images, keys(12), np.asarray(found)):
        drawn = draw(key, settings, image.shape)
        rows, columns, turns = bool(drawn.flip_rows), bool(drawn.flip_columns), int(drawn.quarter_turns)
        seen.add((rows, columns, turns))
        wanted = np.flipud(image) if rows else image
        wanted = np.fliplr(wanted) if columns else wanted
        np.testing.assert_array_equal(result, np.rot90(wanted, turns))
    assert len(seen) > 5


def test_values_change_as_told(images: np.ndarray) -> None:
    settings = Augmentation(contrast=0.2, brightness=0.1, noise=0.05)
    drawn = draw(keys(1)[0], settings, (21, 21))
    noise = jax.random.normal(drawn.noise_key, (21, 21))
    wanted = np.clip(images[0] * drawn.factor + drawn.offset + drawn.noise * noise, 0, 1)
    np.testing.assert_allclose(apply(jnp.asarray(images[0]), drawn, settings), wanted, atol=1e-6)


def test_what_is_drawn_stays_in_its_range() -> None:
    drawn = jax.vmap(lambda key: draw(key, EVERYTHING, (100, 200)))(keys(400))
    for values, low, high in (
        (np.rad2deg(drawn.angle), -30, 30),
        (drawn.shift[:, 0], -10, 10),
        (drawn.shift[:, 1], -20, 20),
        (drawn.factor, 0.8, 1.2),
        (drawn.offset, -0.1, 0.1),
        (drawn.noise, 0, 0.05),
    ):
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high >= values.max() > high - 0.05 * (high - low)
    assert set(np.asarray(drawn.quarter_turns).tolist()) == {0, 1, 2, 3}
    for flips in (drawn.flip_rows, drawn.flip_columns):
        assert 0.4 < flips.mean() < 0.6


def test_any_split_of_a_batch_gives_the_same(images: np.ndarray) -> None:
    change = jax.jit(lambda x, k: augment(x, k, EVERYTHING))
    parts = [np.asarray(change(images[k : k + 6], keys(12)[k : k + 6])) for k in (0, 3, 6)]
    np.testing.assert_array_equal(parts[1], np.concatenate([parts[0][3:], parts[2][:3]]))
    alone = change(images[4:5], keys(12)[4:5])
    np.testing.assert_allclose(alone[0], parts[0][4], atol=1e-6)
    assert np.abs(parts[0] - images[:6]).max() > 0.1


def test_seed_epoch_and_number_each_change_the_key() -> None:
    made = [np.asarray(jax.random.key_data(keys(2, **k))) for k in ({}, {"seed": 1}, {"epoch": 2})]
    assert len({row.tobytes() for each in made for row in each}) == 6


def test_nothing_is_changed_by_default(images: np.ndarray) -> None:
    np.testing.assert_array_equal(augment(jnp.asarray(images), keys(12), Augmentation()), images)


def test_augmentation_in_words() -> None:
    assert Augmentation.parse("none") == Augmentation()
    assert Augmentation.parse("mild") == Augmentation.mild()
    assert Augmentation.parse("rot90,noise=0.1") == Augmentation(rot90=True, noise=0.1)
