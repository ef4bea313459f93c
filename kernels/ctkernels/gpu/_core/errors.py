"""What can go wrong on a GPU, in our words: what failed, in which kernel, what to do.

ctfast turns these into its own errors; a CUDA error never reaches a caller without them.
"""

from __future__ import annotations


class GpuError(RuntimeError):
    """A GPU that failed while it worked."""


class GpuMemoryError(GpuError):
    """Too little memory on the device; nothing is left behind, smaller batches still work."""


class GpuCompileError(GpuError):
    """NVRTC is missing or refused a kernel."""


class GpuLaunchError(GpuError):
    """CUDA refused or broke off a launch."""
