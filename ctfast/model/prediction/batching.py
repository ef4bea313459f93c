"""From files to rows: batches filled across files, two of them in flight, rows in the order of the inputs.

A file's rows are written only when all of them are known, so that a killed run leaves whole files.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ctfast.batch.progress import Show
from ctfast.model.data.reading import Read
from ctfast.model.prediction import predictions_csv as tables
from ctfast.model.prediction.resume import Task, picture_of, time_text

if TYPE_CHECKING:
    from ctfast.model.prediction.compiled import Predictor, Started


@dataclass
class PredictionReport:
    """What ``predict_files`` did."""

    csv: Path
    model: str
    """The weights' hash."""
    classes: tuple[str, ...]
    ok: int = 0
    failed: int = 0
    done_before: int = 0
    """Files that an earlier run had predicted with the same model."""
    ignored: int = 0
    """Files in the input folders that are no images."""
    images: int = 0
    not_trusted: int = 0
    """Files whose values are not known to be what the preprocessing expects (HU)."""
    counts: dict[str, int] = field(default_factory=dict)
    """Images of this run by predicted class."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """File and reason."""
    notes: list[str] = field(default_factory=list)
    explained: Path | None = None
    """Folder of the pictures."""
    seconds: float = 0.0
    first_seconds: float = 0.0
    """Until the first prediction was known, loading and compiling included."""


@dataclass(eq=False)
class Held:
    """A file whose predictions are not all known yet."""

    task: Task
    read: Read
    probabilities: list[NDArray[np.float32]] = field(default_factory=list)
    maps: list[NDArray[np.float32]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return len(self.probabilities) == len(self.read.frames)


class Stream:
    """Files in, rows out, batches between.

    Args:
        predictor: Computes batches.
        table: Takes the rows.
        report: Is filled in.
        show: Told after each file.
        start: ``time.perf_counter()`` at the very beginning.
    """

    def __init__(
        self, predictor: Predictor, table: tables.Appender, report: PredictionReport, show: Show, start: float
    ) -> None:
        self._predictor, self._table, self._report, self._show, self._start = predictor, table, report, show, start
        self._files: deque[Held] = deque()
        self._flight: deque[tuple[list[Held], Started]] = deque()

    def run(self, tasks: Sequence[Task], reads: Iterator[Read]) -> None:
        """Predict every file of ``tasks``; ``reads`` gives them in the same order."""
        batch: list[tuple[Held, int]] = []
        for task, read in zip(tasks, reads, strict=True):
            held = Held(task, read)
            self._files.append(held)
            for k in range(len(read.frames)):
                batch.append((held, k))
                if len(batch) >= self._predictor.batch_size:
                    self._start_batch(batch)
                    batch = []
            self._write_complete()
        if batch:
            self._start_batch(batch)
        while self._flight:
            self._finish_batch()
        self._write_complete()

    def _start_batch(self, batch: list[tuple[Held, int]]) -> None:
        images = np.stack([held.read.frames[k] for held, k in batch])
        self._flight.append(([held for held, _ in batch], self._predictor.start(images)))
        if len(self._flight) >= self._predictor.in_flight:
            self._finish_batch()

    def _finish_batch(self) -> None:
        owners, started = self._flight.popleft()
        probabilities, maps = self._predictor.finish(started)
        self._report.first_seconds = self._report.first_seconds or time.perf_counter() - self._start
        for k, held in enumerate(owners):
            held.probabilities.append(probabilities[k])
            if maps is not None:
                held.maps.append(maps[k])

    def _write_complete(self) -> None:
        rows: list[list[str]] = []
        while self._files and self._files[0].complete:
            held = self._files.popleft()
            if held.maps:
                self._draw(held)
            rows += self._rows(held)
            self._count(held)
        if rows:
            self._table.append(rows)
            self._show(done=self._report.ok + self._report.failed, failed=self._report.failed)

    def _draw(self, held: Held) -> None:
        from ctfast.model.prediction.overlay import save_overlay

        for k, frame in enumerate(held.read.frames):
            picture = picture_of(held.task, str(k) if held.read.several else "")
            assert picture is not None
            name = f"{Path(held.task.path).name}{f' [{k}]' if held.read.several else ''}"
            save_overlay(
                picture,
                frame,
                held.maps[k],
                held.probabilities[k],
                self._report.classes,
                title=name,
                subtitle=f"{self._predictor.explain}, model {self._report.model}",
            )

    def _rows(self, held: Held) -> list[list[str]]:
        read, classes, model = held.read, self._report.classes, self._report.model
        name, last = tables.safe(held.task.path), [read.units, str(read.size), time_text(read.modified)]
        if read.error:
            return [[name, "", *("" for _ in classes), model, tables.safe(read.error), "", "", *last]]
        frames = str(len(read.frames)) if read.several else ""
        return [
            [
                name,
                tables.safe(classes[int(p.argmax())]),
                *(f"{value:.9g}" for value in p.tolist()),  # enough digits to give the float32 back
                model,
                "",
                str(k) if read.several else "",
                frames,
                *last,
            ]
            for k, p in enumerate(held.probabilities)
        ]

    def _count(self, held: Held) -> None:
        report = self._report
        if held.read.error:
            report.failed += 1
            report.failures.append((held.task.path, held.read.error))
            return
        report.ok += 1
        report.images += len(held.probabilities)
        report.not_trusted += not held.read.trusted
        for p in held.probabilities:
            name = report.classes[int(p.argmax())]
            report.counts[name] = report.counts.get(name, 0) + 1
