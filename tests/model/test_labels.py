"""Where classes and patients come from: the Kaggle layout, folders, tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctfast.errors import FileFormatError, UsageError
from ctfast.model.data.labels import find_samples
from tests.model.data_build import dicom, tiff

KAGGLE = "ID_{0:04d}_AGE_0060_CONTRAST_{1}_CT"
HEADER = ",Age,Contrast,ContrastTag,raw_input_path,id,tiff_name,dicom_name\n"


def kaggle(folder: Path, contrasts: str = "0011", *, overview: bool = True) -> Path:
    rows = []
    for k, c in enumerate(contrasts):
        stem = KAGGLE.format(k, c)
        tiff(folder / "tiff_images" / f"{stem}.tif", k)
        dicom(folder / "dicom_dir" / f"{stem}.dcm", k, f"P-{k // 2}")
        rows.append(f"{k},60,{c == '1'},NONE,x,{k},{stem}.tif,{stem}.dcm\n")
    if overview:
        (folder / "overview.csv").write_text(HEADER + "".join(rows))
    return folder


def labels_of(*arguments: object, **options: object) -> dict[str, str | None]:
    return {s.name: s.label for s in find_samples(*arguments, **options).items}  # type: ignore[arg-type]


@pytest.mark.parametrize("overview", [True, False])
def test_the_kaggle_layout(tmp_path: Path, overview: bool) -> None:
    found = find_samples(kaggle(tmp_path, overview=overview))
    assert [s.label for s in found.items] == ["no contrast", "no contrast", "contrast", "contrast"]
    assert found.classes == ("no contrast", "contrast")
    assert all(s.name.endswith(".tif") for s in found.items), "a slice that is there twice is one sample"
    assert [[p.suffix for p in s.paths] for s in found.items] == [[".tif", ".dcm"]] * 4
    assert found.source == ("overview.csv" if overview else "names of the Kaggle pattern")


def test_one_half_of_the_kaggle_layout_finds_its_table(tmp_path: Path) -> None:
    found = find_samples(kaggle(tmp_path) / "dicom_dir")
    assert [s.label for s in found.items] == ["no contrast", "no contrast", "contrast", "contrast"]
    assert found.source == "overview.csv"


def test_a_broken_overview_is_told_and_the_names_are_used(tmp_path: Path) -> None:
    folder = kaggle(tmp_path)
    (folder / "overview.csv").write_text("nonsense")
    found = find_samples(folder)
    assert found.source == "names of the Kaggle pattern"
    assert any("overview.csv was not used" in w for w in found.warnings)


def test_rows_without_a_file_are_told(tmp_path: Path) -> None:
    folder = kaggle(tmp_path)
    (folder / "tiff_images" / f"{KAGGLE.format(0, 0)}.tif").unlink()
    assert find_samples(folder).warnings == [], "its DICOM file is there"
    (folder / "dicom_dir" / f"{KAGGLE.format(0, 0)}.dcm").unlink()
    (warning,) = find_samples(folder).warnings
    assert "1 file (ID_0000_AGE_0060_CONTRAST_0_CT.tif) of overview.csv not found" in warning


def test_another_column_of_the_overview(tmp_path: Path) -> None:
    folder = kaggle(tmp_path)
    text = (folder / "overview.csv").read_text().replace("0,60,", "0,70,", 1)
    (folder / "overview.csv").write_text(text)
    assert list(labels_of(folder, column="Age").values()) == ["70", "60", "60", "60"]
    assert list(labels_of(folder, column="Contrast").values()) == ["no contrast", "no contrast", "contrast", "contrast"]
    grouped = find_samples(folder, groups="Age")
    assert [s.group for s in grouped.items] == ["70", "60", "60", "60"]
    assert grouped.classes == ("no contrast", "contrast")


@pytest.mark.parametrize("name", ["{c}/{k}.tif", "data/{c}/p{k}/{k}.tif", "train/{c}/{k}.tif", "{c}/train/{k}.tif"])
def test_a_folder_a_class(tmp_path: Path, name: str) -> None:
    for k, c in enumerate(["liver", "lung", "liver", "10", "9"]):
        tiff(tmp_path / name.format(k=k, c=c), k)
    found = find_samples(tmp_path)
    assert {s.name: s.label for s in found.items} == {
        name.format(k=k, c=c): c for k, c in enumerate(["liver", "lung", "liver", "10", "9"])
    }
    assert found.classes == ("9", "10", "liver", "lung")


def test_patients_above_the_classes_are_told(tmp_path: Path) -> None:
    for k in range(6):
        tiff(tmp_path / "patients" / f"p{k // 2}" / ("lung", "liver")[k % 2] / f"{k}.tif", k)
        tiff(tmp_path / "classes" / ("lung", "liver")[k % 2] / f"p{k}" / f"{k}.tif", k)
    found = find_samples(tmp_path / "patients")
    assert found.classes == ("p0", "p1", "p2")
    assert any("p0, p1, p2" in w and "liver, lung: are these the classes?" in w for w in found.warnings)
    usual = find_samples(tmp_path / "classes")
    assert (usual.classes, usual.warnings) == (("liver", "lung"), [])


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("way", ["name", "stem", "relative", "absolute", "windows"])
def test_a_table(tmp_path: Path, delimiter: str, way: str) -> None:
    paths = [tiff(tmp_path / "scans" / f"s{k}.tif", k) for k in range(4)]
    ways = {
        "name": lambda p: p.name,
        "stem": lambda p: p.stem,
        "relative": lambda p: f"scans/{p.name}",
        "absolute": str,
        "windows": lambda p: f"scans\\{p.name}",
    }
    rows = [["file", "class", "patient"], *([ways[way](p), "ab"[k % 2], f"P{k}"] for k, p in enumerate(paths))]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(delimiter.join(row) for row in rows), encoding="utf-8-sig")
    for arguments in ({"inputs": tmp_path, "labels": table}, {"inputs": table}):
        found = find_samples(**arguments, groups="patient")  # type: ignore[arg-type]
        assert [(s.label, s.group) for s in found.items] == [("a", "P0"), ("b", "P1"), ("a", "P2"), ("b", "P3")]
        assert found.warnings == []


def test_the_end_of_an_identifier_is_no_extension(tmp_path: Path) -> None:
    """Files called by their SOP Instance UID: one is the beginning of the other, and only one is in the table."""
    names = ["1.2.840.5", "1.2.840.5.7", "1.2.840.6", "1.2.840.8.dcm"]
    for k, name in enumerate(names):
        dicom(tmp_path / name, k, "1")
    (tmp_path / "t.csv").write_text("file,label\n1.2.840.5,a\n1.2.840.6,b\n1.2.840.8,b\n")
    found = labels_of(tmp_path, labels=tmp_path / "t.csv")
    assert found == {"1.2.840.5": "a", "1.2.840.5.7": None, "1.2.840.6": "b", "1.2.840.8.dcm": "b"}


def test_gaps_on_either_side_are_told(tmp_path: Path) -> None:
    for k in range(4):
        tiff(tmp_path / f"s{k}.tif", k)
    (tmp_path / "t.csv").write_text("file,label\ns0,a\ns1,b\ns2,\ngone.tif,a\n")
    found = find_samples(tmp_path, labels=tmp_path / "t.csv")
    assert [s.label for s in found.items] == ["a", "b", None, None]
    assert any("gone.tif" in w and "not found" in w for w in found.warnings)
    assert any("2 files (s2.tif, s3.tif) without a label" in w for w in found.warnings)


def test_equal_names_are_told_apart_by_folder_or_refused(tmp_path: Path) -> None:
    for k, folder in enumerate("xyz"):
        tiff(tmp_path / folder / "1.tif", k)
    table = tmp_path / "t.csv"
    table.write_text("file,label\nx/1.tif,a\ny/1.tif,b\nz/1.tif,b\n")
    assert labels_of(tmp_path, labels=table) == {"x/1.tif": "a", "y/1.tif": "b", "z/1.tif": "b"}
    table.write_text("file,label\n1.tif,a\nx/1.tif,b\n")
    with pytest.raises(FileFormatError, match=r"line 2.*below the input folder"):
        find_samples(tmp_path, labels=table)


@pytest.mark.parametrize(
    ("text", "error", "word"),
    [
        ("file,label\ns0.tif,a\ns0.tif,b\ns1.tif,b\n", FileFormatError, "lines 2, 3 contradict"),
        ("file,label\ns0.tif,a\ns1.tif,a\n", UsageError, "only the class 'a'"),
        ("file,label\ns0.tif,\ns1.tif,\n", UsageError, "no label for any slice"),
        ("name,label\ns0.tif,a\n", UsageError, "no column names the files"),
        ("file,x,y\ns0.tif,a,b\n", UsageError, "which column holds the classes.*x, y"),
        ("file,label\nother.tif,a\n", UsageError, "none of its 1 rows"),
        ("file,label\ns0.tif\n", FileFormatError, "line 2: 1 cells for 2 columns"),
        ('file,label\ns0.tif,"a\n', FileFormatError, "line 2"),
        ("file,label\n", FileFormatError, "no rows"),
        ("", FileFormatError, "header"),
    ],
)
def test_bad_tables_say_what_is_wrong(tmp_path: Path, text: str, error: type[Exception], word: str) -> None:
    for k in range(2):
        tiff(tmp_path / f"s{k}.tif", k)
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(error, match=word):
        find_samples(tmp_path, labels=tmp_path / "t.csv")


def test_columns_that_are_not_there(tmp_path: Path) -> None:
    tiff(tmp_path / "s.tif", 0)
    (tmp_path / "t.csv").write_text("file,label\ns.tif,a\n")
    for options in ({"column": "kind"}, {"groups": "kind"}):
        with pytest.raises(UsageError, match=r"'kind' is no column.*file, label"):
            find_samples(tmp_path, labels=tmp_path / "t.csv", **options)
        with pytest.raises(UsageError, match="labels=FILE"):
            find_samples(tmp_path, **options)


def test_sets_without_labels_or_with_too_many(tmp_path: Path) -> None:
    for k in range(100):
        tiff(tmp_path / f"{k}.tif", 0, size=1)
    with pytest.raises(UsageError, match="no labels: give labels=FILE"):
        find_samples(tmp_path)
    (tmp_path / "t.csv").write_text("file,age\n" + "".join(f"{k},{k}\n" for k in range(100)))
    with pytest.raises(UsageError, match="these are no classes"):
        find_samples(tmp_path, labels=tmp_path / "t.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no images found"):
        find_samples(tmp_path / "empty")


def test_the_classes_of_a_model_keep_their_order(tmp_path: Path) -> None:
    tiff(tmp_path / "b" / "1.tif", 0)
    tiff(tmp_path / "c" / "2.tif", 1)
    assert find_samples(tmp_path, classes=["c", "a", "b"]).classes == ("c", "a", "b")
    assert find_samples(tmp_path / "b", classes=["c", "b"], labels=_table(tmp_path)).classes == ("c", "b")
    with pytest.raises(UsageError, match=r"c/2\.tif\) of other classes than a, b: c"):
        find_samples(tmp_path, classes=["a", "b"])


def _table(folder: Path) -> Path:
    (folder / "t.csv").write_text("file,label\n1.tif,b\n")
    return folder / "t.csv"


def test_the_overview_given_as_the_table_is_recognised(tmp_path: Path) -> None:
    folder = kaggle(tmp_path)
    table = (folder / "overview.csv").rename(folder / "labels.csv")
    found = find_samples(folder, labels=table)
    assert [s.label for s in found.items] == ["no contrast", "no contrast", "contrast", "contrast"]
    assert found.classes == ("no contrast", "contrast")


@pytest.mark.parametrize("word", ["yes", "1.0", "contrast"])
def test_other_words_for_contrast_are_no_false(tmp_path: Path, word: str) -> None:
    """As ``overview.csv`` is after other programs saved it with a column of patients."""
    table = kaggle(tmp_path) / "overview.csv"
    lines = table.read_text().replace("True", word).splitlines()
    table.write_text("".join(f"{line},{k or 'patient'}\n" for k, line in enumerate(lines)))
    with pytest.raises(UsageError, match=rf"overview.csv: '{word}' for .*; True or False is allowed"):
        find_samples(table.parent, groups="patient")


def test_a_line_that_names_both_files_of_a_slice_is_found_by_one(tmp_path: Path) -> None:
    folder = kaggle(tmp_path)
    for name in ("overview.csv", "tiff_images"):
        (tmp_path / "new").mkdir(exist_ok=True)
        (folder / name).rename(tmp_path / "new" / name)
    assert find_samples(tmp_path / "new", column="Contrast").warnings == []


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (("a", "b", "A"), ["classes 'a' and 'A' count as different: are they the same?"]),
        (("1", "0", "1.0"), ["classes '1' and '1.0' count as different: are they the same?"]),
        (("a", "b", "nan"), ["'nan' counts as a class: leave cells empty where the class is not known"]),
        (("a", "b", "c"), []),
    ],
    ids=str,
)
def test_classes_that_may_be_one_or_none(tmp_path: Path, labels: tuple[str, ...], said: list[str]) -> None:
    for k in range(3):
        tiff(tmp_path / f"{k}.tif", k)
    table = tmp_path / "t.csv"
    table.write_text("file,label\n" + "".join(f"{k}.tif,{label}\n" for k, label in enumerate(labels)))
    found = find_samples(tmp_path, labels=table)
    assert [sample.label for sample in found.items] == list(labels)
    assert sorted(found.warnings) == said


def test_a_slice_without_a_patient_among_others_is_told(tmp_path: Path) -> None:
    for k in range(3):
        tiff(tmp_path / f"{k}.tif", k)
    table = tmp_path / "t.csv"
    table.write_text("file,label,patient\n0.tif,a,p\n1.tif,b,\n2.tif,b,q\n")
    found = find_samples(tmp_path, labels=table, column="label", groups="patient")
    assert found.warnings == ["1 file (1.tif) without a patient in t.csv, which others have"]


@pytest.mark.parametrize("name", ["patient", "PatientID", "subject_id"])
def test_a_column_of_patients_that_is_not_asked_is_told(tmp_path: Path, name: str) -> None:
    for k in range(4):
        tiff(tmp_path / f"{k}.tif", k)
    table = tmp_path / "t.csv"
    table.write_text(f"file,label,{name}\n" + "".join(f"{k}.tif,{'ab'[k % 2]},p\n" for k in range(4)))
    (warning,) = find_samples(tmp_path, labels=table, column="label").warnings
    assert f"--groups {name!r}" in warning
    assert not find_samples(tmp_path, labels=table, column="label", groups=name).warnings
