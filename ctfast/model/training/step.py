"""The compiled programs of training: one step (or several), and the losses of a validation batch.

A batch comes as ``(parts, images per part)``: parts are computed one after the other and their gradients added, the
images of a part are split over the devices. Padding has weight 0, so that every batch has the same shape.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import PartitionSpec

from ctfast.model.config import Augmentation, ModelConfig
from ctfast.model.data.preprocessing import HIGHEST
from ctfast.model.devices import AXIS, Devices
from ctfast.model.network.sequential4 import empty_weights, model_from
from ctfast.model.training.augmentation import augment, image_keys
from ctfast.model.training.optimizer import make_optimizer, update


class State(NamedTuple):
    """What a step changes."""

    weights: Any
    optimizer: Any


class Batch(NamedTuple):
    """Arrays with the same leading axes."""

    images: Any
    """uint16."""
    labels: Any
    """int32."""
    numbers: Any
    """int32: which images of the data set; keys of the augmentation come from them."""
    real: Any
    """float32: 1, or 0 for padding."""


class StepMetrics(NamedTuple):
    """Of one step."""

    loss: jax.Array
    """Mean over the batch of what is minimised."""
    right: jax.Array
    """Number of images whose most probable class was right, before the step."""
    finite: jax.Array
    """Whether loss and gradient were."""
    losses: jax.Array
    """Of each image, as the batch's shape."""


class StepInputs(NamedTuple):
    """What differs between runs and epochs; no part of the program, so that all folds and seeds share one."""

    seed: Any
    """int32."""
    epoch: Any
    """int32."""
    class_weights: Any
    """float32 ``(classes,)``."""
    rates: Any
    """float32 ``(steps,)``: the learning rate of each step."""


class Recipe(NamedTuple):
    """What the programs are compiled for."""

    model: ModelConfig
    augmentation: Augmentation
    label_smoothing: float
    clip: float
    weight_decay: float
    dtype: str
    path: str


def train_program(recipe: Recipe, devices: Devices, steps: int) -> Any:
    """``program(state, batches, inputs) -> (state, StepMetrics)``; ``steps`` batches lie along the first axis.

    The state is donated: its memory becomes that of the new state.
    """
    gradient = _gradient(recipe)
    if len(devices.devices) > 1:
        along = PartitionSpec(None, AXIS)
        gradient = jax.shard_map(
            partial(_summed, gradient),
            mesh=devices.mesh,
            in_specs=(PartitionSpec(), along, PartitionSpec()),
            out_specs=(PartitionSpec(), PartitionSpec(), PartitionSpec(), along),
            check_vma=False,  # JAX can't tell over which axes the results of FFI calls vary
        )

    def step(state: State, batch: Batch, inputs: StepInputs) -> tuple[State, StepMetrics]:
        gradients, loss, right, losses = gradient(state.weights, batch, inputs)
        # Sums until here, one division now: a batch gives the same step in however many parts and on however many
        # devices it is computed, and padding (weight 0) does not count.
        count = jnp.maximum(batch.real.sum(), 1.0)
        norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in jax.tree.leaves(gradients))) / count
        # Clipping and the mean in Adam's pass over the gradients. At norm 0, clip / norm is infinite and the minimum 1.
        scale = jnp.minimum(1.0, recipe.clip / norm) if recipe.clip > 0 else 1.0
        finite = jnp.isfinite(loss) & jnp.isfinite(norm)
        weights, slots = update(
            state.weights, state.optimizer, gradients, scale / count, inputs.rates, recipe.weight_decay, recipe.path
        )
        return State(weights, slots), StepMetrics(loss / count, right, finite, losses)

    def several(state: State, batches: Batch, inputs: StepInputs) -> tuple[State, StepMetrics]:
        if steps == 1:  # the usual case on a CPU: no loop around a single step
            one = inputs._replace(rates=inputs.rates[0])
            state, metrics = step(state, jax.tree.map(lambda a: a[0], batches), one)
            return state, jax.tree.map(lambda a: a[None], metrics)  # the axis of the steps, as from the scan

        def body(carried: State, each: tuple[Batch, jax.Array]) -> tuple[State, StepMetrics]:
            return step(carried, each[0], inputs._replace(rates=each[1]))

        return jax.lax.scan(body, state, (batches, inputs.rates))

    return jax.jit(several, donate_argnums=0)


