"""Errors of CUDA and of the GPU backend as errors of ctfast."""

from __future__ import annotations

import importlib

from ctfast.errors import CTFastError, DeviceError, DeviceMemoryError


class device_errors:
    """Within it, CUDA's errors become ours."""

    def __enter__(self) -> None:
        """Nothing to do before."""

    def __exit__(self, _: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, CTFastError) or not isinstance(error, MemoryError | RuntimeError):
            return
        ours = _ours(error)
        try:
            if ours is not None:
                raise ours from error
        finally:
            del ours, error, traceback  # exceptions and their frames hold each other, and the arrays in them


def _ours(error: MemoryError | RuntimeError) -> CTFastError | None:
    errors = importlib.import_module("ctkernels.gpu._core.errors")
    if type(error).__name__ == "OutOfMemoryError" or "cudaErrorMemoryAllocation" in str(error):
        # Without its frames: they keep the arrays alive that fill the memory, for as long as the error is kept.
        error.__traceback__ = None
        return DeviceMemoryError(
            f"out of memory for the GPU ({error}); pass fewer images a call, drop arrays that are no longer needed "
            "(cupy.get_default_memory_pool().free_all_blocks() gives back what CuPy keeps), or use backend='cpu'"
        )
    if isinstance(error, errors.GpuMemoryError):
        error.__traceback__ = error.__cause__ = error.__context__ = None
        return DeviceMemoryError(f"{error}, or use backend='cpu'")
    if isinstance(error, MemoryError):
        return None  # of the host
    if isinstance(error, errors.GpuError):
        return DeviceError(str(error))
    return DeviceError(
        f"the work on the GPU failed ({type(error).__name__}: {error}); `ctfast doctor` tells what works here"
    )
