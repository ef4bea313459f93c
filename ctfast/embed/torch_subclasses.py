"""Subclasses of ``torch.Tensor``, such as MONAI's ``MetaTensor``: their class and what they carry are kept."""

from __future__ import annotations

import copy
from typing import Any, Final

import torch

from ctfast.dispatch.containers import Task, put_back
from ctfast.errors import ArgumentError, ShapeError

_TRACED: Final = ("FakeTensor", "FunctionalTensor", "BatchedTensor")


def apply(task: Task, x: Any, out: Any) -> Any:
    """Run on the plain tensor; affine, meta data and the history of transforms come along.

    Raises:
        ArgumentError: A tensor of ``torch.compile`` or ``torch.vmap``, which has no values.
        ShapeError: A MetaTensor of four axes that is no batch: its last axis is a direction in space.
    """
    if type(x).__name__ in _TRACED:
        raise ArgumentError(
            f"a {type(x).__name__} came in, which has no values: call ctfast outside of what torch.compile or vmap "
            "traces, or keep it out of the graph with torch.compiler.disable"
        )
    if not task.named and hasattr(x, "affine") and x.ndim == 4 and not getattr(x, "is_batch", False):
        raise ShapeError(
            f"a {type(x).__name__} of shape {tuple(x.shape)} is (channel, H, W, D), and the last two axes are taken as "
            "rows and columns: say which axes they are, axes=(1, 2, 3) for the volume or axes=(1, 2) for its slices"
        )
    plain = x.as_subclass(torch.Tensor)
    if out is None:
        return put_back(task.run(plain), lambda result: _like(x, result))
    task.run(plain, out=out.as_subclass(torch.Tensor) if isinstance(out, torch.Tensor) else out)
    return out


def _like(x: Any, result: Any) -> Any:
    made = result.as_subclass(type(x))
    if hasattr(made, "copy_meta_from"):
        made.copy_meta_from(x)
    else:
        made.__dict__.update(copy.copy(x.__dict__))
    return made
