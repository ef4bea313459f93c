"""Adam as a step applies it: by optax, or in one pass over memory by a compiled kernel on the CPU.

optax's three expressions become three loops of XLA's, which move 590 MB for the network's 14.8 million weights; the
kernel moves 413. Both keep optax's state, and agree within some roundings.
"""

from __future__ import annotations

from typing import Any, Final

import jax
import jax.numpy as jnp
import optax

from ctfast.model.network.convolution import _ffi, platform_path

_FIRST: Final = 0.9
_SECOND: Final = 0.999
_EPSILON: Final = 1e-8
"""Of Adam, as in Kingma and Ba (2015)."""


def make_optimizer(weight_decay: float) -> optax.GradientTransformation:
    """AdamW (Loshchilov and Hutter, 2019); biases don't decay.

    Updates still have to be multiplied by the (negative) learning rate.
    """
    # The rates come to the compiled step as numbers (``StepInputs.rates``), so that no schedule is compiled into it.
    decay = [optax.add_decayed_weights(weight_decay, mask=_decays)] if weight_decay > 0 else []
    return optax.chain(optax.scale_by_adam(_FIRST, _SECOND, _EPSILON), *decay)


def _decays(weights: Any) -> Any:
    return jax.tree.map(lambda w: w.ndim > 1, weights)


def update(weights: Any, slots: Any, gradients: Any, scale: Any, rate: Any, weight_decay: float, path: str) -> Any:
    """Weights and the optimizer's state after a step along ``gradients * scale``.

    ``path`` is the network's: its compiled kernels have one for Adam too.
    """
    if platform_path(path, jnp.float32) == "ffi":
        return _in_one_pass(weights, slots, gradients, scale, rate, weight_decay)
    gradients = jax.tree.map(lambda g: g * scale, gradients)
    updates, slots = make_optimizer(weight_decay).update(gradients, slots, weights)
    return jax.tree.map(lambda w, u: w - rate * u, weights, updates), slots


def _in_one_pass(weights: Any, slots: Any, gradients: Any, scale: Any, rate: Any, weight_decay: float) -> Any:
    adam, *rest = slots
    count = optax.safe_increment(adam.count)
    corrections = [1 / (1 - jnp.float32(kept) ** count) for kept in (_FIRST, _SECOND)]
    decays = [weight_decay * float(decays) for decays in jax.tree.leaves(_decays(weights))]
    numbers = [scale, _FIRST, 1 - _FIRST, _SECOND, 1 - _SECOND, *corrections, _EPSILON, rate, *decays]
    # All arrays in one call: none is written before all gradients are there, so that XLA needs no copy of weights that
    # other operations may still read.
    changed = [*map(jax.tree.leaves, (adam.mu, adam.nu, weights))]
    flat = [leaf for leaves in changed for leaf in leaves]
    arguments = [jnp.stack([jnp.asarray(n, jnp.float32) for n in numbers]), *jax.tree.leaves(gradients), *flat]
    before = len(arguments) - len(flat)
    results = _ffi.call(
        "adam",
        jnp.dtype(jnp.float32),
        [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in flat],
        *arguments,
        input_output_aliases={before + n: n for n in range(len(flat))},
    )
    size, tree = len(changed[0]), jax.tree.structure(weights)
    mu, nu, new = (jax.tree.unflatten(tree, results[n * size : (n + 1) * size]) for n in range(3))
    return new, (adam._replace(count=count, mu=mu, nu=nu), *rest)
