"""The main job: a folder of slices in, a folder of processed slices out, nothing lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

from ctfast import backend as backends
from ctfast.batch.limits import bytes_per_file
from ctfast.batch.progress import Progress, no_progress
from ctfast.batch.workers import bounded_map, use_processes
from ctfast.dispatch.chain import fits
from ctfast.errors import UsageError
from ctfast.files import Compression, UnitsChoice
from ctfast.files.formats import check_compression, written
from ctfast.pipeline import Pipeline
from ctfast.runner.gpu.run import run_on_gpus
from ctfast.runner.manifest import Appender, Row, close_manifest, manifest_name
from ctfast.runner.planning import (
    UNITS_CHOICES,
    Plan,
    Settings,
    Task,
    make_plan,
    write_run_file,
)
from ctfast.runner.statistics import close_statistics, live_name
from ctfast.runner.work import Outcome, empty_row, failed_by_death, process
from ctfast.threads import get_num_threads
from ctfast.tools.benchmark import recommended_backend


@dataclass
class Report:
    """What a run did."""

    out: Path
    pipeline: str
    backend: str
    done_before: int = 0
    """Outputs that an earlier run had finished."""
    ignored: int = 0
    ok: int = 0
    failed: int = 0
    skipped: int = 0
    """Not started, because the run stopped at an error."""
    images: int = 0
    input_bytes: int = 0
    not_hu: int = 0
    """Files windowed in HU whose values are not known to be HU."""
    seconds: float = 0.0
    stage_seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("read", "compute", "write"), 0.0))
    """Summed over the workers."""
    failures: list[Row] = field(default_factory=list)

    def count(self, row: Row, expects_hu: bool) -> None:
        """Take one file in."""
        if row["status"] != "ok":
            self.failed += 1
            self.failures.append(row)
            return
        self.ok += 1
        self.images += row["shape"][0] if len(row["shape"]) == 3 else 1
        self.input_bytes += row["input_bytes"]
        self.not_hu += expects_hu and row["units"] != "hu"
        self.stage_seconds["read"] += row["read_seconds"]
        self.stage_seconds["compute"] += row["compute_seconds"]
        self.stage_seconds["write"] += row["write_seconds"]


def plan(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    pipeline: Pipeline,
    *,
    backend: str | None = None,
    format: str = "tif",
    compression: str = "none",
    units: str = "auto",
    workers: int | None = None,
    shard: tuple[int, int] | None = None,
    resume: bool = True,
    overwrite: bool = False,
) -> Plan:
    """Decide and check what ``run`` would do, without doing it; see ``run`` for the parameters."""
    kind = written(format)
    check_compression(kind, compression)
    if units not in UNITS_CHOICES:
        raise UsageError(f"units={units!r}: one of {', '.join(UNITS_CHOICES)} is allowed")
    settings = Settings(
        pipeline=pipeline,
        backend=_chosen_backend(backend),
        format=kind.word,
        compression=cast(Compression, compression),
        units=cast(UnitsChoice, units),
        max_bytes=bytes_per_file(workers or get_num_threads()),
    )
    listed = [inputs] if isinstance(inputs, (str, Path)) else list(inputs)
    return make_plan(listed, Path(out), settings, overwrite=overwrite, resume=resume, shard=shard)


def _chosen_backend(name: str | None) -> str:
    """As asked for, else what ``ctfast bench`` recommends here, else the CPU."""
    chosen = backends.requested(name)
    return backends.select(chosen if chosen is not None else recommended_backend())


def execute(
    the_plan: Plan,
    *,
    workers: int | None = None,
    pool: str = "threads",
    on_error: str = "skip",
    progress: Progress = no_progress,
) -> Report:
    """Do what a plan says."""
    start = time.perf_counter()
    settings, out, shard = the_plan.settings, the_plan.out, the_plan.shard
    workers = workers or get_num_threads()
    report = Report(out, settings.pipeline.hash, settings.backend, the_plan.done, len(the_plan.ignored))
    write_run_file(the_plan)
    with ExitStack() as stack:
        manifest = stack.enter_context(Appender(out / manifest_name(shard)))
        statistics = stack.enter_context(Appender(out / live_name(shard)))
        files = len(the_plan.tasks)
        processes = use_processes(files, workers, pool, settings.backend)
        stop = threading.Event()
        waiting = iter(the_plan.tasks)
        for outcome in run_tasks(_until(stop, waiting), settings, workers, processes=processes, files=files):
            _record(outcome, manifest.append, statistics.append)
            report.count(outcome.row, settings.pipeline.expects_hu)
            progress(done=report.ok + report.failed, failed=report.failed)
            if report.failed and on_error == "stop":
                stop.set()  # files in flight are finished and recorded
        for task in waiting:
            manifest.append(empty_row(task, settings))
            report.skipped += 1
    rows = close_manifest(out, shard)
    close_statistics(out, [row["output"] for row in rows if row["status"] == "ok"])
    report.seconds = time.perf_counter() - start
    return report


def run_tasks(
    tasks: Iterable[Task], settings: Settings, workers: int, *, processes: bool, files: int = 1
) -> Iterator[Outcome]:
    """Outcomes in the order they finish; ``tasks``, about ``files``, is drawn from only as workers become free."""
    if settings.backend == "gpu" and not processes and fits(settings.pipeline.steps, "gpu"):
        return run_on_gpus(iter(tasks), settings, workers, files)
    work, died = partial(process, settings=settings), partial(failed_by_death, settings=settings)
    return bounded_map(work, tasks, workers, processes=processes, ordered=False, died=died)


def _until(stop: threading.Event, tasks: Iterator[Task]) -> Iterator[Task]:
    while not stop.is_set():
        task = next(tasks, None)
        if task is None:
            return
        yield task


def _record(outcome: Outcome, manifest: Callable[[object], None], statistics: Callable[[object], None]) -> None:
    # Statistics first: a line in the manifest says that everything of that file is there.
    if outcome.statistics is not None:
        statistics(outcome.statistics)
    manifest(outcome.row)


def run(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    pipeline: Pipeline,
    *,
    backend: str | None = None,
    workers: int | None = None,
    pool: str = "threads",
    format: str = "tif",
    compression: str = "none",
    units: str = "auto",
    shard: tuple[int, int] | None = None,
    resume: bool = True,
    overwrite: bool = False,
    on_error: str = "skip",
) -> Report:
    """Run ``pipeline`` over files, folders or globs and write one output an input under ``out``.

    Args:
        inputs: a folder (searched recursively), a glob, a file, or several of these.
        out: folder for the outputs, ``manifest.jsonl``, ``failures.csv``, ``statistics.npz`` and ``summary.csv``.
        pipeline: what to do with each image.
        backend: as in the public functions.
        workers: files at work at once; default: the threads ctfast may use.
        pool: ``"threads"``, ``"processes"`` (the calling script needs the ``if __name__ == "__main__"`` guard) or
            ``"auto"`` (processes where there are enough files).
        format: of the outputs, a word of ``ctfast.files.formats.WRITTEN``, such as ``"tif"`` or ``"nii"``.
        compression: ``"none"``, ``"zlib"``, ``"zstd"`` or ``"lzw"`` (TIFF).
        units: what the inputs' values mean: ``"auto"`` (as each file says), ``"hu"`` or ``"stored"``.
        shard: ``(i, n)``: only the i-th of n parts, for n machines on one folder.
        resume: leave finished outputs of an earlier run of the same pipeline alone.
        overwrite: replace what ``out`` holds.
        on_error: ``"skip"`` a bad file (it is listed) or ``"stop"`` at the first.

    Raises:
        UsageError: refused before any work, with the reason.
    """
    the_plan = plan(
        inputs,
        out,
        pipeline,
        backend=backend,
        format=format,
        compression=compression,
        units=units,
        workers=workers,
        shard=shard,
        resume=resume,
        overwrite=overwrite,
    )
    return execute(the_plan, workers=workers, pool=pool, on_error=on_error)
