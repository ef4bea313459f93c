"""Options that several commands share, with the words that the API allows."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from ctfast.batch.choices import DATASETS, UNITS
from ctfast.batch.privacy import keep_private

Options = TypeVar("Options")

if TYPE_CHECKING:
    from rich.console import Console


def filled(kind: type[Options], given: Mapping[str, Any]) -> Options:
    """An option object with whatever of its fields was given."""
    names = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in given.items() if name in names})


def words(allowed: Sequence[str]) -> str:
    """``auto, hu or stored``."""
    return f"{', '.join(allowed[:-1])} or {allowed[-1]}"


def preset_names() -> list[str]:
    """What Tab completes ``--preset`` to."""
    from ctfast.presets import PRESETS

    return list(PRESETS)


READING: Final = "Reading"
"""Group of the help for options about the inputs."""


def _keep_private(context: typer.Context, inputs: list[str]) -> list[str]:
    """Outputs are for nobody who may not read the inputs."""
    before = keep_private(inputs)
    if before is not None:
        context.call_on_close(lambda: os.umask(before))
    return inputs


inputs_argument = partial(typer.Argument, callback=_keep_private)
Inputs = Annotated[
    list[str],
    inputs_argument(metavar="IN", help="Folders (searched recursively), globs, files or URLs of these (s3://)."),
]
Units = Annotated[
    str,
    typer.Option(
        "--units",
        "--values",
        metavar="WORD",
        rich_help_panel=READING,
        help=f"Units of the inputs' values: {words(UNITS)}; auto: as each file says.",
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Of a dask scheduler whose workers do the files, tcp://host:8786; or local."),
]
Offset = Annotated[
    int, typer.Option(metavar="N", help="Add N to the values, for sets that document it.", rich_help_panel=READING)
]
Dataset = Annotated[
    str,
    typer.Option(metavar="WORD", help=f"{words(DATASETS)}: its 16-bit PNG are HU + 32768.", rich_help_panel=READING),
]
Modality = Annotated[
    str,
    typer.Option(metavar="WORDS", help="DICOM images to take: CT, or CT,PT, or any.", rich_help_panel=READING),
]
Workers = Annotated[int | None, typer.Option(min=1, metavar="N", help="Files at work at once; default: all cores.")]


def console(*, stderr: bool = False) -> Console:
    """Where commands print; the other stream where stdout is for a script."""
    from rich.console import Console

    return Console(file=sys.stderr if stderr else sys.stdout)
