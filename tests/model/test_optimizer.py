"""Adam in one pass over memory against optax's."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ctfast.model.network.convolution import choose_path
from ctfast.model.training.optimizer import make_optimizer, update

# More than a task's block, less than a register, one number, none
SHAPES = {"dense": {"kernel": (700, 50), "bias": (50,)}, "odd": {"kernel": (3, 3, 1, 7), "bias": ()}, "none": (0, 4)}


def tree(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    shapes, structure = jax.tree.flatten(SHAPES, is_leaf=lambda s: isinstance(s, tuple))
    return jax.tree.unflatten(structure, [jnp.asarray(rng.standard_normal(s), jnp.float32) for s in shapes])


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_steps_are_those_of_optax(decay: float) -> None:
    choose_path("ffi", "cpu", np.float32)
    step = jax.jit(partial(update, weight_decay=decay, path="ffi"), donate_argnums=(0, 1))
    reference = optax.adamw(1.0, weight_decay=decay, mask=lambda weights: jax.tree.map(lambda w: w.ndim > 1, weights))
    weights, expected = tree(0), tree(0)
    slots, theirs = make_optimizer(decay).init(weights), reference.init(expected)
    for number in range(4):
        gradients, rate = tree(1 + number), jnp.float32(1e-2 / (1 + number))
        weights, slots = step(weights, slots, gradients, jnp.float32(0.3), rate)
        updates, theirs = reference.update(jax.tree.map(lambda g: g * 0.3, gradients), theirs, expected)
        expected = jax.tree.map(lambda w, u, rate=rate: w + rate * u, expected, updates)
    assert int(slots[0].count) == 4
    ours = (weights, slots[0].mu, slots[0].nu)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves((expected, theirs[0].mu, theirs[0].nu)), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        # Some roundings of each number: the squares' sum is by the thousandth, so that a difference stays.
        np.testing.assert_allclose(a, b, rtol=4e-6, atol=1e-7)


def test_the_state_is_that_of_the_other_paths() -> None:
    """So that a run goes on elsewhere."""
    weights = tree(0)
    states = []
    for path in ("ffi", "xla"):
        new = update(weights, make_optimizer(0.1).init(weights), tree(1), 1.0, 1e-3, 0.1, path)
        states.append(jax.tree.map(lambda a: (a.shape, str(a.dtype)), new))
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])
    assert states[0] == states[1]


def test_a_gradient_that_is_not_finite_is_seen_where_it_is() -> None:
    weights, gradients = tree(0), tree(1)
    gradients["dense"]["kernel"] = gradients["dense"]["kernel"].at[3, 5].set(np.nan)
    new, _ = update(weights, make_optimizer(0.0).init(weights), gradients, 1.0, 1e-3, 0.0, "ffi")
    wrong = np.isnan(np.asarray(new["dense"]["kernel"]))
    assert wrong[3, 5]
    assert wrong.sum() == 1


def test_a_wrong_compiled_call_is_an_error_and_no_crash() -> None:
    choose_path("ffi", "cpu", np.float32)
    numbers, a, b = jnp.zeros(10), jnp.zeros((3, 4)), jnp.zeros((3, 5))
    shapes = [jax.ShapeDtypeStruct(a.shape, jnp.float32)] * 3
    for arguments in ((numbers, a, a, a, b), (numbers, a, a, a), (numbers[:9], a, a, a, a), (numbers, a, a, a, a > 0)):
        call = jax.ffi.ffi_call("ctfast_adam_float32", shapes)
        with pytest.raises(jax.errors.JaxRuntimeError, match="ctfast Adam"):
            jax.block_until_ready(call(*arguments))