def _gradient(recipe: Recipe) -> Callable[..., Any]:
    """Sums over all parts: gradients, loss, right ones; and the loss of each image."""
    sums = jax.value_and_grad(partial(_loss_sum, recipe), has_aux=True)

    def of_batch(weights: Any, batch: Batch, inputs: StepInputs) -> tuple[Any, jax.Array, jax.Array, jax.Array]:
        def of_part(part: Batch) -> tuple[Any, jax.Array, jax.Array, jax.Array]:
            (loss, (right, losses)), gradients = sums(weights, part, inputs)
            return gradients, loss, right, losses

        if batch.labels.shape[0] == 1:  # one part: nothing to add up, no second copy of the gradients
            gradients, loss, right, losses = of_part(jax.tree.map(lambda a: a[0], batch))
            return gradients, loss, right, losses[None]

        def add(total: Any, part: Batch) -> tuple[Any, jax.Array]:
            *new, losses = of_part(part)
            return jax.tree.map(jnp.add, total, tuple(new)), losses

        zero = (jax.tree.map(jnp.zeros_like, weights), jnp.float32(0), jnp.int32(0))
        (gradients, loss, right), losses = jax.lax.scan(add, zero, batch)
        return gradients, loss, right, losses

    return of_batch


def _summed(gradient: Callable[..., Any], weights: Any, batch: Batch, inputs: StepInputs) -> Any:
    """Each device does its share, then the shares are added."""
    *sums, losses = gradient(weights, batch, inputs)
    return *jax.lax.psum(tuple(sums), AXIS), losses


def _loss_sum(recipe: Recipe, weights: Any, part: Batch, inputs: StepInputs) -> tuple[jax.Array, Any]:
    # uint16 goes to the device: half of the bytes of what the step computes with.
    x = part.images.astype(jnp.float32) / HIGHEST
    x = augment(x, image_keys(inputs.seed, inputs.epoch, part.numbers), recipe.augmentation)
    logits = _logits(recipe, weights, x)
    targets = optax.smooth_labels(jax.nn.one_hot(part.labels, recipe.model.classes), recipe.label_smoothing)
    losses = optax.softmax_cross_entropy(logits, targets)
    balance = inputs.class_weights[part.labels]
    right = ((logits.argmax(axis=-1) == part.labels) & (part.real > 0)).sum(dtype=jnp.int32)
    return (losses * balance * part.real).sum(), (right, losses)


def _logits(recipe: Recipe, weights: Any, x: jax.Array) -> jax.Array:
    # Mixed precision: float32 weights are cast inside the differentiated function, so that their gradients, sums and
    # updates are float32 again; the loss is computed from float32 logits.
    cast = jax.tree.map(lambda w: w.astype(recipe.dtype), weights)
    model = model_from(recipe.model, cast, recipe.path)
    return model(x.astype(recipe.dtype)).astype(jnp.float32)


@lru_cache(maxsize=8)
def validation_program(model: ModelConfig, path: str, devices: Devices) -> Any:
    """``program(weights, batch) -> (sum of losses, number of right ones)``; float32, nothing augmented."""
    # Always float32: the epoch is chosen by this loss, which should not depend on the precision of the training.
    full = Recipe(model, Augmentation(), 0.0, 0.0, 0.0, "float32", path)

    def sums(weights: Any, batch: Batch) -> tuple[jax.Array, jax.Array]:
        logits = _logits(full, weights, batch.images.astype(jnp.float32) / HIGHEST)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch.labels)
        right = ((logits.argmax(axis=-1) == batch.labels) & (batch.real > 0)).sum(dtype=jnp.int32)
        return (losses * batch.real).sum(), right

    if len(devices.devices) > 1:
        sums = jax.shard_map(
            lambda weights, batch, one=sums: jax.lax.psum(one(weights, batch), AXIS),
            mesh=devices.mesh,
            in_specs=(PartitionSpec(), PartitionSpec(AXIS)),
            out_specs=(PartitionSpec(), PartitionSpec()),
            check_vma=False,
        )
    return jax.jit(sums)


@lru_cache(maxsize=32)
def compiled_step(recipe: Recipe, devices: Devices, steps: int, shapes: Batch) -> Any:
    """``train_program`` compiled for batches of these shapes (``jax.ShapeDtypeStruct`` with shardings).

    ``memory_analysis()`` of the result says what it will need.
    """
    weights = empty_weights(recipe.model)
    state = State(weights, jax.eval_shape(make_optimizer(recipe.weight_decay).init, weights))
    on_devices = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=devices.everywhere), state)
    number = jax.ShapeDtypeStruct((), jnp.int32)
    inputs = StepInputs(
        number,
        number,
        jax.ShapeDtypeStruct((recipe.model.classes,), jnp.float32),
        jax.ShapeDtypeStruct((steps,), jnp.float32),
    )
    return train_program(recipe, devices, steps).lower(on_devices, shapes, inputs).compile()
