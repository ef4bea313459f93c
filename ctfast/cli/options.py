"""What several commands share: options with the words that the API allows, and errors in the words of the options."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer
from typer.core import TyperGroup, TyperOption

from ctfast.batch.choices import DATASETS, UNITS
from ctfast.batch.interrupts import Terminated
from ctfast.batch.privacy import keep_private
from ctfast.batch.urls import is_url
from ctfast.cli.help import format_commands
from ctfast.errors import CTFastError, UsageError

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


_TO_URLS: Final = ("run", "merge")
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


class Commands(TyperGroup):
    """Commands whose errors speak of their options, and that say so when they are interrupted."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except CTFastError as error:
            error.args = (in_words_of_options(str(error), self._parameters(ctx)),)
            raise
        except KeyboardInterrupt as error:
            resumes = any(option.name == "resume" for option in self._parameters(ctx))
            again = "; run the same command again to continue" if resumes else ""
            terminated = isinstance(error, Terminated)
            done = f": {error}" if str(error) else ""
            typer.echo(f"ctfast: {'terminated' if terminated else 'interrupted'}{done}{again}", err=True)
            raise typer.Exit(143 if terminated else 130) from None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that was asked for; only some write to URLs, the others would make a local folder named s3:."""
        resolved = super().resolve_command(ctx, args)
        for option, value in zip(resolved[2], [*resolved[2][1:], ""]):
            option, _, joined = option.partition("=")
            if option.startswith("-") and is_url(joined or value) and resolved[0] not in _TO_URLS:
                raise UsageError(f"{option} {joined or value}: {resolved[0]} writes to disks alone; name a local path")
        return resolved

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """By panel, and never cut."""
        format_commands(self, ctx, formatter)

    def _parameters(self, ctx: Any) -> list[Any]:
        command = self.get_command(ctx, ctx.invoked_subcommand or "")
        return [] if command is None else list(command.params)


def in_words_of_options(text: str, parameters: Iterable[object]) -> str:
    """``on_error='halt'`` of the API as ``--on-error 'halt'``, for the options among a command's parameters.

    A text that begins with an option is left as it is: the names in it belong to something else, such as a step.
    """
    if text.startswith("--"):
        return text
    for option in parameters:
        if isinstance(option, TyperOption) and option.name:
            name = rf"(?<![\w.-]){option.name}="
            text = re.sub(rf"{name}True\b", option.opts[0], text)
            text = re.sub(f"{name} ?", f"{option.opts[0]} ", text)
    return text
