"""How a run shows itself: a bar on a terminal, plain lines otherwise, a table at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from ctfast.batch.notice import NOT_A_DEVICE

if TYPE_CHECKING:
    from rich.console import Console

    from ctfast.runner.planning import Plan
    from ctfast.runner.running import Report

_PLAIN_EVERY_SECONDS = 10.0


class Show(Protocol):
    """Told after each file."""

    def __call__(self, *, done: int, failed: int) -> None:
        """``done`` files of this run are finished, ``failed`` of them without an output."""


def silent(*, done: int, failed: int) -> None:
    """Shows nothing."""


@contextmanager
def shown(total: int, console: Console) -> Iterator[Show]:
    """A progress bar with rate and time left, or a line every ten seconds where there is no terminal."""
    if not console.is_terminal:
        yield _plain(total, console)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.1f} files/s"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failures]}"),
    )
    start = time.perf_counter()
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=total, rate=0.0, failures="")

        def show(*, done: int, failed: int) -> None:
            rate = done / max(time.perf_counter() - start, 1e-9)
            bar.update(task, completed=done, rate=rate, failures=f"{failed} failed" if failed else "")

        yield show


def _plain(total: int, console: Console) -> Show:
    start = last = time.perf_counter()

    def show(*, done: int, failed: int) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last < _PLAIN_EVERY_SECONDS:
            return
        last = now
        rate = done / (now - start)
        left = (total - done) / rate if rate else 0.0
        console.print(f"{done}/{total} files, {rate:.1f} files/s, {failed} failed, {left:.0f} s left", highlight=False)

    return show


def print_report(report: Report, console: Console) -> None:
    """The closing table, failures and warnings."""
    from rich.table import Table

    table = Table(title=f"ctfast run: {report.out}", title_justify="left")
    table.add_column("")
    table.add_column("files", justify="right")
    table.add_column("MB/s in", justify="right")
    table.add_column("images/s", justify="right")
    table.add_column("seconds", justify="right")
    for name, seconds in report.stage_seconds.items():
        table.add_row(f"{name} (one worker)", "", *_rates(report, seconds))
    table.add_row("whole run", f"{report.ok}", *_rates(report, report.seconds))
    console.print(table)
    console.print(
        f"{report.ok} done, {report.failed} failed, {report.done_before} done before, {report.skipped} not started, "
        f"{report.ignored} other files ignored; pipeline {report.pipeline}, backend {report.backend}",
        highlight=False,
    )
    for row in report.failures[:10]:
        console.print(f"failed: {row['input']}: {row['error']}", highlight=False, markup=False, soft_wrap=True)
    if report.failed > 10:
        console.print(f"... {report.failed - 10} more in {report.out / 'failures.csv'}", highlight=False)
    if report.not_hu:
        console.print(
            f"warning: {report.not_hu} files do not say that their values are HU, but the pipeline windows HU; "
            "--values hu confirms that they are (the manifest says which: units)",
            highlight=False,
            soft_wrap=True,
        )
    console.print(NOT_A_DEVICE, highlight=False)


def _rates(report: Report, seconds: float) -> tuple[str, str, str]:
    if seconds <= 0:
        return ("", "", "0.00")
    return (f"{report.input_bytes / 1e6 / seconds:.1f}", f"{report.images / seconds:.1f}", f"{seconds:.2f}")


def print_plan(plan: Plan, console: Console, first: int = 10) -> None:
    """What a run would do."""
    console.print(
        f"{len(plan.tasks)} files to do, {plan.done} done before, {len(plan.ignored)} others ignored; "
        f"pipeline {plan.settings.pipeline.hash}, backend {plan.settings.backend}",
        highlight=False,
    )
    for step in plan.settings.pipeline.steps:
        console.print(f"  {step!r}", highlight=False, markup=False)
    for task in plan.tasks[:first]:
        console.print(f"{task.source} -> {task.output}", highlight=False, markup=False, soft_wrap=True)
    if len(plan.tasks) > first:
        console.print(f"... and {len(plan.tasks) - first} more", highlight=False)
