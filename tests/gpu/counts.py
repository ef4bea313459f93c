"""What the tests of this folder did; they add to ``counted``, and the end of the run tells it."""

from __future__ import annotations

from collections import Counter
from typing import Final

counted: Counter[str] = Counter()

NO_NVRTC: Final = "no NVRTC: the GPU kernels were not compiled for any GPU (pip install nvidia-cuda-nvrtc-cu12)"
NO_COMPILER: Final = "no g++: the GPU kernels were not executed on the CPU (apt-get install g++)"
