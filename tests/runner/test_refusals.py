"""Mistakes that can be known at the start are refused before any work."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ctfast import Pipeline, Step
from ctfast.errors import MissingDependencyError, UsageError
from ctfast.runner import run

Make = Callable[..., Path]


def test_png_of_floats(make_folder: Make, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="this pipeline gives float32: choose"):
        run(make_folder(2), tmp_path / "out", Pipeline([Step("normalize")]), format="png")
    assert not (tmp_path / "out").exists()


def test_png_of_what_only_some_inputs_give(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    """The median keeps the dtype, so that a folder may hold images that can be written."""
    folder = make_folder(2)
    assert run(folder, tmp_path / "a", pipeline, format="png").ok == 2
    assert run(folder, tmp_path / "b", Pipeline([Step("median_filter", size=3)]), format="png").failed == 2


@pytest.mark.parametrize(("package", "name", "format"), [("nibabel", "x.tif", "nii"), ("pydicom", "x.dcm", "tif")])
def test_packages_that_are_not_there(
    make_folder: Make,
    tmp_path: Path,
    pipeline: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    name: str,
    format: str,
) -> None:
    folder = make_folder(1)
    (folder / name).write_bytes(next(folder.iterdir()).read_bytes())
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=f"need {package}: pip install"):
        run(folder, tmp_path / "out", pipeline, format=format)
    assert not (tmp_path / "out").exists()
