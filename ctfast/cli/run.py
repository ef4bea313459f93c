"""The command ``run``."""

from __future__ import annotations

import os
from json import dumps
from pathlib import Path
from typing import Annotated, Final

import typer

from ctfast.backend import NAMES
from ctfast.batch.choices import AXES, ON_ERROR, ORIENT, POOLS
from ctfast.cli.options import (
    READING,
    Cluster,
    Dataset,
    Inputs,
    Modality,
    Offset,
    Units,
    Workers,
    console,
    filled,
    preset_names,
    words,
)
from ctfast.cli.pipeline import chosen_pipeline
from ctfast.errors import MachineError, UsageError
from ctfast.files.formats import WRITTEN

_PIPELINE: Final = "Pipeline: one of these"
_OUTPUTS: Final = "Outputs"
_FORMATS: Final = words([row.word for row in WRITTEN])
_COMPRESSIONS: Final = "; ".join(
    f"{row.title}: {words(row.compressions)}" for row in WRITTEN if len(row.compressions) > 1
)


def run(
    inputs: Inputs,
    out: Annotated[
        str,
        typer.Option(
            "--out", "-o", metavar="OUT", help="Folder for the outputs, or its URL (s3://).", rich_help_panel=_OUTPUTS
        ),
    ],
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A ready one; `ctfast presets` lists them.",
            rich_help_panel=_PIPELINE,
            autocompletion=preset_names,
        ),
    ] = None,
    pipeline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="From a .toml or .json file.", rich_help_panel=_PIPELINE)
    ] = None,
    step: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STEP", help="One step, such as 'median_filter size=5'; repeat for more.", rich_help_panel=_PIPELINE
        ),
    ] = None,
    format: Annotated[str, typer.Option(metavar="WORD", help=f"{_FORMATS}.", rich_help_panel=_OUTPUTS)] = "tif",
    compression: Annotated[
        str, typer.Option(metavar="WORD", help=f"{_COMPRESSIONS}.", rich_help_panel=_OUTPUTS)
    ] = "none",
    resume: Annotated[
        bool, typer.Option(help="Leave outputs that an earlier run finished alone.", rich_help_panel=_OUTPUTS)
    ] = True,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what OUT holds.", rich_help_panel=_OUTPUTS)
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Before leaving outputs alone, compare their and their inputs' hashes.",
            rich_help_panel=_OUTPUTS,
        ),
    ] = False,
    durable: Annotated[
        bool,
        typer.Option(
            "--durable", help="Flush every output to the disk: safe from power cuts.", rich_help_panel=_OUTPUTS
        ),
    ] = False,
    series: Annotated[
        bool,
        typer.Option(
            "--series", help="One output a series: DICOM slices become a volume each.", rich_help_panel=_OUTPUTS
        ),
    ] = False,
    units: Units = "auto",
    axes: Annotated[
        str, typer.Option(metavar="WORD", help=f"Slices in .npy arrays: {words(AXES)}.", rich_help_panel=READING)
    ] = "auto",
    offset: Offset = 0,
    dataset: Dataset = "none",
    orient: Annotated[
        str, typer.Option(metavar="WORD", help=f"Axes of volumes: {words(ORIENT)} as stored.", rich_help_panel=READING)
    ] = ("display"),
    modality: Modality = "CT",
    backend: Annotated[str, typer.Option(metavar="WORD", help=f"{words(('auto', *NAMES))}.")] = "auto",
    workers: Workers = None,
    pool: Annotated[str, typer.Option(metavar="WORD", help=f"Kind of workers: {words(POOLS)}.")] = "auto",
    cluster: Cluster = None,
    shard: Annotated[str | None, typer.Option(metavar="I/N", help="Only the i-th of n parts, such as 2/8.")] = None,
    allow_large: Annotated[
        bool,
        typer.Option(
            "--allow-large", help="Take filters that reach far beyond the image (slow).", rich_help_panel=_PIPELINE
        ),
    ] = False,
    on_error: Annotated[str, typer.Option(metavar="WORD", help=f"At a bad file: {words(ON_ERROR)}.")] = "skip",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, do nothing.")] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Say what bounded the run and what to change.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result, and it alone, as JSON.")] = False,
) -> None:
    """Process a folder of CT slices: one output an input, a manifest, histograms and summaries.

    Outputs keep the inputs' names and folders. A bad file is listed in failures.csv and never stops the others. Several
    runs of one pipeline may fill one folder at once. Exit codes: 0 done, 1 some files failed, 2 wrong usage, 3 the
    computer failed (such as a full disk): what is done is kept, and the same command continues.
    """
    given = dict(locals())
    # Nothing here takes NumPy's linear algebra, whose threads would keep this process from being forked.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from ctfast import runner
    from ctfast.batch.progress import CLOSING, KERNELS_FIRST, progress_bar
    from ctfast.runner.ahead import get_ready
    from ctfast.runner.console import print_plan, print_report
    from ctfast.runner.options import RunOptions, parse_shard

    if allow_large:
        os.environ["CTFAST_ALLOW_LARGE"] = "1"  # for worker processes too
    options = filled(RunOptions, {**given, "shard": parse_shard(shard)})
    chosen = chosen_pipeline(preset, pipeline, step)
    if not dry_run:
        get_ready(inputs, out, chosen, options, own_program=True)
    plan = runner.plan(inputs, out, chosen, options)
    if dry_run:
        print_plan(plan, console())
        return
    shown = console(stderr=json)
    with progress_bar(len(plan.tasks), shown, KERNELS_FIRST, CLOSING) as progress:
        report = runner.execute(plan, progress=progress)
    try:
        print_report(report, shown, profile=profile)
        if json:
            typer.echo(dumps(report.to_dict()))
    except OSError as error:
        raise MachineError(f"the run is done and recorded, only its report can't be shown: {error.strerror}") from error
    if report.failed:
        raise typer.Exit(1)
    if plan.tasks and not report.ok + report.done_before:
        raise UsageError("no file was done: all were left out, for the reasons above")
