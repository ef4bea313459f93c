"""Folders to run over, and the comparison of a run on the GPU with the CPU's."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctfast import Pipeline, Step
from ctfast.files import read_image, write_image
from ctfast.runner import Row, read_rows, run

WINDOWED = Pipeline(
    [Step("window", center=0, width=400, dtype="uint8"), Step("histogram", bins=32, value_range=(0, 256))]
)
LONG = Pipeline(
    [
        Step("summary"),
        Step("window", center=0, width=400, dtype="uint8"),
        Step("median_filter", size=3),
        Step("histogram", bins=32, value_range=(0, 256)),
    ]
)
CHANGES = (
    "output",
    "started",
    "backend",
    "read_seconds",
    "compute_seconds",
    "write_seconds",
    "output_bytes",
    "output_hash",
)


def write_folder(folder: Path, count: int, sizes: tuple[tuple[int, int], ...] = ((24, 27), (16, 18))) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(count)
    for i in range(count):
        pixels = rng.integers(-1024, 1500, sizes[i * i % len(sizes)]).astype(np.int16)
        write_image(folder / f"s{i:03d}.tif", pixels, units="hu")
    return folder


def rows_of(out: Path) -> list[Row]:
    return sorted(read_rows(out), key=lambda row: (row["output"], row["input"]))


def assert_like_the_cpu(folder: Path, out: Path, pipeline: Pipeline) -> None:
    """Manifest, outputs and statistics of ``out`` are those of a run on the CPU."""
    cpu = out.with_name("cpu")
    run(folder, cpu, pipeline, backend="cpu")
    for got, want in zip(rows_of(out), rows_of(cpu), strict=True):
        assert {k: v for k, v in got.items() if k not in CHANGES} == {k: v for k, v in want.items() if k not in CHANGES}
        if want["output"] or got["output"]:  # not of files that are left out
            assert Path(got["output"]).relative_to(out) == Path(want["output"]).relative_to(cpu)
        if got["status"] == "ok":
            assert got["backend"] == "gpu"
            a, b = read_image(got["output"]), read_image(want["output"])
            np.testing.assert_array_equal(a.pixels, b.pixels)
            assert a.units == b.units
    for name in ("failures.csv", "summary.csv"):
        assert (out / name).exists() == (cpu / name).exists()
    if (cpu / "summary.csv").exists():
        for a, b in zip(_table(out / "summary.csv"), _table(cpu / "summary.csv"), strict=True):
            assert {k: v for k, v in a.items() if k != "output"} == pytest.approx(
                {k: v for k, v in b.items() if k != "output"}, rel=1e-12
            )
        mine, theirs = np.load(out / "statistics.npz"), np.load(cpu / "statistics.npz")
        assert set(mine) == set(theirs)
        np.testing.assert_array_equal(mine["counts"], theirs["counts"])
        np.testing.assert_array_equal(mine["edges"], theirs["edges"])


def _table(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as file:
        return [{k: v if k == "output" else float(v) for k, v in row.items()} for row in csv.DictReader(file)]
