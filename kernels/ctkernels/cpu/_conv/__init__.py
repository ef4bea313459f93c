"""Parts of the network's convolution on the CPU: Winograd kernels, tasks, XLA's side of a call."""
