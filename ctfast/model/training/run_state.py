"""What ``fit`` keeps: history, the best weights, and the run folder, if there is one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np
from flax import nnx

from ctfast.batch.atomic import write_json
from ctfast.errors import ArgumentError, UsageError
from ctfast.model.config import ModelConfig, TrainConfig
from ctfast.model.data.record import record_of
from ctfast.model.devices import Devices, wait_for_all
from ctfast.model.network.sequential4 import Sequential4, empty_weights, model_from, weights_of
from ctfast.model.records import damaged
from ctfast.model.run_folder import RunFolder, TrainedModel
from ctfast.model.training.epoch import EpochTrainer
from ctfast.model.training.inputs import FitInputs
from ctfast.model.training.optimizer import make_optimizer
from ctfast.model.training.step import Recipe, State

_FINISHED: Final = "all epochs are done"


class RunState:
    """The state of a run; the first process also writes it to the run folder.

    Args:
        path: The run folder, or None.
        data: What is trained on.
        config: How.
        devices: On what.
        resume: Continue what the folder holds.
        plots: Draw the curves at the end.
        facts: Further entries of ``config.json``.

    Raises:
        UsageError: A folder that is taken, or a run that was started otherwise.
        FileFormatError: A checkpoint that is damaged or of another version.
    """

    def __init__(
        self,
        path: Path | None,
        data: FitInputs,
        config: TrainConfig,
        devices: Devices,
        *,
        resume: bool,
        plots: bool = True,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        if resume and path is None:
            raise ArgumentError("resume=True needs run_dir=")
        self.path = path
        self.history: list[dict[str, Any]] = []
        self.best_epoch = 0
        self.stopped: str | None = None
        self.notes: list[str] = []
        """What a user should know, in sentences."""
        self._data, self._config, self._plots, self._facts = data, config, plots, dict(facts or {})
        self._best_weights: Any = None
        self._best_saved: dict[str, Any] | None = None
        self._saved = time.monotonic()
        self._folder = None if path is None else RunFolder(path)
        self._writes = self._folder is not None and jax.process_index() == 0
        self._resumed = False
        if self._folder is not None:
            self._open(self._folder, devices, resume)

    def _open(self, folder: RunFolder, devices: Devices, resume: bool) -> None:
        dataset = self._data.dataset
        settings: dict[str, Any] = {}
        if self._writes:
            settings = {
                "model": self._data.model.to_dict(),
                "training": self._config.to_dict(),
                "preprocessing": dataset.preprocessing.to_dict(),
                "classes": list(dataset.classes),
                "data": self._data.fingerprint(),
                **self._facts,
            }
            folder.start(settings, devices, resume=resume)
            write_json(folder.data_file, self._record_of_data())
        wait_for_all("run folder")
        if not (resume and folder.checkpoints.exists()):
            return
        record = folder.checkpoints.record()
        try:
            self.history = [dict(row) for row in record.facts["history"]]
            self.best_epoch = int(record.facts["best_epoch"])
            self.stopped = record.facts["stopped"]
            self._best_saved = record.checkpoints["best"]["weights"]
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(folder.checkpoints.file, repr(error)) from error
        self._resumed = True
        self._go_on(folder)
        if self._writes:
            if folder.read_config().get("training", {}).get("epochs") != self._config.epochs:
                folder.write_config(settings)
            folder.write_history(self.history)

    def _go_on(self, folder: RunFolder) -> None:
        """Whether there is more to train than when the run was stopped: more epochs, or more patience."""
        done, config = len(self.history), self._config
        if config.epochs < done:
            raise UsageError(
                f"{folder.path} has {done} epochs, epochs={config.epochs} were asked for: give {done} or more, or "
                "another folder"
            )
        impatient = config.patience and done - self.best_epoch >= config.patience
        if self.stopped is not None and done < config.epochs and not impatient:
            self.stopped = None
            self.notes.append(
                f"the run had ended after epoch {done} and goes on to {config.epochs}; its learning rates are now "
                f"those of a run of {config.epochs} epochs"
            )

    def _record_of_data(self) -> dict[str, Any]:
        data = self._data
        if data.held_out is data.dataset:
            return record_of(data.dataset, data.training, data.validation)
        record = record_of(data.dataset, data.training)
        if data.held_out is not None:
            record["validation"] = record_of(data.held_out, data.validation)["training"]
        return record

    def start_state(self, recipe: Recipe, initial: Sequential4 | None) -> Callable[[], State]:
        """What makes the state to start from, on the host."""
        model, optimizer = self._data.model, make_optimizer(recipe.weight_decay)

        def fresh() -> State:
            made = weights_of(initial) if initial is not None else _drawn(model, np.int32(self._config.seed))
            weights = jax.tree.map(np.asarray, made)
            return State(weights, jax.tree.map(np.asarray, optimizer.init(weights)))

        def stored() -> State:
            assert self._folder is not None
            weights = empty_weights(model)
            like = jax.eval_shape(optimizer.init, weights)
            read = self._folder.checkpoints.read
            return State(read("last", "weights", weights), read("last", "optimizer", like))

        return stored if self._resumed else fresh

    def end_epoch(self, row: dict[str, Any], trainer: EpochTrainer) -> None:
        """Note an epoch; decide what is best and whether to stop; save when it is time."""
        self.history.append(row)
        epoch = len(self.history)
        loss = row.get("validation_loss")
        first = epoch <= self._config.start_from_epoch + 1
        if loss is None or first or loss < self.history[self.best_epoch - 1]["validation_loss"]:
            self.best_epoch, self._best_saved = epoch, None
            self._best_weights = trainer.host_weights() if loss is not None or epoch == self._config.epochs else None
        patience = self._config.patience
        if patience and epoch - self.best_epoch >= patience:
            self.stopped = f"no lower validation loss in {patience} epochs after epoch {self.best_epoch}"
        elif epoch == self._config.epochs:
            self.stopped = _FINISHED
        if self._writes and self._folder is not None:
            self._folder.write_history(self.history)
            if self.stopped or time.monotonic() - self._saved >= self._config.checkpoint_seconds:
                self._save(self._folder, trainer)

    def _save(self, folder: RunFolder, trainer: EpochTrainer) -> None:
        state, store = trainer.host_state(), folder.checkpoints
        last = {
            "weights": store.write("weights", state.weights),
            "optimizer": store.write("optimizer", state.optimizer),
        }
        if self._best_saved is None:
            now = self.best_epoch == len(self.history)
            self._best_saved = last["weights"] if now else store.write("weights", self._best_weights)
        facts = {"history": self.history, "best_epoch": self.best_epoch, "stopped": self.stopped}
        store.commit({"last": last, "best": {"weights": self._best_saved}}, facts)
        self._saved = time.monotonic()

    def close(self) -> None:
        """Draw the curves; wait until every process has come here."""
        if self._plots and self._writes and self._folder is not None and self.history:
            from ctfast.model.training.curves import save_curves

            save_curves(self.history, self._folder.path / "plots")
        wait_for_all("end of training")

    def kept(self) -> str:
        """What is left of a training that diverged, for the message."""
        if self._folder is None or not self._folder.checkpoints.exists():
            return "no checkpoint had been written"
        epochs = len(self._folder.checkpoints.record().facts["history"])
        return f"the checkpoint of epoch {epochs} is kept in {self._folder.path}"

    def trained(self) -> TrainedModel:
        """The best network."""
        model = self._data.model
        weights = self._best_weights
        if weights is None:
            assert self._folder is not None
            weights = self._folder.checkpoints.read("best", "weights", empty_weights(model))
        dataset = self._data.dataset
        return TrainedModel.of(
            model_from(model, weights, self._config.path), dataset.preprocessing, dataset.classes, self._config
        )


@partial(jax.jit, static_argnums=0)
def _drawn(config: ModelConfig, seed: jax.Array) -> Any:
    """``Sequential4(config, rngs=nnx.Rngs(seed))`` as one program, which compiles in a fifth of the time."""
    return weights_of(Sequential4(config, rngs=nnx.Rngs(jax.random.key(seed))))
