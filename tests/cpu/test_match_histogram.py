"""match_histogram against scikit-image, whose algorithm it is, its reference as a file, and steps that name one."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage import exposure

import ctfast
from ctfast.errors import ArgumentError
from ctkernels.cpu._histogram import distinct
from ctkernels.testing import force_bands

RNG = np.random.default_rng(3)
REFERENCE = np.rint(RNG.normal(40, 120, (50, 60))).astype(np.int16)
IMAGE = np.rint(RNG.normal(-20, 60, (2, 45, 37))).astype(np.int16)


def images() -> dict[str, np.ndarray]:
    real = IMAGE + RNG.random(IMAGE.shape)
    ties = np.round(real, 1)
    ties[0, 0, :4] = 0.0, -0.0, 0.5, 0.5
    return {
        "int16": IMAGE,
        "uint16": (IMAGE + 1024).astype(np.uint16),
        "uint8": np.clip(IMAGE, 0, 255).astype(np.uint8),
        "float32 of whole numbers": IMAGE.astype(np.float32),
        "float32": real.astype(np.float32),
        "float64": real,
        "float64 with ties": ties,
        "beyond int16": IMAGE * 3e4,
        "float32 of more values than a table holds": RNG.normal(40, 60, (1, 90, 70)).astype(np.float32),
    }


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("kind", images())
def test_scikit_image_s_values(kind: str, backend: str) -> None:
    batch = images()[kind]
    found = ctfast.match_histogram(batch, ctfast.ReferenceHistogram.of(REFERENCE), dtype="float64", backend=backend)
    for image, matched in zip(batch, found, strict=True):
        # As int64 and float64, which scikit-image sorts: it counts unsigned numbers in bins, and references then too.
        expected = exposure.match_histograms(image.astype(np.float64), REFERENCE.astype(np.float64))
        np.testing.assert_array_equal(matched, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_distinct_values_are_numpy_s(dtype: str) -> None:
    few = (IMAGE[0] * 0.37).astype(dtype)
    few[0, :3] = 0.0, -0.0, np.inf
    many = RNG.normal(size=5000).astype(dtype)
    many[:4] = 0.0, -0.0, many[5], many[5]
    many[-1] = many.max()
    for image in (few, few[:1, :1], np.full_like(few, -2.5), many, few.T, IMAGE, IMAGE[0].astype(np.uint8)):
        values, counts = np.unique(image, return_counts=True)
        for found, expected in zip(distinct.knots(image), (values, np.cumsum(counts) / image.size), strict=True):
            np.testing.assert_array_equal(found, expected)
    few[0, :3] = np.nan, -np.nan, 1.0
    known = distinct.distinct(few.reshape(-1))
    assert known is not None
    np.testing.assert_array_equal(known.values, np.unique(few))
    np.testing.assert_array_equal(known.values[known.places[known.codes]], few.reshape(-1))
    assert distinct.distinct(many) is None


def test_results_of_every_dtype_volumes_and_threads() -> None:
    reference = ctfast.ReferenceHistogram.of(REFERENCE)
    exact = ctfast.match_histogram(IMAGE, reference, dtype="float64")
    assert ctfast.match_histogram(IMAGE, reference).dtype == np.float32
    np.testing.assert_allclose(ctfast.match_histogram(IMAGE, reference), exact, rtol=1e-7)
    for dtype in ("int16", "uint8", "uint16"):
        limits = np.iinfo(dtype)
        for image in (IMAGE, IMAGE + 0.25):
            found = ctfast.match_histogram(image, reference, dtype=dtype)
            np.testing.assert_array_equal(found, np.clip(np.rint(exact), limits.min, limits.max))
    volume = exposure.match_histograms(IMAGE.astype(np.float64), REFERENCE[None].astype(np.float64))
    np.testing.assert_array_equal(ctfast.match_histogram(IMAGE, reference, axes=3, dtype="float64"), volume)
    with force_bands(2):
        np.testing.assert_array_equal(ctfast.match_histogram(IMAGE, reference, dtype="float64"), exact)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("fraction", [0.0, 0.25])
def test_pixels_that_do_not_count_are_mapped(fraction: float, backend: str) -> None:
    image = IMAGE[0] + fraction
    padded = np.vstack([np.full((4, image.shape[1]), -2000.0), image])
    reference = ctfast.ReferenceHistogram.of(REFERENCE)
    expected = exposure.match_histograms(image, REFERENCE.astype(np.float64))
    options: dict[str, Any] = {"dtype": "float64", "backend": backend}
    by_range = ctfast.match_histogram(padded, reference, value_range=(-1100, None), **options)
    by_mask = ctfast.match_histogram(padded, reference, where=padded > -1100, **options)
    for found in (by_range, by_mask):
        np.testing.assert_array_equal(found[4:], expected)
        assert (found[:4] == REFERENCE.min()).all()
    nobody = ctfast.match_histogram(padded, reference, where=np.zeros(padded.shape, bool), **options)
    assert (nobody == REFERENCE.min()).all()


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_nan_and_infinities(backend: str) -> None:
    image = IMAGE[0].astype(np.float32)
    image[0, :3] = np.nan, np.inf, -np.inf
    image[0, 3] = np.frombuffer(b"\x01\x00\xc0\xff", "<f4")[0]  # NaN with a sign
    found = ctfast.match_histogram(image, ((-5.0, 1.0, 8.0), (1, 2, 3)), backend=backend)
    assert np.isnan(found[0, [0, 3]]).all()
    assert found[0, 1:3].tolist() == [8.0, -5.0]
    rest = ctfast.match_histogram(image[1:], ((-5.0, 1.0, 8.0), (1, 2, 3)), backend=backend)
    assert np.abs(found[1:] - rest).max() < 0.1  # shares of a row more
    whole = ctfast.match_histogram(image, ((-5.0, 1.0, 8.0), (1, 2, 3)), dtype="int16", backend=backend)
    assert whole[0, :4].tolist() == [-5, 8, -5, -5]


def test_a_reference_is_a_file(tmp_path: Path) -> None:
    pair = np.stack([REFERENCE, REFERENCE + 7])
    reference = ctfast.ReferenceHistogram.of(iter(pair), value_range=(-300, None), units="HU", source="two phantoms")
    values, counts = np.unique(pair[pair >= -300], return_counts=True)
    np.testing.assert_array_equal(reference.values, values)
    np.testing.assert_array_equal(reference.counts, counts)
    np.testing.assert_array_equal(reference.shares, np.cumsum(counts) / counts.sum())
    assert reference == ctfast.ReferenceHistogram(values, counts) == ctfast.ReferenceHistogram.of(pair[pair >= -300])
    reference.save(tmp_path / "phantom.npz")
    read = ctfast.ReferenceHistogram.load(tmp_path / "phantom.npz")
    assert read == reference
    assert (read.units, read.source) == ("HU", "two phantoms")
    assert "HU" in repr(read)
    with np.load(tmp_path / "phantom.npz", allow_pickle=False) as held:  # as its documentation says
        assert str(held["format"]) == "ctfast reference histogram 1"
        np.testing.assert_array_equal(held["counts"], counts)
    expected = ctfast.match_histogram(IMAGE, (values, counts))
    np.testing.assert_array_equal(ctfast.match_histogram(IMAGE, tmp_path / "phantom.npz"), expected)
    np.testing.assert_array_equal(ctfast.match_histogram(IMAGE, pickle.loads(pickle.dumps(reference))), expected)


def test_a_step_names_the_file_and_its_content(tmp_path: Path) -> None:
    reference = ctfast.ReferenceHistogram.of(REFERENCE)
    (tmp_path / "steps").mkdir()
    reference.save(tmp_path / "steps" / "chest.npz")
    (tmp_path / "steps" / "p.toml").write_text('[[steps]]\noperation = "match_histogram"\nreference = "chest.npz"\n')
    pipeline = ctfast.Pipeline.from_file(tmp_path / "steps" / "p.toml")
    np.testing.assert_array_equal(pipeline(IMAGE), ctfast.match_histogram(IMAGE, reference))
    # the same computation whatever the file is called, or where there is none
    kept = ctfast.Pipeline([ctfast.Step("match_histogram", reference=(reference.values, reference.counts))])
    assert pipeline.hash == kept.hash
    assert pipeline == kept
    for each in (pipeline, kept):
        (tmp_path / "again.toml").write_text(each.to_toml())
        (tmp_path / "again.json").write_text(each.to_json())
        for name in ("again.toml", "again.json"):
            assert ctfast.Pipeline.from_file(tmp_path / name) == pipeline
    (tmp_path / "again.toml").write_text(pipeline.to_toml())
    ctfast.ReferenceHistogram.of(REFERENCE + 1).save(tmp_path / "steps" / "chest.npz")
    with pytest.raises(ArgumentError, match="another one was put in its place"):
        ctfast.Pipeline.from_file(tmp_path / "again.toml")
    assert ctfast.Pipeline.from_file(tmp_path / "steps" / "p.toml").hash != pipeline.hash


def test_large_references_are_not_kept_with_remembered_calls() -> None:
    from ctfast.dispatch.prepared import prepared

    large = ctfast.ReferenceHistogram.of(RNG.normal(0, 300, 70_000))
    before = prepared.cache_info().currsize
    found = ctfast.match_histogram(IMAGE[0], large, dtype="float64")
    assert prepared.cache_info().currsize == before
    np.testing.assert_array_equal(found, ctfast.match_histogram(IMAGE[0], large, dtype="float64", backend="reference"))
    pipeline = ctfast.Pipeline([ctfast.Step("match_histogram", reference=large, dtype="float64")])
    np.testing.assert_array_equal(pipeline(IMAGE[0]), found)


def test_padding_has_no_share() -> None:
    padded = np.vstack([np.full((4, IMAGE.shape[2]), -2000, np.int16), IMAGE[0]])
    pipeline = ctfast.Pipeline([ctfast.Step("match_histogram", reference=((0, 10, 50), (1, 1, 1)))])
    found = pipeline.run(padded, padding=-2000).image
    np.testing.assert_array_equal(found[4:], pipeline(IMAGE[0]))
    assert (found[:4] == 0).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nowhere.npz", "nowhere.npz: No such file"),
        (3, "the file of one"),
        (((1, 1), (1, 2)), "each above the one before"),
        (((1, np.nan), (1, 2)), "finite"),
        (((1, 2), (1,)), "one for each of the 2 values"),
        (((1, 2), (1, 0)), "above 0"),
        (((1, 2), (1, 1.5)), "whole numbers"),
        (((), ()), "1 to"),
        ((("a", "b"), (1, 2)), "could not convert"),
    ],
)
def test_what_is_no_reference(given: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        ctfast.match_histogram(IMAGE, given)


def test_files_that_are_no_reference(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "other.npz", values=np.arange(3))
    np.savez(
        tmp_path / "later.npz", format="ctfast reference histogram 2", values=[1.0], counts=[1], units="", source=""
    )
    np.savez(
        tmp_path / "pickled.npz",
        format="ctfast reference histogram 1",
        values=np.array([{}]),
        counts=[1],
        units="",
        source="",
    )
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(ArgumentError, match=r"npz can't be read: .*ReferenceHistogram\.save is needed"):
            ctfast.ReferenceHistogram.load(path)
    with pytest.raises(ArgumentError, match="without a pixel that counts"):
        ctfast.ReferenceHistogram.of(np.full(3, np.nan))
