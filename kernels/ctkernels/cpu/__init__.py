"""The CPU backend: serial Numba kernels, one module per operation, threads of our own around them."""
