"""Arguments of operations as Numba's types: what ``numba_overloads`` knows of a call when it is compiled."""

# mypy: disable-error-code="attr-defined,no-untyped-call,no-untyped-def"
# Numba infers the types of what is compiled, and has none of its own.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba.core import types
from numba.core.errors import TypingError
from numba.extending import overload
from numba.np import numpy_support

from ctkernels.contract import IMAGE_DTYPES, OPERATIONS
from ctkernels.cpu import within_jit, within_jit_statistics

OUTSIDE: Final = "call ctfast outside of compiled code"


def constant(value: Any, name: str) -> Any:
    """What a parameter is where the code is compiled."""
    if isinstance(value, types.Omitted):
        return value.value
    if isinstance(value, types.NoneType) or value is None:
        return None
    if isinstance(value, types.Literal):
        return value.literal_value
    if isinstance(value, types.BaseTuple) and all(isinstance(v, types.Literal) for v in value):
        return tuple(v.literal_value for v in value)
    if isinstance(value, types.Type):
        raise TypingError(
            f"ctfast: {name}= of type {value}: a constant in the code is needed (a tuple in a prange is none to Numba: "
            f"put the call into a function of its own), or {OUTSIDE}"
        )
    return value  # a default


def is_none(value: Any) -> bool:
    return value is None or isinstance(value, types.NoneType) or (isinstance(value, types.Omitted) and not value.value)


def image_dtype(image: Any, name: str, axes: Any, backend: Any) -> np.dtype[Any] | None:
    """The dtype of the image; None for what is no array, which Numba then reports."""
    if not isinstance(image, types.Array):
        return None
    if not (is_none(axes) or _counts_axes(axes)) or not is_none(backend):
        raise TypingError(
            f"ctfast.{name}: axes= and backend= are not for compiled code: leave them away (axes=2 or 3 serves "
            f"statistics), or {OUTSIDE}"
        )
    dtype = numpy_support.as_dtype(image.dtype)
    if dtype.name not in IMAGE_DTYPES or image.ndim < 2:
        raise TypingError(
            f"ctfast.{name}: an array of {image.ndim} axes of {dtype} came in: (H, W) or (..., H, W) of "
            f"{', '.join(IMAGE_DTYPES)} is allowed"
        )
    if image.layout != "C":
        raise TypingError(
            f"ctfast.{name}: an image of layout {image.layout!r} came in: a C-contiguous one is allowed, "
            "np.ascontiguousarray(image)"
        )
    return dtype


def _counts_axes(axes: Any) -> bool:
    return not isinstance(axes, types.Type | tuple) or isinstance(axes, types.Literal | types.Omitted)


def axes_of(name: str, image: Any, axes: Any) -> int:
    """How many trailing axes a statistic is taken over."""
    number = constant(axes, "axes")
    if number not in (2, 3) or image.ndim < number:
        raise TypingError(f"ctfast.{name}: axes={number!r} of {image.ndim}: 2 or 3 is allowed in compiled code")
    return int(number)


def result_dtype(name: str, image: np.dtype[Any], dtype: Any, out: Any) -> np.dtype[Any]:
    """The dtype of the result."""
    if not is_none(out):
        if not isinstance(out, types.Array) or out.layout != "C":
            raise TypingError(f"ctfast.{name}: out= is {out}: a C-contiguous array is allowed")
        result = numpy_support.as_dtype(out.dtype)
    elif isinstance(dtype, types.NumberClass):
        result = numpy_support.as_dtype(dtype.instance_type)
    elif is_none(dtype):
        result = image if OPERATIONS[name].out_dtypes == ("same",) else np.dtype(OPERATIONS[name].out_dtypes[0])
    else:
        result = np.dtype(constant(dtype, "dtype"))
    return result


@overload(within_jit.place, strict=False)  # type: ignore[untyped-decorator]
def _place(image: Any, out: Any, kind: Any) -> Any:
    if is_none(out):
        return lambda image, out, kind: np.empty(image.shape, kind.dtype)

    def given(image: Any, out: Any, kind: Any) -> Any:
        if out.shape != image.shape:
            raise ValueError("ctfast: out= has another shape than the image")
        return out

    return given


def kind_of(dtype: Any) -> Any:
    """An empty array of a dtype: what compiled code knows types by."""
    return np.empty(0, dtype)


def open_ends(value_range: Any) -> tuple[bool, bool]:
    """Which ends of a range are left open."""
    if is_none(value_range):
        return True, True
    return is_none(value_range[0]), is_none(value_range[1])


def mask_of(name: str, image: Any, where: Any) -> Any:
    """Compiled code that gives a mask in rows of so many pixels."""
    if is_none(where):
        return within_jit_statistics.no_mask
    known = isinstance(where, types.Array) and where.dtype == types.boolean and where.layout == "C"
    if not known or where.ndim != image.ndim:
        raise TypingError(
            f"ctfast.{name}: where= is {where}: a C-contiguous boolean array of the image's shape is needed"
        )
    return within_jit_statistics.mask_rows
