"""The commands about this installation and its pipelines, and those that make data to try."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ctfast.cli.options import console, preset_names


def presets(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Only this one.", autocompletion=preset_names)
    ] = None,
    toml: Annotated[bool, typer.Option("--toml", help="NAME as a file for --pipeline.")] = False,
) -> None:
    """List the ready pipelines, or show one: what it is for, its limits, its steps and where its numbers come from."""
    from ctfast.errors import UsageError
    from ctfast.presets import PRESETS, preset

    if toml and name is None:
        raise UsageError("--toml writes one preset: ctfast presets NAME --toml; `ctfast presets` lists the names")
    if toml and name is not None:
        typer.echo(preset(name).to_toml(), nl=False)
        return
    if name is None:
        typer.echo(f"{'':<18}{'center, width':<15}{'CLAHE':<7}for")
        for p in PRESETS.values():
            typer.echo(f"{p.name:<18}{p.window or 'stays in HU':<15}{'yes' if p.has_clahe else 'no':<7}{p.use}")
        typer.echo("\nctfast presets NAME: steps, limits and source; with --toml as a file to change")
        return
    p = PRESETS[preset(name).name]
    typer.echo(f"{p.name}: {p.use}")
    typer.echo(f"    limits: {p.limits}")
    for step in p.pipeline.steps:
        parts = [f"{k}={v}" for k, v in step.to_dict().items() if k != "operation"]
        typer.echo(f"    {' '.join([step.operation, *parts])}")
    typer.echo(f"    source: {p.source}")


def doctor() -> None:
    """Show what works on this machine, what does not, why, and the command that fixes it."""
    from ctfast.tools.doctor import print_findings

    print_findings(console())


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


def demo(out: Annotated[Path, typer.Argument(metavar="OUT", help="New folder.")] = Path("demo-output")) -> None:
    """Run the main job on pydicom's CT images and a synthetic set, and save a before/after picture."""
    from ctfast.tools.demo import run_demo

    if run_demo(out, console()):
        raise typer.Exit(1)


def bench(
    dtype: Annotated[list[str] | None, typer.Option(help="Image dtype; repeat for more.")] = None,
    operation: Annotated[list[str] | None, typer.Option(help="Operation; repeat for more. Default: all.")] = None,
    size: Annotated[int, typer.Option(min=32, max=4096, help="Rows and columns of an image.")] = 512,
    images: Annotated[int, typer.Option(min=1, max=4096, help="Images in a batch.")] = 16,
) -> None:
    """Time this machine's backends side by side and recommend one to `run`."""
    from ctfast.tools.benchmark import run_bench

    run_bench(console(), dtypes=dtype or ["int16", "float32"], operations=operation, size=size, images=images)


def warm(
    everything: Annotated[bool, typer.Option("--all", help="Every kernel, for every dtype: some minutes.")] = False,
) -> None:
    """Compile the CPU kernels of presets and common calls now, so that the first real call is fast."""
    from ctfast.tools.warm import compile_all

    compile_all(console(), everything=everything)
