"""The runner on (simulated) GPUs: what it writes is what the CPU's run writes, whatever goes wrong on the way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import ctfast
from ctfast import Pipeline, Step
from ctfast.batch.workers import use_processes
from ctfast.errors import DeviceMemoryError
from ctfast.files import write_image
from ctfast.runner import run
from ctfast.runner.gpu.sizes import resized
from ctfast.runner.running import run_tasks
from ctfast.runner.settings import Settings
from ctfast.runner.task import Task
from tests.cuda_on_host.simulation import Simulation
from tests.gpu.runs import LONG, WINDOWED, assert_like_the_cpu, rows_of, write_folder


@pytest.fixture
def launched(host_gpu: Simulation, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Images of each chunk that was put on a GPU."""
    from ctkernels.gpu._core.streams import Lanes

    sizes: list[int] = []
    original = Lanes.launch

    def noted(self: Lanes, slot: Any, source: np.ndarray, *rest: Any) -> Any:
        event = original(self, slot, source, *rest)
        sizes.append(len(source))
        return event

    monkeypatch.setattr(Lanes, "launch", noted)
    return sizes


@pytest.mark.parametrize(("devices", "lazy", "workers"), [(1, False, 3), (1, True, 1), (2, True, 2)])
def test_a_run_is_that_of_the_cpu(host_gpu: Simulation, tmp_path: Path, devices: int, lazy: bool, workers: int) -> None:
    host_gpu.devices, host_gpu.lazy, host_gpu.seed = devices, lazy, devices + workers
    folder = write_folder(tmp_path / "in", 40)
    write_image(folder / "stack.npy", np.arange(-500, 3 * 24 * 27 - 500, dtype=np.int16).reshape(3, 24, 27))
    write_image(folder / "big.tif", np.full((24, 27), 5.5, np.float32), units="hu")
    (folder / "empty.tif").write_bytes(b"")
    (folder / "page.tif").write_text("<html>404</html>")
    with resized(files_per_gpu=8):
        report = run(folder, tmp_path / "out", LONG, backend="gpu", workers=workers)
    assert report.failed == 2
    assert_like_the_cpu(folder, tmp_path / "out", LONG)
    assert not [t for t in threading.enumerate() if t.name.startswith("ctfast-")]


