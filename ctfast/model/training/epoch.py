"""The compiled part of ``fit``: an epoch of steps, a validation, and the memory that a step may take."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import jax
import numpy as np

from ctfast.errors import DeviceMemoryError
from ctfast.model.config import TrainConfig
from ctfast.model.devices import Devices, to_host
from ctfast.model.training.batches import Layout, epoch_order, grouped_steps, placed, placed_flat, read_ahead
from ctfast.model.training.inputs import FitInputs
from ctfast.model.training.schedule import rates
from ctfast.model.training.step import Batch, Recipe, State, StepInputs, compiled_step, validation_program

_STEPS_PER_DISPATCH: Final = {"cpu": 1}
"""On a CPU a step takes far longer than its call; elsewhere the host would be waited for between short steps."""
_STEPS_ELSEWHERE: Final = 8
_VALIDATION_BATCH: Final = {"cpu": 32}
_VALIDATION_ELSEWHERE: Final = 256


@dataclass
class EpochResult:
    """An epoch so far."""

    images: int = 0
    steps: int = 0
    loss_sum: float = 0.0
    right: int = 0
    diverged_step: int | None = None
    diverged_images: list[int] = field(default_factory=list)

    @property
    def loss(self) -> float:
        """Mean over images."""
        return self.loss_sum / self.images if self.images else math.nan

    @property
    def accuracy(self) -> float:
        """Share of images whose class was right."""
        return self.right / self.images if self.images else math.nan


class EpochTrainer:
    """Trains; knows nothing of files.

    Args:
        data: Checked data.
        config: How.
        devices: On what.
        recipe: What the programs are compiled for.
        start: Makes the weights and optimizer state to start from, on the host; called again if a first step fails for
            lack of memory, because its memory was given away.
        notes: Takes what the user should know.
    """

    def __init__(
        self,
        data: FitInputs,
        config: TrainConfig,
        devices: Devices,
        recipe: Recipe,
        start: Callable[[], State],
        notes: list[str],
    ) -> None:
        self.data, self.config, self.devices, self.notes = data, config, devices, notes
        self.steps = data.steps
        self.recipe = recipe
        self._start = start
        self._rates = rates(config, config.epochs * self.steps)
        chosen = config.steps_per_dispatch or _STEPS_PER_DISPATCH.get(devices.platform, _STEPS_ELSEWHERE)
        self._group = min(chosen, self.steps)
        self._parts = min(config.accumulate, data.batch_size)
        self._state: State | None = None
        self._fits = False

    @property
    def layout(self) -> Layout:
        """How a batch lies."""
        return Layout.of(self.data.batch_size, self._parts, len(self.devices.devices))

    def last_rate(self, epoch: int) -> float:
        """The learning rate of the last step of an epoch."""
        return float(self._rates[epoch * self.steps - 1])

    def host_state(self) -> State:
        """Copies of weights and optimizer state."""
        return jax.tree.map(np.array, to_host(self._ready()))

    def host_weights(self) -> Any:
        """Copies of the weights."""
        return jax.tree.map(np.array, to_host(self._ready().weights))

    def _ready(self) -> State:
        if self._state is None:
            self._state = self.devices.replicate(self._start())
        return self._state

    def train_epoch(self, epoch: int, on_dispatch: Callable[[EpochResult], None]) -> EpochResult:
        """One pass over the training images; stops at the first loss that is not finite."""
        result = EpochResult()
        order = epoch_order(self.data.training, self.config.seed, epoch)
        groups = list(grouped_steps(order, self.data.batch_size, self._group))
        if not self._fits:
            self._fit_into_memory(groups[0])
        waiting: tuple[list[Any], Any] | None = None
        layout = self.layout
        ahead = read_ahead((group, placed(self.data.dataset, group, layout, self.devices)) for group in groups)
        for number, (group, batch) in enumerate(ahead):
            # Batches read ahead lie as they did before a step that did not fit had them cut into more parts.
            if batch.labels.shape[1:] != (self.layout.parts, self.layout.images):
                now = placed(self.data.dataset, group, self.layout, self.devices)
            else:
                now = batch
            # The measures of a dispatch are read after the next one has started, so that the device never waits.
            metrics = self._dispatch(now, epoch, number * self._group, group)
            if waiting is not None and not self._take(result, *waiting, on_dispatch):
                return result
            waiting = group, metrics
        if waiting is not None:
            self._take(result, *waiting, on_dispatch)
        return result

    def _inputs(self, epoch: int, first: int, number: int) -> StepInputs:
        at = (epoch - 1) * self.steps + first
        return StepInputs(
            np.int32(self.config.seed), np.int32(epoch), self.data.class_weights, self._rates[at : at + number]
        )

    def _dispatch(self, batch: Batch, epoch: int, first: int, group: list[Any]) -> Any:
        inputs = self._inputs(epoch, first, len(group))
        try:
            program = compiled_step(self.recipe, self.devices, len(group), shapes_of(batch))
            self._state, metrics = program(self._ready(), batch, inputs)
            if not self._fits:
                # The call returns before the device has worked, and so does its error: wait for the first step here,
                # where it can still be cut into parts. What has fitted once is not waited for again.
                jax.block_until_ready(metrics)
                self._fits = True
            return metrics
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            if self._fits or not self._more_parts():
                raise DeviceMemoryError(
                    f"a step of {self.layout.images} images does not fit into the memory of {self.devices.platform}: "
                    f"{str(error).splitlines()[0]}; use a smaller batch_size or image size, or close other programs"
                ) from error
        # The failed step had been given the state's memory, so there is no state left. Only the very first step comes
        # here, so starting again from the stored (or drawn) weights loses nothing.
        self._state = None
        return self._dispatch(placed(self.data.dataset, group, self.layout, self.devices), epoch, first, group)

    def _take(
        self, result: EpochResult, group: list[Any], metrics: Any, on_dispatch: Callable[[EpochResult], None]
    ) -> bool:
        losses, right, finite = (np.asarray(to_host(a)) for a in (metrics.loss, metrics.right, metrics.finite))
        for k, step in enumerate(group):
            result.steps += 1
            if not finite[k]:
                result.diverged_step = result.steps
                result.diverged_images = self._not_finite(metrics.losses, k, step)
                return False
            result.images += len(step)
            result.loss_sum += float(losses[k]) * len(step)
            result.right += int(right[k])
        on_dispatch(result)
        return True

    def _not_finite(self, losses: jax.Array, k: int, step: Any) -> list[int]:
        """Numbers of the images whose own loss is not finite, as far as this process sees them."""
        if not losses.is_fully_addressable:
            return []
        each = np.asarray(losses)[k].reshape(-1)[: len(step)]
        return [int(n) for n, loss in zip(step, each) if not np.isfinite(loss)]

    def validate(self) -> dict[str, float]:
        """Mean loss and accuracy over the validation images; nothing without any."""
        data, chosen = self.data.held_out, self.data.validation
        if data is None:
            return {}
        most = _VALIDATION_BATCH.get(self.devices.platform, _VALIDATION_ELSEWHERE)
        number = len(self.devices.devices)
        size = -(-min(most, len(chosen)) // number) * number
        program = validation_program(self.data.model, self.recipe.path, self.devices)
        weights = self._ready().weights
        parts: Iterator[Any] = (
            placed_flat(data, chosen[k : k + size], size, self.devices) for k in range(0, len(chosen), size)
        )
        sums = [program(weights, batch) for batch in read_ahead(parts)]
        loss = math.fsum(float(to_host(loss)) for loss, _ in sums)
        right = sum(int(to_host(right)) for _, right in sums)
        return {"validation_loss": loss / len(chosen), "validation_accuracy": right / len(chosen)}

    def _fit_into_memory(self, group: list[Any]) -> None:
        """Compute batches in so many parts that a step fits into what the device has free."""
        limit = self.config.memory_limit or self.devices.memory_bytes()
        while True:
            batch = placed(self.data.dataset, group, self.layout, self.devices)
            needed = step_bytes(compiled_step(self.recipe, self.devices, len(group), shapes_of(batch)))
            if needed <= limit:
                return
            if not self._more_parts(needed, limit):
                raise DeviceMemoryError(
                    f"a step needs {needed >> 20} MB even with the smallest parts, {limit >> 20} MB are free: use a "
                    "smaller image size or network, or close other programs"
                )

    def _more_parts(self, needed: int = 0, limit: int = 0) -> bool:
        before = self.layout
        if before.images <= len(self.devices.devices):  # one image on each device: no smaller part
            return False
        while self.layout.images == before.images:
            self._parts = min(2 * self._parts, self.data.batch_size)
        why = f" ({needed >> 20} MB needed, {limit >> 20} MB free)" if needed else ""
        self.notes.append(
            f"a batch of {self.data.batch_size} in {before.parts} parts does not fit into memory{why}: it is "
            f"computed in {self.layout.parts} parts of {self.layout.images}, which gives the same steps; "
            f"accumulate={self._parts} avoids the attempt"
        )
        return True


def recipe_of(data: FitInputs, config: TrainConfig, devices: Devices) -> Recipe:
    """What the programs depend on.

    Raises:
        BackendUnavailableError: A convolution path that can't be had.
    """
    from ctfast.model.network.convolution import choose_path

    precision = config.precision
    if precision == "auto":  # bfloat16 runs at half the speed of float32 on CPUs without matrix units for it
        precision = "float32" if devices.platform == "cpu" else "bfloat16"
    path = choose_path(config.path, devices.platform, np.dtype("float32") if precision == "float32" else precision)
    return Recipe(
        data.model, config.augmentation, config.label_smoothing, config.clip, config.weight_decay, precision, path
    )


def step_bytes(program: Any) -> int:
    """Bytes of a step on each device: state, batch and everything in between; as the compiler plans it."""
    analysis = program.memory_analysis()
    return 0 if analysis is None else int(analysis.temp_size_in_bytes + analysis.argument_size_in_bytes)


def shapes_of(batch: Batch) -> Batch:
    """Shapes, dtypes and shardings of a batch, which a step is compiled for."""
    return Batch(*(jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=a.sharding) for a in batch))
