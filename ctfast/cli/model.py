"""The commands ``train``, ``evaluate``, ``predict`` and ``export``: they parse, fill an option object, and call.

An option whose name is that of a field of the command's option object (or of ``TrainConfig``) needs nothing else.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ctfast.batch.choices import POOLS
from ctfast.batch.lines import one_line, print_line
from ctfast.cli.options import (
    READING,
    Cluster,
    Dataset,
    Modality,
    Offset,
    Units,
    Workers,
    console,
    filled,
    inputs_argument,
    preset_names,
    words,
)
from ctfast.cli.pipeline import chosen_pipeline
from ctfast.model.commands.options import EvaluateOptions, PredictOptions, TrainOptions
from ctfast.model.config import EXPLAIN_METHODS, PATHS, PRECISIONS, PREDICTION_PRECISIONS, SCHEDULES, TrainConfig

if TYPE_CHECKING:
    from ctfast.pipeline import Pipeline

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a training run.")]
Data = Annotated[
    list[str],
    inputs_argument(
        metavar="DATA",
        help="Labelled slices: the Kaggle folder, a folder with one folder per class, or a CSV with file and label.",
    ),
]
Labels = Annotated[
    Path | None, typer.Option(rich_help_panel=READING, help="CSV table that names files and their classes.")
]
Column = Annotated[str | None, typer.Option(rich_help_panel=READING, help="Its column of classes.")]
Groups = Annotated[
    str | None, typer.Option(rich_help_panel=READING, help="Its column of patients; default: PatientID of DICOM files.")
]
Plots = Annotated[bool, typer.Option(help="Draw the curves (needs the extra report).")]

# Groups of the help of ``train``.
_preprocess = partial(typer.Option, rich_help_panel="Preprocessing: --window, or a pipeline")
_network = partial(typer.Option, rich_help_panel="Network")
_training = partial(typer.Option, rich_help_panel="Training")
_computing = partial(typer.Option, rich_help_panel="Computing")

N = TypeVar("N", int, float)


def train(
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder: weights, metrics, plots.")],
    recipe: Annotated[
        str, typer.Option(help="auto: sizes, rates and networks by the number of slices; seed: plain.")
    ] = TrainOptions.recipe,
    resume: Annotated[
        bool, typer.Option(help="Continue the run in OUT, if there is one; more --epochs go on with a finished one.")
    ] = TrainOptions.resume,
    init_from: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Start from the weights of a run folder or a Keras file.")
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write event files for TensorBoard into OUT/tensorboard.")
    ] = TrainOptions.tensorboard,
    plots: Plots = TrainOptions.plots,
    labels: Labels = None,
    column: Column = None,
    groups: Groups = None,
    units: Units = TrainOptions.units,
    offset: Offset = TrainOptions.offset,
    dataset: Dataset = TrainOptions.dataset,
    modality: Modality = TrainOptions.modality,
    window: Annotated[
        str | None, _preprocess(metavar="LOW,HIGH", help="HU that become 0 and 1; default: by the slices trained on.")
    ] = None,
    preset: Annotated[
        str | None,
        _preprocess(
            metavar="NAME", help="A ready pipeline instead; `ctfast presets` lists them.", autocompletion=preset_names
        ),
    ] = None,
    pipeline: Annotated[Path | None, _preprocess(help="The same from a file (.toml or .json).")] = None,
    step: Annotated[list[str] | None, _preprocess(help="The same as single steps; repeat for more.")] = None,
    size: Annotated[
        int | None,
        _preprocess(min=4, max=4096, help="Rows and columns of the network's input. Default: by the recipe."),
    ] = None,
    widths: Annotated[str, _network(help="Channels of each block.")] = ",".join(map(str, TrainOptions.widths)),
    dense: Annotated[int, _network(min=1, help="Units of the hidden layer.")] = TrainOptions.dense,
    members: Annotated[
        int | None,
        _network(min=1, max=100, help="Networks of an ensemble; 1: a single one. Default: by the recipe."),
    ] = None,
    epochs: Annotated[
        int | None, _training(min=1, help="Passes over the slices, at most. Default: by the recipe.")
    ] = None,
    seed: Annotated[
        int, _training(min=0, help="Same seed, same result (same machine and devices).")
    ] = TrainConfig.seed,
    batch_size: Annotated[int, _training(min=1, help="Slices in a step.")] = TrainConfig.batch_size,
    learning_rate: Annotated[float | None, _training(help="Of Adam, at its highest. Default: by the recipe.")] = None,
    schedule: Annotated[str, _training(help=f"Of the learning rate: {words(SCHEDULES)}.")] = TrainConfig.schedule,
    warmup: Annotated[
        float, _training(min=0, max=1, help="Share of the steps in which it rises.")
    ] = TrainConfig.warmup,
    weight_decay: Annotated[float, _training(min=0, help="Decoupled (AdamW).")] = TrainConfig.weight_decay,
    clip: Annotated[float, _training(min=0, help="Largest norm of the gradient; 0: no limit.")] = TrainConfig.clip,
    class_weights: Annotated[
        str | None, _training(help="balanced, or one weight per class, such as 1,2.5. Default: none.")
    ] = None,
    label_smoothing: Annotated[
        float | None, _training(min=0, help="Share of a target spread over all classes. Default: by the recipe.")
    ] = None,
    patience: Annotated[
        int | None,
        _training(
            min=0, help="Stop after so many epochs without a lower validation loss; 0: never. Default: by the recipe."
        ),
    ] = None,
    start_from_epoch: Annotated[
        int | None, _training(min=0, help="Epochs of which none is chosen. Default: the first two thirds.")
    ] = None,
    augment: Annotated[
        str | None,
        _training(
            help="Random changes: none, mild (mirrored, rotated, shifted, brighter), or shift=0.06,rotation=10. "
            "Default: by the recipe."
        ),
    ] = None,
    test: Annotated[
        float | None,
        _training(min=0, help="Share of slices, by patient, that is judged at the end and took no part. Default: 0.2."),
    ] = None,
    validation: Annotated[
        float | None,
        _training(
            min=0, help="Share of the others that chooses the epoch, of a single network; 0: none. Default: 0.2."
        ),
    ] = None,
    accumulate: Annotated[
        int, _computing(min=1, help="Parts that a batch is computed in, one after the other: less memory.")
    ] = TrainConfig.accumulate,
    precision: Annotated[
        str, _computing(help=f"{words(PRECISIONS)} (auto: bfloat16 on a GPU).")
    ] = TrainConfig.precision,
    devices: Annotated[str | None, _computing(help="Such as cpu, gpu or gpu:0,gpu:1. Default: all.")] = None,
    path: Annotated[str, _computing(help=f"Convolutions: {words(PATHS)}.")] = TrainConfig.path,
    workers: Workers = None,
) -> None:
    """Train on labelled slices; with no options, as the number of slices asks for.

    The same command resumes a run that was stopped. All slices of a patient stay on one side: trained on, or held out.
    """
    given = dict(locals())
    from ctfast.model.commands.printing import TrainingDisplay, print_training
    from ctfast.model.commands.train import train_run
    from ctfast.model.config import Augmentation

    given |= {
        "class_weights": _class_weights(class_weights),
        "augmentation": None if augment is None else Augmentation.parse(augment),
        "pipeline": _pipeline(window, preset, pipeline, step),
        "widths": tuple(_numbers("widths", widths, int)),
    }
    names = {f.name for f in dataclasses.fields(TrainConfig)}
    config = {name: value for name, value in given.items() if name in names and value is not None}
    options = filled(TrainOptions, {**given, "config": config})
    screen = console()
    with TrainingDisplay(screen) as display:
        report = train_run(
            data, out, options, progress=display.progress, on_start=display.on_start, on_step=display.on_step
        )
    print_training(report, screen)
    if report.unread:
        raise typer.Exit(1)


def evaluate(
    run: Run,
    data: Data,
    folds: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Leave the weights aside: train on all folds but one, in turn, each patient's slices in one fold.",
        ),
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(min=0, help="Of the folds; repeat for more. Default: 0.")] = None,
    labels: Labels = None,
    column: Column = None,
    groups: Groups = None,
    units: Units = EvaluateOptions.units,
    offset: Offset = EvaluateOptions.offset,
    dataset: Dataset = EvaluateOptions.dataset,
    modality: Modality = EvaluateOptions.modality,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for metrics, rows and plots; default: in RUN.")
    ] = None,
    plots: Plots = EvaluateOptions.plots,
    workers: Workers = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what the folder holds.")] = False,
) -> None:
    """Evaluate a run on slices that it has not seen, or with --folds cross-validate its settings.

    Accuracy, AUC, sensitivity, specificity and calibration with intervals, the confusion matrix, curves. Files that
    cannot be read are named and left out.
    """
    given = dict(locals())
    from ctfast.model.commands.evaluate import evaluate_run
    from ctfast.model.commands.printing import counting, print_evaluation

    options = filled(EvaluateOptions, {**given, "seeds": tuple(seed or (0,))})
    screen = console()
    with counting(screen, "reading") as progress:
        report = evaluate_run(run, data, options, progress=progress, on_fold=lambda line: print_line(line, screen))
    print_evaluation(report, screen)
    if report.unread:
        raise typer.Exit(1)


def predict(
    run: Run,
    inputs: Annotated[list[str], typer.Argument(metavar="FILES", help="Folders, patterns or files.")],
    csv: Annotated[Path, typer.Option(help="Table of predictions, one row per image.")],
    explain: Annotated[
        Path | None,
        typer.Option(help="Also a picture of each image: what speaks for its class (needs the extra report)."),
    ] = None,
    method: Annotated[
        str, typer.Option(help=f"Of --explain: {words(EXPLAIN_METHODS)}; --no-resume draws anew.")
    ] = PredictOptions.method,
    precision: Annotated[
        str, typer.Option(help=f"Of the hidden layer's weights: {words(PREDICTION_PRECISIONS)}; sums are float32.")
    ] = PredictOptions.precision,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images computed at once; default: 32, on a GPU 256.")
    ] = None,
    workers: Workers = None,
    pool: Annotated[str, typer.Option(help=f"Kind of workers: {words(POOLS)}.")] = "auto",
    resume: Annotated[
        bool, typer.Option(help="Leave rows of unchanged files that the table holds alone.")
    ] = PredictOptions.resume,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what the table holds.")] = False,
    units: Units = PredictOptions.units,
    offset: Offset = PredictOptions.offset,
    dataset: Dataset = PredictOptions.dataset,
    modality: Modality = PredictOptions.modality,
    cluster: Cluster = None,
) -> None:
    """Predict the class of every slice; the preprocessing is the run's own.

    A bad file gets a row with its error and never stops the others. The same command resumes a run that was stopped.
    """
    given = dict(locals())
    from ctfast.batch.progress import progress_bar
    from ctfast.model.commands.predict import execute, plan_predictions
    from ctfast.model.commands.printing import print_predictions

    screen = console()
    plan = plan_predictions(run, inputs, csv, filled(PredictOptions, {**given, "explain_dir": explain}))
    with progress_bar(len(plan.todo), screen) as progress:
        report = execute(plan, progress=progress)
    print_predictions(report, screen)
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

    written = export_run(run, out, format=format, overwrite=overwrite)
    typer.echo(f"written: {one_line(str(written))}")


def _pipeline(window: str | None, preset: str | None, pipeline: Path | None, step: list[str] | None) -> Pipeline | None:
    from ctfast.errors import UsageError

    if preset or pipeline or step:
        if window:
            raise UsageError("--window is itself the preprocessing: leave it out, or --preset, --pipeline and --step")
        return chosen_pipeline(preset, pipeline, step)
    if not window:
        return None
    from ctfast.model.data.preprocessing import window_pipeline

    ends = _numbers("window", window, float)
    if len(ends) != 2:
        raise UsageError(f"--window {window!r}: two numbers are needed, such as --window 0,500 (HU)")
    return window_pipeline(*ends)


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
