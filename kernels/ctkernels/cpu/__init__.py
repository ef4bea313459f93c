"""The CPU backend: serial Numba kernels, one module per operation, threads of our own around them.

Importing this package does not import Numba; importing one of its operation modules does.
"""

from ctkernels.cpu._core.parallel import available_cores, get_num_threads, set_num_threads

__all__ = ["available_cores", "get_num_threads", "set_num_threads"]
