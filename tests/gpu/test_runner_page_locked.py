"""Files are decoded into page-locked memory, and one that fails there keeps nobody waiting."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from ctfast.files import Image, read_image, write_image
from ctfast.runner import run
from ctfast.runner.gpu.sizes import resized
from tests.cuda_on_host.simulation import Simulation
from tests.cuda_on_host.standin.pinned import is_pinned
from tests.gpu.runs import LONG, WINDOWED, assert_like_the_cpu, rows_of, write_folder


@pytest.fixture
def page_locked(host_gpu: Simulation, monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Whether the reader's array is page-locked memory, by file."""
    seen: dict[str, bool] = {}

    def reading(path: str, **options: Any) -> Image:
        image = read_image(path, **options)
        seen[Path(path).name] = is_pinned(image.pixels)
        return image

    monkeypatch.setattr("ctfast.runner.work.read_image", reading)
    return seen


def broken(path: Path, seed: int, shape: tuple[int, int] = (24, 27)) -> None:
    """A file whose stream breaks off while it is decoded, after half of the pixels are there."""
    pixels = np.random.default_rng(seed).integers(-1024, 1500, shape).astype(np.int16)
    tifffile.imwrite(path, pixels, photometric="minisblack", compression="zlib", rowsperstrip=12)
    with tifffile.TiffFile(path) as file:
        start, size = file.pages[0].dataoffsets[1], file.pages[0].databytecounts[1]  # type: ignore[union-attr]
    data = bytearray(path.read_bytes())
    data[start + 2 : start + size] = bytes(size - 2)
    path.write_bytes(data)


def test_readers_write_into_page_locked_memory(page_locked: dict[str, bool], tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", 12)
    for i in range(4):
        pixels = np.random.default_rng(i).integers(-1024, 1500, (24, 27))
        tifffile.imwrite(folder / f"ID_000{i}_AGE_0060_CONTRAST_1_CT.tif", pixels.astype(np.float64))
        np.save(folder / f"half{i}.npy", pixels + 0.5)
    write_image(folder / "stack.npy", np.ones((3, 24, 27), np.int16))
    write_image(folder / "large.npy", np.ones((6, 24, 27), np.int16))
    with resized(chunk_bytes=5 * 24 * 27 * 2):
        report = run(folder, tmp_path / "out", WINDOWED, backend="gpu", workers=2)
    assert (report.ok, report.failed) == (22, 0)
    own = {name for name, there in page_locked.items() if not there}
    assert own == {"large.npy"}, "more images than a chunk holds"
    assert len(page_locked) == 22
    assert_like_the_cpu(folder, tmp_path / "out", WINDOWED)


@pytest.mark.parametrize(("workers", "lazy", "a_chunk"), [(1, False, 1), (1, True, 4), (3, True, 2), (4, False, 8)])
def test_files_that_fail_after_they_have_memory(
    host_gpu: Simulation, tmp_path: Path, workers: int, lazy: bool, a_chunk: int
) -> None:
    host_gpu.lazy, host_gpu.seed = lazy, workers
    folder = write_folder(tmp_path / "in", 20)
    for i in range(15):
        broken(folder / f"s{i:03d}_broken.tif", i)
    for i in range(8):  # more kinds than slots, with no good file among them
        broken(folder / f"t{i}.tif", i, (24, 30 + i))
    tifffile.imwrite(folder / "nan.tif", np.full((24, 27), np.nan, np.float32))
    with resized(chunk_bytes=a_chunk * 24 * 27 * 2):
        report = run(folder, tmp_path / "out", LONG, backend="gpu", workers=workers)
    assert (report.ok, report.failed) == (20, 24)
    assert sum("cannot be read as TIFF" in row["error"] for row in report.failures) == 23
    assert_like_the_cpu(folder, tmp_path / "out", LONG)
    assert not [t for t in threading.enumerate() if t.name.startswith("ctfast-")]


def test_a_folder_of_nothing_else(host_gpu: Simulation, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(10):
        broken(folder / f"{i}.tif", i)
    report = run(folder, tmp_path / "out", WINDOWED, backend="gpu", workers=2)
    assert (report.ok, report.failed) == (0, 10)
    assert not host_gpu.launches
    assert {row["status"] for row in rows_of(tmp_path / "out")} == {"failed"}


@pytest.mark.real_data
def test_malformed_files_end_as_on_the_cpu(host_gpu: Simulation, bad: Path, tmp_path: Path) -> None:
    folder = bad / "files"
    report = run(folder, tmp_path / "out", WINDOWED, backend="gpu", workers=2)
    assert report.ok > 20
    assert report.failed > 20
    assert_like_the_cpu(folder, tmp_path / "out", WINDOWED)
