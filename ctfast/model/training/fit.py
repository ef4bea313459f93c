"""``fit``: train ``Sequential4`` on a data set, with checkpoints, early stopping and resume.

Deterministic: order, augmentation and initialisation come from the seed alone, so that the same seed on the same
machine and number of devices gives the same bits, and a resumed run the same numbers as one that was never interrupted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
from numpy.typing import ArrayLike

from ctfast.batch.held import claimed
from ctfast.errors import DivergedError
from ctfast.model.caching import use_compilation_cache
from ctfast.model.config import ModelConfig, TrainConfig
from ctfast.model.data.dataset import Dataset
from ctfast.model.devices import choose_devices
from ctfast.model.network.sequential4 import Sequential4
from ctfast.model.recipe import Recipe
from ctfast.model.run_folder import TrainedModel
from ctfast.model.training.epoch import EpochResult, EpochTrainer, recipe_of
from ctfast.model.training.inputs import FitInputs, prepare
from ctfast.model.training.progress import OnStep, ProgressReporter
from ctfast.model.training.run_state import RunState


@dataclass(frozen=True, eq=False)
class FitResult:
    """What ``fit`` gives back.

    Attributes:
        trained: The best network, ready to predict.
        history: One dictionary per epoch, as in ``metrics.jsonl``.
        best_epoch: The epoch that ``trained`` comes from, from 1: lowest validation loss, or the last without
            validation.
        stopped: Why the training ended.
        notes: What a user should know, in sentences.
        run_dir: Where all of it is kept, or None.
        members: Of an ensemble (``fit_members``): what each of its networks gave; ``trained`` is all of them,
            ``history`` has the rows of all, with the number of the ``member``. Empty for a single network.
    """

    trained: TrainedModel
    history: tuple[dict[str, Any], ...]
    best_epoch: int
    stopped: str
    notes: tuple[str, ...]
    run_dir: Path | None
    members: tuple[FitResult, ...] = ()

    @property
    def model(self) -> Sequential4:
        """The best network; of an ensemble, its first one."""
        return self.trained.model


def fit(
    dataset: Dataset,
    *,
    config: TrainConfig | None = None,
    model_config: ModelConfig | None = None,
    validation: ArrayLike | Dataset | None = None,
    run_dir: str | Path | None = None,
    resume: bool = False,
    initial: Sequential4 | None = None,
    plots: bool = True,
    progress: OnStep | None = None,
    facts: Mapping[str, Any] | None = None,
) -> FitResult:
    """Train a network.

    Args:
        dataset: Slices without a label are left out.
        config: How; default: by the number of slices and the image size, as ``ctfast train`` does (``Recipe.for_set``).
        model_config: Which network; default: the seed's, for the data's image size and classes.
        validation: Indices into ``dataset``, which are then not trained on, or another data set. None: all slices are
            trained on, and the last epoch is the result.
        run_dir: Folder for configuration, metrics, checkpoints and plots; must be empty or new.
        resume: Continue the run in ``run_dir``, if there is one; it must have been started with the same arguments.
            More epochs than before go on with a run that is finished.
        initial: Weights to start from, such as those of ``load_keras``.
        plots: Draw the curves of loss and accuracy in ``run_dir`` (needs matplotlib).
        progress: Called after every dispatch of steps, and at the end of an epoch.
        facts: Further entries of the run folder's ``config.json``.

    A step that needs more memory than there is computes its batch in parts; a note says so.

    Raises:
        UsageError: Data that can't be trained on, a folder that is taken, or a run that was started otherwise.
        ArgumentError: Settings that don't fit each other or the data.
        BackendUnavailableError: A device or convolution path that is not there.
        DivergedError: A loss that became NaN or infinite; checkpoints of earlier epochs stay.
        FileFormatError: A checkpoint to resume from that is damaged or of another version.
    """
    config = config or default_config(dataset, validation is not None)
    use_compilation_cache()
    devices = choose_devices(config.devices)
    data = prepare(dataset, validation, config, model_config, initial)
    notes = list(data.notes)
    with _claimed(run_dir):
        state = RunState(
            None if run_dir is None else Path(run_dir), data, config, devices, resume=resume, plots=plots, facts=facts
        )
        notes += state.notes
        recipe = recipe_of(data, config, devices)
        trainer = EpochTrainer(data, config, devices, recipe, state.start_state(recipe, initial), notes)
        if state.stopped is None:
            _train(data, config, trainer, state, ProgressReporter(progress, config, data, len(state.history), notes))
        return FitResult(
            state.trained(), tuple(state.history), state.best_epoch, state.stopped or "", tuple(notes), state.path
        )


def default_config(dataset: Dataset, validated: bool) -> TrainConfig:
    """What ``Recipe.for_set`` has for this set; without validation nothing can stop it early."""
    config = Recipe.for_set(len(dataset.labelled), side=dataset.images.shape[1]).config
    return config if validated else replace(config, patience=0)


def _claimed(run_dir: str | Path | None) -> AbstractContextManager[None]:
    """The run folder for this training alone; of several processes that train together, the first one has it."""
    if run_dir is None or Path(run_dir).is_file() or jax.process_index():
        return nullcontext()
    return claimed(Path(run_dir), "training")


def _train(
    data: FitInputs, config: TrainConfig, trainer: EpochTrainer, state: RunState, reporter: ProgressReporter
) -> None:
    for epoch in range(len(state.history) + 1, config.epochs + 1):
        start = time.perf_counter()
        reporter.begin_epoch(epoch)
        result = trainer.train_epoch(epoch, reporter.after_dispatch)
        validated = trainer.validate() if result.diverged_step is None else {}
        if result.diverged_step is not None or not all(map(math.isfinite, validated.values())):
            state.close()
            raise DivergedError(_diverged(result, epoch, data, config, state))
        row = {
            "epoch": epoch,
            "step": epoch * trainer.steps,
            "loss": result.loss,
            "accuracy": result.accuracy,
            **validated,
            "learning_rate": trainer.last_rate(epoch),
            "seconds": round(time.perf_counter() - start, 3),
            "images_per_second": round(reporter.rate, 2),
        }
        state.end_epoch(row, trainer)
        reporter.end_epoch(result, row)
        if state.stopped is not None:
            break
    state.close()


def _diverged(result: EpochResult, epoch: int, data: FitInputs, config: TrainConfig, state: RunState) -> str:
    files = [data.dataset.files[k] for k in result.diverged_images]
    if result.diverged_step is None:
        where = "in the validation"
    else:
        where = f"step {result.diverged_step}, at {_listed(files) if files else 'the gradient, not at single images'}"
    return (
        f"the loss became NaN or infinite in epoch {epoch}, {where}; {state.kept()}. "
        f"A lower learning rate (now {config.learning_rate:g}), clip=1 or a longer warmup usually helps"
    )


def _listed(files: Sequence[str]) -> str:
    return ", ".join(files[:5]) + (f" and {len(files) - 5} more" if len(files) > 5 else "")
