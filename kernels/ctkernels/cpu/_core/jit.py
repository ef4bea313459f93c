"""Numba's options, written once, with the reason for each.

Every jitted function is *serial*: Numba's own thread layers either abort when two Python threads call them at once
(workqueue) or die after ``fork`` (omp), so threads are ours (``_core/parallel``) and kernels only release the GIL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core.types.misc import unliteral

from ctkernels.cpu._core.cache import cached, choose_cache_folder

F = TypeVar("F", bound=Callable[..., Any])

# error_model="numpy": division by zero gives inf/nan instead of a branch and an exception in the inner loop.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


choose_cache_folder()


def _by_types(compiled: Any) -> Any:
    """Kept on disk, and compiled once for the types of its arguments: Numba compiles what compiled code calls once more
    for every constant that it is called with (a border table for each mode, all of CLAHE for each grid of tiles)."""
    if numba.config.DISABLE_JIT:
        return compiled
    template = compiled.get_call_template

    def without_constants(arguments: Any, named: Any) -> Any:
        plain = {name: unliteral(value) for name, value in named.items()}
        return template([unliteral(value) for value in arguments], plain)

    compiled.get_call_template = without_constants
    return cached(compiled)


def jit(function: F) -> F:
    """Compile a kernel with IEEE arithmetic: results do not depend on how the compiler orders sums."""
    return _by_types(numba.njit(**_OPTIONS)(function))


def jit_contract(function: F) -> F:
    """Compile a kernel that may fuse a multiply and an add (more exact and faster), nothing else of fast-math."""
    return _by_types(numba.njit(fastmath={"contract"}, **_OPTIONS)(function))


def jit_reassociate(function: F) -> F:
    """Compile a kernel that sums floats: in any order, so that the sums are vectorised; NaN and inf keep their meaning.

    The order is the compiler's, the same on every run of one machine.
    """
    return _by_types(numba.njit(fastmath={"contract", "reassoc"}, **_OPTIONS)(function))


def jit_inline(function: F) -> F:
    """Compile a small helper that the kernels above call; LLVM inlines it."""
    return _by_types(numba.njit(inline="never", forceinline=True, **_OPTIONS)(function))


def jit_part(function: F) -> F:
    """Part of a larger kernel with a name of its own: Numba puts its code into the caller's before that is compiled.

    Every other function is compiled alone and then once more in each caller, at any remove, which took half of the
    convolution's time to compile. For callers of ``jit`` only: their arithmetic becomes that of the part.
    """
    return cached(numba.njit(inline="always", **_OPTIONS)(function))


def jit_named(function: F, name: str) -> F:
    """``jit`` for one of several functions made in one place, which need names of their own.

    Numba tells compiled functions apart by name, argument types and a number that counts anew in every process: code
    from disk that calls one of them would be linked to another of the same name and number that came first.
    """
    function.__qualname__ = name
    return jit(function)


class _Memory:
    """Presents an array's memory as writable."""

    def __init__(self, x: np.ndarray) -> None:
        interface = dict(x.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface
        self._owner = x


def one_type(x: np.ndarray) -> np.ndarray:
    """The same memory, always of one Numba type.

    A read-only array is another Numba type and would compile every kernel a second time. Kernels never write to their
    inputs, so a view that is writable in name only is safe.
    """
    return x if x.flags.writeable else np.asarray(_Memory(x))
