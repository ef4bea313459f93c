"""From files to rows: batches filled across files, two of them in flight, rows in the order of the inputs.

A file's rows are written only when all of them are known, so that a killed run leaves whole files.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ctfast.batch.cells import safe_cell
from ctfast.batch.progress import Progress
from ctfast.files import Ignored
from ctfast.files.values import Values
from ctfast.model.data.reading import Read
from ctfast.model.prediction.faithfulness import Deletion, deletion
from ctfast.model.prediction.predictions_csv import class_cells, stamp_cells
from ctfast.model.prediction.resume import PredictionTask

if TYPE_CHECKING:
    from ctfast.model.prediction.compiled import Predictor, Started


@dataclass
class PredictionReport:
    """The result of ``predict_files``.

    Attributes:
        csv: The table.
        model: The weights' hash.
        classes: The model's.
        ok: Files that were predicted.
        failed: Files that could not be read.
        done_before: Files that an earlier run had predicted with the same model.
        left_out: Paths in the input folders that are no images, or not asked for; the latter have rows in the table.
        images: Predictions of this run.
        not_trusted: Files whose values are not known to be what the preprocessing expects (HU).
        file_notes: What readers did or doubt, and how many files of this run it is about.
        seen_from: Files by the directions of their columns and rows in the patient; see ``mixed_orientation``.
        counts: Images of this run by predicted class.
        failures: File and reason.
        notes: What the user should know.
        explained: Folder of the pictures.
        doubtful_maps: Pictures whose map fails the deletion test (``prediction/faithfulness.py``).
        maps_in_air: Pictures whose map is highest in air.
        seconds: All in all.
        first_seconds: Until the first prediction was known, loading and compiling included.
    """

    csv: Path
    model: str
    classes: tuple[str, ...]
    ok: int = 0
    failed: int = 0
    done_before: int = 0
    left_out: list[Ignored] = field(default_factory=list)
    images: int = 0
    not_trusted: int = 0
    file_notes: Counter[str] = field(default_factory=Counter)
    seen_from: Counter[str] = field(default_factory=Counter)
    counts: dict[str, int] = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    explained: Path | None = None
    doubtful_maps: int = 0
    maps_in_air: int = 0
    seconds: float = 0.0
    first_seconds: float = 0.0

    @property
    def ignored(self) -> int:
        """How many paths were left out."""
        return len(self.left_out)

    def fresh(self) -> PredictionReport:
        """Of the same model and table, with nothing done."""
        return PredictionReport(self.csv, self.model, self.classes, explained=self.explained)

    def add(self, part: PredictionReport) -> None:
        """Count what somebody else did."""
        for name in ("ok", "failed", "images", "not_trusted", "doubtful_maps", "maps_in_air"):
            setattr(self, name, getattr(self, name) + getattr(part, name))
        self.seen_from.update(part.seen_from)
        self.file_notes.update(part.file_notes)
        self.counts = dict(Counter(self.counts) + Counter(part.counts))
        self.left_out += part.left_out
        self.failures += part.failures
        self.notes += [note for note in part.notes if note not in self.notes]
        self.first_seconds = self.first_seconds or part.first_seconds


@dataclass(eq=False)
class PendingFile:
    """A file whose predictions are not all known yet."""

    task: PredictionTask
    read: Read
    probabilities: list[NDArray[np.float32]] = field(default_factory=list)
    maps: list[NDArray[np.float32]] = field(default_factory=list)
    tested: list[Deletion] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether they are."""
        return len(self.probabilities) == len(self.read.frames)


