"""The command ``report``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ctfast.cli.options import Cluster, Dataset, Inputs, Modality, Offset, Units, Workers, console, preset_names
from ctfast.cli.pipeline import chosen_pipeline

if TYPE_CHECKING:
    from ctfast.batch.choices import Dataset as DatasetName
    from ctfast.batch.choices import UnitsChoice

_shown = partial(typer.Option, rich_help_panel="Pipeline: one of these")


def report(
    inputs: Inputs,
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file.")] = Path("report.html"),
    csv: Annotated[Path | None, typer.Option(help="Also the table of statistics, one row a slice.")] = None,
    json: Annotated[Path | None, typer.Option(help="Also statistics, flags and unreadable files as JSON.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Also every figure as PNG, SVG and PDF in this folder.")] = None,
    preset: Annotated[
        str | None,
        _shown(metavar="NAME", help="Whose steps are shown; default: mediastinum.", autocompletion=preset_names),
    ] = None,
    pipeline: Annotated[Path | None, _shown(metavar="FILE", help="The same from a file (.toml or .json).")] = None,
    step: Annotated[list[str] | None, _shown(metavar="STEP", help="The same as single steps; repeat for more.")] = None,
    units: Units = "auto",
    offset: Offset = 0,
    dataset: Dataset = "none",
    modality: Modality = "CT",
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "CT intensity report",
    identified: Annotated[
        bool,
        typer.Option("--identified", help="Show PatientID, study and series UIDs and folders; otherwise stand-ins."),
    ] = False,
    workers: Workers = None,
    cluster: Cluster = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Show what is in CT slices: intensities, tissues, outliers and flags, as one HTML file that works offline.

    A folder gets the page of a set, a single slice a page of its own. Flags are pointers for a person, no diagnosis.
    """
    from ctfast.analysis import command

    shown = console()
    result = command.report(
        inputs,
        out,
        csv=csv,
        json=json,
        figures=figures,
        pipeline=chosen_pipeline(preset, pipeline, step) if preset or pipeline or step else None,
        units=cast("UnitsChoice", units),
        offset=offset,
        dataset=cast("DatasetName", dataset),
        workers=workers,
        modality=modality,
        cluster=cluster,
        title=title,
        identified=identified,
        overwrite=overwrite,
        console=shown,
    )
    command.print_written(result, shown)
    if result.failed:
        raise typer.Exit(1)
