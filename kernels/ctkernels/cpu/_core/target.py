"""What the processor can do that code is compiled for."""

from __future__ import annotations

from functools import cache

from llvmlite import binding
from numba.core import config


@cache
def features() -> dict[str, bool]:
    """LLVM's names of what the target has.

    A target chosen by hand (``NUMBA_CPU_NAME``) has what ``NUMBA_CPU_FEATURES`` lists, and nothing more is assumed.
    """
    if not config.CPU_NAME and config.CPU_FEATURES is None:
        return dict(binding.get_host_cpu_features())
    listed = (config.CPU_FEATURES or "").split(",")
    return {name[1:]: name.startswith("+") for name in listed if name}


@cache
def processor() -> str:
    """LLVM's name of the target."""
    return config.CPU_NAME or binding.get_host_cpu_name()


def of_intel() -> bool:
    """Whether code is for a core of Intel's with AVX2; AMD's have less first-level cache and other units."""
    return has("avx2") and not processor().startswith(("znver", "bdver"))


def has(name: str) -> bool:
    """Whether code may use a feature."""
    return bool(features().get(name))
