"""Blosc2 arrays, ``.b2nd``, as nnU-Net v2 keeps preprocessed cases, by blosc2.

Policies, each tested:

- Leading axes of length 1 are dropped (nnU-Net's channel); several channels are refused.
- Files name no units: ``"unknown"``. nnU-Net's are normalised and resampled, which the file does not say either; the
  geometry is not in the file.
- The declared size is held against the limits, and against the compressed size, before anything is decompressed.
"""

from __future__ import annotations

import numpy as np

from ctfast.errors import FileFormatError
from ctfast.files._convert import count_nonfinite, to_supported
from ctfast.files._volume import PIXEL_TYPES, check_declared, image_shape
from ctfast.files.image import Image, MetaValue, Request
from ctfast.files.npy import check_shape


def read_b2nd(request: Request) -> Image:
    """Read a Blosc2 array as ``(H, W)`` or ``(frames, H, W)``.

    Raises:
        FileFormatError: For other ranks or dtypes, damaged files, sizes beyond the limits.
    """
    import blosc2

    array = blosc2.open(str(request.path), mode="r")
    if not isinstance(array, blosc2.NDArray) or array.dtype.name not in PIXEL_TYPES:
        raise FileFormatError(f"holds {getattr(array, 'dtype', type(array).__name__)}, not an array of numbers")
    shape = image_shape(tuple(array.shape))
    check_shape(shape, request.axes)
    stored = request.path.stat().st_size
    check_declared(shape, array.dtype.itemsize, request.limits, stored=stored, compressed=True)
    values = np.asarray(array[...]).reshape(shape)
    last = request.axes == "last" and len(shape) == 3
    pixels = to_supported(np.moveaxis(values, -1, 0) if last else values, request.allocate)
    meta: dict[str, MetaValue] = {"stored_dtype": array.dtype.newbyteorder("=").name, **count_nonfinite(pixels)}
    return Image(pixels, "unknown", request.path, "b2nd", meta=meta)
