"""The command ``run``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from ctfast.backend import NAMES
from ctfast.batch.choices import ON_ERROR, POOLS
from ctfast.cli.options import Inputs, Units, Workers, console, words
from ctfast.cli.pipeline import chosen_pipeline
from ctfast.files.formats import WRITTEN

_FORMATS: Final = words([row.word for row in WRITTEN])
_COMPRESSIONS: Final = "; ".join(
    f"{row.title}: {words(row.compressions)}" for row in WRITTEN if len(row.compressions) > 1
)


def run(
    inputs: Inputs,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the outputs.")],
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="A ready pipeline; `ctfast presets` lists them.")
    ] = None,
    pipeline: Annotated[Path | None, typer.Option(metavar="FILE", help="A pipeline file (.toml or .json).")] = None,
    step: Annotated[
        list[str] | None, typer.Option(help="One step, such as 'median_filter size=5'; repeat for more.")
    ] = None,
    backend: Annotated[str, typer.Option(help=f"{words(('auto', *NAMES))}.")] = "auto",
    workers: Workers = None,
    pool: Annotated[str, typer.Option(help=f"Kind of workers: {words(POOLS)}.")] = "auto",
    shard: Annotated[str | None, typer.Option(metavar="I/N", help="Only the i-th of n parts, such as 2/8.")] = None,
    resume: Annotated[bool, typer.Option(help="Leave outputs that an earlier run finished alone.")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what OUT holds.")] = False,
    on_error: Annotated[str, typer.Option(help=f"At a bad file: {words(ON_ERROR)}.")] = "skip",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, do nothing.")] = False,
    format: Annotated[str, typer.Option(help=f"Of the outputs: {_FORMATS}.")] = "tif",
    compression: Annotated[str, typer.Option(help=f"{_COMPRESSIONS}.")] = "none",
    units: Units = "auto",
) -> None:
    """Process a folder of CT slices: one output an input, a manifest, histograms and summaries.

    Outputs keep the inputs' names and folders. A bad file is listed in failures.csv and never stops the others.
    """
    from ctfast import runner
    from ctfast.batch.progress import progress_bar
    from ctfast.runner.console import print_plan, print_report
    from ctfast.runner.options import RunOptions, parse_shard

    options = RunOptions(
        backend=backend,
        workers=workers,
        pool=pool,
        format=format,
        compression=compression,
        units=units,
        shard=parse_shard(shard),
        resume=resume,
        overwrite=overwrite,
        on_error=on_error,
    )
    plan = runner.plan(inputs, out, chosen_pipeline(preset, pipeline, step), options)
    if dry_run:
        print_plan(plan, console())
        return
    shown = console()
    with progress_bar(len(plan.tasks), shown) as progress:
        report = runner.execute(plan, progress=progress)
    print_report(report, shown)
    if report.failed:
        raise typer.Exit(1)
