"""What the commands of the network can be told: one frozen object for each, checked when it is made.

The command line fills them. From Python, ``train_run``, ``evaluate_run`` and ``predict_files`` take such an object,
single fields by name, or both. An option that is new needs a field here (or in ``TrainConfig``) with its line of
documentation and its check, and an option of the command line with the name of the field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctfast.batch.choices import POOLS, Pool, UnitsChoice, check_choice
from ctfast.batch.choices import Dataset as DatasetName
from ctfast.batch.cluster import check_address
from ctfast.errors import ArgumentError, UsageError
from ctfast.files.values import Values
from ctfast.model.config import EXPLAIN_METHODS, PREDICTION_PRECISIONS, ModelConfig, TrainConfig
from ctfast.model.recipe import RECIPES
from ctfast.model.settings import check_number, check_whole

if TYPE_CHECKING:
    from ctfast.batch.progress import Progress
    from ctfast.model.data.dataset import Dataset
    from ctfast.model.data.labels import Paths
    from ctfast.model.data.preprocessing import Preprocessing
    from ctfast.pipeline import Pipeline


@dataclass(frozen=True)
class DataOptions:
    """How labelled slices are read; see ``load_dataset``.

    Attributes:
        labels: CSV table that names files and their classes.
        column: Its column of classes.
        groups: Its column of patients; default: PatientID of DICOM files.
        units: What the files' values are: ``"auto"`` (as each file says), ``"hu"`` or ``"stored"``.
        offset: Added to the values of every file, for sets that document one.
        dataset: A public set that files may be of, as for ``read_image``: ``"deeplesion"`` or ``"none"``.
        workers: Files read at once; default: the threads ctfast may use.
        modality: Which DICOM images are taken, such as ``"CT"`` or ``"CT,PT"``; ``"any"`` takes all.
    """

    labels: str | Path | None = None
    column: str | None = None
    groups: str | None = None
    units: UnitsChoice = "auto"
    offset: int = 0
    dataset: DatasetName = "none"
    workers: int | None = None
    modality: str = "CT"

    def __post_init__(self) -> None:
        """Check.

        Raises:
            ArgumentError: For values that are not allowed.
        """
        Values(self.units, self.offset, self.dataset)
        if self.workers is not None:
            check_whole("workers", self.workers, 1)

    def load(
        self,
        data: Paths,
        preprocessing: Preprocessing,
        *,
        classes: Sequence[str] | None = None,
        progress: Progress,
    ) -> Dataset:
        """``load_dataset`` with these options."""
        from ctfast.model.data.dataset import load_dataset

        return load_dataset(
            data,
            labels=self.labels,
            column=self.column,
            groups=self.groups,
            preprocessing=preprocessing,
            units=self.units,
            offset=self.offset,
            dataset=self.dataset,
            classes=classes,
            workers=self.workers,
            modality=self.modality,
            progress=progress,
        )


@dataclass(frozen=True)
class TrainOptions(DataOptions):
    """How ``train_run`` reads, splits and trains. What is None follows the recipe: ``ctfast.model.recipe``.

    Attributes:
        recipe: ``"auto"``: by the set's size; ``"seed"``: the plain training of the seed report.
        config: How to train; a mapping changes only what it names, ``{"epochs": 10}``.
        preprocessing: From HU to the network's input, all of it; instead of ``pipeline`` and ``size``.
        pipeline: From HU to 16-bit values; default: a HU window that is chosen from the slices trained on.
        size: Rows and columns of the network's input.
        widths: Channels of each block of the network.
        dense: Units of its hidden layer.
        members: Networks: with more than one, an ensemble, in which each chooses its epoch by another part of the
            slices; fewer where a class has fewer patients.
        test: Share of the slices that takes no part in training or choosing and is judged at the end; all slices of a
            patient stay on one side. 0: none.
        validation: Share of the other slices that chooses the epoch of a single network (and makes it a single one
            where ``members`` is not given). 0: train on all, the last epoch counts.
        init_from: Weights to start from: a run folder, or a Keras file. Layers of another shape are drawn anew; the
            preprocessing is that run's, unless it is given.
        tensorboard: Write TensorBoard's event files (needs tensorboardX).
        resume: Continue the run in the folder, if there is one; also a finished one, if there are more epochs now.
        plots: Draw the curves of the training and of the evaluation.
    """

    recipe: str = RECIPES[0]
    config: TrainConfig | Mapping[str, Any] | None = None
    preprocessing: Preprocessing | None = None
    pipeline: Pipeline | None = None
    size: int | None = None
    widths: tuple[int, ...] = ModelConfig.widths
    dense: int = ModelConfig.dense
    members: int | None = None
    test: float | None = None
    validation: float | None = None
    init_from: str | Path | None = None
    tensorboard: bool = False
    resume: bool = True
    plots: bool = True

    def __post_init__(self) -> None:
        """Check; ``widths`` and ``dense`` are checked with the image size, by ``ModelConfig``.

        Raises:
            ArgumentError: For values that are not allowed.
            UsageError: Early stopping without held-out slices.
        """
        super().__post_init__()
        check_choice("recipe", self.recipe, RECIPES, ArgumentError)
        for name in ("validation", "test"):
            share = getattr(self, name)
            if share is not None:
                check_number(name, share, 0, 1)
            if share == 1:
                raise ArgumentError(f"{name}=1: a share below 1 is allowed, or no slice is left to train on")
        if self.size is not None:
            check_whole("size", self.size, 4, 4096)
        if self.members is not None:
            check_whole("members", self.members, 1, 100)
        if self.preprocessing is not None and (self.pipeline is not None or self.size is not None):
            raise UsageError("preprocessing= is all of it: leave pipeline= and size= out")
        patience = self.given_config().get("patience", 0)
        if patience and self.validation == 0:
            raise UsageError(f"patience={patience} stops by held-out slices: give validation= above 0, or patience=0")
        if self.validation == 0 and (self.members or 1) > 1:
            raise UsageError(
                f"members={self.members} choose their epochs by slices: leave validation= out, or members=1"
            )

    def given_config(self) -> dict[str, Any]:
        """What ``config`` says itself."""
        if isinstance(self.config, TrainConfig):
            return self.config.to_dict()
        return dict(self.config or {})


@dataclass(frozen=True)
class EvaluateOptions(DataOptions):
    """How ``evaluate_run`` evaluates.

    Attributes:
        folds: None: predict with the run's weights. A number: leave the weights aside, train with the run's settings
            on all folds but one, in turn (all slices of a patient are in one fold), and compare with the histogram
            baselines on the same folds.
        seeds: One partition into folds and one initialisation each.
        out: Folder for ``evaluation.json``, ``predictions.csv`` and ``plots/``; default: ``evaluation`` (or
            ``cross-validation``) in the run folder, with a number where that is taken.
        overwrite: Replace what ``out`` holds of these.
        plots: Draw the curves.
    """

    folds: int | None = None
    seeds: Sequence[int] = (0,)
    out: str | Path | None = None
    overwrite: bool = False
    plots: bool = True


@dataclass(frozen=True)
class PredictOptions:
    """How ``predict_files`` predicts.

    Attributes:
        batch_size: Images computed at once; default: 32 on a CPU, 256 elsewhere, fewer for fewer files. Halved where
            it does not fit into memory; a note says so.
        explain_dir: Folder for a picture of each image that shows what spoke for its class.
        precision: Of the hidden layer's weights: ``"float32"``, or ``"bfloat16"`` for half the bytes and ``"int8"`` for
            a quarter; sums are always float32. See ``docs/network.md`` for what it changes.
        method: Of these pictures: ``"hires-cam"`` or ``"grad-cam"``; see ``ctfast.model.network.explain``.
        units: What the files' values are: ``"auto"`` (as each file says), ``"hu"`` or ``"stored"``.
        offset: Added to the values of every file, for sets that document one.
        dataset: A public set that files may be of, as for ``read_image``: ``"deeplesion"`` or ``"none"``.
        resume: Leave rows of unchanged files alone; failures are tried again. Rows of other files are kept.
        overwrite: Replace whatever the table holds.
        workers: Files read at once; default: the threads ctfast may use.
        pool: Workers as ``"threads"``, ``"processes"`` (the calling script needs the ``if __name__ == "__main__"``
            guard) or ``"auto"`` (processes where there are enough files).
        modality: Which DICOM images are taken, such as ``"CT"`` or ``"CT,PT"``; ``"any"`` takes all.
        cluster: ``"local"``, or the address of a scheduler of dask.distributed: its workers, which must see the run's
            folder, predict the files.
    """

    batch_size: int | None = None
    explain_dir: str | Path | None = None
    method: str = EXPLAIN_METHODS[0]
    precision: str = PREDICTION_PRECISIONS[0]
    units: UnitsChoice = "auto"
    offset: int = 0
    dataset: DatasetName = "none"
    resume: bool = True
    overwrite: bool = False
    workers: int | None = None
    pool: Pool = "threads"
    modality: str = "CT"
    cluster: str | None = None

    def __post_init__(self) -> None:
        """Check.

        Raises:
            ArgumentError: For values that are not allowed.
            UsageError: For a ``cluster`` that is no address.
        """
        _ = self.values  # checks them
        check_address(self.cluster)
        check_choice("pool", self.pool, POOLS, ArgumentError)
        check_choice("method", self.method, EXPLAIN_METHODS, ArgumentError)
        check_choice("precision", self.precision, PREDICTION_PRECISIONS, ArgumentError)
        for name in ("batch_size", "workers"):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), 1)

    @property
    def values(self) -> Values:
        """``units``, ``offset`` and ``dataset`` together."""
        return Values(self.units, self.offset, self.dataset)
