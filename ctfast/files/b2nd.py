"""Blosc2 arrays, ``.b2nd``, as nnU-Net v2 keeps preprocessed cases, by blosc2.

Policies, each tested:

- Leading axes of length 1 are dropped (nnU-Net's channel); several channels are refused.
- Files name no units: ``"unknown"``. nnU-Net's are normalised and resampled, which the file does not say either; the
  geometry is not in the file.
- The declared size is held against the limits, and against the compressed size, before anything is decompressed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ctfast.errors import FileFormatError
from ctfast.files._data_sets import as_image, declared
from ctfast.files.image import Image, Request
from ctfast.files.next_steps import SAVE_NUMBERS


def read_b2nd(request: Request) -> Image:
    """Read a Blosc2 array as ``(H, W)`` or ``(frames, H, W)``.

    Raises:
        FileFormatError: For other ranks or dtypes, damaged files, sizes beyond the limits.
    """
    import blosc2

    with request.on_disk() as file:
        return _read(blosc2.open(str(file.path), mode="r"), request)


def _read(array: Any, request: Request) -> Image:
    import blosc2

    if not isinstance(array, blosc2.NDArray):
        raise FileFormatError(f"holds {type(array).__name__}, not an array of numbers", SAVE_NUMBERS)
    stored = request.size()
    shape = declared(tuple(array.shape), array.dtype, request, stored=stored, chunks=array.chunks)
    values = np.asarray(array[...]).reshape(shape)
    return as_image(values, request, "b2nd", {})