def test_a_missing_wait_would_be_seen(host_gpu: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes the runs above worth something: without the events between the streams, results are wrong."""
    import cupy

    from ctkernels.gpu._core.streams import Lanes, Slot

    def doubled(lanes: Lanes) -> bool:
        slot = Slot(0)
        source, target = slot.host("source", (4, 50), np.int16), slot.host("target", (4, 50), np.int16)
        source[:] = np.arange(200).reshape(4, 50)
        lanes.launch(slot, source, [target], lambda x, results: results[0].__setitem__(..., x)).synchronize()
        return bool((target == source).all())

    host_gpu.lazy = True
    for seed in range(10):
        host_gpu.seed = seed
        assert doubled(Lanes(0))
    monkeypatch.setattr(cupy.cuda.Stream, "wait_event", lambda self, event: None)
    seen = 0
    for seed in range(10):
        host_gpu.seed = seed
        seen += not doubled(Lanes(0))
        cupy.cuda.Device(0).synchronize()
    assert seen > 3


def test_statistics_alone_and_a_range_that_each_file_finds(host_gpu: Simulation, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", 9)
    for name, pipeline in (
        ("a", Pipeline([Step("summary"), Step("histogram", bins=9, value_range=(-1024, 3071))])),
        ("b", Pipeline([Step("median_filter"), Step("histogram", bins=9)])),
    ):
        (tmp_path / name).mkdir()
        run(folder, tmp_path / name / "out", pipeline, backend="gpu", workers=2)
        assert host_gpu.launches
        assert_like_the_cpu(folder, tmp_path / name / "out", pipeline)


def test_chunks_hold_what_memory_allows(host_gpu: Simulation, tmp_path: Path, launched: list[int]) -> None:
    folder = write_folder(tmp_path / "in", 30, ((24, 27),))
    run(folder, tmp_path / "all", WINDOWED, backend="gpu", workers=1)
    assert sorted(launched) == [10, 10, 10], "three slots, filled alike, so that copies and computing overlap"
    launched.clear()
    tables = sum(host_gpu.used.values())
    host_gpu.memory_limit = 2 * 4 * 24 * 27 * (3 * 3 + 24) + tables
    run(folder, tmp_path / "some", WINDOWED, backend="gpu", workers=1)
    assert max(launched) == 4
    assert sum(launched) == 30


def test_out_of_memory_halves_the_chunk_and_is_remembered(
    host_gpu: Simulation, tmp_path: Path, launched: list[int]
) -> None:
    folder = write_folder(tmp_path / "in", 100, ((24, 27),))
    refused = 0

    def before(size: int) -> None:
        nonlocal refused
        if size > 5 * 24 * 27 * 2:
            import cupy

            refused += 1
            raise cupy.cuda.memory.OutOfMemoryError(size, 0)

    host_gpu.before_allocation = before
    with resized(chunk_bytes=16 * 24 * 27 * 2):
        report = run(folder, tmp_path / "out", WINDOWED, backend="gpu", workers=2)
    assert (report.ok, report.failed) == (100, 0)
    assert sum(launched) == 100
    assert set(launched) <= {4, 2, 1, 3}, "16 and 8 do not fit, 4 does"
    assert refused <= 8, "later chunks are as small from the start"
    assert_like_the_cpu(folder, tmp_path / "out", WINDOWED)


def test_an_image_too_large_for_the_gpu_fails_alone(host_gpu: Simulation, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", 12)
    write_image(folder / "huge.tif", np.zeros((300, 300), np.int16), units="hu")

    def before(size: int) -> None:
        if size >= 300 * 300:
            import cupy

            raise cupy.cuda.memory.OutOfMemoryError(size, 0)

    host_gpu.before_allocation = before
    report = run(folder, tmp_path / "out", WINDOWED, backend="gpu", workers=2)
    assert (report.ok, report.failed) == (12, 1)
    assert "out of memory" in report.failures[0]["error"]
    assert report.failures[0]["input"].endswith("huge.tif")
    host_gpu.before_allocation = None
    assert run(folder, tmp_path / "out", WINDOWED, backend="gpu").ok == 1, "the next run tries it again"
    assert_like_the_cpu(folder, tmp_path / "out", WINDOWED)


def test_a_failing_launch_fails_its_files_and_the_run_goes_on(
    host_gpu: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cupy

    from ctkernels.gpu._core.streams import Lanes

    folder = write_folder(tmp_path / "in", 30)
    original = Lanes.launch

    def launch(self: Any, slot: Any, source: np.ndarray, *rest: Any) -> Any:
        if source.shape[2] == 18:
            raise cupy.cuda.runtime.CUDARuntimeError(1)
        return original(self, slot, source, *rest)

    monkeypatch.setattr(Lanes, "launch", launch)
    report = run(folder, tmp_path / "out", WINDOWED, backend="gpu", workers=2)
    assert report.failed == 15
    assert report.ok == 15
    assert all(
        "the work on the GPU failed (CUDARuntimeError: cudaErrorInvalidValue" in row["error"] for row in report.failures
    )


def test_a_stack_larger_than_a_chunk_goes_by_itself(host_gpu: Simulation, tmp_path: Path, launched: list[int]) -> None:
    folder = write_folder(tmp_path / "in", 5, ((24, 27),))
    stack = np.random.default_rng(0).integers(-1000, 1000, (17, 24, 27)).astype(np.int16)
    write_image(folder / "stack.tif", stack, units="hu")
    with resized(chunk_bytes=5 * 24 * 27 * 2):
        report = run(folder, tmp_path / "out", LONG, backend="gpu", workers=2)
    assert report.ok == 6, report.failures
    assert sum(launched) == 5
    assert_like_the_cpu(folder, tmp_path / "out", LONG)


@pytest.mark.parametrize("workers", [1, 4])
def test_more_kinds_of_images_than_slots(host_gpu: Simulation, tmp_path: Path, workers: int) -> None:
    sizes = tuple((8 + n, 9 + n) for n in range(11))
    folder = write_folder(tmp_path / "in", 50, sizes)
    report = run(folder, tmp_path / "out", WINDOWED, backend="gpu", workers=workers)
    assert (report.ok, report.failed) == (50, 0)
    assert_like_the_cpu(folder, tmp_path / "out", WINDOWED)


def test_a_step_that_refuses_a_dtype_is_named(host_gpu: Simulation, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", 4)
    write_image(folder / "u8.tif", np.zeros((24, 27), np.uint8), units="hu")
    pipeline = Pipeline([Step("median_filter"), Step("clahe", value_range=(-1000, 1000), tile_grid=2)])
    report = run(folder, tmp_path / "out", pipeline, backend="gpu")
    assert (report.ok, report.failed) == (4, 1), report.failures
    assert "value_range" in report.failures[0]["error"]
    assert "step 2 of the pipeline" in report.failures[0]["error"]
    assert_like_the_cpu(folder, tmp_path / "out", pipeline)


def test_stop_at_the_first_error_and_resume(host_gpu: Simulation, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", 60)
    (folder / "s000.tif").write_bytes(b"broken")
    report = run(folder, tmp_path / "out", WINDOWED, backend="gpu", workers=1, on_error="stop")
    assert report.failed == 1
    assert report.ok + report.failed + report.skipped == 60
    assert [r["status"] for r in rows_of(tmp_path / "out")].count("skipped") == report.skipped
    again = run(folder, tmp_path / "out", WINDOWED, backend="gpu", workers=2)
    assert again.done_before == report.ok
    assert again.ok == 59 - report.ok
    assert_like_the_cpu(folder, tmp_path / "out", WINDOWED)


def test_an_output_that_cannot_be_written(host_gpu: Simulation, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", 8)
    settings = Settings(WINDOWED, "gpu")
    (tmp_path / "file").write_text("in the way")
    tasks = [Task(str(path), str(tmp_path / "out" / path.name)) for path in sorted(folder.iterdir())]
    tasks[3] = Task(tasks[3].source, str(tmp_path / "file" / "x.tif"))
    outcomes = list(run_tasks(tasks, settings, 2, processes=False, files=8))
    assert sorted(o.row["status"] for o in outcomes) == ["failed", *["ok"] * 7]
    [bad] = [o.row for o in outcomes if o.row["status"] == "failed"]
    assert "file" in bad["error"]


def test_nobody_is_left_waiting_when_a_run_is_given_up(host_gpu: Simulation, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", 40)

    def tasks() -> Iterator[Task]:
        for number, path in enumerate(sorted(folder.iterdir())):
            if number == 25:
                raise RuntimeError("no more")
            yield Task(str(path), str(tmp_path / "out" / path.name))

    settings = Settings(WINDOWED, "gpu")
    with pytest.raises(RuntimeError, match="no more"):
        list(run_tasks(tasks(), settings, 3, processes=False, files=9))
    outcomes = run_tasks(
        [Task(str(p), str(tmp_path / "o" / p.name)) for p in folder.iterdir()], settings, 3, processes=False, files=9
    )
    next(iter(outcomes))
    outcomes.close()  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name.startswith("ctfast-")]


def test_from_the_command_line(host_gpu: Simulation, tmp_path: Path) -> None:
    from ctfast.cli import app

    folder = write_folder(tmp_path / "in", 12)
    command = ["run", str(folder), "--out", str(tmp_path / "out"), "--backend", "gpu"]
    done = CliRunner().invoke(app, [*command, "--step", "window center=0 width=400 dtype=uint8"])
    assert done.exit_code == 0, done.output
    assert "12 done, 0 failed" in " ".join(done.output.split())
    assert "backend gpu" in " ".join(done.output.split())
    assert_like_the_cpu(folder, tmp_path / "out", Pipeline([Step("window", center=0, width=400, dtype="uint8")]))


def test_older_gpus_are_left_out(host_gpu: Simulation) -> None:
    from ctkernels.gpu._core.streams import usable_devices

    host_gpu.devices = 2
    assert usable_devices() == [0, 1]
    host_gpu.compute_capability = "70"
    assert usable_devices() == []


def test_a_gpu_is_fed_by_threads() -> None:
    assert use_processes(10_000, 2, "auto")
    assert not use_processes(10_000, 2, "auto", "gpu")
    assert use_processes(3, 2, "processes", "gpu")


def test_the_error_is_also_a_memory_error() -> None:
    assert issubclass(DeviceMemoryError, MemoryError)
    assert issubclass(DeviceMemoryError, ctfast.errors.DeviceError)
