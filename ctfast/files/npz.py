"""NumPy ``.npz`` archives, plain or compressed: the one image in them.

Policies, each tested:

- An archive with one array that can be an image is read; several are refused, named, because nobody knows which is
  meant. Pickles are never loaded. Units and axes are as for ``.npy``.
- The array's own header is read first: its size is held against the limits and against the bytes of its member, and the
  member's compression against the ratio of a decompression bomb.
"""

from __future__ import annotations

import zipfile

import numpy as np

from ctfast.errors import FileFormatError
from ctfast.files._convert import to_supported
from ctfast.files._volume import check_declared
from ctfast.files.image import Image, Request
from ctfast.files.npy import check_shape, read_header


def read_npz(request: Request) -> Image:
    """Read ``(H, W)`` or ``(frames, H, W)`` from a ``.npz`` archive.

    Raises:
        FileFormatError: For no or several images, pickled objects, truncated members, sizes beyond the limits.
    """
    with zipfile.ZipFile(request.source()) as archive:
        headers = {item: _header(archive, item) for item in archive.infolist() if item.filename.endswith(".npy")}
        images = [item for item, (shape, dtype) in headers.items() if len(shape) in (2, 3) and dtype.kind in "iuf"]
        if len(images) != 1:
            names = ", ".join(item.filename.removesuffix(".npy") for item in images or headers) or "no arrays"
            raise FileFormatError(
                f"{len(images)} images in the archive ({names})", "save one as .npy, or alone as .npz"
            )
        (item,) = images
        shape, dtype = headers[item]
        check_shape(shape, request.axes)
        check_declared(shape, dtype.itemsize, request.limits, stored=item.file_size)
        check_declared(shape, dtype.itemsize, request.limits, stored=item.compress_size, compressed=True)
        with archive.open(item) as member:
            array = np.lib.format.read_array(member, allow_pickle=False)
    last = request.axes == "last" and array.ndim == 3
    pixels = to_supported(np.moveaxis(array, -1, 0) if last else array, request.allocate)
    name = item.filename.removesuffix(".npy")
    meta = {"stored_dtype": dtype.newbyteorder("=").name, "array": name}
    return Image(pixels, "unknown", request.path, "npz", meta={**meta})


def _header(archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> tuple[tuple[int, ...], np.dtype]:
    with archive.open(item) as member:
        shape, _, dtype = read_header(member)
    return shape, dtype
