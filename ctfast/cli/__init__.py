"""The command line: it parses, calls, and turns errors into exit codes (0 done, 1 some files failed, 2 wrong usage)."""

from __future__ import annotations

import atexit
import gc
import sys
from pathlib import Path
from typing import Annotated

import typer

from ctfast.cli.model import add_model_commands
from ctfast.cli.pipeline import chosen_pipeline

app = typer.Typer(
    name="ctfast",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Inputs = Annotated[list[str], typer.Argument(metavar="IN...", help="Folders (searched recursively), globs or files.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the outputs.")]


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


@app.command()
def run(
    inputs: Inputs,
    out: Out,
    preset: Annotated[str | None, typer.Option(help="A ready pipeline; `ctfast presets` lists them.")] = None,
    pipeline: Annotated[Path | None, typer.Option(help="A pipeline file (.toml or .json).")] = None,
    step: Annotated[
        list[str] | None, typer.Option(help="One step, such as 'median_filter size=5'; repeat for more.")
    ] = None,
    backend: Annotated[str, typer.Option(help="auto, cpu, gpu or reference.")] = "auto",
    workers: Annotated[int | None, typer.Option(min=1, help="Files at work at once; default: all cores.")] = None,
    pool: Annotated[str, typer.Option(help="Workers as threads, processes, or auto.")] = "auto",
    shard: Annotated[str | None, typer.Option(help="i/n: only the i-th of n parts.")] = None,
    resume: Annotated[bool, typer.Option(help="Leave outputs that an earlier run finished alone.")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what OUT holds.")] = False,
    on_error: Annotated[str, typer.Option(help="skip a bad file or stop at the first.")] = "skip",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, do nothing.")] = False,
    format: Annotated[str, typer.Option(help="tif, npy, nii or png.")] = "tif",
    compression: Annotated[str, typer.Option(help="none, zlib, zstd or lzw (TIFF).")] = "none",
    units: Annotated[str, typer.Option(help="What the inputs' values are: auto (as each file says), hu, stored.")] = (
        "auto"
    ),
) -> None:
    """Process a folder of CT slices: one output an input, a manifest, histograms and summaries.

    Outputs keep the inputs' names and folders. A bad file is listed in failures.csv and never stops the others.
    """
    from rich.console import Console

    from ctfast import runner
    from ctfast.batch.progress import progress_bar
    from ctfast.runner.console import print_plan, print_report
    from ctfast.runner.options import RunOptions, parse_shard

    console = Console(file=sys.stdout)
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
        print_plan(plan, console)
        return
    with progress_bar(len(plan.tasks), console) as progress:
        report = runner.execute(plan, progress=progress)
    print_report(report, console)
    if report.failed:
        raise typer.Exit(1)


@app.command()
def presets() -> None:
    """List the ready pipelines, their steps and where their numbers come from."""
    from ctfast.presets import PRESETS

    for p in PRESETS.values():
        typer.echo(f"{p.name}  ({p.source})")
        for step in p.pipeline.steps:
            parts = [f"{k}={v}" for k, v in step.to_dict().items() if k != "operation"]
            typer.echo(f"    {' '.join([step.operation, *parts])}")


@app.command()
def doctor() -> None:
    """Tell what works on this machine, what not, why, and the command that mends it."""
    from rich.console import Console

    from ctfast.tools.doctor import print_findings

    print_findings(Console(file=sys.stdout))


@app.command()
def synth(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New folder for the set.")],
    count: Annotated[int, typer.Option(min=1, help="Number of slices.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same slices.")] = 0,
    size: Annotated[int, typer.Option(min=32, max=4096, help="Rows and columns of a slice.")] = 512,
    dicom: Annotated[bool, typer.Option(help="Write DICOM files beside the TIFFs (needs the extra dicom).")] = True,
) -> None:
    """Make CT-like phantom slices in the layout of the Kaggle "CT Medical Images" set."""
    from ctfast.tools.synth import write_set

    files = write_set(out, count=count, seed=seed, size=size, dicom=dicom)
    typer.echo(f"{files} files in {out}")


@app.command()
def demo(out: Annotated[Path, typer.Argument(metavar="OUT", help="New folder.")] = Path("demo-output")) -> None:
    """Run the main job on pydicom's CT images and a synthetic set, and save a before/after picture."""
    from rich.console import Console

    from ctfast.tools.demo import run_demo

    if run_demo(out, Console(file=sys.stdout)):
        raise typer.Exit(1)


@app.command()
def bench(
    dtype: Annotated[list[str] | None, typer.Option(help="Image dtype; repeat for more.")] = None,
    operation: Annotated[list[str] | None, typer.Option(help="Operation; repeat for more. Default: all.")] = None,
    size: Annotated[int, typer.Option(min=32, max=4096, help="Rows and columns of an image.")] = 512,
    images: Annotated[int, typer.Option(min=1, max=4096, help="Images in a batch.")] = 16,
) -> None:
    """Time this machine's backends side by side and recommend one to `run`."""
    from rich.console import Console

    from ctfast.tools.benchmark import run_bench

    run_bench(
        Console(file=sys.stdout),
        dtypes=dtype or ["int16", "float32"],
        operations=operation,
        size=size,
        images=images,
    )


@app.command()
def warm() -> None:
    """Compile every CPU kernel now, so that the first real call is fast."""
    from rich.console import Console

    from ctfast.tools.warm import compile_all

    compile_all(Console(file=sys.stdout))


@app.command()
def report(
    inputs: Inputs,
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file.")] = Path("report.html"),
    csv: Annotated[Path | None, typer.Option(help="Also the table of statistics, one row a slice.")] = None,
    json: Annotated[Path | None, typer.Option(help="Also statistics, flags and unreadable files as JSON.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Also every figure as PNG, SVG and PDF in this folder.")] = None,
    preset: Annotated[str | None, typer.Option(help="Pipeline whose steps are shown; default: mediastinum.")] = None,
    pipeline: Annotated[Path | None, typer.Option(help="The same from a file (.toml or .json).")] = None,
    step: Annotated[list[str] | None, typer.Option(help="The same as single steps; repeat for more.")] = None,
    units: Annotated[str, typer.Option(help="What the inputs' values are: auto (as each file says), hu, stored.")] = (
        "auto"
    ),
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "CT intensity report",
    workers: Annotated[int | None, typer.Option(min=1, help="Files at work at once; default: all cores.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Show what is in CT slices: intensities, tissues, outliers and flags, as one HTML file that works offline.

    A folder gets the page of a set, a single slice a page of its own. Flags are pointers for a person, no diagnosis.
    """
    from rich.console import Console

    from ctfast.analysis import command

    console = Console(file=sys.stdout)
    chain = chosen_pipeline(preset, pipeline, step) if preset or pipeline or step else None
    written = command.report(
        inputs,
        out,
        csv=csv,
        json=json,
        figures=figures,
        pipeline=chain,
        units=units,
        workers=workers,
        title=title,
        overwrite=overwrite,
        console=console,
    )
    command.print_written(written, console)
    if written.failed:
        raise typer.Exit(1)


add_model_commands(app)


def main() -> None:
    """Entry point: errors of ours become one line and exit code 2."""
    from ctfast.errors import CTFastError

    # JAX and Numba make very many objects that stay: looking through them for garbage, again and again while they are
    # imported and once more at the end, took a third of a short command.
    gc.set_threshold(100_000, 50, 50)
    atexit.register(gc.freeze)
    try:
        app()
    except CTFastError as error:
        typer.echo(f"ctfast: {error}", err=True)
        raise SystemExit(2) from None
    except ModuleNotFoundError as error:
        from ctfast.model import EXTRA

        if (error.name or "").partition(".")[0] not in EXTRA:
            raise
        typer.echo(f'ctfast: this needs {error.name}: pip install "ctfast[nn]"', err=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        typer.echo("ctfast: interrupted; the same command goes on where it stopped", err=True)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
