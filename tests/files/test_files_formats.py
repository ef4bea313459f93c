"""The table of formats: complete, without contradictions, and the only list."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import ctfast
from ctfast import runner
from ctfast.errors import ArgumentError
from ctfast.files import formats, read_image, write_image
from ctfast.tools.doctor import EXTRAS
from tests.files.files_build import slice_hu


def functions() -> list[str]:
    return [home for row in formats.FORMATS for home in (row.reader, row.writer) if home]


@pytest.mark.parametrize("home", functions())
def test_readers_and_writers_are_there(home: str) -> None:
    module, _, name = home.partition(":")
    function = getattr(importlib.import_module(f"ctfast.files.{module}"), name)
    parameters = list(inspect.signature(function).parameters)
    assert parameters in (["request"], ["file", "pixels", "options"], ["folder", "pixels", "options"])


def test_rows_do_not_contradict_each_other() -> None:
    rows = formats.FORMATS
    for values in (
        [row.name for row in rows],
        [row.word for row in rows],
        [end for row in rows for end in row.extensions],
        [magic for row in rows for magic in row.magic],
    ):
        assert len(values) == len(set(values))
    for row in rows:
        assert bool(row.output) == bool(row.writer)
        assert not row.output or row.output in row.extensions
        assert bool(row.package) == bool(row.extra)
        assert row.compressions[0] == "none"


def test_words_of_runs_and_outputs_keep_their_names() -> None:
    outputs = {row.word: row.output for row in formats.WRITTEN}
    same = {word: f".{word}" for word in ("tif", "npy", "zarr", "mha", "nrrd", "png")}
    assert outputs == {**same, "nii": ".nii.gz"}
    assert formats.written("tiff") is formats.written("tif")
    with pytest.raises(ArgumentError, match="tif, npy, zarr, nii, mha, nrrd, png"):
        formats.written("jpg")


def test_compressions_are_those_of_the_type() -> None:
    assert formats.written("tif").compressions == typing.get_args(formats.Compression)


def test_extensions() -> None:
    names = {
        "a.TIF": ".tif",
        "a.b.nii.gz": ".nii.gz",
        "a.nii": ".nii",
        "a.gz": "",
        ".tif": "",
        "a.png": ".png",
        "dcm": "",
    }
    assert {name: formats.extension(Path(name)) for name in names} == names


def test_doctor_knows_the_extras() -> None:
    assert formats.extras() == {
        "dicom": ("pydicom",),
        "arrays": ("blosc2", "h5py", "zarr"),
        "nifti": ("nibabel",),
        "volumes": ("SimpleITK",),
        "pictures": ("pillow",),
    }
    assert formats.extras().items() <= EXTRAS.items()


def test_a_run_and_a_single_file_take_the_same_words(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in" / "x", slice_hu(), format="tif")
    assert read_image(tmp_path / "in" / "x").format == "tiff"
    plan = runner.plan(
        tmp_path / "in", tmp_path / "out", ctfast.Pipeline([ctfast.Step("median_filter", size=3)]), format="nifti"
    )
    assert [Path(task.output).name for task in plan.tasks] == ["x.nii.gz"]
    assert plan.settings.identity["format"] == "nii"


def test_the_table_is_read_without_numpy() -> None:
    code = "import sys, ctfast.files.formats as f; print(len(f.WRITTEN), 'numpy' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "7 False\n"
    )
