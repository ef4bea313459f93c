"""Reading a set: pixels, groups, warnings, bad files, the cache."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ctfast.errors import ArgumentError, UsageError
from ctfast.files import write_image
from ctfast.model.data import store
from ctfast.model.data.dataset import Dataset, load_dataset
from ctfast.model.data.preprocessing import Preprocessing
from ctfast.model.data.record import describe
from ctfast.tools.synth import write_set
from tests.model.data_build import SMALL, dicom, made_of, pixels, tiff


def two_classes(folder: Path, number: int = 6) -> Path:
    for k in range(number):
        tiff(folder / "ab"[k % 2] / f"{k}.tif", k)
    return folder


def test_images_are_those_of_the_files(tmp_path: Path) -> None:
    found = load_dataset(two_classes(tmp_path), preprocessing=SMALL)
    assert found.files == ("a/0.tif", "a/2.tif", "a/4.tif", "b/1.tif", "b/3.tif", "b/5.tif")
    assert found.images.dtype == np.uint16
    assert np.array_equal(found.images, np.stack([SMALL(pixels(k)) for k in (0, 2, 4, 1, 3, 5)]))
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert len(set(found.groups.tolist())) == 6
    assert (found.labels.dtype, found.groups.dtype) == (np.int32, np.int32)
    assert found.class_counts() == {"a": 3, "b": 3}
    assert len(found) == 6


def test_values_with_a_documented_offset(tmp_path: Path) -> None:
    for seed, label in enumerate(("a", "a", "b", "b")):
        tiff(tmp_path / "hu" / label / f"{seed}.tif", seed)
        moved = tmp_path / "moved" / label / f"{seed}.tif"
        moved.parent.mkdir(parents=True, exist_ok=True)
        write_image(moved, (pixels(seed) + 1024).astype(np.uint16))
    plain = load_dataset(tmp_path / "hu", preprocessing=SMALL)
    moved_set = load_dataset(tmp_path / "moved", preprocessing=SMALL, units="hu", offset=-1024)
    np.testing.assert_array_equal(moved_set.images, plain.images)
    assert not any("HU" in warning for warning in moved_set.warnings)


def test_shares_of_hu_are_counted_at_full_resolution(tmp_path: Path) -> None:
    found = load_dataset(two_classes(tmp_path), preprocessing=SMALL)
    assert found.hu_shares is not None
    counts, _ = np.histogram(pixels(2), 200, (-1000, 1000))
    assert np.allclose(found.hu_shares[1], counts / 256, atol=1e-7)
    known = load_dataset(tmp_path, preprocessing=SMALL, units="stored")
    assert known.hu_shares is None


def test_patients_of_dicom_stay_together(tmp_path: Path) -> None:
    for k in range(6):
        dicom(tmp_path / "ab"[k % 2] / f"{k}.dcm", k, f"P-{k // 3}")
    found = load_dataset(tmp_path, preprocessing=SMALL)
    patient = {name: int(Path(name).stem) // 3 for name in found.files}
    groups = dict(zip(found.files, found.groups.tolist()))
    assert all((groups[x] == groups[y]) == (patient[x] == patient[y]) for x in groups for y in groups)
    (told,) = (w for w in found.warnings if "2 patients have slices of several classes" in w)
    assert "P-0" not in told, "patients are named by their files"
    assert ".dcm" in told
    assert not any("no patient is known" in w for w in found.warnings)


def test_the_dicom_twin_tells_the_patient_of_a_tiff(tmp_path: Path) -> None:
    write_set(tmp_path / "set", count=4, size=32)
    found = load_dataset(tmp_path / "set", preprocessing=SMALL)
    assert len(found) == 4
    assert all(name.endswith(".tif") for name in found.files)
    assert found.groups.tolist() == [0, 0, 1, 1]
    assert found.classes == ("no contrast", "contrast")
    assert found.warnings == ()
    os.remove(tmp_path / "set" / found.files[0])
    (tmp_path / "set" / found.files[1]).write_bytes(b"II*\0")
    again = load_dataset(tmp_path / "set", preprocessing=SMALL)
    assert np.array_equal(again.images, found.images), "the DICOM file holds the same slice"
    write_set(tmp_path / "tiffs", count=4, size=32, dicom=False)
    alone = load_dataset(tmp_path / "tiffs", preprocessing=SMALL)
    assert alone.groups.tolist() == [0, 1, 2, 3]
    assert any("no patient is known for 4 files" in w and "groups=" in w for w in alone.warnings)


def test_a_column_of_patients(tmp_path: Path) -> None:
    two_classes(tmp_path)
    rows = "".join(f"{'ab'[k % 2]}/{k}.tif,{'ab'[k % 2]},{'x' if k < 4 else ''}\n" for k in range(6))
    (tmp_path / "t.csv").write_text("file,label,patient\n" + rows)
    found = load_dataset(tmp_path, labels=tmp_path / "t.csv", groups="patient", preprocessing=SMALL)
    groups = dict(zip(found.files, found.groups.tolist()))
    assert len({groups[f"{'ab'[k % 2]}/{k}.tif"] for k in range(4)}) == 1
    assert len(set(groups.values())) == 3
    assert any("no patient is known for 2 files" in w for w in found.warnings)


def test_a_patient_that_is_written_in_several_ways_stays_together_and_is_told(tmp_path: Path) -> None:
    """As programs leave numbers: 007, 7 and 7.0; and a table that tells some patients, DICOM headers the others."""
    ways = ["007", "7", "7.0", "P-1", "p-1 ", "12"]
    for k in range(8):
        (dicom if k > 5 else tiff)(tmp_path / "ab"[k % 2] / f"{k}.{'dcm' if k > 5 else 'tif'}", k, *["0012"][: k > 5])
    rows = "".join(f"{'ab'[k % 2]}/{k}.tif,{'ab'[k % 2]},{way}\n" for k, way in enumerate(ways))
    (tmp_path / "t.csv").write_text("file,label,patient\n" + rows + "a/6.dcm,a,\nb/7.dcm,b,\n")
    found = load_dataset(tmp_path, labels=tmp_path / "t.csv", groups="patient", preprocessing=SMALL)
    groups = {int(Path(name).stem): group for name, group in zip(found.files, found.groups.tolist())}
    assert [groups[k] for k in range(8)] == [groups[k] for k in (0, 0, 0, 3, 3, 5, 5, 5)]
    assert len(set(groups.values())) == 3
    (told,) = (w for w in found.warnings if "written in several ways" in w)
    assert told.startswith("3 patients are")
    assert "a/0.tif, a/2.tif, b/1.tif" in told
    assert "P-1" not in told


def test_equal_pixels_stay_together_and_are_told(tmp_path: Path) -> None:
    two_classes(tmp_path)
    tiff(tmp_path / "a" / "copy.tif", 0)
    tiff(tmp_path / "b" / "other.tif", 2)
    found = load_dataset(tmp_path, preprocessing=SMALL)
    groups = dict(zip(found.files, found.groups.tolist()))
    assert groups["a/0.tif"] == groups["a/copy.tif"]
    assert groups["a/2.tif"] == groups["b/other.tif"]
    assert len(set(groups.values())) == 6
    assert any("4 slices have the pixels of another" in w and "a/0.tif = a/copy.tif" in w for w in found.warnings)
    assert any("contradictory labels" in w and "a/2.tif (a) = b/other.tif (b)" in w for w in found.warnings)


def test_equal_pixels_join_patients() -> None:
    images = np.stack([pixels(k) for k in (0, 1, 1, 2, 3)])
    assert made_of([0, 0, 1, 1, 0], [5, 5, 6, 7, 8], images=images).groups.tolist() == [0, 0, 0, 1, 2]


def test_bad_files_are_listed_and_the_set_goes_on(tmp_path: Path) -> None:
    two_classes(tmp_path)
    (tmp_path / "a" / "cut.tif").write_bytes((tmp_path / "a" / "0.tif").read_bytes()[:300])
    (tmp_path / "b" / "text.dcm").write_text("no DICOM")
    seen = []
    found = load_dataset(tmp_path, preprocessing=SMALL, progress=lambda done, failed: seen.append((done, failed)))
    assert len(found) == 6
    assert {u.name for u in found.unread} == {"a/cut.tif", "b/text.dcm"}
    assert all(u.reason for u in found.unread)
    assert any("2 files (a/cut.tif, b/text.dcm) can't be read" in w for w in found.warnings)
    assert seen[-1] == (8, 2)
    assert [u["file"] for u in describe(found)["unread"]] == ["a/cut.tif", "b/text.dcm"]


def test_a_class_of_which_nothing_is_left(tmp_path: Path) -> None:
    tiff(tmp_path / "a" / "0.tif", 0)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.tif").write_bytes(b"II*\0")
    with pytest.raises(UsageError, match=r"no readable slice of 'b' is left.*b/1\.tif"):
        load_dataset(tmp_path, preprocessing=SMALL)
    (tmp_path / "a" / "0.tif").write_bytes(b"II*\0")
    with pytest.raises(UsageError, match="none of 2 slices can be read"):
        load_dataset(tmp_path, preprocessing=SMALL)


def test_other_sizes_and_values_are_told(tmp_path: Path) -> None:
    tiff(tmp_path / "a" / "0.tif", 0)
    write_image(tmp_path / "b.tif", pixels(1, 32)[:, :24], units="unknown")
    (tmp_path / "b").mkdir()
    os.replace(tmp_path / "b.tif", tmp_path / "b" / "1.tif")
    found = load_dataset(tmp_path, preprocessing=SMALL)
    assert found.images.shape == (2, 8, 8)
    assert any("2 sizes (16 x 16, 32 x 24): all are resized to 8 x 8" in w for w in found.warnings)
    assert any("1 file (b/1.tif) of another aspect ratio" in w for w in found.warnings)
    assert any("1 file (b/1.tif) do not say that their values are HU" in w for w in found.warnings)
    sure = load_dataset(tmp_path, preprocessing=SMALL, units="hu")
    assert not any("HU" in w for w in sure.warnings)


def test_what_readers_note_is_told(tmp_path: Path) -> None:
    for k in range(6):
        path = tmp_path / "ab"[k % 2] / f"{k}.tif"
        path.parent.mkdir(exist_ok=True)
        hu = np.full((32, 32), 40.0 * k, np.float32)
        hu[0, : k // 4] = np.nan
        write_image(path, hu, units="hu")
    found = load_dataset(tmp_path, preprocessing=SMALL)
    assert "2 files (a/4.tif, b/5.tif): some pixels are NaN or infinite" in found.warnings


def test_processes_read_the_same(tmp_path: Path) -> None:
    two_classes(tmp_path)
    (tmp_path / "a" / "cut.tif").write_bytes(b"II*\0")
    here = load_dataset(tmp_path, preprocessing=SMALL)
    there = load_dataset(tmp_path, preprocessing=SMALL, pool="processes", workers=2)
    assert np.array_equal(here.images, there.images)
    assert (here.files, here.hashes, here.unread) == (there.files, there.hashes, there.unread)


def test_frames_of_a_stack_share_a_group(tmp_path: Path) -> None:
    tiff(tmp_path / "a" / "0.tif", 9)
    (tmp_path / "b").mkdir()
    write_image(tmp_path / "b" / "s.tif", np.stack([pixels(k) for k in range(3)]), units="hu")
    found = load_dataset(tmp_path, preprocessing=SMALL)
    assert found.files == ("a/0.tif", "b/s.tif[0]", "b/s.tif[1]", "b/s.tif[2]")
    assert found.groups.tolist() == [0, 1, 1, 1]
    assert np.array_equal(found.images[2], SMALL(pixels(1)))


def test_the_classes_of_a_model(tmp_path: Path) -> None:
    found = load_dataset(two_classes(tmp_path), preprocessing=SMALL, classes=["b", "c", "a"])
    assert found.labels.tolist() == [2, 2, 2, 0, 0, 0]
    assert found.classes == ("b", "c", "a")


def test_large_sets_lie_in_a_file_and_are_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, cache = two_classes(tmp_path / "set"), tmp_path / "cache"
    (folder / "a" / "cut.tif").write_bytes(b"II*\0")
    plain = load_dataset(folder, preprocessing=SMALL)
    options = {"preprocessing": SMALL, "cache": cache, "memory": 200}
    large = load_dataset(folder, **options)  # type: ignore[arg-type]
    monkeypatch.setattr("ctfast.model.data.dataset.decode_all", None)  # nothing is decoded again
    again = load_dataset(folder, **options)  # type: ignore[arg-type]
    for found in (large, again):
        assert isinstance(found.images, np.memmap)
        assert not found.images.flags.writeable
        assert np.array_equal(found.images, plain.images)
        assert np.array_equal(found.hu_shares, plain.hu_shares)  # type: ignore[arg-type]
        assert (found.files, found.warnings, found.hashes) == (plain.files, plain.warnings, plain.hashes)
        assert found.groups.tolist() == plain.groups.tolist()
        assert found.unread == plain.unread
    assert [p.name[0] for p in cache.iterdir()] != ["."], "no temporary folder is left"


@pytest.mark.parametrize("damage", ["images", "facts", "shares", "bits", "format"])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, damage: str) -> None:
    folder, cache = two_classes(tmp_path / "set"), tmp_path / "cache"
    options = {"preprocessing": SMALL, "cache": cache, "memory": 0}
    plain = np.array(load_dataset(folder, **options).images)  # type: ignore[arg-type]
    (kept,) = cache.iterdir()
    images, facts = kept / "images.u16", kept / "facts.json"
    if damage == "images":
        os.truncate(images, 100)
    elif damage == "bits":
        images.write_bytes(bytes(images.stat().st_size))
    elif damage == "facts":
        facts.write_text(facts.read_text()[:-20])
    elif damage == "format":
        facts.write_text(facts.read_text().replace('"format": 1', '"format": 0'))
    else:
        (kept / "hu_shares.npy").unlink()
    again = load_dataset(folder, **options)  # type: ignore[arg-type]
    assert np.array_equal(again.images, plain)


def test_a_changed_file_makes_the_cache_stale(tmp_path: Path) -> None:
    folder, cache = two_classes(tmp_path / "set"), tmp_path / "cache"
    options = {"cache": cache, "memory": 0}
    load_dataset(folder, preprocessing=SMALL, **options)  # type: ignore[arg-type]
    tiff(folder / "a" / "0.tif", 77)
    os.utime(folder / "a" / "0.tif", ns=(1, 1))
    found = load_dataset(folder, preprocessing=SMALL, **options)  # type: ignore[arg-type]
    assert np.array_equal(found.images[0], SMALL(pixels(77)))
    assert len(list(cache.iterdir())) == 1, "the stale one is removed"
    other = load_dataset(folder, preprocessing=Preprocessing(image_size=(4, 4)), **options)  # type: ignore[arg-type]
    assert other.images.shape == (6, 4, 4)
    assert len(list(cache.iterdir())) == 2, "another preprocessing is another cache"


def test_what_a_killed_process_left_is_never_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, cache = two_classes(tmp_path / "set"), tmp_path / "cache"

    def killed(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store._Spill, "discard", lambda self: self.file.close())
        patch.setattr(store.os, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            load_dataset(folder, preprocessing=SMALL, cache=cache, memory=0)
    (left,) = cache.iterdir()
    assert left.name.startswith(".")
    os.utime(left, (1, 1))
    found = load_dataset(folder, preprocessing=SMALL, cache=cache, memory=0)
    assert np.array_equal(found.images[0], SMALL(pixels(0)))
    assert not left.exists(), "abandoned folders are removed after a day"


def test_a_full_disk_says_so_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, cache = two_classes(tmp_path / "set"), tmp_path / "cache"
    monkeypatch.setattr(store, "RESERVED_BYTES", 1 << 62)
    with pytest.raises(UsageError, match=r"no room.*cache=FOLDER"):
        load_dataset(folder, preprocessing=SMALL, cache=cache, memory=0)
    assert list(cache.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"can't be written.*cache=FOLDER"):
        load_dataset(folder, preprocessing=SMALL, cache=tmp_path / "file" / "x", memory=0)


def test_arrays(rng: np.random.Generator) -> None:
    x = rng.integers(-200, 1000, (4, 16, 16)).astype(np.int16)
    found = Dataset.from_arrays(x, [0, 1, -1, 1], preprocessing=SMALL)
    assert np.array_equal(found.images, SMALL(x))
    assert found.classes == ("0", "1")
    assert found.labelled.tolist() == [0, 1, 3]
    part = found.take([3, 0])
    assert part.labels.tolist() == [1, 0]
    assert part.files == ("image 3", "image 0")
    assert np.array_equal(part.images, found.images[[3, 0]])
    color = Dataset.from_arrays(x[..., None].repeat(3, -1), [0, 1, 0, 1], preprocessing=Preprocessing(channels=3))
    assert color.images.shape == (4, 256, 256, 3)


@pytest.mark.parametrize(
    "options",
    [{"labels": [0, 1]}, {"labels": [0, 1, 2], "classes": "ab"}, {"labels": [0, -2, 1]}, {"labels": [0.5, 1, 1]}],
)
def test_arrays_that_do_not_fit(options: dict) -> None:
    with pytest.raises(ArgumentError):
        Dataset.from_arrays(np.zeros((3, 8, 8), np.int16), **options)


@pytest.mark.real_data
def test_the_real_set(siim: Path) -> None:
    found = load_dataset(siim)
    assert found.images.shape == (60, 256, 256)
    assert found.class_counts() == {"no contrast": 30, "contrast": 30}
    assert len(np.unique(found.groups)) == 35, "patients by DICOM PatientID"
    told = " ".join(found.warnings)
    assert "4 slices have the pixels of another" in told
    assert "ID_0032_AGE_0061_CONTRAST_1_CT.tif = tiff_images/ID_0034_AGE_0061_CONTRAST_1_CT.tif" in told
    assert "5 patients have slices of several classes" in told


@pytest.mark.real_data
def test_a_folder_of_bad_files_never_breaks_a_set(bad: Path, tmp_path: Path) -> None:
    for k in range(2):
        tiff(tmp_path / "t.tif", k).rename(tmp_path / f"{k}.tif")
    rows = [f"{p},a\n" for p in sorted(bad.rglob("*")) if p.is_file()]
    (tmp_path / "t.csv").write_text("file,label\n0.tif,a\n1.tif,b\n")
    found = load_dataset([bad / "files", tmp_path], labels=tmp_path / "t.csv", preprocessing=SMALL)
    assert rows
    assert found.unread
    assert len(found.labelled) == 2
