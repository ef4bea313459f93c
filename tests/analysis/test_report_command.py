"""``ctfast report`` below the command line."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from ctfast.analysis import report
from ctfast.analysis.command import print_written
from ctfast.errors import ArgumentError, MissingDependencyError, UsageError
from ctfast.files import write_image
from tests.analysis.analysis_build import body


@pytest.fixture
def slice_file(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "a.tif"
    path.parent.mkdir()
    write_image(path, body(), units="hu")
    return path


def test_file_and_folder(slice_file: Path, tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200)
    one = report(slice_file, tmp_path / "one.html", csv=tmp_path / "a.csv", json=tmp_path / "a.json", console=console)
    assert [p.name for p in one.files] == ["one.html", "a.csv", "a.json"]
    assert "SHA-256" in one.files[0].read_text()
    bad = slice_file.with_name("bad.tif")
    bad.write_bytes(b"nothing")
    several = report(slice_file.parent, tmp_path / "set.html", figures=tmp_path / "figures", console=console)
    assert several.failed == 1
    assert (tmp_path / "figures" / "histogram.pdf").exists()
    assert 'id="slices"' in several.files[0].read_text()
    print_written(several, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "1 slice, 0 flags" in text
    assert "not read: bad.tif" in text
    assert "set.html" in text


def test_a_set_that_documents_an_offset(slice_file: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.tif"
    write_image(moved, (body() + 1024).astype("uint16"))
    of_hu = report(slice_file, tmp_path / "hu.html").analysis.records[0]
    found = report(moved, tmp_path / "moved.html", units="hu", offset=-1024).analysis.records[0]
    assert (found.units, found.stats, found.hash) == ("hu", of_hu.stats, of_hu.hash)

    def pictures(page: str) -> list[str]:
        return re.findall(r"data:image/[^\"]+", (tmp_path / page).read_text())

    assert pictures("moved.html") == pictures("hu.html") != []


def test_no_page_about_nothing(tmp_path: Path) -> None:
    bad = tmp_path / "bad.tif"
    bad.write_bytes(b"nothing")
    console = Console(file=io.StringIO(), width=200)
    found = report(bad, tmp_path / "r.html", csv=tmp_path / "r.csv")
    print_written(found, console)
    assert (found.failed, found.files) == (1, [])
    assert not list(tmp_path.glob("r.*"))
    assert "no page was written" in console.file.getvalue()  # type: ignore[attr-defined]


def test_refused_before_any_work(slice_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there.html").write_text("mine")
    with pytest.raises(UsageError, match="exists: choose another name"):
        report(slice_file, tmp_path / "there.html")
    assert (tmp_path / "there.html").read_text() == "mine"
    with pytest.raises(UsageError, match="is an input"):
        report(slice_file, slice_file, overwrite=True)
    with pytest.raises(UsageError, match="is a folder"):
        report(slice_file, tmp_path)
    with pytest.raises(UsageError, match="two outputs"):
        report(slice_file, tmp_path / "x", csv=tmp_path / "x")
    with pytest.raises(UsageError, match="not an empty folder"):
        report(slice_file, tmp_path / "x", figures=slice_file.parent)
    with pytest.raises(ArgumentError, match="units='HU'"):
        report(slice_file, tmp_path / "x", units="HU")
    monkeypatch.setattr("ctfast.analysis.command.find_spec", lambda name: None if name == "jinja2" else object())
    with pytest.raises(MissingDependencyError, match=r"needs jinja2: pip install \"ctfast\[report\]\""):
        report(slice_file, tmp_path / "x")
    report_at = tmp_path / "there.html"
    monkeypatch.undo()
    report(slice_file, report_at, overwrite=True)
    assert report_at.read_text() != "mine"
