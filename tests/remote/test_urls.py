"""URLs without a server: what is refused, what memory:// does, and what a local path costs."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from ctfast.batch import remote
from ctfast.batch.atomic import replacing
from ctfast.batch.urls import Url, is_url, place
from ctfast.errors import MissingDependencyError, UsageError
from ctfast.files import find_images, read_image, write_image
from ctfast.runner import merge, run
from tests.remote.conftest import PIPELINE


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def fill(memory: Any, folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            memory.pipe_file(f"/scans/in/{path.relative_to(folder)}", path.read_bytes())


def test_a_url_is_taken_apart_as_a_path_is() -> None:
    url = place("s3://bucket/a/b.nii.gz")
    assert isinstance(url, Url)
    assert (str(url), url.name, str(url.parent), str(url / "c")) == (
        *("s3://bucket/a/b.nii.gz", "b.nii.gz", "s3://bucket/a", "s3://bucket/a/b.nii.gz/c"),
    )
    assert os.fspath(pickle.loads(pickle.dumps(url))) == "s3://bucket/a/b.nii.gz"
    assert place(url) == url
    assert (place("a/b"), place("file:///a/b"), is_url("a/b")) == (Path("a/b"), Path("/a/b"), False)
    with pytest.raises(UsageError, match="give it as text"):
        place(Path("s3://bucket/a"))


def test_the_local_path_asks_no_other_library(folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom ctfast import Pipeline, Step\nfrom ctfast.runner import run\n"
        f"assert run({str(folder)!r}, {str(tmp_path / 'out')!r}, Pipeline([Step('summary')])).ok == 6\n"
        "print([name for name in ('fsspec', 's3fs', 'distributed', 'asyncio') if name in sys.modules])"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.strip() == "[]"


def test_file_urls_are_local_paths(folder: Path, tmp_path: Path) -> None:
    report = run(f"file://{folder}", f"file://{tmp_path}/out", PIPELINE)
    assert (report.ok, report.done_before) == (6, 0)
    assert run(folder, tmp_path / "out", PIPELINE).done_before == 6
    assert read_image(f"file://{folder}/a.tif").source == folder / "a.tif"


def test_what_is_found_is_what_a_disk_gives(memory: Any, folder: Path) -> None:
    (folder / "slice").write_bytes((folder / "a.tif").read_bytes())
    (folder / "empty").touch()
    (folder / ".git").mkdir()
    (folder / ".git" / "x.tif").touch()
    (folder / "DICOMDIR").write_text("x")
    fill(memory, folder)
    found, local = find_images(["memory://scans/in"]), find_images([folder])
    assert sorted(item.stem for item in found.items) == sorted(item.stem for item in local.items)
    assert {item.path.name for item in found.ignored} == {item.path.name for item in local.ignored} - {".git"} | {
        "x.tif"
    }
    assert [str(path) for path in found.roots] == ["memory://scans/in"]


def test_dicom_objects_without_pixels_are_left_out(memory: Any, folder: Path, tmp_path: Path) -> None:
    from pydicom import dcmread

    report = dcmread(folder / "f.dcm")
    del report.PixelData
    report.file_meta.MediaStorageSOPClassUID = report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    report.save_as(folder / "report.dcm")
    fill(memory, folder)
    local, there = run(folder, tmp_path / "a", PIPELINE), run("memory://scans/in", tmp_path / "b", PIPELINE)
    assert (there.ok, there.failed, there.ignored) == (local.ok, local.failed, local.ignored) == (6, 1, 3)


def test_another_pipeline_is_refused_or_set_aside(memory: Any, folder: Path) -> None:
    run(folder, "memory://scans/out", PIPELINE)
    other = type(PIPELINE)(PIPELINE.steps[:1])
    with pytest.raises(UsageError, match="holds the outputs of another run"):
        run(folder, "memory://scans/out", other)
    run(folder / "a.tif", "memory://scans/out", other, overwrite=True)
    names = {name.removeprefix("/scans/out/") for name in memory.find("/scans/out")}
    assert names == {
        *("a.tif", "b.tif.stale", "e.tif.stale", "f.tif.stale", "sub/c.tif.stale", "sub/d.tif.stale"),
        *("run.json", "manifest.jsonl", "failures.csv"),
    }
    memory.pipe_file("/scans/other/a.tif", b"somebody's")
    with pytest.raises(UsageError, match=r"memory://scans/other/a\.tif exists and is not ours"):
        run(folder, "memory://scans/other", PIPELINE)


def test_a_report_reads_urls(memory: Any, folder: Path, tmp_path: Path) -> None:
    from ctfast.analysis.scan.scan_set import collect

    fill(memory, folder)
    there, local = (collect([source]) for source in ("memory://scans/in", folder))
    assert [record.name for record in there.records] == [record.name for record in local.records]
    assert len(there.unread) == len(local.unread) == 1


def test_what_is_refused(memory: Any, folder: Path, tmp_path: Path) -> None:
    fill(memory, folder)
    for inputs, out, options, words in (
        ("memory://scans/in", tmp_path / "o", {"series": True}, "series"),
        (folder, "memory://scans/o", {"format": "zarr"}, "zarr"),
        (folder, "memory://scans/o", {"pool": "processes"}, "choose pool='threads'"),
        ("memory://scans/in", "memory://scans/in/out", {}, "lies inside the input"),
        ("memory://scans/nothing", tmp_path / "o", {}, "does not exist"),
        ("memory://scans/in/*.nii", tmp_path / "o", {}, "matches nothing"),
        ("what://scans/in", tmp_path / "o", {}, "what:// is not known; s3://"),
        ("simplecache::memory://scans/in", tmp_path / "o", {}, "chained URLs"),
    ):
        with pytest.raises(UsageError, match=words):
            run(inputs, out, PIPELINE, **options)
    with pytest.raises(UsageError, match=r"holds no run\.json"):
        merge("memory://scans/in")
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("missing", ["fsspec", "s3fs"])
def test_without_the_extra_nothing_is_made(
    monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path, missing: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    if missing == "s3fs":
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(MissingDependencyError, match=r'pip install "ctfast\[remote\]"'):
        run(folder, "s3://bucket/out", PIPELINE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_packages_of_other_storages_are_named() -> None:
    with pytest.raises(MissingDependencyError, match="gs:// needs gcsfs: pip install gcsfs"):
        remote.check("gs://bucket/x")


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "in", "--out", "s3://bucket/report.html"],
        ["train", "in", "--out=s3://bucket/run"],
        ["predict", "run", "in", "--csv", "s3://bucket/p.csv"],
    ],
    ids=["report", "train", "predict"],
)
def test_commands_that_write_to_disks_alone_make_no_folder(
    monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path, arguments: list[str]
) -> None:
    from typer.testing import CliRunner

    from ctfast.cli import app

    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, arguments)
    assert "writes to disks alone" in str(done.exception)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_a_write_that_fails_leaves_nothing(memory: Any, folder: Path) -> None:
    with pytest.raises(TypeError), replacing("memory://scans/x.bin", "wb") as file:
        file.writelines([b"half", "text"])  # type: ignore[list-item]
    assert not memory.exists("/scans/x.bin")
    write_image("memory://scans/y.tif", read_image(folder / "a.tif").pixels, units="hu")
    assert read_image("memory://scans/y.tif").units == "hu"
