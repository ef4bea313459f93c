"""``fit``: train ``Sequential4`` on a data set, with checkpoints, early stopping and resume.

Deterministic: order, augmentation and initialisation come from the seed alone, so that the same seed on the same
machine and number of devices gives the same bits, and a resumed run the same numbers as one that was never interrupted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from ctfast.errors import DivergedError
from ctfast.model.caching import use_compilation_cache
from ctfast.model.config import ModelConfig, TrainConfig
from ctfast.model.data.dataset import Dataset
from ctfast.model.devices import choose_devices
from ctfast.model.network.sequential4 import Sequential4
from ctfast.model.run_folder import TrainedModel
from ctfast.model.training.epoch import Engine, EpochResult, recipe_of
from ctfast.model.training.inputs import FitData, prepare
from ctfast.model.training.run_state import Keeper


@dataclass(frozen=True)
class Progress:
    """How far a training is; given to ``progress`` after every dispatch.

    Attributes:
        epoch: From 1.
        epochs: At most.
        step: Steps done in this epoch.
        steps: Steps of an epoch.
        loss: Mean over the images of this epoch so far.
        accuracy: Likewise, before each step's update.
        images_per_second: Compilation left out.
        seconds_left: To the last epoch, at this rate.
        row: The line of ``history``, at the end of an epoch.
        note: Something that the user should know, in a sentence.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    images_per_second: float
    seconds_left: float
    row: dict[str, Any] | None = None
    note: str | None = None


Show = Callable[[Progress], None]


@dataclass(frozen=True, eq=False)
class FitResult:
    """What ``fit`` gives back.

    Attributes:
        trained: The best network, ready to predict.
        history: One dictionary an epoch, as in ``metrics.jsonl``.
        best_epoch: The epoch that ``trained`` comes from, from 1: lowest validation loss, or the last without
            validation.
        stopped: Why the training ended.
        notes: What a user should know, in sentences.
        run_dir: Where all of it is kept, or None.
    """

    trained: TrainedModel
    history: tuple[dict[str, Any], ...]
    best_epoch: int
    stopped: str
    notes: tuple[str, ...]
    run_dir: Path | None

    @property
    def model(self) -> Sequential4:
        """The best network."""
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
    progress: Show | None = None,
) -> FitResult:
    """Train a network.

    Args:
        dataset: Slices without a label are left out.
        config: How.
        model_config: Which network; default: the seed's, for the data's image size and classes.
        validation: Indices into ``dataset``, which are then not trained on, or another data set. None: all slices are
            trained on, and the last epoch is the result.
        run_dir: Folder for configuration, metrics, checkpoints and plots; must be empty or new.
        resume: Go on with the run in ``run_dir``, if there is one; it must have been started with the same arguments.
        initial: Weights to start from, such as those of ``load_keras``.
        progress: Told after every dispatch.

    A step that needs more memory than there is works off its batch in parts, and says so.

    Raises:
        UsageError: Data that can't be trained on, a folder that is taken, or a run that was started otherwise.
        ArgumentError: Settings that don't fit each other or the data.
        BackendUnavailableError: A device or convolution path that is not there.
        DivergedError: A loss that became NaN or infinite; checkpoints of earlier epochs stay.
        FileFormatError: A checkpoint to resume from that is damaged or of another version.
    """
    config = config or TrainConfig()
    use_compilation_cache()
    devices = choose_devices(config.devices)
    data = prepare(dataset, validation, config, model_config, initial)
    notes = list(data.notes)
    keeper = Keeper(None if run_dir is None else Path(run_dir), data, config, devices, resume=resume)
    recipe = recipe_of(data, config, devices)
    engine = Engine(data, config, devices, recipe, keeper.start_state(recipe, initial), notes)
    if keeper.stopped is None:
        _train(data, config, engine, keeper, notes, progress)
    return FitResult(
        keeper.trained(), tuple(keeper.history), keeper.best_epoch, keeper.stopped or "", tuple(notes), keeper.path
    )


