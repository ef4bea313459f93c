"""The command line: it parses, calls, and turns errors into exit codes.

0 done, 1 some files failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import atexit
import errno
import gc
from typing import Annotated

import typer

from ctfast.cli import report, run, tools
from ctfast.cli.model import add_model_commands
from ctfast.cli.options import Commands
from ctfast.errors import CTFastError, missing_extra

app = typer.Typer(
    name="ctfast", cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


def _version(show: bool) -> None:
    if show:
        from ctfast import __version__

        typer.echo(f"ctfast {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Normalise, denoise, enhance and bin CT images at the speed of the machine. Not a medical device."""


app.command()(run.run)
app.command()(report.report)
add_model_commands(app)
app.command()(tools.presets)
app.command()(tools.doctor)
app.command()(tools.warm)
app.command()(tools.bench)
app.command()(tools.synth)
app.command()(tools.demo)


def main() -> None:
    """Entry point: errors of ours, and folders that can't be written, become one line and exit code 2."""
    # JAX and Numba make very many objects that stay: looking through them for garbage, again and again while they are
    # imported and once more at the end, took a third of a short command.
    gc.set_threshold(100_000, 50, 50)
    atexit.register(gc.freeze)
    try:
        app()
    except CTFastError as error:
        _stop(str(error))
    except ModuleNotFoundError as error:
        from ctfast.model import EXTRA

        if (error.name or "").partition(".")[0] not in EXTRA:
            raise
        _stop(str(missing_extra(f"this needs {error.name}", "nn")))
    except OSError as error:
        if not isinstance(error, (PermissionError, NotADirectoryError)) and error.errno != errno.EROFS:
            raise
        _stop(f"{error.filename}: {error.strerror}")


def _stop(reason: str) -> None:
    typer.echo(f"ctfast: {reason}", err=True)
    raise SystemExit(2) from None


if __name__ == "__main__":
    main()
