"""The compiled program of prediction: 16-bit images to probabilities (and maps), one shape, two batches in flight."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from ctfast.dispatch.forked import refuse_jax_after_fork
from ctfast.model.data.preprocessing import HIGHEST
from ctfast.model.network.explain import class_activation, enlarge

if TYPE_CHECKING:
    from ctfast.model.run_folder import TrainedModel

_SMALL_BATCHES: Final = (1, 8)
_LARGE_BATCH: Final = {"cpu": 32}
_LARGE_ELSEWHERE: Final = 256
_IN_FLIGHT: Final = 2
_AT_A_TIME: Final = {"cpu": 8}


def at_a_time() -> int | None:
    """Images that go through the network's blocks together; see ``Sequential4.features``."""
    return _AT_A_TIME.get(jax.default_backend())


def batch_for(files: int) -> int:
    """Images at once for so many files: few sizes, so that the compilation cache holds their programs."""
    large = _LARGE_BATCH.get(jax.default_backend(), _LARGE_ELSEWHERE)
    return next((size for size in _SMALL_BATCHES if files <= size), large)


@dataclass(frozen=True, eq=False)
class Started:
    """A batch that the device works on."""

    images: NDArray[np.uint16]
    results: tuple[jax.Array, jax.Array | None] | None
    """None where it did not fit into memory."""


class Predictor:
    """Probabilities (and maps) of images, batch by batch.

    Args:
        run: The trained model.
        batch_size: Images at once; smaller batches are padded. Halved where one does not fit into memory.
        explain: A method of ``class_activation`` for maps of the predicted class, or None.
        precision: Of the hidden layer's weights; see ``Sequential4.with_precision``.
    """

    def __init__(
        self, run: TrainedModel, batch_size: int, *, explain: str | None = None, precision: str = "float32"
    ) -> None:
        refuse_jax_after_fork()
        self.batch_size = batch_size
        self.explain = explain
        self.in_flight = _IN_FLIGHT
        """Batches to hand over before the oldest is waited for."""
        self.notes: list[str] = []
        """What a user should know, in sentences."""
        self.seen_as = run.preprocessing.summary
        """What is done to a slice before the network sees it."""
        self._size = run.preprocessing.image_size
        self._blocks = len(run.model.block_names)
        graphs, states = zip(*(nnx.split(member.with_precision(precision)) for member in run.members), strict=True)
        self._graph = graphs[0]
        # Of an ensemble, the members' weights lie along a first axis: one program, run for each in turn.
        self._state = jax.tree.map(lambda *a: jnp.stack(a), *states) if run.others else states[0]
        self._several = bool(run.others)

    def start(self, images: NDArray[np.uint16]) -> Started:
        """Hand ``(n, H, W)`` or ``(n, H, W, 3)`` over, ``n`` at most ``batch_size``; does not wait."""
        missing = self.batch_size - len(images)
        if missing < 0:  # put together before the last halving
            return Started(images, None)
        padded = np.pad(images, [(0, missing)] + [(0, 0)] * (images.ndim - 1)) if missing else images
        try:
            program = predict_by_members if self._several else predict_batch
            return Started(images, program(self._graph, self.explain, at_a_time(), self._state, padded))
        except jax.errors.JaxRuntimeError as error:
            self._halve(error)
            return Started(images, None)

    def finish(self, started: Started) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Wait for a batch: ``(n, classes)`` probabilities and ``(n, H, W)`` maps."""
        number = len(started.images)
        if started.results is not None:
            probabilities, maps = started.results
            try:
                p = np.asarray(probabilities)[:number]
                return p, None if maps is None else enlarge(np.asarray(maps)[:number], self._size, self._blocks)
            except jax.errors.JaxRuntimeError as error:
                if number <= self.batch_size:  # a batch that was started before the last halving says nothing new
                    self._halve(error)
        parts, done = [], 0
        while done < number:
            part = started.images[done : done + self.batch_size]
            parts.append(self.finish(self.start(part)))
            done += len(part)
        joined = None if self.explain is None else np.concatenate([m for _, m in parts if m is not None])
        return np.concatenate([p for p, _ in parts]), joined

    def all(self, images: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Probabilities ``(N, classes)`` of any number of images."""
        flight: deque[Started] = deque()
        parts, done = [], 0
        while done < len(images) or flight:
            if done < len(images) and len(flight) < self.in_flight:
                flight.append(self.start(images[done : done + self.batch_size]))
                done += len(flight[-1].images)
            else:
                parts.append(self.finish(flight.popleft())[0])
        return np.concatenate(parts)

    def _halve(self, error: jax.errors.JaxRuntimeError) -> None:
        if "RESOURCE_EXHAUSTED" not in str(error) or self.batch_size == 1:
            raise error
        self.batch_size //= 2
        self.notes.append(
            f"a batch of {2 * self.batch_size} did not fit into memory: continued with {self.batch_size}; "
            f"--batch-size {self.batch_size} avoids the attempt"
        )


@partial(jax.jit, static_argnums=(0, 1, 2))  # of the module, so that equal networks share one compiled program
def predict_batch(
    graph: Any, explain: str | None, together: int | None, state: Any, images: jax.Array
) -> tuple[jax.Array, jax.Array | None]:
    """Probabilities of a batch of 16-bit images, and maps where ``explain`` names a method."""
    model = nnx.merge(graph, state)
    x = images.astype(jnp.float32) / HIGHEST
    if explain is None:
        return jax.nn.softmax(model(x, at_a_time=together)), None
    activation = class_activation(model, x, method=explain, at_a_time=together)
    return jax.nn.softmax(activation.logits), activation.maps


@partial(jax.jit, static_argnums=(0, 1, 2))
def predict_by_members(
    graph: Any, explain: str | None, together: int | None, states: Any, images: jax.Array
) -> tuple[jax.Array, jax.Array | None]:
    """Mean probabilities of an ensemble, and the mean of its members' maps for the class that they name together."""
    x = images.astype(jnp.float32) / HIGHEST

    def probabilities(state: Any) -> jax.Array:
        return jax.nn.softmax(nnx.merge(graph, state)(x, at_a_time=together))

    mean = jax.lax.map(probabilities, states).mean(axis=0)
    if explain is None:
        return mean, None
    target = mean.argmax(axis=1)

    def maps(state: Any) -> jax.Array:
        model = nnx.merge(graph, state)
        return class_activation(model, x, target=target, method=explain, at_a_time=together).maps

    return mean, jax.lax.map(maps, states).mean(axis=0)
