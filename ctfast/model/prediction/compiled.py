"""The compiled program of prediction: 16-bit images to logits (and maps), one shape, two batches in flight."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from ctfast.dispatch.forked import refuse_jax_after_fork
from ctfast.model.data.preprocessing import HIGHEST
from ctfast.model.network.explain import class_activation, enlarge
from ctfast.model.network.sequential4 import Sequential4

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
    results: tuple[list[jax.Array], jax.Array | None] | None
    """Each member's logits, and maps; None where it did not fit into memory."""


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
        self._members = [_weights(member, precision) for member in run.members]

    def start(self, images: NDArray[np.uint16]) -> Started:
        """Hand ``(n, H, W)`` or ``(n, H, W, 3)`` over, ``n`` at most ``batch_size``; does not wait."""
        missing = self.batch_size - len(images)
        if missing < 0:  # put together before the last halving
            return Started(images, None)
        padded = np.pad(images, [(0, missing)] + [(0, 0)] * (images.ndim - 1)) if missing else images
        try:
            return Started(images, predict_by_members(self._members, self.explain, padded))
        except jax.errors.JaxRuntimeError as error:
            self._halve(error)
            return Started(images, None)

    def finish(self, started: Started) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Wait for a batch: ``(n, classes)`` probabilities and ``(n, H, W)`` maps."""
        number = len(started.images)
        if started.results is not None:
            logits, maps = started.results
            try:
                p = _probabilities([np.asarray(each)[:number] for each in logits])
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


def _probabilities(logits: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Mean softmax of the members' logits.

    Not in the program: what XLA makes of a softmax, and so its last bit, depends on the number of rows.
    """
    total = np.zeros(logits[0].shape)
    for each in logits:
        with np.errstate(invalid="ignore"):  # of weights that are infinite; NaN says so
            powers = np.exp(each.astype(np.float64) - each.max(axis=1, keepdims=True))
        total += powers / powers.sum(axis=1, keepdims=True)
    return (total / len(logits)).astype(np.float32)


def predict_by_members(
    members: Sequence[tuple[Any, Any]], explain: str | None, images: NDArray[np.uint16]
) -> tuple[list[jax.Array], jax.Array | None]:
    """Logits of networks of one shape, and the mean of their maps for the class that they name together.

    One program, run with each member's weights where they lie: weights stacked for a loop in the program would be
    copied, once for the stack and once more for every batch.
    """
    x = jax.device_put(images)
    if len(members) == 1:
        graph, state = members[0]
        logits, maps = predict_batch(graph, explain, at_a_time(), state, x)
        return [logits], maps
    each = [predict_batch(graph, None, at_a_time(), state, x)[0] for graph, state in members]
    if explain is None:
        return each, None
    target = _named(each)
    return each, _mean([maps_for(graph, explain, at_a_time(), state, x, target) for graph, state in members])


@partial(jax.jit, static_argnums=(0, 1, 2))  # of the module, so that equal networks share one compiled program
def predict_batch(
    graph: Any, explain: str | None, together: int | None, state: Any, images: jax.Array
) -> tuple[jax.Array, jax.Array | None]:
    """Logits of a batch of 16-bit images, and maps where ``explain`` names a method."""
    model = nnx.merge(graph, state)
    x = images.astype(jnp.float32) / HIGHEST
    if explain is None:
        return model(x, at_a_time=together), None
    activation = class_activation(model, x, method=explain, at_a_time=together)
    return activation.logits, activation.maps


@partial(jax.jit, static_argnums=(0, 1, 2))
def maps_for(
    graph: Any, explain: str, together: int | None, state: Any, images: jax.Array, target: jax.Array
) -> jax.Array:
    """Maps of a batch of 16-bit images for the class that each is said to be of."""
    x = images.astype(jnp.float32) / HIGHEST
    return class_activation(nnx.merge(graph, state), x, target=target, method=explain, at_a_time=together).maps


@partial(jax.jit)
def _named(logits: list[jax.Array]) -> jax.Array:
    """The class of each image that the members name together."""
    return _mean([jax.nn.softmax(each) for each in logits]).argmax(axis=1)


@partial(jax.jit)
def _mean(each: list[jax.Array]) -> jax.Array:
    return sum(each[1:], each[0]) / len(each)


_narrowed: Final[WeakKeyDictionary[Sequential4, dict[str, tuple[list[Any], Any, Any]]]] = WeakKeyDictionary()
"""Of networks, by precision: the weights that were narrowed, and what was made of them."""


def _weights(model: Sequential4, precision: str) -> tuple[Any, Any]:
    """Graph and state; narrowed once, as long as the network lives and its weights are the same arrays."""
    graph, state = nnx.split(model)
    if precision == "float32":
        return graph, state
    own, kept = jax.tree.leaves(state), _narrowed.setdefault(model, {})
    if precision in kept and all(a is b for a, b in zip(own, kept[precision][0], strict=True)):
        return kept[precision][1:]
    made = nnx.split(model.with_precision(precision))
    kept[precision] = (own, *made)
    return made
