"""How far a training is: the events that ``fit`` gives to ``progress``, with rate and time left."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ctfast.model.config import TrainConfig
from ctfast.model.training.epoch import EpochResult
from ctfast.model.training.inputs import FitInputs


@dataclass(frozen=True)
class TrainingProgress:
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
    member: int = 1
    """Of an ensemble, from 1."""
    members: int = 1


OnStep = Callable[[TrainingProgress], None]


class ProgressReporter:
    """Makes the events of a training and gives them to a callback.

    Args:
        progress: The callback, or None.
        config: How long the training is.
        data: How many images an epoch has.
        epochs_done: By an earlier run that is resumed.
        notes: What the user should know; those added since the last event go along with the next.
    """

    def __init__(
        self, progress: OnStep | None, config: TrainConfig, data: FitInputs, epochs_done: int, notes: list[str]
    ) -> None:
        self._progress, self._config, self._notes = progress, config, notes
        self._steps = data.steps
        self._clock = _Clock(config.epochs - epochs_done, len(data.training))
        self._epoch = epochs_done
        self._notes_sent = 0

    @property
    def rate(self) -> float:
        """Images in a second."""
        return self._clock.rate

    def begin_epoch(self, epoch: int) -> None:
        """Epochs count from 1."""
        self._epoch = epoch
        self._clock.begin()

    def after_dispatch(self, result: EpochResult) -> None:
        """``result`` is the epoch's so far."""
        self._clock.tick(result.images)
        note = " ".join(self._notes[self._notes_sent :]) or None
        self._notes_sent = len(self._notes)
        self._send(result, note=note)

    def end_epoch(self, result: EpochResult, row: dict[str, Any]) -> None:
        """After validation and checkpoint; ``row`` is the line of the history."""
        self._clock.end()
        self._send(result, row=row)

    def _send(self, result: EpochResult, *, row: dict[str, Any] | None = None, note: str | None = None) -> None:
        if self._progress is None:
            return
        self._progress(
            TrainingProgress(
                epoch=self._epoch,
                epochs=self._config.epochs,
                step=result.steps,
                steps=self._steps,
                loss=result.loss,
                accuracy=result.accuracy,
                images_per_second=self._clock.rate,
                seconds_left=self._clock.seconds_left(),
                row=row,
                note=note,
            )
        )


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
