"""The command ``merge``."""

from __future__ import annotations

from dataclasses import asdict
from json import dumps
from typing import Annotated

import typer

from ctfast.cli.options import console


def merge(
    out: Annotated[str, typer.Argument(metavar="OUT", help="The folder that the shards filled.")],
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Put the records of all shards of a run (--shard I/N) together, and name those that are missing.

    Manifest, failures, summary and statistics of the whole are made from those of the parts; no input is read. Exit
    codes: 0 all shards are there, 1 some are missing or saw other files, 2 wrong
    usage.
    """
    from ctfast import runner
    from ctfast.batch.lines import print_line

    merged = runner.merge(out)
    if json:
        typer.echo(dumps({**asdict(merged), "out": str(merged.out), "missing": merged.missing}))
    else:
        for line in merged.text().splitlines():
            print_line(line, console())
    if merged.missing or merged.differ:
        raise typer.Exit(1)