def _train(
    data: FitData, config: TrainConfig, engine: Engine, keeper: Keeper, notes: list[str], progress: Show | None
) -> None:
    told = 0
    clock = _Clock(config.epochs - len(keeper.history), len(data.training))
    for epoch in range(len(keeper.history) + 1, config.epochs + 1):

        def show(done: EpochResult, epoch: int = epoch) -> None:
            nonlocal told
            clock.tick(done.images)
            if progress is None:
                return
            note = None if told == len(notes) else " ".join(notes[told:])
            told = len(notes)
            progress(_event(done, config.epochs, epoch, engine.steps, clock, note=note))

        start = time.perf_counter()
        clock.begin()
        done = engine.train_epoch(epoch, show)
        validated = engine.validate() if done.diverged_step is None else {}
        if done.diverged_step is not None or not all(map(math.isfinite, validated.values())):
            keeper.close()
            raise DivergedError(_diverged(done, epoch, data, config, keeper))
        row = {
            "epoch": epoch,
            "step": epoch * engine.steps,
            "loss": done.loss,
            "accuracy": done.accuracy,
            **validated,
            "learning_rate": engine.last_rate(epoch),
            "seconds": round(time.perf_counter() - start, 3),
            "images_per_second": round(clock.rate, 2),
        }
        keeper.end_epoch(row, engine)
        clock.end()
        if progress is not None:
            progress(_event(done, config.epochs, epoch, engine.steps, clock, row=row))
        if keeper.stopped is not None:
            break
    keeper.close()


class _Clock:
    """Images a second without compilation and validation, and the time left with validation."""

    def __init__(self, epochs: int, images: int) -> None:
        self.rate = 0.0
        self._epochs, self._images = epochs, images
        self._count, self._seconds = 0, 0.0
        self._between = 0.0
        """Seconds of the last epoch that were not training: validation, checkpoints."""
        self._last = (0.0, 0)
        self._compiled = False

    def begin(self) -> None:
        """An epoch begins."""
        self._last = (time.perf_counter(), 0)

    def tick(self, images: int) -> None:
        """So many images of this epoch are done."""
        now = time.perf_counter()
        before, seen = self._last
        if self._compiled:
            self._count += images - seen
            self._seconds += now - before
            self.rate = self._count / self._seconds if self._seconds > 0 else 0.0
        self._compiled = True
        self._last = (now, images)

    def end(self) -> None:
        """An epoch is over, its validation as well."""
        self._epochs -= 1
        self._between = time.perf_counter() - self._last[0]
        self._last = (self._last[0], 0)

    def seconds_left(self) -> float:
        """At the rate so far."""
        if self.rate <= 0:
            return math.nan
        return (self._epochs * self._images - self._last[1]) / self.rate + self._epochs * self._between


def _event(
    done: EpochResult,
    epochs: int,
    epoch: int,
    steps: int,
    clock: _Clock,
    *,
    row: dict[str, Any] | None = None,
    note: str | None = None,
) -> Progress:
    left = clock.seconds_left()
    return Progress(epoch, epochs, done.steps, steps, done.loss, done.accuracy, clock.rate, left, row, note)


def _diverged(done: EpochResult, epoch: int, data: FitData, config: TrainConfig, keeper: Keeper) -> str:
    files = [data.dataset.files[k] for k in done.diverged_images]
    if done.diverged_step is None:
        where = "in the validation"
    else:
        where = f"step {done.diverged_step}, at {_listed(files) if files else 'the gradient, not at single images'}"
    return (
        f"the loss became NaN or infinite in epoch {epoch}, {where}; {keeper.kept()}. "
        f"A lower learning rate (now {config.learning_rate:g}), clip=1 or a longer warmup usually helps"
    )


def _listed(files: Sequence[str]) -> str:
    return ", ".join(files[:5]) + (f" and {len(files) - 5} more" if len(files) > 5 else "")
