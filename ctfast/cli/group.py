"""All commands as one: what they share when they are found, when they run and when they fail."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import typer
from typer.core import TyperGroup, TyperOption

from ctfast.batch.interrupts import Terminated
from ctfast.batch.urls import is_url
from ctfast.cli.commands import COMMANDS, Commands
from ctfast.cli.help import NAMES
from ctfast.cli.values import without_pydantic
from ctfast.errors import CTFastError, UsageError

_TO_URLS: Final = ("run", "merge")


class Group(TyperGroup):
    """Commands whose errors speak of their options, and that say so when they are interrupted."""

    def __init__(self, *, commands: Any = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = Commands(commands or {})

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, in the order of the table."""
        return list(self.commands)

    def get_params(self, ctx: Any) -> list[Any]:
        """Options of all commands."""
        return without_pydantic(super().get_params(ctx))

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
        """By panel, and never cut; none of the table is imported for it."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            entry = COMMANDS.get(name)
            panel, text = entry[::2] if entry else ("Commands", self.commands[name].get_short_help_str(200))
            panels.setdefault(panel, []).append((name, text))
        for title, rows in panels.items():
            with formatter.section(title):
                formatter.write_dl(rows, col_max=NAMES)

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
