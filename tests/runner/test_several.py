"""Files as one task: rows, outputs and statistics are those of each file by itself, whatever its neighbours are."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctfast import Pipeline, Step
from ctfast.files import write_image
from ctfast.runner.index import Index
from ctfast.runner.outcome import Outcome
from ctfast.runner.settings import Settings
from ctfast.runner.several import alone, chunks, process_some
from ctfast.runner.statistics import close_statistics
from ctfast.runner.task import Task
from ctfast.runner.volume import process_any
from tests.files.files_build import dicom, slice_hu
from tests.files.files_compressed import JPEG_LS, JPEG_SV1, RLE, compressed, stream_of

Make = Callable[..., Path]
CHAIN = Pipeline(
    [
        *(Step("window", center=40, width=400, dtype="uint8"), Step("median_filter", size=3), Step("clahe")),
        *(Step("histogram", value_range=(0, 256)), Step("summary")),
    ]
)
OWN_RANGE = Pipeline([Step("median_filter", size=3), Step("histogram", bins=16)])
"""A histogram that finds its range must not share it with other files."""


def mixed_files(folder: Path) -> list[Path]:
    """Neighbours of other sizes, dtypes, numbers of frames and compressions, and broken ones."""
    rng = np.random.default_rng(5)
    folder.mkdir()
    shapes: list[tuple[tuple[int, ...], type]] = [
        *[((40, 48), np.int16)] * 3, ((40, 48), np.float32), ((3, 40, 48), np.int16), ((40, 48), np.int16),
        ((48, 40), np.int16), ((40, 3), np.int16), *[((40, 48), np.int16)] * 7, *[((40, 48), np.float64)] * 3,
    ]  # fmt: skip
    paths = []
    for number, (shape, dtype) in enumerate(shapes):
        paths.append(folder / f"{number:02d}.tif")
        write_image(paths[-1], (rng.integers(-1024, 1500, shape) + (dtype == np.float32) / 2).astype(dtype), units="hu")
    paths[2].write_bytes(paths[2].read_bytes()[:300])
    paths[9].write_bytes(b"")
    for number, syntax in enumerate((RLE, JPEG_LS, JPEG_SV1, JPEG_LS), len(paths)):
        pixels = slice_hu(40, 48, seed=number)
        paths.append(compressed(folder / f"{number}.dcm", pixels, syntax, [stream_of(pixels, syntax)]))
    paths[-1].write_bytes(paths[-1].read_bytes()[:-60])
    return [*paths, folder / "missing.tif"]


def seen(outcomes: list[Outcome], folder: Path) -> list[Any]:
    """All but times and the folder's name."""
    text = json.dumps([(outcome.row, outcome.statistics, outcome.machine) for outcome in outcomes])
    found = json.loads(text.replace(str(folder), ""))
    for row, statistics, _ in found:
        for name in ("started", "read_seconds", "compute_seconds", "write_seconds"):
            row.pop(name)
            (statistics or {}).pop(name, None)
    return sorted(found, key=lambda item: str(item[0]["input"]))


@pytest.mark.parametrize("pipeline", [CHAIN, OWN_RANGE, Pipeline([Step("summary")])])
def test_together_they_give_what_each_gives(tmp_path: Path, pipeline: Pipeline) -> None:
    files = mixed_files(tmp_path / "in")
    folders = [tmp_path / "one", tmp_path / "all"]
    results = []
    for folder in folders:
        folder.mkdir()
        tasks = tuple(Task(str(path), str(folder / f"{path.stem}.tif")) for path in files)
        settings = Settings(pipeline, "cpu", out=str(folder))
        if folder.name == "one":
            results.append(seen([process_any(task, settings) for task in tasks], folder))
        else:
            results.append(seen(process_some(tasks, settings), folder))
    assert results[0] == results[1]
    assert sum(row["status"] == "ok" for row, _, _ in results[0]) >= 17
    outputs = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders]
    assert outputs[0] == outputs[1]


def test_groups_are_small_and_lose_nothing(tmp_path: Path) -> None:
    large = tmp_path / "large.tif"
    large.touch()
    os.truncate(large, 20 << 20)
    tasks = [Task(str(large) if n % 3 == 0 else str(tmp_path / "gone"), str(n)) for n in range(200)]
    for files, most in ((200, 6), (15, 1), (100_000, 6)):
        groups = list(chunks(iter(tasks), files, 2))
        assert [task for group in groups for task in group] == tasks
        assert max(map(len, groups)) == most
    assert [task for one in alone(tasks) for task in one] == tasks


def test_statistics_of_changing_edges_and_of_frames(tmp_path: Path) -> None:
    lines = [
        {"output": f"{name}.tif", "started": 1.5, "histogram": {"edges": edges, "counts": counts}}
        for name, edges, counts in [
            ("a", [0.0, 1.0], [[1]]), ("b", [0.0, 1.0], [[2], [3]]), ("c", [0.0, 2.0], [[4]]), ("d", [0.0, 2.0], [[5]]),
        ]
    ]  # fmt: skip
    (tmp_path / "statistics.jsonl").write_text(
        "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    )
    row = {
        "input": "x",
        "status": "ok",
        "error": "",
        "started": 1.5,
        "pipeline": "p",
        "shape": [1, 1],
        "input_bytes": 1,
        "input_mtime": 1.0,
        "input_hash": "h",
        "notes": "",
    }
    rows = [{**row, "output": line["output"]} for line in reversed(lines)]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with Index(str(tmp_path)) as index:
        index.add_rows(tmp_path / "manifest.jsonl")
        close_statistics(tmp_path, index)
    with np.load(tmp_path / "statistics.npz") as archive:
        assert archive["output"].tolist() == ["a.tif", "b.tif", "b.tif", "c.tif", "d.tif"]
        assert archive["frame"].tolist() == [0, 0, 1, 0, 0]
        assert archive["counts"].tolist() == [[1], [2], [3], [4], [5]]
        assert archive["edges"].tolist() == [[0, 1], [0, 1], [0, 2], [0, 2]]


def slices_with_padding(folder: Path) -> list[Path]:
    """DICOM slices that declare dark, bright, lost and no padding, one of another modality, and headers of one kind."""
    folder.mkdir()
    paths = []
    for number, (value, declared, more) in enumerate(
        [
            *((-2000, -2000, {}), (-2000, -2000, {"RescaleSlope": "1.1"}), (3000, 3000, {}), (-2048, -3024, {})),
            *((None, None, {}), (None, -2000, {}), (None, None, {"Modality": "MR"})),
            *((-1900, -2000, {"PixelPaddingRangeLimit": -1500}),),
        ]
    ):
        pixels = slice_hu(48, 40, seed=number)
        if value is not None:
            pixels[:15, :15] = value
        path = folder / f"{number}.dcm"
        paths.append(dicom(path, pixels, **({} if declared is None else {"PixelPaddingValue": declared}), **more))
    return paths


def test_padding_is_left_out_as_it_is_of_a_file_by_itself(tmp_path: Path) -> None:
    settings = Settings(CHAIN, "cpu")
    sources = slices_with_padding(tmp_path / "in")
    results = []
    for name in ("alone", "together"):
        folder = tmp_path / name
        folder.mkdir()
        tasks = [Task(str(path), str(folder / f"{path.stem}.tif")) for path in sources]
        outcomes = [process_any(task, settings) for task in tasks] if name == "alone" else process_some(tasks, settings)
        results.append((seen(outcomes, folder), [path.read_bytes() for path in sorted(folder.iterdir())]))
    assert results[0] == results[1]
    assert [outcome[0]["status"] for outcome in results[0][0]].count("ok") == len(sources) - 1
