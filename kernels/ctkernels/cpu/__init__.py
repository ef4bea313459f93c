"""The CPU backend: serial Numba kernels, one module per operation, threads of our own around them.

Numba is imported here, whole, before any module here imports a part of it: of threads that import Numba and a part of
it at the same time, as the first calls of several threads would, Python gives one a half-made module.
"""

import numba  # noqa: F401

from ctkernels.cpu._core.parallel import available_cores, get_num_threads, set_num_threads

__all__ = ["available_cores", "get_num_threads", "set_num_threads"]
