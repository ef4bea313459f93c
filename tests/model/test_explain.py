"""Class-activation maps against formulas in NumPy and, where it is installed, torch's gradients; and the pictures."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

from ctfast.errors import ArgumentError, UsageError
from ctfast.files import Image as Picture
from ctfast.model.commands.predict import predict_files
from ctfast.model.data.reading import find_air
from ctfast.model.network.explain import class_activation, enlarge
from ctfast.model.prediction.faithfulness import deletion, highest
from ctfast.model.prediction.overlay import blend, draw_overlay, save_overlay
from ctfast.model.run_folder import TrainedModel
from tests.model.serving_build import CLASSES, SIZE, tiny_run, weights_of, write_slices

Image = pytest.importorskip("PIL.Image", reason="pictures need Pillow")


@pytest.fixture(scope="module")
def run() -> Any:
    return tiny_run(("a", "b", "c"))


@pytest.fixture(scope="module")
def images() -> NDArray[np.float32]:
    return np.random.default_rng(0).random((3, *SIZE), np.float32)


def activation(run: TrainedModel, images: NDArray[np.float32], target: int | None, method: str) -> Any:
    """``class_activation`` compiled whole, as prediction uses it: logits, target, maps."""

    def found(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        result = class_activation(run.model, x, target=target, method=method)
        return result.logits, result.target, result.maps

    return [np.asarray(a) for a in jax.jit(found)(jnp.asarray(images))]


def maps_by_hand(
    run: TrainedModel, images: NDArray[np.float32], target: NDArray[Any], method: str
) -> NDArray[np.float64]:
    """Of the two dense layers, whose gradient is written down: kernel, mask of the ReLU, column of the class."""
    features = np.asarray(run.model.features(jnp.asarray(images)), np.float64)
    (first, offset), (second, _) = weights_of(run.model, "dense"), weights_of(run.model, "dense_1")
    active = (features.reshape(len(images), -1) @ first + offset > 0).astype(np.float64)
    gradient = ((active * second[:, target].T) @ first.T).reshape(features.shape)
    if method == "grad-cam":
        gradient = np.broadcast_to(gradient.mean(axis=(1, 2), keepdims=True), gradient.shape)
    return np.maximum((gradient * features).sum(axis=3), 0)


@pytest.mark.parametrize("method", ["grad-cam", "hires-cam"])
@pytest.mark.parametrize("target", [None, 0, 1])
def test_maps_equal_the_formula(
    run: TrainedModel, images: NDArray[np.float32], method: str, target: int | None
) -> None:
    given, explained, maps = activation(run, images, target, method)
    logits = np.asarray(jax.jit(run.model)(jnp.asarray(images)))
    np.testing.assert_allclose(given, logits, rtol=1e-5, atol=1e-6)
    chosen = logits.argmax(axis=1) if target is None else np.full(3, target)
    np.testing.assert_array_equal(explained, chosen)
    expected = maps_by_hand(run, images, chosen, method)
    assert expected.max() > 0
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_maps_equal_those_by_torch_from_the_pixels_on(run: TrainedModel, images: NDArray[np.float32]) -> None:
    """The whole network anew in torch, gray repeated into three channels, gradients by torch."""
    torch = pytest.importorskip("torch", reason="torch is not installed: maps are compared with NumPy's formulas only")
    x = torch.from_numpy(images)[:, None].repeat(1, 3, 1, 1)
    for name in run.model.block_names:
        kernel, bias = (torch.from_numpy(w.copy()) for w in weights_of(run.model, name))
        x = torch.nn.functional.conv2d(x, kernel.permute(3, 2, 0, 1), bias).relu()
        x = torch.nn.functional.max_pool2d(x, 2)
    features = x.permute(0, 2, 3, 1).contiguous().requires_grad_()
    (k1, b1), (k2, b2) = ([torch.from_numpy(w.copy()) for w in weights_of(run.model, n)] for n in ("dense", "dense_1"))
    logits = (features.flatten(1) @ k1 + b1).relu() @ k2 + b2
    logits.max(dim=1).values.sum().backward()
    weights = features.grad.mean(dim=(1, 2), keepdim=True)
    for method, weighted in (("grad-cam", weights * features), ("hires-cam", features.grad * features)):
        expected = weighted.sum(dim=3).relu().detach().numpy()
        np.testing.assert_allclose(
            activation(run, images, None, method)[2], expected, rtol=1e-3, atol=1e-5 * expected.max()
        )


def test_another_method_is_refused(run: TrainedModel, images: NDArray[np.float32]) -> None:
    with pytest.raises(ArgumentError, match="hires-cam, grad-cam"):
        class_activation(run.model, jnp.asarray(images), method="saliency")


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_each_cell_is_drawn_where_it_looks(blocks: int) -> None:
    """The rows that a cell depends on, found by tracing intervals through convolutions and pooling."""
    seen = [(k, k) for k in range(62)]
    for _ in range(blocks):
        seen = [(seen[k][0], seen[k + 2][1]) for k in range(len(seen) - 2)]
        seen = [(seen[2 * k][0], seen[2 * k + 1][1]) for k in range(len(seen) // 2)]
    centres = np.array([(low + high) / 2 for low, high in seen])
    ramp = np.arange(len(centres), dtype=np.float32)  # a map whose value is the cell's number
    drawn = enlarge(np.repeat(ramp[:, None], len(centres), axis=1), (62, 62), blocks)
    inside = np.arange(62)[(np.arange(62) >= centres[0]) & (np.arange(62) <= centres[-1])]
    step = centres[1] - centres[0]
    np.testing.assert_allclose(drawn[inside, 30], (inside - centres[0]) / step, atol=1e-5)
    np.testing.assert_allclose(drawn[: int(centres[0]), 30], 0)
    np.testing.assert_allclose(drawn[int(centres[-1]) + 1 :, 30], len(centres) - 1)
    np.testing.assert_allclose(drawn.T, enlarge(np.repeat(ramp[None], len(centres), axis=0), (62, 62), blocks))


def test_the_overlay_leaves_places_that_did_not_speak_alone() -> None:
    image = np.random.default_rng(0).integers(0, 65536, (20, 24)).astype(np.uint16)
    heat = np.zeros((20, 24), np.float32)
    gray = np.repeat((image >> 8)[..., None], 3, axis=2)
    np.testing.assert_array_equal(blend(image, heat), gray)
    heat[3, 4], heat[5, 6] = 7.0, 3.5
    mixed = blend(image, heat)
    changed = (mixed != gray).any(axis=2)
    assert sorted(zip(*np.nonzero(changed))) == [(3, 4), (5, 6)]
    np.testing.assert_allclose(mixed[3, 4], 0.7 * np.array([252, 253, 191]) + 0.3 * gray[3, 4], atol=1)
    np.testing.assert_array_equal(mixed, blend(image, heat * 100), "a map is scaled to its own highest value")


@pytest.mark.parametrize("shape", [(20, 24), (300, 310), (20, 24, 3)])
def test_the_picture_shows_the_slice_and_the_overlay(shape: tuple[int, ...], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 65536, shape).astype(np.uint16)
    heat = rng.random(shape[:2], np.float32)
    p = np.array([0.25, 0.75], np.float32)
    words = {"title": "a name that is far too long for the picture " * 9 + "スライス.dcm", "subtitle": "grad-cam"}
    path = tmp_path / "deep" / "er" / "x.png"
    save_overlay(path, draw_overlay(image, heat, p, CLASSES, **words))
    assert [q.name for q in path.parent.iterdir()] == ["x.png"], "no temporary file is left"
    drawn = np.asarray(Image.open(path))
    np.testing.assert_array_equal(drawn, np.asarray(draw_overlay(image, heat, p, CLASSES, **words)))
    factor = max(1, -(-256 // max(shape[:2])))
    height, width = shape[0] * factor, shape[1] * factor
    gray = (image >> 8).astype(np.uint8)
    gray = gray if gray.ndim == 3 else np.repeat(gray[..., None], 3, axis=2)
    for k, panel in enumerate((gray, blend(image, heat))):
        left = 12 + k * (width + 12)
        shown = drawn[48 : 48 + height : factor, left : left + width : factor]
        np.testing.assert_array_equal(shown, panel)
    text = drawn[48 + height + 12 :]
    assert (text[36 + 18 :] < 128).any(), "the last line says what it is not"
    blue = (text == (70, 110, 170)).all(axis=2).sum(axis=1).max()
    label, number = (drawn.shape[1] - 24) * 2 // 5, 52
    assert blue == pytest.approx(0.75 * (drawn.shape[1] - 24 - label - number), abs=2), "the bar of the chosen class"


def test_predict_files_draws_a_picture_an_image(tmp_path: Path) -> None:
    run, folder, out = tiny_run(), tmp_path / "in", tmp_path / "p.csv"
    write_slices(folder / "a", ["x.tif"])
    write_slices(folder / "b", ["x.tif"], seed=1)
    from ctfast.files import write_image

    stack = np.random.default_rng(3).normal(100, 300, (2, 64, 60)).astype(np.int16)
    write_image(folder / "s.tif", stack, units="hu")
    (folder / "bad.tif").write_text("no image")
    pictures = tmp_path / "pictures"
    predict_files(run, folder, out, explain_dir=pictures, batch_size=2)
    names = ["a/x.tif.png", "b/x.tif.png", "s.tif.0000.png", "s.tif.0001.png"]
    assert sorted(p.relative_to(pictures).as_posix() for p in pictures.rglob("*.png")) == names
    image = run.preprocessing(stack)[1]
    heat = enlarge(activation(run, (image[None] / 65535).astype(np.float32), None, "hires-cam")[2], SIZE, 3)[0]
    factor = 256 // SIZE[0]
    drawn = np.asarray(Image.open(pictures / names[3]))[48:, 24 + SIZE[1] * factor :]
    shown = drawn[: SIZE[0] * factor : factor, : SIZE[1] * factor : factor].astype(int)
    assert np.abs(shown - blend(image, heat)).max() <= 1
    # A picture that is gone is made again; what is there is not.
    before = {p: p.stat().st_mtime_ns for p in pictures.rglob("*.png")}
    table = out.read_bytes()
    os.remove(pictures / names[2])
    report = predict_files(run, folder, out, explain_dir=pictures, method="hires-cam", batch_size=2)
    assert (report.done_before, report.ok, report.failed) == (2, 1, 1)
    assert out.read_bytes() == table
    assert (pictures / names[2]).exists()
    assert all((pictures / n).stat().st_mtime_ns == before[pictures / n] for n in names[:2])


def test_pictures_are_those_of_the_file_the_network_and_the_method(tmp_path: Path) -> None:
    run, out, pictures = tiny_run(), tmp_path / "p.csv", tmp_path / "e"
    for seed, name in enumerate(("one", "two")):
        write_slices(tmp_path / name, ["x.tif"], seed=seed)
    picture = pictures / "x.tif.png"
    predict_files(run, tmp_path / "one", out, explain_dir=pictures)
    first = picture.read_bytes()
    with pytest.raises(UsageError, match=r"x.tif.png is of another file than .*two/x.tif"):
        predict_files(run, tmp_path / "two", out, explain_dir=pictures)
    assert picture.read_bytes() == first
    assert predict_files(run, tmp_path / "one", out, explain_dir=pictures, method="grad-cam").ok == 1
    other = picture.read_bytes()
    assert other != first
    assert predict_files(run, tmp_path / "one", out, explain_dir=pictures, method="grad-cam").done_before == 1
    predict_files(run, tmp_path / "one", out, explain_dir=pictures)
    assert picture.read_bytes() == first
    predict_files(run, tmp_path / "two", out, explain_dir=pictures, overwrite=True)
    assert picture.read_bytes() != first
    predict_files(run, tmp_path / "two", out, explain_dir=pictures)


def test_two_inputs_for_one_picture_are_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_slices(tmp_path / name, ["x.tif"])
    folders = [tmp_path / "one", tmp_path / "two"]
    with pytest.raises(UsageError, match="two inputs for one picture"):
        predict_files(tiny_run(), folders, tmp_path / "p.csv", explain_dir=tmp_path / "e")
    assert not (tmp_path / "e").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="a folder is needed"):
        predict_files(tiny_run(), folders[:1], tmp_path / "p.csv", explain_dir=tmp_path / "file")
    with pytest.raises(ArgumentError, match="method='x'"):
        predict_files(tiny_run(), folders[:1], tmp_path / "p.csv", explain_dir=tmp_path / "e", method="x")


def test_the_deletion_test_hides_what_the_map_points_at() -> None:
    """A network that only looks at the upper left corner: a map there passes, a map elsewhere does not."""
    images = np.zeros((2, 20, 20), np.uint16)
    images[:, :5, :8] = 65535
    maps = np.zeros((2, 20, 20), np.float32)
    maps[0, :5, :8], maps[1, 10:15, 5:13] = 1, 1

    def probabilities(x: NDArray[np.uint16]) -> NDArray[np.float32]:
        p = x[:, :5, :8].mean(axis=(1, 2)) / 65535
        return np.stack([1 - p, p], axis=1).astype(np.float32)

    right, wrong = deletion(images, maps, probabilities(images), probabilities)
    assert (right.before, right.control) == (1, 1)
    assert right.hidden < 0.1
    assert right.explains
    assert not wrong.explains
    assert "Don't trust" in wrong.sentence()
    assert "Don't" not in right.sentence()
    assert highest(np.arange(100, dtype=np.float32).reshape(10, 10)).sum() == 10


def test_pictures_have_a_scale_bar_and_say_where_a_map_is_in_air(tmp_path: Path) -> None:
    hu = np.full((32, 30), -1000, np.int16)
    hu[8:24, 8:22] = 60
    image = Picture(hu, "hu", tmp_path / "a.tif", "tiff", spacing=(4.0, 4.0))
    air = find_air(image, (16, 15))
    assert air is not None
    assert air.shape == (1, 16, 15)
    assert air[0, 0, 0]
    assert not air[0, 8, 8]
    assert find_air(replace(image, units="stored"), (16, 15)) is None
    prepared, heat, p = np.zeros(SIZE, np.uint16), np.zeros(SIZE, np.float32), np.array([0.2, 0.8], np.float32)
    words = {"title": "a", "subtitle": "b"}
    plain = np.asarray(draw_overlay(prepared, heat, p, CLASSES, **words))
    sides = np.asarray(draw_overlay(prepared, heat, p, CLASSES, **words, in_plane="LP"))
    assert sides.shape[0] < plain.shape[0], "a line says that nobody knows the sides"
    lit = [(sides[48:304, 12:252] == 255).all(axis=2)[part].any() for part in (np.s_[:20], np.s_[-20:], np.s_[:, :16])]
    assert lit == [True, True, True], "letters at the edges: front, back, right"
    scaled = np.asarray(draw_overlay(prepared, heat, p, CLASSES, **words, pixel_mm=(4.0, 4.0)))
    assert scaled.shape[0] < plain.shape[0], "without a scale a line says so"
    # 32 x 30 pixels of 4 mm, enlarged 8 times: the longest bar up to a third of 12 cm is 2 cm, 40 pixels.
    left = scaled[48 : 48 + 256, 12 : 12 + 240]
    rows = [[sum(run) for white, run in groupby((row == 255).all(axis=1).tolist()) if white] for row in left]
    assert max(max(row, default=0) for row in rows) == 41


def test_predict_says_how_far_the_maps_can_be_trusted(run: TrainedModel, tmp_path: Path) -> None:
    files = write_slices(tmp_path / "in", ["a.tif", "b.tif"])
    report = predict_files(run, files, tmp_path / "p.csv", explain_dir=tmp_path / "e")
    assert report.doubtful_maps + report.maps_in_air >= 0
    told = any("deletion test" in note for note in report.notes)
    assert told == bool(report.doubtful_maps or report.maps_in_air)
