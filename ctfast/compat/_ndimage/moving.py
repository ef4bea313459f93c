"""Filtered axes brought to the back and results to where they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ctfast.compat._homes import OF_IMAGES, Array, Home
from ctfast.dispatch.arrays import known_axes

SHORT: Final = 64
"""Rows of fewer pixels leave vectors empty: 256 x 256 x 32 took 3.5 times as long as 32 x 256 x 256."""
_OUTPUTS: Final = OF_IMAGES | {np.dtype(c) for c in "?bilqILQ"}
"""What results are written as: SciPy writes no float16."""


def moved_back(
    run: Callable[[Array, list[int], Array], None],
    x: Array,
    used: list[int],
    output: Any,
    dtype: np.dtype[Any],
    home: Home,
    keep_order: bool = False,
) -> Array | None:
    """``run(batch, axes, out)`` with the ``used`` axes of ``x`` (and others, so that there are two) as its last.

    A line has an axis in front. ``axes`` says which axes of ``x`` these are; they have an order of their own where rows
    would be short, unless ``keep_order`` says that they come in that of ``used``. ``dtype`` is that of the result.
    """
    if len(used) > 3:
        return None
    is_last = used == list(range(x.ndim)) and x.ndim > 1 and (keep_order or x.shape[-1] >= SHORT)
    if is_last and output is None and dtype == x.dtype and x.flags.c_contiguous:  # nothing to move, as nearly always
        result = home.empty(x.shape, dtype)
        with known_axes():
            run(x.reshape(1, *x.shape), used, result.reshape(1, *x.shape))
        return result
    shape, x = x.shape, x if x.ndim > 1 else x.reshape(1, -1)
    spare = [axis for axis in range(x.ndim - 1, -1, -1) if axis not in used]
    spare = spare[: max(0, 2 - len(used))]
    behind = spare + used if keep_order else sorted(used + spare)
    if not keep_order and x.shape[behind[-1]] < SHORT:  # rows are what is fast
        behind.sort(key=lambda axis: x.shape[axis])
    order = [axis for axis in range(x.ndim) if axis not in behind] + behind
    moved = x.transpose(order)
    batch = home.xp.ascontiguousarray(moved).reshape(-1, *moved.shape[-len(behind) :])
    in_place = output if isinstance(output, home.xp.ndarray) and output.flags.c_contiguous else None
    in_order = order == list(range(x.ndim)) and dtype == x.dtype
    if not in_order or (in_place is not None and home.xp.may_share_memory(in_place, batch)):
        in_place = None
    done = home.empty(batch.shape, x.dtype) if in_place is None else in_place.reshape(batch.shape)
    with known_axes():  # so that three or four columns are never taken for channels
        run(batch, behind, done)
    if in_place is not None:
        return in_place
    result = done.reshape(moved.shape).transpose(np.argsort(order).tolist()).reshape(shape)
    if isinstance(output, home.xp.ndarray):
        output[...] = result
        return output
    return home.xp.ascontiguousarray(result, dtype)


def wanted_dtype(output: Any, shape: tuple[int, ...], dtype: np.dtype[Any], home: Home) -> np.dtype[Any] | None:
    """The dtype of the result, which holds what ``dtype`` holds; None for outputs that SciPy has to judge."""
    if isinstance(output, home.xp.ndarray):
        writable = getattr(output.flags, "writeable", True)  # CuPy's always are
        wanted = np.dtype(output.dtype) if output.shape == shape and writable else None
    else:
        try:
            wanted = dtype if output is None else np.dtype(output)
        except TypeError:
            return None
    if wanted not in _OUTPUTS or not np.can_cast(dtype, wanted, "safe"):
        return None
    return None if isinstance(output, str) and wanted.kind == "b" else wanted
