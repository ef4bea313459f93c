"""The GPU backend: CUDA kernels through CuPy, one launcher module per operation.

Importing this package imports neither CuPy nor anything of CUDA; importing an operation's module does.
"""

from ctkernels.gpu._core.probe import probe
from ctkernels.gpu._core.source import OPTIONS, include_source

__all__ = ["OPTIONS", "include_source", "probe"]
