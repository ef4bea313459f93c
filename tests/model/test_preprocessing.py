"""From HU to the network's input: window, area-averaged resize, and the record of both."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.transform import resize_local_mean

from ctfast import Pipeline
from ctfast.errors import ArgumentError, CTFastError, FileFormatError
from ctfast.files import read_image, write_image
from ctfast.model.data._area import area_resize
from ctfast.model.data.preprocessing import Preprocessing

SIZES = [
    ((64, 64), (32, 32)),
    ((64, 60), (16, 20)),
    ((9, 12), (3, 4)),
    ((45, 33), (32, 20)),
    ((20, 20), (32, 32)),
    ((33, 7), (1, 1)),
    ((1, 1), (5, 3)),
    ((16, 8), (16, 8)),
]


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_area_means_are_those_of_skimage(old: tuple[int, int], new: tuple[int, int], rng: np.random.Generator) -> None:
    x = rng.integers(0, 65536, old).astype(np.uint16)
    expected = resize_local_mean(x.astype(np.float64), new, preserve_range=True)
    # Rounded to whole numbers: half a level, and nothing beyond the float64 error of the mean.
    assert np.abs(area_resize(x, new) - expected).max() <= 0.5 + 1e-8


@pytest.mark.parametrize(("old", "new"), [pair for pair in SIZES if pair[0][0] >= pair[1][0]])
def test_shrinking_is_inter_area_of_opencv(
    old: tuple[int, int], new: tuple[int, int], rng: np.random.Generator
) -> None:
    x = rng.integers(0, 65536, old).astype(np.uint16)
    expected = cv2.resize(x.astype(np.float32), new[::-1], interpolation=cv2.INTER_AREA)
    # OpenCV sums in float32: 24 bits for values of 16 bits, weights off by 2^-24 each.
    assert np.abs(area_resize(x, new) - expected).max() <= 0.5 + 0.02


def test_whole_factors_are_exact_with_half_to_even() -> None:
    x = np.array([[0, 1, 65535, 65535], [1, 0, 65535, 65535], [1, 2, 3, 3], [2, 1, 3, 4]], np.uint16)
    assert area_resize(x, (2, 2)).tolist() == [[0, 65535], [2, 3]]
    thirds = np.array([[0, 0, 1, 0, 1, 1]], np.uint16)
    assert area_resize(thirds, (1, 2)).tolist() == [[0, 1]]


@pytest.mark.parametrize("size", [(8, 8), (7, 5)])
def test_a_batch_gives_the_pixels_of_its_images(size: tuple[int, int], rng: np.random.Generator) -> None:
    x = rng.integers(-1024, 3071, (2, 3, 32, 24)).astype(np.int16)
    made = Preprocessing(image_size=size)
    each = [[made(image) for image in row] for row in x]
    assert np.array_equal(made(x), np.array(each))


def test_the_default_is_the_window_of_the_data_set() -> None:
    x = np.array([[-3024, -200], [-199, 400], [999, 1000], [1001, 3071]], np.int16)
    expected = np.rint((np.clip(x.astype(float), -200, 1000) + 200) / 1200 * 65535)
    assert np.abs(Preprocessing(image_size=(4, 2))(x) - expected).max() <= 1
    assert Preprocessing(image_size=(4, 2))(x)[[0, 0, 2, 3], [0, 1, 1, 1]].tolist() == [0, 0, 65535, 65535]


def test_rgb_goes_channel_by_channel(rng: np.random.Generator) -> None:
    color = rng.integers(-200, 1000, (2, 16, 16, 3)).astype(np.int16)
    made = Preprocessing(image_size=(8, 8), channels=3)
    gray = Preprocessing(image_size=(8, 8))
    for c in range(3):
        assert np.array_equal(made(color)[..., c], gray(color[..., c]))
    assert np.array_equal(made(color[..., 0]), np.repeat(gray(color[..., 0])[..., None], 3, axis=-1))


def test_eight_bits_fill_the_range() -> None:
    eight = Pipeline([{"operation": "window", "center": 400, "width": 1200, "dtype": "uint8"}])
    x = np.array([[-500, 2000]], np.int16)
    assert Preprocessing(eight, (1, 2))(x).tolist() == [[0, 65535]]


def test_the_record_gives_the_same_object_and_hash() -> None:
    steps = [
        {"operation": "median_filter", "size": 3},
        {"operation": "window", "center": 0, "width": 10, "dtype": "uint16"},
    ]
    made = Preprocessing(Pipeline(steps, name="x"), (32, 48), 3)
    again = Preprocessing.from_dict(made.to_dict())
    assert again == made
    assert again.hash == made.hash
    assert Preprocessing(Pipeline(steps, name="renamed"), (32, 48), 3).hash == made.hash
    others = [Preprocessing(), Preprocessing(image_size=(128, 256)), Preprocessing(channels=3), made]
    assert len({p.hash for p in others}) == len(others)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"image_size": (0, 4)}, "image_size"),
        ({"image_size": 256}, "image_size"),
        ({"image_size": (256.0, 256)}, "image_size"),
        ({"channels": 2}, "channels"),
        ({"pipeline": Pipeline([{"operation": "median_filter"}])}, "uint16"),
        ({"pipeline": Pipeline([{"operation": "window", "center": 0, "width": 1}])}, "uint16"),
        ({"pipeline": Pipeline([{"operation": "label_tissue"}])}, "label_tissue"),
    ],
)
def test_what_cannot_work_is_refused(arguments: dict, word: str) -> None:
    with pytest.raises(ArgumentError, match=word):
        Preprocessing(**arguments)


def test_a_foreign_record_is_refused() -> None:
    with pytest.raises(ArgumentError, match="image_size"):
        Preprocessing.from_dict({"pipeline": {}, "size": 3})


def test_reading_a_file_is_the_same_computation(tmp_path: Path, rng: np.random.Generator) -> None:
    x = rng.integers(-1024, 3071, (3, 32, 32)).astype(np.int16)
    write_image(tmp_path / "stack.tif", x, units="hu")
    write_image(tmp_path / "one.tif", x[0], units="hu")
    made = Preprocessing(image_size=(16, 16))
    frames, image = made.read(tmp_path / "stack.tif")
    assert np.array_equal(frames, made(x))
    assert made.trusts(image)
    assert np.array_equal(made.read(tmp_path / "one.tif")[0], made(x[:1]))
    assert not made.trusts(read_image(tmp_path / "one.tif", units="stored"))
    (tmp_path / "cut.tif").write_bytes((tmp_path / "one.tif").read_bytes()[:900])
    with pytest.raises(FileFormatError, match=r"cut\.tif"):
        made.read(tmp_path / "cut.tif")


def test_an_image_of_no_pixels_is_refused() -> None:
    with pytest.raises(CTFastError):
        Preprocessing()(np.zeros((0, 4), np.int16))


def test_a_window_by_its_ends() -> None:
    assert Preprocessing.of_window(-200, 1000) == Preprocessing()
    x = np.array([[-1, 0], [300, 601]], np.int16)
    assert Preprocessing.of_window(0, 600, image_size=(2, 2))(x).tolist() == [[0, 0], [32768, 65535]]
    with pytest.raises(ArgumentError, match="below"):
        Preprocessing.of_window(5, 5)
