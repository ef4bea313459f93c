"""The short way of a call: NumPy arrays in C order, whose checks are remembered by dtype, shape and arguments.

A call looks at nothing twice that an equal call looked at before: the checks took longer than the fastest kernels. What
is remembered holds for every array of that dtype and shape; what depends on the array itself (memory order, whether it
may be written to, overlap) or on the moment (the backend that is asked for) is asked at every call. Everything else
goes the long way, ``dispatch.call``, and whatever is refused is refused there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ctfast import backend
from ctfast.dispatch.arrays import is_plain
from ctfast.dispatch.checks import FREE_REACH
from ctfast.dispatch.prepared import Params, key_of, prepared
from ctfast.memory import empty

Shape = tuple[int, ...]


class Known(NamedTuple):
    """A call for arrays of one dtype and shape; its checks are done."""

    run: Callable[[Any, Any], None]
    """Takes a batch and the array for its result, as kernels do."""
    batch: Shape
    """What a kernel takes the image as."""
    dtype: np.dtype[Any]
    """Of the result."""


@lru_cache(maxsize=256)
def _known(key: tuple[Any, ...], shape: Shape) -> Known | None:
    name, chosen, image = key[:3]
    if not is_plain(image, shape):
        return None
    made = prepared(*key)
    if len(made.halo) > 2 or max(made.halo) > FREE_REACH:  # volumes; reaches that an environment variable may allow
        return None
    batch = (prod(shape[:-2]), shape[-2], shape[-1])
    run = backend.bound(chosen, name, batch, image, made.dtype, made.for_kernel)
    return Known(run, batch, made.dtype)


def plain_call(
    name: str, image: NDArray[Any], params: Params, dtype: DTypeLike | None, out: Any, backend_name: str | None
) -> Any:
    """The result of a call, as ``dispatch.call`` gives it; None where the call must go the long way."""
    chosen = backend.select(backend_name)
    if chosen == "gpu" or not image.flags.c_contiguous:
        return None
    if out is None:
        found = _found(key_of(name, chosen, image.dtype, params, dtype), image.shape)
        if found is None:
            return None
        result = empty(image.shape, found.dtype)
    else:
        if type(out) is not np.ndarray or not out.flags.carray or out.shape != image.shape:
            return None
        found = _found(key_of(name, chosen, image.dtype, params, dtype, out.dtype), image.shape)
        if found is None or out.dtype != found.dtype or np.may_share_memory(image, out):
            return None
        result = out
    if image.ndim == 3:
        found.run(image, result)
    else:
        found.run(image.reshape(found.batch), result.reshape(found.batch))
    return result


def _found(key: tuple[Any, ...], shape: Shape) -> Known | None:
    try:
        return _known(key, shape)
    except TypeError:  # an argument that can't be hashed
        return None
