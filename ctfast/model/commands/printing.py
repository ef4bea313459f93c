"""What the commands of the network print: progress while they work, and their results."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Final

from ctfast.batch.lines import print_line
from ctfast.batch.notice import NOT_A_DEVICE
from ctfast.files.find import by_reason

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

    from ctfast.batch.progress import Progress
    from ctfast.model.commands.evaluate import EvaluationReport
    from ctfast.model.commands.train import TrainReport
    from ctfast.model.data.dataset import Dataset
    from ctfast.model.evaluation.cross_validation import CrossValidation
    from ctfast.model.prediction.batching import PredictionReport
    from ctfast.model.training.fit import FitResult
    from ctfast.model.training.progress import TrainingProgress

_MOST_FAILURES: Final = 10
_MOST_NOTES: Final = 10
_PLAIN_EVERY_SECONDS: Final = 10.0


@contextmanager
def counting(console: Console, what: str) -> Iterator[Progress]:
    """Files as they are done, where their number is not known ahead."""
    start = last = time.perf_counter()

    def text(done: int, failed: int) -> str:
        rate = done / max(time.perf_counter() - start, 1e-9)
        return f"{what}: {done} files, {rate:.1f} files/s{f', {failed} failed' if failed else ''}"

    if console.is_terminal:
        with console.status(what) as status:
            yield lambda *, done, failed: status.update(text(done, failed))
        return

    def plain(*, done: int, failed: int) -> None:
        nonlocal last
        if time.perf_counter() - last >= _PLAIN_EVERY_SECONDS:
            last = time.perf_counter()
            print_line(text(done, failed), console)

    yield plain


class TrainingDisplay:
    """Counts the files of a set, then shows a line per epoch and the progress of its steps.

    Progress is a bar with loss, images/s and time left on a terminal, elsewhere a line every ten seconds. ``progress``,
    ``on_start`` and ``on_step`` are what ``train_run`` calls.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._moving = ExitStack()
        """What moves on the terminal: one thing at a time."""
        self._bar: Bar | None = None
        self._last = time.perf_counter()

    def __enter__(self) -> TrainingDisplay:
        self.progress = self._moving.enter_context(counting(self._console, "reading"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._moving.close()

    def on_start(self, dataset: Dataset, training: int, held_out: int) -> None:
        """The set is read; the first step compiles."""
        self._moving.close()
        print_set(dataset, training, held_out, self._console)
        if self._console.is_terminal:
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[metrics]}"))
            self._bar = Bar(*columns, console=self._console)
            self._bar.add_task("compiling", total=None, metrics="")
            self._moving.enter_context(self._bar)

    def on_step(self, event: TrainingProgress) -> None:
        """Called after every dispatch of ``fit``."""
        if event.note is not None:
            print_line(f"note: {event.note}", self._console)
        if event.row is not None:
            print_line(_epoch_line(event, event.row), self._console)
        if self._bar is not None:
            self._bar.update(
                self._bar.task_ids[0],
                description=f"{_member(event)}epoch {event.epoch}/{event.epochs}",
                total=event.members * event.epochs * event.steps,
                completed=((event.member - 1) * event.epochs + event.epoch - 1) * event.steps + event.step,
                metrics=_metrics(event),
            )
        elif event.row is not None or event.note is not None:
            self._last = time.perf_counter()
        elif time.perf_counter() - self._last >= _PLAIN_EVERY_SECONDS:
            self._last = time.perf_counter()
            step = f"{_member(event)}epoch {event.epoch}/{event.epochs}, step {event.step}/{event.steps}"
            print_line(f"{step}: {_metrics(event)}", self._console)


def _epoch_line(event: TrainingProgress, row: dict[str, float]) -> str:
    validation = ""
    if "validation_loss" in row:
        validation = f", validation {row['validation_loss']:.4f} ({row['validation_accuracy']:.3f} right)"
    return (
        f"{_member(event)}epoch {event.epoch}/{event.epochs}: loss {row['loss']:.4f} ({row['accuracy']:.3f} right)"
        f"{validation}, {row['images_per_second']:.1f} images/s"
    )


def _member(event: TrainingProgress) -> str:
    return f"network {event.member}/{event.members}, " if event.members > 1 else ""


def _metrics(event: TrainingProgress) -> str:
    left = "" if math.isnan(event.seconds_left) else f", {_clock(event.seconds_left)} left"
    return f"loss {event.loss:.4f}, {event.images_per_second:.1f} images/s{left}"


def _clock(seconds: float) -> str:
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def print_set(dataset: Dataset, training: int, held_out: int, console: Console) -> None:
    """What a training starts from: counts, and what the user must know."""
    counts = ", ".join(f"{number} {name}" for name, number in dataset.class_counts().items())
    split = f"{training} to train on, {held_out} held out"
    print_line(f"{len(dataset)} slices ({counts}): {split}; all slices of a patient stay on one side", console)
    if dataset.left_out:
        print_line(f"left out: {by_reason(dataset.left_out)}", console)
    for warning in dataset.warnings:
        print_line(f"warning: {warning}", console)


def print_training(report: TrainReport, console: Console) -> None:
    """The closing lines of ``ctfast train``."""
    result = report.result
    if report.evaluation is not None:
        chose = "slices that chose the epochs (so a little too good)"
        console.print(report.evaluation.as_table(chose if report.chose else "test slices, which chose nothing"))
    for note in [*result.notes, *report.warnings[len(report.data["warnings"]) :]]:  # the others were printed before
        print_line(f"note: {note}", console)
    members = result.members or (result,)
    done, best = (", ".join(map(str, numbers)) for numbers in _epochs(members))
    networks = f"{len(members)} networks, " if result.members else ""
    print_line(f"{networks}{done} epochs, best {best}; {result.stopped}; model {result.trained.hash}", console)
    print_line(f"written: {result.run_dir}", console)
    if report.evaluation is None:  # else its table has said so
        print_line(NOT_A_DEVICE, console)


def _epochs(members: Sequence[FitResult]) -> tuple[list[int], list[int]]:
    return [len(m.history) for m in members], [m.best_epoch for m in members]


def print_evaluation(report: EvaluationReport, console: Console) -> None:
    """Warnings, tables of metrics and where the rest lies."""
    for warning in report.warnings:
        print_line(f"warning: {warning}", console)
    title = "evaluation" if not report.seen else f"NOT of new patients, {report.seen} were trained on"
    if report.cross_validation is not None:
        console.print(report.cross_validation.as_table())
        _tell_if_baselines_win(report.cross_validation, console)
        title = f"seed {report.cross_validation.seeds[0]}, all folds"
    console.print(report.evaluation.as_table(title))
    console.print(report.evaluation.confusion_table())
    print_line(f"written: {report.out}", console)


def _tell_if_baselines_win(found: CrossValidation, console: Console) -> None:
    best, gain = found.best_baseline, found.outcomes[0].gain
    if best is not None and gain is not None and gain.value <= 0:
        print_line(
            f"the network does not beat the baseline {best.name} ({gain.value:+.3f}, {gain.low:+.3f} to "
            f"{gain.high:+.3f}): it has learned no more than a histogram tells",
            console,
        )


def print_predictions(report: PredictionReport, console: Console) -> None:
    """The closing lines of ``ctfast predict``."""
    rate = report.images / report.seconds if report.seconds > 0 else 0.0
    print_line(
        f"{report.ok} files predicted, {report.failed} failed, {report.done_before} done before, {report.ignored} "
        f"other files ignored; {report.images} images in {report.seconds:.1f} s ({rate:.1f} images/s), the first after "
        f"{report.first_seconds:.1f} s; model {report.model}",
        console,
    )
    if report.left_out:
        print_line(f"left out: {by_reason(report.left_out)}", console)
    for name in report.classes:
        if report.images:
            print_line(f"  {report.counts.get(name, 0):>6}  {name}", console)
    for file, reason in report.failures[:_MOST_FAILURES]:
        print_line(f"failed: {file}: {reason}", console)
    if report.failed > _MOST_FAILURES:
        print_line(f"... {report.failed - _MOST_FAILURES} more in {report.csv} (column error)", console)
    if report.not_trusted:
        print_line(
            f"warning: {report.not_trusted} files do not say that their values are HU, but the model knows HU only; "
            "--units hu confirms that they are (the table says which: units)",
            console,
        )
    for note, files in report.file_notes.most_common(_MOST_NOTES):
        print_line(f"warning: {files} {'file' if files == 1 else 'files'}: {note}", console)
    if len(report.file_notes) > _MOST_NOTES:
        print_line(f"... {len(report.file_notes) - _MOST_NOTES} more notes on files: ctfast report names each", console)
    for note in report.notes:
        print_line(f"note: {note}", console)
    print_line(f"written: {report.csv}", console)
    if report.explained is not None:
        print_line(f"written: {report.explained}", console)
    print_line(NOT_A_DEVICE, console)
