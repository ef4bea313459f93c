"""Kernels on the CPU: the unmodified CUDA source compiled by g++ and executed thread by thread, for tests only.

What it shows: results, races, bounds, first use, undefined behaviour, what a warp asks of memory. What it can't show:
time, occupancy, the memory model of a GPU beyond barriers, warp collectives and fences, the compiler that a GPU gets.
"""
