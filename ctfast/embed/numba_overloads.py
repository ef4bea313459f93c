"""Operations in a user's own ``numba.njit`` code: the same kernels, compiled in, on the thread that calls.

>>> @numba.njit(parallel=True)
... def each(volume):
...     out = np.empty_like(volume)
...     for z in numba.prange(len(volume)):
...         out[z] = ctfast.median_filter(volume[z], 3)
...     return out

Where ctfast is installed, Numba finds ``register()`` by itself (``numba_extension``); else call it first.

Every operation is there, and all parameters of filters; statistics have ``axes=3``, other ``axes=`` and ``backend=``
are not for compiled code. Images are C-contiguous, and masks (``where=``) too, of the image's shape. ``size``,
``mode``, ``origin``, ``function``, ``axes`` and ``dtype`` are constants in the code, a ``footprint`` is a global
``Footprint(array)``; all else may be computed. A ``rank`` or a whole ``percentile`` in the code is faster than one that
is computed, or has a fraction, which Numba doesn't know while it compiles. Numba forgets that a tuple in a ``prange``
is constant: a call with ``size=(3, 5)`` goes into a function of its own. ``summary`` gives a named tuple,
``match_histogram`` takes the reference as two arrays, values and counts.
"""

# mypy: disable-error-code="attr-defined,no-untyped-call,no-untyped-def"
# Numba infers the types of what is compiled, and has none of its own.

from __future__ import annotations

from functools import cache
from typing import Any

from numba.extending import overload

from ctfast import ops
from ctfast.embed import _numba_clahe, _numba_gaussian, _numba_lines, _numba_ranks, _numba_statistics
from ctfast.embed._numba_footprints import Footprint as Footprint
from ctkernels.contract import OPERATIONS

_PARTS = (_numba_clahe, _numba_gaussian, _numba_lines, _numba_ranks, _numba_statistics)


@cache
def register() -> None:
    """Make the public functions known to Numba, in this process: once, before the first function that calls them."""
    # Not strict: annotations count as a difference.
    options: Any = {"nogil": True, "error_model": "numpy"}
    for name in OPERATIONS:
        implementation = next(getattr(part, name) for part in _PARTS if hasattr(part, name))
        overload(getattr(ops, name), prefer_literal=True, strict=False, jit_options=options)(implementation)
