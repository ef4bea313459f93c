"""Compiled kernels for CT images: arrays in, arrays out.

``contract`` lists the operations, ``reference`` says what they mean, ``cpu`` holds the Numba backend.
Nothing here knows files, command lines or neural networks; the friendly front door is :mod:`ctfast`.
"""
