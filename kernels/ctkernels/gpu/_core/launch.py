"""Compiled units, kept per device, and the one place where kernels are launched."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from ctkernels.gpu._core import device
from ctkernels.gpu._core.errors import GpuCompileError, GpuError, GpuLaunchError
from ctkernels.gpu._core.geometry import Plan
from ctkernels.gpu._core.source import source

Defines = Mapping[str, str | int]

_DEFAULT_SHARED = 48 * 1024

_kernels: dict[tuple[Any, ...], Any] = {}
_modules: dict[tuple[Any, ...], Any] = {}
_lock = threading.Lock()


def kernel(unit: str, defines: Defines, name: str) -> Any:
    """One kernel of ``<unit>.cu`` for the current device; compiled at the first call, then kept.

    Raises:
        GpuCompileError: NVRTC is missing or refuses the source.
    """
    specialisation = tuple(sorted(defines.items()))
    key = (device.current_device(), unit, specialisation, name)
    function = _kernels.get(key)
    if function is None:
        with _lock:
            function = _kernels.get(key)
            if function is None:
                function = _kernels[key] = _compiled(key[:3], unit, defines, name)
    return function


def _compiled(module_key: tuple[Any, ...], unit: str, defines: Defines, name: str) -> Any:
    module = _modules.get(module_key)
    if module is None:
        module = _modules[module_key] = device.raw_module(source(unit, defines))
    try:
        return module.get_function(name)
    except device.cuda_errors() as error:
        _modules.pop(module_key, None)
        if device.is_out_of_memory(error):
            raise device.out_of_memory(0, error) from error
        raise GpuCompileError(
            f"the GPU kernel {name} ({unit}.cu, {dict(defines)}) could not be compiled or loaded: "
            f"{_first_lines(error)}; 'ctfast doctor' says whether NVRTC and the driver fit together"
        ) from error


def launch(
    unit: str,
    defines: Defines,
    name: str,
    plan: Plan,
    args: tuple[Any, ...],
) -> None:
    """Put one launch on the current stream.

    ``args``: device arrays and NumPy scalars of exactly the kernel's types; CuPy would pass a Python ``int`` as eight
    bytes whatever the kernel declares, so Python numbers are refused.

    Raises:
        TypeError: an argument that is neither.
        GpuCompileError, GpuLaunchError, GpuMemoryError: in place of every error of CUDA.
    """
    for i, value in enumerate(args):
        if not isinstance(value, np.generic) and not device.is_device_array(value):
            raise TypeError(
                f"{name}, argument {i}: {type(value).__name__} is neither a NumPy scalar nor a device array"
            )
    function = kernel(unit, defines, name)
    try:
        if plan.shared_bytes > _DEFAULT_SHARED and function.max_dynamic_shared_size_bytes < plan.shared_bytes:
            function.max_dynamic_shared_size_bytes = plan.shared_bytes
        function(plan.grid, plan.block, args, shared_mem=plan.shared_bytes)
    except device.cuda_errors() as error:
        raise launch_error(name, plan, error) from error


def launch_error(name: str, plan: Plan, error: Exception) -> GpuError:
    """Our words for an error of CUDA."""
    if device.is_out_of_memory(error):
        return device.out_of_memory(0, error)
    return GpuLaunchError(
        f"the GPU could not run {name} (grid {plan.grid}, block {plan.block}, {plan.shared_bytes} bytes of shared "
        f"memory): {_first_lines(error)}. If CUDA reports an illegal address or a launch failure, an earlier kernel of "
        "this process broke the device context: start the process again"
    )


def _first_lines(error: Exception) -> str:
    return " ".join(str(error).split("\n")[:3])[:400]
