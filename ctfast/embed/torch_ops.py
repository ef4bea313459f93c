"""One custom operator of torch for all operations that make images: ``torch.compile``, ``vmap`` and autograd.

>>> from ctfast.embed import torch_ops
>>> torch_ops.register()
>>> step = torch.compile(lambda x: ctfast.gaussian_filter(x, 1.5), fullgraph=True)

Tensors that ask for gradients come here by themselves. Gradients exist for ``gaussian_filter`` (its adjoint, borders
included), ``window``, ``normalize`` without percentiles, ``standardize`` and ``rescale``; the others are refused.
``torch.func.grad`` does not take custom operators; ``backward`` and ``torch.autograd.grad`` do. Derivatives in forward
mode (``torch.func.jvp``, ``jacfwd``) are refused: torch's custom operators lose them without a word.
"""

from __future__ import annotations

import json
from typing import Any

import torch

from ctfast import ops
from ctfast.dispatch.arrays import check_dtype, check_shape, dtype_of, has_channel, known_axes
from ctfast.dispatch.call import call
from ctfast.dispatch.checks import check_reach
from ctfast.dispatch.containers import Call, Task
from ctfast.dispatch.prepared import prepare
from ctfast.dispatch.steps import from_plain, plain
from ctfast.embed._torch_gradients import gradient, has_gradient
from ctfast.errors import ArgumentError
from ctfast.results import PipelineResult
from ctkernels.contract import OPERATIONS


def register() -> None:
    """Let ``torch.compile`` put the public functions that make images into its graphs, without a break."""
    for name, operation in OPERATIONS.items():
        if not operation.is_statistic:
            torch.compiler.allow_in_graph(getattr(ops, name))


def apply(task: Task, x: Any, out: Any) -> Any:
    """Run through the operator; what asks for gradients where nobody records them is taken as it is.

    Raises:
        ArgumentError: ``out=``, a statistic, an operation without a gradient, or a derivative in forward mode.
    """
    _refuse_tangents(task, x)
    recorded = x.requires_grad and torch.is_grad_enabled()
    if x.requires_grad and not recorded:
        return task.run(x.detach(), out=out) if task.writes else task.run(x.detach())
    lacking = [c.operation for c in task.calls if not has_gradient(c.operation, c.params)] if recorded else []
    if lacking or task.statistics:
        raise ArgumentError(
            f"{', '.join(lacking or task.statistics)} of a tensor that "
            + ("asks for gradients, which there are none of" if recorded else "has no values yet")
            + ": give x.detach()"
            + ("" if recorded else ", outside of what torch.compile traces")
        )
    if out is not None:
        raise ArgumentError("out= with a tensor that is traced or asks for gradients: leave out= away")
    for each in task.calls:
        x = _one(each, x, task.backend)
    return x if task.writes else PipelineResult(x)


def _refuse_tangents(task: Task, x: Any) -> None:
    try:
        lost = torch.autograd.forward_ad.unpack_dual(x).tangent is not None
    except RuntimeError:  # under torch.vmap torch can't say
        lost = True
    if lost:
        raise ArgumentError(
            f"{', '.join(task.operations)} of a tensor with a tangent (torch.func.jvp, jacfwd, forward_ad):"
            " gradients exist in reverse mode alone, by backward or torch.autograd.grad"
        )


def _one(each: Call, x: Any, backend: str | None) -> Any:
    channel = has_channel(tuple(x.shape))
    if channel:
        x = x[..., 0]
    check_shape(tuple(x.shape))
    dtype = dtype_of(x)
    check_dtype(dtype)
    spec = OPERATIONS[each.operation]
    prepared = prepare(each.operation, dtype, each.params, chosen=backend or "cpu", dtype=each.dtype)
    check_reach(spec, prepared.halo, tuple(x.shape))
    wanted = prepared.dtype.name
    text = json.dumps(
        [each.operation, dict(prepared.params), wanted if spec.chooses_dtype else None, backend], default=plain
    )
    result = image(x, text, wanted, len(prepared.halo))
    return result[..., None] if channel else result


def described(text: str) -> tuple[str, dict[str, Any], str | None, str | None]:
    """Operation, parameters, ``dtype=``, ``backend=``."""
    name, params, dtype, backend = json.loads(text)
    return name, {k: from_plain(v) for k, v in params.items()}, dtype, backend


@torch.library.custom_op("ctfast::image", mutates_args=())  # type: ignore[untyped-decorator]
def image(x: torch.Tensor, text: str, dtype: str, axes: int) -> torch.Tensor:
    """The operation that ``text`` describes; its result has ``dtype``, and ``axes`` trailing axes belong together."""
    name, params, asked, backend = described(text)
    with known_axes():  # the shape was checked when the program was traced; vmap may have put axes in front
        return call(name, x.detach(), params, dtype=asked, backend_name=backend)


@image.register_fake  # type: ignore[untyped-decorator]
def _fake(x: torch.Tensor, text: str, dtype: str, axes: int) -> torch.Tensor:
    return torch.empty(x.shape, dtype=getattr(torch, dtype), device=x.device)


@image.register_vmap  # type: ignore[untyped-decorator]
def _batched(info: Any, in_dims: Any, x: torch.Tensor, text: str, dtype: str, axes: int) -> tuple[torch.Tensor, int]:
    return image(x.movedim(in_dims[0], 0), text, dtype, axes), 0


def _keep(ctx: Any, inputs: Any, output: Any) -> None:
    x, ctx.text, _, ctx.axes = inputs
    ctx.save_for_backward(x)


def _backward(ctx: Any, cotangent: torch.Tensor) -> tuple[Any, ...]:
    (x,) = ctx.saved_tensors
    name, params, _, backend = described(ctx.text)

    def filtered(y: torch.Tensor, **changed: Any) -> torch.Tensor:
        text = json.dumps([name, {**params, **changed}, None, backend], default=plain)
        return image(y, text, str(y.dtype).removeprefix("torch."), ctx.axes)

    return gradient(name, params, ctx.axes, x, cotangent, filtered).to(x.dtype), None, None, None


image.register_autograd(_backward, setup_context=_keep)
