"""A run as text: what it would do, and what it did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ctfast.batch.lines import one_line, print_line
from ctfast.batch.notice import NOT_A_DEVICE
from ctfast.files.find import by_reason

if TYPE_CHECKING:
    from rich.console import Console

    from ctfast.runner.planning import Plan
    from ctfast.runner.report import Report
    from ctfast.runner.task import Task


_MOST_NOTES: Final = 8


def print_report(report: Report, console: Console, *, profile: bool = False) -> None:
    """The closing table, failures and warnings, and where asked for what bounded the run."""
    from rich.table import Table

    table = Table(title=one_line(f"ctfast run: {report.out}"), title_justify="left")
    table.add_column("", no_wrap=True)
    table.add_column("files", justify="right")
    table.add_column("MB/s in", justify="right")
    table.add_column("images/s", justify="right")
    table.add_column("seconds", justify="right")
    for name, seconds in report.stage_seconds.items():
        table.add_row(f"{name}, one worker", "", *_rates(report, seconds))
    table.add_row("whole run", f"{report.ok}", *_rates(report, report.seconds))
    console.print(table)
    console.print(
        f"{report.ok} done, {report.failed} failed, {report.done_before} done before, {report.skipped} not started, "
        f"{report.ignored} other files ignored; pipeline {report.pipeline}, backend {report.backend}",
        highlight=False,
    )
    if report.waited_for_kernels:
        print_line(
            f"one image took {report.slowest_image:.0f} s to compute, most likely because kernels were compiled or "
            "loaded, which happens once: the next run's figures tell more",
            console,
        )
    if report.ignored:
        print_line(f"left out: {by_reason(report.left_out)} (the manifest lists each)", console)
    if profile:
        print_line(report.profile().text(), console)
    for row in report.failures[:10]:
        print_line(f"failed: {row['input']}: {row['error']}", console)
    if report.failed > 10:
        print_line(f"... {report.failed - 10} more in {report.out / 'failures.csv'}", console)
    for note, files in report.notes.most_common(_MOST_NOTES):
        print_line(f"warning: {files} {'file' if files == 1 else 'files'}: {note}", console)
    if len(report.notes) > _MOST_NOTES:
        print_line(f"... {len(report.notes) - _MOST_NOTES} more notes in the manifest", console)
    if report.mixed_orientation:
        print_line(f"warning: {report.mixed_orientation}", console)
    _print_gone(report.gone, console)
    if not report.statistics:
        print_line("no summary.csv and statistics.npz: the pipeline has no summary or histogram step", console)
    if report.not_hu:
        console.print(
            f"warning: {report.not_hu} files do not say that their values are HU, but the pipeline windows HU; "
            "--units hu confirms that they are (the manifest says which: units)",
            highlight=False,
            soft_wrap=True,
        )
    console.print(NOT_A_DEVICE, highlight=False)


def _print_gone(gone: Sequence[str], console: Console) -> None:
    if gone:
        print_line(f"warning: outputs stay of {len(gone)} inputs that are no longer there, such as {gone[0]}", console)


def _slices(task: Task) -> str:
    return "" if task.series is None else f" ({len(task.series.sources)} slices)"


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
    if plan.ignored:
        print_line(f"left out: {by_reason(plan.ignored)}", console)
    _print_gone(plan.gone, console)
    for task in plan.tasks[:first]:
        print_line(f"{task.source}{_slices(task)} -> {task.output}", console)
    if len(plan.tasks) > first:
        console.print(f"... and {len(plan.tasks) - first} more", highlight=False)
