"""Images of dtypes that kernels don't take, for filters that keep the units: cast to one that holds the same values.

bool, int8 and float16 are known by their dtype. Wider integers are looked at: those whose values fit into 16 bits are
taken, which costs a pass over the pixels. Arrays on a GPU are not looked at, as that would wait for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ctfast.dispatch.arrays import Kind, check_out, device_of, dtype_of, host_out, jax_dtype, kind_of, to_host
from ctfast.errors import ArgumentError
from ctkernels.contract import Operation

_BY_DTYPE: Final = {"bool": "uint8", "int8": "int16", "float16": "float32"}
_WIDE: Final = ("int32", "int64", "uint32", "uint64")
_NARROW: Final = ("int16", "uint16")


def in_place_of(operation: Operation, image: Any, params: Any, out: Any, run: Callable[[Any], Any]) -> tuple[bool, Any]:
    """Whether the image is one of these, and then the result of ``run(image)`` on its values, in the image's dtype.

    Raises:
        ArgumentError: a ``cval`` that the image's dtype does not hold.
        DTypeError, ShapeError: an ``out`` that is not like the image.
    """
    if operation.units != "keeps":
        return False, None
    kind = kind_of(image)
    x = to_host(image, kind) if kind == "numpy" else image
    dtype = dtype_of(x).newbyteorder("=")
    name = _BY_DTYPE.get(dtype.name) or (_fitting(x, kind) if dtype.name in _WIDE else None)
    if name is None:
        return False, None
    if any(param.fits == "image" for param in operation.params) and "constant" in params["mode"]:
        _check_cval(params["cval"], dtype)
    result = run(_cast(x, kind, np.dtype(name)))
    if dtype.name in ("bool", "int8"):  # derivatives may lead out of them
        limits = (0, 1) if dtype.kind == "b" else (-128, 127)
        result = result.clip(*limits)
    result = _cast(result, kind, dtype)
    if out is None:
        return True, result
    view = out if device_of(image, kind) is not None else host_out(out)
    check_out(view, tuple(result.shape), dtype)
    view[...] = result if view is out else to_host(result, kind)
    return True, out


def _fitting(x: Any, kind: Kind) -> str | None:
    """The 16-bit integer that holds all values of ``x``."""
    if device_of(x, kind) is not None or 0 in x.shape:
        return None
    values = to_host(x, kind)
    low, high = int(values.min()), int(values.max())
    return next((t for t in _NARROW if np.iinfo(t).min <= low and high <= np.iinfo(t).max), None)


def _cast(x: Any, kind: Kind, dtype: np.dtype[Any]) -> Any:
    if kind == "torch":
        return x.to(getattr(sys.modules["torch"], dtype.name))
    return x.astype(jax_dtype(dtype) if kind == "jax" else dtype)


def _check_cval(cval: Any, dtype: np.dtype[Any]) -> None:
    if dtype.kind == "f" or not isinstance(cval, int | float | np.integer | np.floating):
        return
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if not low <= cval <= high or cval != int(cval):
        raise ArgumentError(f"cval={cval!r}: whole numbers from {low} to {high} are allowed for {dtype}")
