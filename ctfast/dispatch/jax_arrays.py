"""Giving results to JAX where they are: on a GPU through DLPack, never over the host."""

from __future__ import annotations

import importlib
from typing import Any

from ctfast.backend import share_gpu_memory
from ctfast.dispatch.arrays import device_of, kind_of, to_host
from ctfast.dispatch.device_errors import device_errors
from ctfast.dispatch.forked import refuse_jax_after_fork
from ctfast.dispatch.transfer import from_cupy, gpu
from ctfast.errors import BackendUnavailableError, MissingDependencyError


def to_jax(array: Any) -> Any:
    """An array of CuPy, torch or NumPy as a JAX array; on a GPU it is the same memory, which nobody should write to.

    64-bit values become 32-bit ones unless ``jax_enable_x64`` is set, as always in JAX. JAX is told to take GPU memory
    as it needs it, if it has not started yet and the user has not said else (``XLA_PYTHON_CLIENT_PREALLOCATE``).

    Raises:
        MissingDependencyError: JAX is not installed.
        BackendUnavailableError: the array is on a GPU and this JAX has none, or this process was forked from one that
            had used JAX.
    """
    refuse_jax_after_fork()
    share_gpu_memory()
    try:
        jax = importlib.import_module("jax")
    except ImportError as error:
        raise MissingDependencyError('to_jax needs JAX: pip install "ctfast[nn]"') from error
    kind = kind_of(array)
    if kind == "jax":
        return array
    device = device_of(array, kind)
    if device is None:
        host = to_host(array, kind)
        return jax.numpy.asarray(host.astype(host.dtype.newbyteorder("="), copy=False))
    try:
        if kind != "cupy":
            return jax.dlpack.from_dlpack(array)
        with device_errors(), gpu().current(device):
            return from_cupy(array, "jax")
    except Exception as error:  # JAX raises errors of XLA, by version
        raise BackendUnavailableError(
            f"JAX can't take an array on GPU {device} ({' '.join(str(error).split())[:200]}); is it the JAX for CUDA? "
            'pip install "jax[cuda12]", or copy the array to the host first'
        ) from error
