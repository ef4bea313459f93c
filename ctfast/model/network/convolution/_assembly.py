"""From three plain functions to one that differentiates, vectorises over batches and splits over devices.

An implementation gives the forward pass, the gradient of ``x`` and that of kernel and bias. JAX can look into neither a
compiled call nor, with profit, a loop over images: what it needs to know about them is said here, once for both.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
from jax import lax
from jax.custom_batching import custom_vmap
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import NamedSharding, PartitionSpec

from ctfast.embed._jax_varying import varying_like

Arrays = Any


class Implementation(Protocol):
    """The three functions; ``argmax`` ``(N, H, W, F)`` uint8 is 0 to 3, or 4 where the ReLU cut the maximum."""

    def forward(self, x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        """The pooled result."""

    def forward_with_argmax(self, x: jax.Array, kernel: jax.Array, bias: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The pooled result and the position of each maximum in its window."""

    def input_gradient(
        self, argmax: jax.Array, gradient: jax.Array, kernel: jax.Array, height: int, width: int
    ) -> jax.Array:
        """Gradient of ``x``, whose images were so high and wide."""

    def weight_gradient(self, x: jax.Array, argmax: jax.Array, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Gradients of kernel and bias."""


def _split_by_image(function: Callable[..., Arrays], rule: str, images: Sequence[bool], results: Sequence[bool]) -> Any:
    """Let the compiler's partitioner give each device its images.

    ``images`` and ``results`` say which arguments and results have a batch axis; other arguments are copied to every
    device, other results are sums over all of them.
    """
    split = custom_partitioning(function)

    # The mesh axes that the batch is split over are those of the first argument with a batch: the rule that is given
    # to the partitioner (``sharding_rule``) ties all of them to one.
    def batch_axes(shapes: Sequence[Any]) -> Any:
        for shape, has_batch in zip(shapes, images, strict=True):
            spec = getattr(shape.sharding, "spec", None)
            if has_batch and spec:
                return spec[0]
        return None

    def sharding(mesh: Any, axes: Any, has_batch: bool) -> NamedSharding:
        return NamedSharding(mesh, PartitionSpec(axes) if has_batch else PartitionSpec())

    def partition(mesh: Any, arg_shapes: Any, result_shape: Any) -> Any:
        axes = batch_axes(arg_shapes)

        def local(*args: jax.Array) -> Arrays:
            out = function(*args)
            if axes is None:  # not split: there is nothing to add up, and psum over no axis is an error
                return out
            several = out if isinstance(out, tuple) else (out,)
            summed = tuple(o if batch else lax.psum(o, axes) for o, batch in zip(several, results, strict=True))
            return summed if isinstance(out, tuple) else summed[0]

        out_shardings = tuple(sharding(mesh, axes, r) for r in results)
        arguments = tuple(sharding(mesh, axes, a) for a in images)
        return mesh, local, out_shardings if len(results) > 1 else out_shardings[0], arguments

    def infer(mesh: Any, arg_shapes: Any, result_shape: Any) -> Any:
        axes = batch_axes(arg_shapes)
        out = tuple(sharding(mesh, axes, r) for r in results)
        return out if len(results) > 1 else out[0]

    split.def_partition(partition=partition, infer_sharding_from_operands=infer, sharding_rule=rule)
    return split


def _fold_batches(function: Callable[..., Arrays], images: Sequence[bool], results: Sequence[bool]) -> Any:
    """``vmap`` over arguments with a batch axis becomes a longer batch; over others, a loop."""
    folded = custom_vmap(function)

    def rule(axis_size: int, batched: Sequence[bool], *args: jax.Array) -> Any:
        many = len(results) > 1
        longer = all(b == has for b, has in zip(batched, images, strict=True)) and all(results)
        # A batch of batches is a longer batch. That holds only if every image has its new axis and nothing else has,
        # and not for results that are sums over the batch, which would be summed over both axes.
        if longer:
            flat = [
                a.reshape((axis_size * a.shape[1], *a.shape[2:])) if has else a
                for a, has in zip(args, images, strict=True)
            ]
            out = folded(*flat)
            several = out if many else (out,)
            back = tuple(o.reshape((axis_size, o.shape[0] // axis_size, *o.shape[1:])) for o in several)
        else:
            # Else one call for each entry of the new axis; what lacks that axis (a shared kernel) is the same in all.
            whole = [a for a, b in zip(args, batched, strict=True) if b]

            def one(parts: Sequence[jax.Array]) -> Arrays:
                rest = iter(parts)
                return folded(*(next(rest) if b else a for a, b in zip(args, batched, strict=True)))

            out = lax.map(one, whole)
            back = out if many else (out,)
        flags = (True,) * len(results)
        return (tuple(back), flags) if many else (back[0], True)

    folded.def_vmap(rule)
    return folded


def prepared(function: Callable[..., Arrays], rule: str, images: Sequence[bool], results: Sequence[bool]) -> Any:
    """A function that JAX can't look into, for ``vmap`` and for images spread over devices.

    ``rule`` is the partitioner's; ``images`` and ``results`` say which arguments and results have a batch axis.
    """
    # Folding outside, splitting inside: a call with a partitioning of its own has no rule for vmap.
    whole = _fold_batches(_split_by_image(function, rule, images, results), images, results)

    def call(*args: jax.Array) -> Arrays:
        return jax.tree.map(lambda out: varying_like(out, *args), whole(*args))

    return call


def assemble(implementation: Implementation) -> Callable[[jax.Array, jax.Array, jax.Array], jax.Array]:
    """The function of ``x``, ``kernel`` and ``bias``. Differentiable once, in reverse mode."""
    here, ours = True, False
    forward_rule = "n h w c, i j c f, f -> n p q f"
    forward = prepared(implementation.forward, forward_rule, (here, ours, ours), (here,))
    forward_with_argmax = prepared(
        implementation.forward_with_argmax, f"{forward_rule}, n p q f", (here, ours, ours), (here, here)
    )
    weight_gradient = prepared(
        implementation.weight_gradient, "n h w c, n p q f, n p q f -> i j c f, f", (here, here, here), (ours, ours)
    )

    # The size of x is not known from its pooled gradient (an odd last row is lost): one function for each size.
    @functools.cache
    def input_gradient(height: int, width: int) -> Any:
        def function(argmax: jax.Array, gradient: jax.Array, kernel: jax.Array) -> jax.Array:
            return implementation.input_gradient(argmax, gradient, kernel, height, width)

        return prepared(function, "n p q f, n p q f, i j c f -> n h w c", (here, here, ours), (here,))

    # The primal without the argmax: where nobody differentiates, it is neither computed nor kept.
    block: Any = jax.custom_vjp(forward)

    def block_forward(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> Any:
        out, argmax = forward_with_argmax(x, kernel, bias)
        return out, (x, kernel, argmax)

    def block_backward(kept: Any, gradient: jax.Array) -> Any:
        x, kernel, argmax = kept
        # Two calls: where nobody asks for the gradient of x (the first layer), the compiler drops that one.
        kernel_gradient, bias_gradient = weight_gradient(x, argmax, gradient)
        return input_gradient(*x.shape[1:3])(argmax, gradient, kernel), kernel_gradient, bias_gradient

    block.defvjp(block_forward, block_backward)

    def varying_block(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        # All three vary alike, so that JAX itself adds up the gradients of a kernel that devices share.
        args = (x, kernel, bias)
        return block(*(varying_like(a, *args) for a in args))

    return varying_block
