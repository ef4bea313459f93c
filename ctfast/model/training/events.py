"""TensorBoard's event files of a training: ``tensorboard --logdir RUN/tensorboard``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from ctfast.errors import missing_extra
from ctfast.model.training.progress import OnStep, TrainingProgress

FOLDER: Final = "tensorboard"
_SCALARS: Final = ("loss", "accuracy", "validation_loss", "validation_accuracy", "learning_rate", "images_per_second")


class EventFiles:
    """Writes each epoch's numbers; networks of an ensemble are runs of their own (``member 1``, ...).

    Args:
        folder: The run folder.
        then: Called after every event, as ``fit``'s ``progress``.

    Raises:
        MissingDependencyError: If tensorboardX is not installed.
    """

    def __init__(self, folder: Path, then: OnStep | None = None) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise missing_extra("TensorBoard's event files need tensorboardX", "nn") from error
        self._make, self._folder, self._then = SummaryWriter, folder / FOLDER, then
        self._writer: Any = None
        self._where: Path | None = None

    def on_step(self, event: TrainingProgress) -> None:
        """Called after every dispatch of ``fit``."""
        if event.row is not None:
            self._write(event, event.row)
        if self._then is not None:
            self._then(event)

    def _write(self, event: TrainingProgress, row: dict[str, Any]) -> None:
        where = self._folder if event.members == 1 else self._folder / f"member {event.member}"
        if where != self._where:
            self.close()
            self._writer, self._where = self._make(str(where)), where
        for name in _SCALARS:
            if name in row:
                self._writer.add_scalar(name, row[name], row["epoch"])
        self._writer.flush()  # a run that is killed keeps what it has shown

    def close(self) -> None:
        """End the file that is open."""
        if self._writer is not None:
            self._writer.close()
        self._writer = self._where = None
