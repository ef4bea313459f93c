"""The command line: it parses, calls, and turns errors into exit codes.

0 done; 1 some files failed; 2 wrong usage; 3 the computer failed and no file (full disk, no memory, too few open files,
a folder that can't be written), what was done is kept; 130 interrupted; 143 terminated.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import threading
from contextlib import suppress
from io import TextIOWrapper
from typing import Annotated

import typer

from ctfast.batch.address_space import save_room
from ctfast.batch.interrupts import end_at_once, raise_terminated, send_lost_again
from ctfast.batch.lines import one_line
from ctfast.batch.machine import described, is_no_thread
from ctfast.cli.group import Group
from ctfast.errors import CTFastError, MachineError, missing_extra

app = typer.Typer(
    name="ctfast",
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its tables cut option names on narrow screens
    context_settings={"max_content_width": 100},
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


def _of_a_thread(args: threading.ExceptHookArgs) -> None:
    """Nothing of a thread that lacked memory: whoever waits for it says so, in one line."""
    if not isinstance(args.exc_value, MemoryError) and not (args.exc_value and is_no_thread(args.exc_value)):
        threading.__excepthook__(args)


def _say_nothing_of_closed_loops() -> None:
    """TensorStore's threads write on for a save that failed, and find nobody to tell."""
    show = sys.unraisablehook

    def hook(lost: sys.UnraisableHookArgs) -> None:
        if not isinstance(lost.exc_value, RuntimeError) or str(lost.exc_value) != "Event loop is closed":
            show(lost)

    sys.unraisablehook = hook


def main() -> None:
    """Entry point: errors of ours and of the computer become one line and an exit code."""
    # JAX and Numba make very many objects that stay: looking through them for garbage, again and again while they are
    # imported and once more at the end, took a third of a short command.
    gc.set_threshold(100_000, 50, 50)
    atexit.register(gc.freeze)
    signal.signal(signal.SIGTERM, raise_terminated)
    send_lost_again()
    _say_nothing_of_closed_loops()
    save_room()
    threading.excepthook = _of_a_thread
    # Worker processes run the script of the process that started them, to find what is defined there: in ours nothing
    # is, and the command line takes each a tenth of a second.
    vars(sys.modules["__main__"]).pop("__file__", None)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # names and frames that a terminal's encoding lacks cost no command
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="ctfast")  # also where it runs as python -m ctfast
    except MachineError as error:
        _stop(str(error), 3)
    except CTFastError as error:
        _stop(str(error))
    except ModuleNotFoundError as error:
        from ctfast.model import EXTRA

        if (error.name or "").partition(".")[0] not in EXTRA:
            raise
        _stop(str(missing_extra(f"this needs {error.name}", "nn")))
    except NotADirectoryError as error:
        _stop(f"{error.filename}: {error.strerror}")
    except (OSError, MemoryError) as error:
        _stop(str(described(error)), 3)
    finally:
        end_at_once()


def _stop(reason: str, code: int = 2) -> None:
    with suppress(OSError):
        typer.echo(f"ctfast: {one_line(reason)}", err=True)
    try:
        sys.stdout.flush()
    except OSError:  # what is left for a full disk would end in an error of the interpreter
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(code) from None


if __name__ == "__main__":
    main()
