"""What the CPU kernels share: compiler options, threads, scratch memory, vector code, pointwise lines."""
