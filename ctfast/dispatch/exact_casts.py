"""Images of dtypes that kernels don't take: cast to one that holds the same values.

bool, int8 and float16 are known by their dtype. Wider integers are looked at: those whose values fit into 16 bits are
taken, which costs a pass over the pixels, and on a GPU a wait for it. CLAHE is not among the operations that take them:
its result would depend on what the image's type could hold.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ctfast.dispatch.arrays import Kind, check_out, device_of, dtype_of, host_out, is_taken, jax_dtype, kind_of, to_host
from ctfast.errors import ArgumentError
from ctkernels.contract import SAME, Operation

_BY_DTYPE: Final = {"bool": "uint8", "int8": "int16", "float16": "float32"}
_WIDE: Final = ("int32", "int64", "uint32", "uint64")
_NARROW: Final = ("int16", "uint16")


def takes_casts(operation: Operation) -> bool:
    """Whether the operation's result does not depend on what the image's dtype could hold."""
    return operation.units == "keeps" or operation.out_dtypes != SAME


def as_taken(image: Any) -> Any:
    """The image with its values in a dtype that operations take; as it came where there is none, or no need."""
    if is_taken(image):
        return image
    kind = kind_of(image)
    x = to_host(image, kind) if kind == "numpy" else image
    dtype = dtype_of(x).newbyteorder("=")
    name = _BY_DTYPE.get(dtype.name) or (_fitting(x, kind) if dtype.name in _WIDE else None)
    return image if name is None else cast(x, kind, np.dtype(name))


def in_place_of(operation: Operation, image: Any, params: Any, out: Any, run: Callable[..., Any]) -> tuple[bool, Any]:
    """Whether the image has one of these dtypes, and then the result of ``run(image, out=out)`` on its values.

    What operations leave in the image's dtype comes in that of this one.

    Raises:
        ArgumentError: a ``cval`` that the image's dtype does not hold.
        DTypeError, ShapeError: an ``out`` that is not like the image.
    """
    if not takes_casts(operation) or (values := as_taken(image)) is image:
        return False, None
    if operation.out_dtypes != SAME:
        return True, run(values, out=out)
    kind, dtype = kind_of(image), _given(image)
    if any(param.fits == "image" for param in operation.params) and "constant" in params["mode"]:
        _check_cval(params["cval"], dtype)
    result = restored(run(values), image)
    if out is None:
        return True, result
    view = out if device_of(image, kind) is not None else host_out(out)
    check_out(view, tuple(result.shape), dtype)
    view[...] = result if view is out else to_host(result, kind)
    return True, out


def restored(result: Any, image: Any) -> Any:
    """What was computed of the values of ``image``, in its dtype."""
    dtype = _given(image)
    if dtype.name in ("bool", "int8"):  # derivatives may lead out of them
        limits = (0, 1) if dtype.kind == "b" else (-128, 127)
        result = result.clip(*limits)
    return cast(result, kind_of(result), dtype)


def _given(image: Any) -> np.dtype[Any]:
    kind = kind_of(image)
    return dtype_of(to_host(image, kind) if kind == "numpy" else image).newbyteorder("=")


def _fitting(x: Any, kind: Kind) -> str | None:
    """The 16-bit integer that holds all values of ``x``."""
    if 0 in x.shape:
        return None
    values: Any = x if device_of(x, kind) is not None else to_host(x, kind)
    if kind == "torch" and values is x and "uint" in str(x.dtype):
        values = x.to(sys.modules["torch"].int64)  # torch orders no unsigned ones; those beyond come out below 0
    low, high = int(values.min()), int(values.max())
    if low < 0 and "uint" in str(x.dtype):
        return None
    return next((t for t in _NARROW if np.iinfo(t).min <= low and high <= np.iinfo(t).max), None)


def cast(x: Any, kind: Kind, dtype: np.dtype[Any]) -> Any:
    """An array of ``kind`` in another dtype."""
    if kind == "torch":
        return x.to(getattr(sys.modules["torch"], dtype.name))
    return x.astype(jax_dtype(dtype) if kind == "jax" else dtype)


def _check_cval(cval: Any, dtype: np.dtype[Any]) -> None:
    if dtype.kind == "f" or not isinstance(cval, int | float | np.integer | np.floating):
        return
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if not low <= cval <= high or cval != int(cval):
        raise ArgumentError(f"cval={cval!r}: whole numbers from {low} to {high} are allowed for {dtype}")
