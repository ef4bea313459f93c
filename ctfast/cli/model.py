"""The commands of the network: ``train``, ``evaluate``, ``predict``, ``export``. They parse and call."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, cast

import typer

from ctfast.cli.pipeline import chosen_pipeline

if TYPE_CHECKING:
    from ctfast.files import UnitsChoice
    from ctfast.model.data.dataset import Dataset
    from ctfast.model.data.preprocessing import Preprocessing

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a training run.")]
Data = Annotated[
    list[str],
    typer.Argument(
        metavar="DATA...",
        help="Labelled slices: the Kaggle folder, a folder with one folder a class, or a CSV with file and label.",
    ),
]
Labels = Annotated[Path | None, typer.Option(help="CSV table that names files and their classes.")]
Column = Annotated[str | None, typer.Option(help="Its column of classes.")]
Groups = Annotated[str | None, typer.Option(help="Its column of patients; default: PatientID of DICOM files.")]
ValuesOption = Annotated[str, typer.Option(help="What the inputs' values are: auto (as each file says), hu, stored.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Files at work at once; default: all cores.")]

N = TypeVar("N", int, float)

_VALUES = ("auto", "hu", "stored")
_POOLS = ("auto", "threads", "processes")
_FORMATS = ("jax", "onnx", "keras")


def add_model_commands(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (train, evaluate, predict, export):
        app.command()(command)


def train(
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder: weights, metrics, plots.")],
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the slices, at most.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same result (same machine and devices).")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Slices a step.")] = 16,
    learning_rate: Annotated[float, typer.Option(help="Of Adam, at its highest.")] = 3e-4,
    schedule: Annotated[str, typer.Option(help="Learning rate: constant, cosine, linear or step.")] = "cosine",
    warmup: Annotated[float, typer.Option(min=0, max=1, help="Share of the steps in which it rises.")] = 0.05,
    weight_decay: Annotated[float, typer.Option(min=0, help="Decoupled (AdamW).")] = 1e-4,
    clip: Annotated[float, typer.Option(min=0, help="Largest norm of the gradient; 0: no limit.")] = 1.0,
    accumulate: Annotated[int, typer.Option(min=1, help="Work a batch off in so many parts: less memory.")] = 1,
    class_weights: Annotated[
        str | None, typer.Option(help="balanced, or one weight a class, such as 1,2.5. Default: none.")
    ] = None,
    label_smoothing: Annotated[float, typer.Option(min=0, help="Share of a target spread over all classes.")] = 0.0,
    patience: Annotated[int, typer.Option(min=0, help="Stop after so many epochs without progress; 0: never.")] = 0,
    augment: Annotated[
        str,
        typer.Option(help="Random changes: none, mild (mirrored, turned, moved, brighter), or shift=0.06,rotation=10."),
    ] = "none",
    validation: Annotated[float, typer.Option(min=0, help="Share of slices held out, by patient; 0: none.")] = 0.2,
    labels: Labels = None,
    column: Column = None,
    groups: Groups = None,
    window: Annotated[
        str | None, typer.Option(metavar="LOW,HIGH", help="HU that become 0 and 1. [default: -200,1000]")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Preprocessing by a whole pipeline instead.")] = None,
    pipeline: Annotated[Path | None, typer.Option(help="The same from a file (.toml or .json).")] = None,
    step: Annotated[list[str] | None, typer.Option(help="The same as single steps; repeat for more.")] = None,
    size: Annotated[int, typer.Option(min=4, max=4096, help="Rows and columns of the network's input.")] = 256,
    widths: Annotated[str, typer.Option(help="Channels of each block.")] = "32,64,128",
    dense: Annotated[int, typer.Option(min=1, help="Units of the hidden layer.")] = 128,
    precision: Annotated[str, typer.Option(help="float32, bfloat16, or auto (bfloat16 on a GPU).")] = "auto",
    devices: Annotated[str | None, typer.Option(help="Such as cpu, gpu or gpu:0,gpu:1. Default: all.")] = None,
    path: Annotated[str, typer.Option(help="Convolutions: auto, ffi, lax or xla.")] = "auto",
    units: ValuesOption = "auto",
    workers: Workers = None,
    resume: Annotated[bool, typer.Option(help="Go on with the run in OUT, if there is one.")] = True,
    plots: Annotated[bool, typer.Option(help="Draw the curves (needs the extra report).")] = True,
) -> None:
    """Train the network on labelled slices.

    The same command goes on where it stopped. Patients are never torn between training and held-out slices.
    """
    from rich.console import Console

    from ctfast.model.commands.showing import TrainingShow, counted, print_set, print_training
    from ctfast.model.commands.train import train_run
    from ctfast.model.config import Augmentation, TrainConfig

    _one_of("values", units, _VALUES)
    preprocessing = _preprocessing(window, preset, pipeline, step, (size, size))
    config = TrainConfig(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        schedule=schedule,
        warmup=warmup,
        weight_decay=weight_decay,
        clip=clip,
        accumulate=accumulate,
        class_weights=_class_weights(class_weights),
        label_smoothing=label_smoothing,
        patience=patience,
        seed=seed,
        augmentation=Augmentation.parse(augment),
        precision=precision,
        devices=devices,
        path=path,
    )
    console = Console(file=sys.stdout)
    with ExitStack() as live, TrainingShow(console) as show:
        reading = live.enter_context(counted(console, "reading"))

        def begin(dataset: Dataset, training: int, held_out: int) -> None:
            live.close()  # only one thing may move on a terminal
            print_set(dataset, training, held_out, console)
            show.start()

        report = train_run(
            data,
            out,
            config=config,
            preprocessing=preprocessing,
            widths=tuple(_numbers("widths", widths, int)),
            dense=dense,
            validation=validation,
            labels=labels,
            column=column,
            groups=groups,
            units=cast("UnitsChoice", units),
            resume=resume,
            workers=workers,
            reading=reading,
            progress=show,
            told=begin,
            plots=plots,
        )
    print_training(report, console)
    if report.unread:
        raise typer.Exit(1)


def evaluate(
    run: Run,
    data: Data,
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Forget the weights; train anew on all folds but one, patients never torn."),
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(min=0, help="Of the folds; repeat for more. Default: 0.")] = None,
    labels: Labels = None,
    column: Column = None,
    groups: Groups = None,
    units: ValuesOption = "auto",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for figures, rows and plots; default: in RUN.")
    ] = None,
    plots: Annotated[bool, typer.Option(help="Draw the curves (needs the extra report).")] = True,
    workers: Workers = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what the folder holds.")] = False,
) -> None:
    """Say how good a run is on slices that it has not seen, or with --folds how good its recipe is.

    Accuracy, AUC, sensitivity, specificity and calibration with intervals, the confusion matrix, curves. Files that
    cannot be read are named and left out.
    """
    from rich.console import Console

    from ctfast.model.commands.evaluate import evaluate_run, print_evaluation
    from ctfast.model.commands.showing import counted

    _one_of("values", units, _VALUES)
    console = Console(file=sys.stdout)
    with counted(console, "reading") as show:
        report = evaluate_run(
            run,
            data,
            folds=folds,
            seeds=tuple(seed or (0,)),
            labels=labels,
            column=column,
            groups=groups,
            units=cast("UnitsChoice", units),
            out=out,
            overwrite=overwrite,
            plots=plots,
            workers=workers,
            progress=show,
            tell=lambda line: console.print(line, highlight=False, markup=False),
        )
    print_evaluation(report, console)
    if report.unread:
        raise typer.Exit(1)


def predict(
    run: Run,
    inputs: Annotated[list[str], typer.Argument(metavar="FILES...", help="Folders, patterns or files.")],
    csv: Annotated[Path, typer.Option(help="Table of predictions, one row an image.")],
    explain: Annotated[
        Path | None,
        typer.Option(help="Also a picture of each image: what spoke for its class (needs the extra report)."),
    ] = None,
    method: Annotated[
        str, typer.Option(help="Of --explain: hires-cam or grad-cam; --no-resume draws anew.")
    ] = "hires-cam",
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images computed at once; default: 32, on a GPU 256.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Files read at once; default: all cores.")] = None,
    pool: Annotated[str, typer.Option(help="Workers as threads, processes, or auto.")] = "auto",
    resume: Annotated[bool, typer.Option(help="Leave rows of unchanged files that the table holds alone.")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what the table holds.")] = False,
    units: ValuesOption = "auto",
) -> None:
    """Predict the class of every slice; the preprocessing is the run's own.

    A bad file gets a row with its error and never stops the others. The same command goes on where it stopped.
    """
    from rich.console import Console

    from ctfast.batch.progress import shown
    from ctfast.model.commands.predict import execute, plan_predictions
    from ctfast.model.commands.showing import print_predictions

    for name, value, allowed in (("values", units, _VALUES), ("pool", pool, _POOLS)):
        _one_of(name, value, allowed)
    console = Console(file=sys.stdout)
    plan = plan_predictions(
        run, inputs, csv, explain_dir=explain, method=method, units=units, resume=resume, overwrite=overwrite
    )
    with shown(len(plan.todo), console) as show:
        report = execute(plan, batch_size=batch_size, workers=workers, pool=pool, progress=show)
    print_predictions(report, console)
    if report.failed:
        raise typer.Exit(1)


def export(
    run: Run,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file.")],
    format: Annotated[
        str | None, typer.Option(help="jax (.zip), onnx (.onnx) or keras (.keras, .h5); default: by OUT's extension.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Write a run's network for other programs: as jax.export artefact, as ONNX, or for Keras."""
    from ctfast.model.commands.export import export_run

    if format is not None:
        _one_of("format", format, _FORMATS)
    written = export_run(run, out, format=format, overwrite=overwrite)
    typer.echo(f"written: {written}")


