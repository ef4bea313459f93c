"""Subclasses of ``torch.Tensor``, such as MONAI's ``MetaTensor``: their class and what they carry are kept."""

from __future__ import annotations

import copy
from typing import Any

import torch

from ctfast.dispatch.containers import Task, put_back
from ctfast.errors import ShapeError


def apply(task: Task, x: Any, out: Any) -> Any:
    """Run on the plain tensor; affine, meta data and the history of transforms come along.

    Raises:
        ShapeError: A MetaTensor of four axes that is no batch: its last axis is a direction in space.
    """
    in_space = x.ndim - (2 if getattr(x, "is_batch", False) else 1)
    if not task.named and hasattr(x, "affine") and in_space > 2:
        space = tuple(range(x.ndim - in_space, x.ndim))
        raise ShapeError(
            f"a {type(x).__name__} of shape {tuple(x.shape)} is (channel, H, W, D), and the last two axes are taken as "
            f"rows and columns: say which axes they are, axes={space} for the volume or axes={space[:2]} for its "
            "slices; ctfast.embed.monai has transforms of MONAI that take it as it is"
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
