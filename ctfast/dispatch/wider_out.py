"""``out=`` of another dtype than the image's, for filters that keep the units: one that holds all of its values.

What SciPy does with ``output=``: ranks are computed in the image's dtype and written as they are, Gaussians in the
dtype of a float ``out``, so that those of integers have fractions; for a wider integer they are rounded once. SciPy
also writes to dtypes that lose values; here these are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ctfast.dispatch.arrays import device_of, dtype_of, host_out, is_taken, kind_of, to_host
from ctfast.dispatch.exact_casts import cast
from ctfast.errors import DTypeError, ShapeError
from ctkernels.contract import IMAGE_DTYPES, Operation


def into_wider(operation: Operation, image: Any, out: Any, run: Callable[..., Any]) -> bool:
    """Whether ``out`` has such a dtype, and then holds the result; ``run(image, out=out)`` is the call itself.

    Raises:
        DTypeError: a dtype that does not hold the image's values.
        ShapeError: a shape other than the image's.
    """
    if operation.units != "keeps" or not hasattr(out, "dtype"):
        return False
    kind = kind_of(image)
    x = to_host(image, kind) if kind == "numpy" else image
    device = device_of(x, kind)
    if device_of(out, kind_of(out)) != device or (device is not None and kind_of(out) != kind):
        return False  # refused where both are brought together
    given, wanted = dtype_of(x).newbyteorder("="), dtype_of(out)
    if given == wanted:
        return False
    if wanted.kind not in "iuf" or not np.can_cast(given, wanted, "safe"):
        if is_taken(x):
            raise DTypeError(f"out= has dtype {wanted}: {given} is needed, or one that holds all of its values")
        return False
    if tuple(out.shape) != tuple(x.shape):
        raise ShapeError(f"out= has shape {tuple(out.shape)}: {tuple(x.shape)} is needed")
    if operation.parity == "exact":
        result = run(x)
    else:
        work = wanted if wanted.name in IMAGE_DTYPES and wanted.kind == "f" else np.dtype(np.float64)
        result = run(cast(x, kind, work))
        if wanted.kind != "f":
            limits = np.iinfo(wanted)
            result = result.round().clip(int(limits.min), int(limits.max))
    view = host_out(out) if device is None else out
    view[...] = result if view is out else to_host(result, kind)
    return True
