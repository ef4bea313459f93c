"""A call with everything checked that does not depend on the pixels, remembered by what it was checked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ctfast import backend
from ctfast.dispatch.checks import check_params, for_kernel
from ctfast.errors import ArgumentError, DTypeError
from ctfast.threads import get_num_threads
from ctkernels.contract import OPERATIONS, SAME, Operation, Param

Params = Mapping[str, Any]


def result_dtype(
    operation: Operation, image: np.dtype[Any], dtype: DTypeLike | None, out: np.dtype[Any] | None
) -> np.dtype[Any]:
    """The dtype to compute: as asked for, else that of ``out`` (of any byte order), else the operation's default."""
    if operation.out_dtypes == SAME:
        return image
    if dtype is None:
        dtype = out.newbyteorder("=") if out is not None else operation.out_dtypes[0]
    try:
        wanted = np.dtype(dtype)
    except TypeError as error:
        raise DTypeError(f"dtype={dtype!r}: {', '.join(operation.out_dtypes)} are allowed") from error
    if wanted.name not in operation.out_dtypes or not wanted.isnative:
        raise DTypeError(f"{operation.name} to {wanted}: {', '.join(operation.out_dtypes)} are allowed")
    return wanted


def check_against_dtypes(operation: Operation, params: Params, image: np.dtype[Any], result: np.dtype[Any]) -> None:
    """What can only be checked once the dtypes are known: values that the image or the result must be able to hold."""
    for param in operation.params:
        value = params[param.name]
        unused = value is None or (param.name == "cval" and "constant" not in params["mode"])
        if param.fits and not unused:
            _check_fits(param, value, image if param.fits == "image" else result)


def _check_fits(param: Param, value: Any, dtype: np.dtype[Any]) -> None:
    if dtype.kind == "f":
        return
    limits, whole = np.iinfo(dtype), param.fits == "image"
    low, high = value if isinstance(value, tuple) else (value, value)
    if low < limits.min or high > limits.max or (whole and not (low.is_integer() and high.is_integer())):
        numbers = "whole numbers" if whole else "numbers"
        raise ArgumentError(
            f"{param.name}={value!r}: {numbers} from {limits.min} to {limits.max} are allowed for {dtype}"
        )


_SCALARS: Final = frozenset({bool, int, float, str, type(None)})
"""Types whose equal values are told apart by type alone."""


class Prepared(NamedTuple):
    """A call with everything checked that does not depend on the pixels."""

    run: backend.Kernel
    dtype: np.dtype[Any]
    """Of the result."""
    params: Params
    for_kernel: Params
    """Those that the kernel takes."""
    halo: tuple[int, ...]
    """As far as it looks along each axis that it takes together."""


@lru_cache(maxsize=512)
def prepared(
    name: str,
    backend_name: str,
    image: np.dtype[Any],
    out: np.dtype[Any] | None,
    dtype: DTypeLike | None,
    names: tuple[str, ...],
    given: tuple[Any, ...],
    _types: tuple[Any, ...],
) -> Prepared:
    """The call of a key, see ``key_of``."""
    operation = OPERATIONS[name]
    if backend_name == "cpu":
        get_num_threads()  # refuses a CTFAST_NUM_THREADS that means nothing before a kernel stumbles over it
    wanted = result_dtype(operation, image, dtype, out)
    params = check_params(operation, dict(zip(names, given, strict=True)))
    check_against_dtypes(operation, params, image, wanted)
    return Prepared(
        backend.kernel(backend_name, name), wanted, params, for_kernel(params), tuple(operation.halo(params))
    )


def key_of(
    name: str,
    chosen: str,
    image: np.dtype[Any],
    params: Params,
    dtype: DTypeLike | None = None,
    out: np.dtype[Any] | None = None,
) -> tuple[Any, ...]:
    """What a call is remembered by; equal for calls that are checked alike. It can't be hashed if an argument can't."""
    given = tuple(params.values())
    types: tuple[Any, ...] = tuple(map(type, given))
    if not _SCALARS.issuperset(types):  # (5, 5) equals (5.0, 5.0), but is another size
        types += tuple(tuple(map(type, v)) for v in given if isinstance(v, tuple))
    return name, chosen, image, out, dtype, tuple(params), given, types


def prepare(
    name: str,
    image: np.dtype[Any],
    params: Params,
    *,
    chosen: str,
    dtype: DTypeLike | None = None,
    out: np.dtype[Any] | None = None,
) -> Prepared:
    """Check a call, from memory where the same was checked before: checks cost more than the fastest kernels."""
    key = key_of(name, chosen, image, params, dtype, out)
    try:
        return prepared(*key)
    except TypeError:  # unhashable, such as a range given as a list
        return prepared.__wrapped__(*key)
