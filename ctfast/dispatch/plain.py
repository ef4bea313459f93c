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
from operator import is_
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


class _Last(NamedTuple):
    """The last call of an operation by what it was given, and the call."""

    given: tuple[Any, ...]
    image: np.dtype[Any]
    shape: Shape
    dtype: DTypeLike | None
    out: np.dtype[Any] | None
    asked: str | None
    known: Known


_last: dict[str, _Last] = {}


def _found(
    name: str,
    image: NDArray[Any],
    params: Params,
    dtype: DTypeLike | None,
    out: np.dtype[Any] | None,
    asked: str | None,
) -> Known | None:
    """The call, from memory if it is known; None where it must go the long way."""
    given = tuple(params.values())
    last = _last.get(name)
    # The very same objects have the same types and values: most calls need no more than that, a third of the time of
    # hashing them. With pixels between two calls nothing that Python needs is in the first-level cache.
    if (
        last is not None
        and image.dtype is last.image
        and out is last.out
        and asked == last.asked
        and image.shape == last.shape
        and dtype is last.dtype
        and all(map(is_, given, last.given))
        and len(given) == len(last.given)
    ):
        return last.known
    chosen = backend.select(asked)
    if chosen == "gpu":
        return None
    try:
        found = _known(key_of(name, chosen, image.dtype, params, dtype, out), image.shape)
    except TypeError:  # an argument that can't be hashed
        return None
    if found is not None:
        _last[name] = _Last(given, image.dtype, image.shape, dtype, out, asked, found)
    return found


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
    if not image.flags.c_contiguous:
        return None
    asked = backend.requested(backend_name)
    if out is None:
        found = _found(name, image, params, dtype, None, asked)
        if found is None:
            return None
        result = empty(image.shape, found.dtype)
    else:
        if type(out) is not np.ndarray or not out.flags.carray or out.shape != image.shape:
            return None
        found = _found(name, image, params, dtype, out.dtype, asked)
        if found is None or out.dtype != found.dtype or _may_overlap(image, out):
            return None
        result = out
    ndim = image.ndim
    if ndim == 2:
        found.run(image[None], result[None])
    elif ndim == 3:
        found.run(image, result)
    else:
        found.run(image.reshape(found.batch), result.reshape(found.batch))
    return result


def _may_overlap(image: NDArray[Any], out: NDArray[Any]) -> bool:
    # Two arrays that own their memory have nothing in common.
    if image.base is None and out.base is None and image is not out:
        return False
    return bool(np.may_share_memory(image, out))