class PredictionStream:
    """Files in, rows out, batches between.

    Args:
        predictor: Computes batches.
        append: Takes rows that belong together.
        report: Is filled in.
        progress: Called after each file.
        read_as: What the caller says of the files' values; a column of the table.
        start: ``time.perf_counter()`` at the very beginning.
    """

    def __init__(
        self,
        predictor: Predictor,
        append: Callable[..., None],
        report: PredictionReport,
        progress: Progress,
        read_as: Values,
        start: float,
    ) -> None:
        self._predictor, self._append, self._report = predictor, append, report
        self._progress, self._read_as, self._start = progress, str(read_as), start
        self._class_cells = class_cells(report.classes)
        self._files: deque[PendingFile] = deque()
        self._flight: deque[tuple[list[PendingFile], Started]] = deque()

    def run(self, tasks: Sequence[PredictionTask], reads: Iterator[Read]) -> None:
        """Predict every file of ``tasks``; ``reads`` gives them in the same order."""
        batch: list[tuple[PendingFile, int]] = []
        for task, read in zip(tasks, reads, strict=True):
            pending = PendingFile(task, read)
            self._files.append(pending)
            for k in range(len(read.frames)):
                batch.append((pending, k))
                if len(batch) >= self._predictor.batch_size:
                    self._start_batch(batch)
                    batch = []
            self._write_complete()
        if batch:
            self._start_batch(batch)
        while self._flight:
            self._finish_batch()
        self._write_complete()

    def _start_batch(self, batch: list[tuple[PendingFile, int]]) -> None:
        images = np.stack([pending.read.frames[k] for pending, k in batch])
        self._flight.append(([pending for pending, _ in batch], self._predictor.start(images)))
        if len(self._flight) >= self._predictor.in_flight:
            self._finish_batch()

    def _finish_batch(self) -> None:
        owners, started = self._flight.popleft()
        probabilities, maps = self._predictor.finish(started)
        self._report.first_seconds = self._report.first_seconds or time.perf_counter() - self._start
        # Of the whole batch, because a batch takes as long as one image.
        tested = None if maps is None else deletion(started.images, maps, probabilities, self._predictor.all)
        for k, pending in enumerate(owners):
            pending.probabilities.append(probabilities[k])
            if maps is not None and tested is not None:
                pending.maps.append(maps[k])
                pending.tested.append(tested[k])

    def _write_complete(self) -> None:
        rows: list[list[str]] = []
        while self._files and self._files[0].complete:
            pending = self._files.popleft()
            if pending.maps:
                self._draw(pending)
            rows += self._rows(pending)
            self._count(pending)
        if rows:
            self._append(*rows)
            self._progress(done=self._report.ok + self._report.failed, failed=self._report.failed)

    def _draw(self, pending: PendingFile) -> None:
        from ctfast.model.prediction.overlay import draw_overlay, save_overlay

        several, air, tested = pending.read.several, pending.read.air, pending.tested
        for k, frame in enumerate(pending.read.frames):
            picture = pending.task.picture_of(k if several else None)
            assert picture is not None
            remarks, peak = [tested[k].sentence()], np.unravel_index(pending.maps[k].argmax(), frame.shape[:2])
            self._report.doubtful_maps += not tested[k].explains
            if air is not None and air[k][peak]:
                self._report.maps_in_air += 1
                remarks.append("the map is highest in air, where nothing of the patient is: don't trust it")
            drawn = draw_overlay(
                frame,
                pending.maps[k],
                pending.probabilities[k],
                self._report.classes,
                title=f"{Path(pending.task.path).name}{f' [{k}]' if several else ''}",
                subtitle=f"{self._predictor.explain}, model {self._report.model}; {self._predictor.seen_as}",
                pixel_mm=pending.read.pixel_mm,
                in_plane=pending.read.in_plane,
                remarks=remarks,
            )
            save_overlay(picture, drawn, pending.task.stamp(self._report.model, self._predictor.explain))

    def _rows(self, pending: PendingFile) -> list[list[str]]:
        read, model = pending.read, self._report.model
        name, last = safe_cell(pending.task.path), [read.units, self._read_as, *stamp_cells(read.stamp)]
        error = f"left out: {read.left_out}" if read.left_out else read.error
        if error:
            return [[name, "", *("" for _ in self._class_cells), model, safe_cell(error), "", "", *last]]
        frames = str(len(read.frames)) if read.several else ""
        return [
            [
                name,
                self._class_cells[int(p.argmax())],
                *(f"{value:.9g}" for value in p.tolist()),  # enough digits to give the float32 back
                model,
                "",
                str(k) if read.several else "",
                frames,
                *last,
            ]
            for k, p in enumerate(pending.probabilities)
        ]

    def _count(self, pending: PendingFile) -> None:
        report, read = self._report, pending.read
        if read.left_out:
            report.left_out.append(Ignored(Path(pending.task.path), read.left_out))
            return
        if read.error:
            report.failed += 1
            report.failures.append((pending.task.path, read.error))
            return
        report.ok += 1
        report.images += len(pending.probabilities)
        report.not_trusted += not read.trusted
        report.seen_from[read.in_plane] += 1
        report.file_notes.update(filter(None, read.notes.split("; ")))
        for p in pending.probabilities:
            name = report.classes[int(p.argmax())]
            report.counts[name] = report.counts.get(name, 0) + 1
