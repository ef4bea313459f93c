"""How training and prediction show themselves: a bar on a terminal, plain lines otherwise, a closing word."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Final

from ctfast.batch.notice import NOT_A_DEVICE

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

    from ctfast.batch.progress import Show
    from ctfast.model.commands.train import TrainReport
    from ctfast.model.data.dataset import Dataset
    from ctfast.model.prediction.batching import PredictionReport
    from ctfast.model.training.fit import Progress

_MOST_TOLD: Final = 10
_PLAIN_EVERY_SECONDS: Final = 10.0


@contextmanager
def counted(console: Console, what: str) -> Iterator[Show]:
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
            console.print(text(done, failed), highlight=False)

    yield plain


def print_predictions(report: PredictionReport, console: Console) -> None:
    """The closing lines of ``ctfast predict``."""
    rate = report.images / report.seconds if report.seconds > 0 else 0.0
    console.print(
        f"{report.ok} files predicted, {report.failed} failed, {report.done_before} done before, {report.ignored} "
        f"other files ignored; {report.images} images in {report.seconds:.1f} s ({rate:.1f} images/s), the first after "
        f"{report.first_seconds:.1f} s; model {report.model}",
        highlight=False,
        soft_wrap=True,
    )
    for name in report.classes:
        if report.images:
            console.print(f"  {report.counts.get(name, 0):>6}  {name}", highlight=False, markup=False)
    for file, reason in report.failures[:_MOST_TOLD]:
        console.print(f"failed: {file}: {reason}", highlight=False, markup=False, soft_wrap=True)
    if report.failed > _MOST_TOLD:
        console.print(f"... {report.failed - _MOST_TOLD} more in {report.csv} (column error)", highlight=False)
    if report.not_trusted:
        console.print(
            f"warning: {report.not_trusted} files do not say that their values are HU, but the model knows HU only; "
            "--values hu confirms that they are (the table says which: units)",
            highlight=False,
            soft_wrap=True,
        )
    for note in report.notes:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"written: {report.csv}", highlight=False, markup=False, soft_wrap=True)
    if report.explained is not None:
        console.print(f"written: {report.explained}", highlight=False, markup=False, soft_wrap=True)
    console.print(NOT_A_DEVICE, highlight=False)


class TrainingShow:
    """A line an epoch; on a terminal also a bar with loss, images/s and time left, elsewhere a line every ten seconds.

    Args:
        console: Where.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Bar | None = None
        self._last = time.perf_counter()

    def start(self) -> None:
        """From now on nothing else lives on the terminal."""
        if self._console.is_terminal:
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"))
            self._bar = Bar(*columns, console=self._console)
            self._bar.add_task("compiling", total=None, told="")
            self._bar.start()

    def __call__(self, event: Progress) -> None:
        """Told after every dispatch of ``fit``."""
        _tell_training(event, self._console)
        if self._bar is not None:
            done = (event.epoch - 1) * event.steps + event.step
            self._bar.update(
                self._bar.task_ids[0],
                description=f"epoch {event.epoch}/{event.epochs}",
                total=event.epochs * event.steps,
                completed=done,
                told=_figures(event),
            )
        elif event.row is not None or event.note is not None:
            self._last = time.perf_counter()
        elif time.perf_counter() - self._last >= _PLAIN_EVERY_SECONDS:
            self._last = time.perf_counter()
            told = f"epoch {event.epoch}/{event.epochs}, step {event.step}/{event.steps}: {_figures(event)}"
            self._console.print(told, highlight=False, soft_wrap=True)

    def __enter__(self) -> TrainingShow:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()


def _tell_training(event: Progress, console: Console) -> None:
    if event.note is not None:
        console.print(f"note: {event.note}", highlight=False, markup=False, soft_wrap=True)
    row = event.row
    if row is not None:
        held_out = ""
        if "validation_loss" in row:
            held_out = f", validation {row['validation_loss']:.4f} ({row['validation_accuracy']:.3f} right)"
        console.print(
            f"epoch {event.epoch}/{event.epochs}: loss {row['loss']:.4f} ({row['accuracy']:.3f} right){held_out}, "
            f"{row['images_per_second']:.1f} images/s",
            highlight=False,
            soft_wrap=True,
        )


def _figures(event: Progress) -> str:
    left = "" if math.isnan(event.seconds_left) else f", {_clock(event.seconds_left)} left"
    return f"loss {event.loss:.4f}, {event.images_per_second:.1f} images/s{left}"


def _clock(seconds: float) -> str:
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def print_set(dataset: Dataset, training: int, held_out: int, console: Console) -> None:
    """What a training starts from: counts, and what the user must know."""
    counts = ", ".join(f"{number} {name}" for name, number in dataset.class_counts().items())
    console.print(
        f"{len(dataset)} slices ({counts}): {training} to train on, {held_out} held out, patients never torn",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    for warning in dataset.warnings:
        console.print(f"warning: {warning}", highlight=False, markup=False, soft_wrap=True)


def print_training(report: TrainReport, console: Console) -> None:
    """The closing lines of ``ctfast train``."""
    result = report.result
    if report.evaluation is not None:
        console.print(report.evaluation.as_table("held-out slices, best epoch"))
    for note in [*result.notes, *report.warnings[len(report.data["warnings"]) :]]:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"{len(result.history)} epochs, best {result.best_epoch}; {result.stopped}; model {result.trained.hash}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    console.print(f"written: {result.run_dir}", highlight=False, markup=False, soft_wrap=True)
    if report.evaluation is None:  # its table has said so
        console.print(NOT_A_DEVICE, highlight=False)
