"""Numba's options, written once, with the reason for each.

Every jitted function is *serial*: Numba's own thread layers either abort when two Python threads call them at once
(workqueue) or die after ``fork`` (omp), so threads are ours (``_core/parallel``) and kernels only release the GIL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

from ctkernels.cpu._core.cache import cached, choose_cache_folder
from ctkernels.cpu._core.kernel import Kernel

F = TypeVar("F", bound=Callable[..., Any])

# error_model="numpy": division by zero gives inf/nan instead of a branch and an exception in the inner loop.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
# no_cfunc_wrapper: nobody hands kernels to compiled code as arguments, or to C; without, another entry is compiled.
_KERNEL_OPTIONS: dict[str, Any] = {"nopython": True, "boundscheck": None, "no_cfunc_wrapper": True, **_OPTIONS}


choose_cache_folder()


def _kernel(function: Any, **options: Any) -> Any:
    """Kept on disk, where there is a place for it."""
    if numba.config.DISABLE_JIT:
        return function
    return cached(Kernel(function, targetoptions={**_KERNEL_OPTIONS, **options}))


def jit(function: F) -> F:
    """Compile a kernel with IEEE arithmetic: results do not depend on how the compiler orders sums."""
    return _kernel(function)


def jit_contract(function: F) -> F:
    """Compile a kernel that may fuse a multiply and an add (more exact and faster), nothing else of fast-math."""
    return _kernel(function, fastmath={"contract"})


def jit_reassociate(function: F) -> F:
    """Compile a kernel that sums floats: in any order, so that the sums are vectorised; NaN and inf keep their meaning.

    The order is the compiler's, the same on every run of one machine.
    """
    return _whole(_kernel(function, fastmath={"contract", "reassoc"}))


def jit_whole(function: F) -> F:
    """``jit`` for an inner loop that LLVM makes faster before it's in its callers than with them."""
    return _whole(_kernel(function))


def _whole(kernel: Any) -> Any:
    if isinstance(kernel, Kernel):
        kernel.is_whole = True
    return kernel


def jit_inline(function: F) -> F:
    """Compile a small helper that the kernels above call; LLVM inlines it."""
    return _kernel(function, inline="never", forceinline=True)


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
