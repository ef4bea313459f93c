"""What the tests did, and how it is said: they add to ``counted``, and the end of the run tells it."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

counted: Counter[str] = Counter()

NO_NVRTC: Final = "no NVRTC: the GPU kernels were not compiled for any GPU (pip install nvidia-cuda-nvrtc-cu12)"
NO_COMPILER: Final = "no g++: the GPU kernels were not executed on the CPU (apt-get install g++)"


def report(terminalreporter: Any) -> None:
    """The section at the end of a run."""
    if not counted:
        return
    terminalreporter.section("GPU kernels without a GPU")
    for what, number in sorted(counted.items()):
        terminalreporter.line(f"{what}: {number}")