def _preprocessing(
    window: str | None, preset: str | None, pipeline: Path | None, step: list[str] | None, size: tuple[int, int]
) -> Preprocessing:
    from ctfast.errors import UsageError
    from ctfast.model.data.preprocessing import Preprocessing

    if not (preset or pipeline or step):
        ends = _numbers("window", window, float) if window else []
        if window and len(ends) != 2:
            raise UsageError(f"--window {window!r}: two numbers are needed, such as --window 0,500 (HU)")
        return Preprocessing.of_window(*ends, image_size=size) if ends else Preprocessing(image_size=size)
    if window:
        raise UsageError("--window is itself the preprocessing: leave it out, or --preset, --pipeline and --step")
    return Preprocessing(chosen_pipeline(preset, pipeline, step), image_size=size)


def _class_weights(text: str | None) -> str | tuple[float, ...] | None:
    return text if text in (None, "balanced") else tuple(_numbers("class-weights", str(text), float))


def _numbers(name: str, text: str, kind: type[N]) -> list[N]:
    from ctfast.errors import UsageError

    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(
            f"--{name} {text!r}: numbers with commas between them are allowed, such as 32,64,128"
        ) from None


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    from ctfast.errors import UsageError

    if value not in allowed:
        raise UsageError(f"--{name} {value!r}: one of {', '.join(allowed)} is allowed")
