"""Data sets of HDF5 files, ``.h5`` and ``.hdf5``, by h5py: ``file.h5::/path``, or the only image in a file.

Policies, each tested:

- A file with one array of two or three axes is read by its own name; of several, one is named.
- Leading axes of length 1 are dropped. Files name no units: ``"unknown"``. ``scale_factor`` and ``add_offset`` are
  applied, and ``_FillValue`` is padding, as in netCDF.
- The declared size is held against the limits and the bytes that are there before anything is decompressed. Pixels
  in other files (external storage and links, virtual data sets) are refused: an image must not read what it likes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ctfast.errors import FileFormatError
from ctfast.files._data_sets import PACKING, as_image, can_be_image, declared, fill_note, the_one
from ctfast.files.image import Image, Request
from ctfast.files.next_steps import WRITE_AGAIN


def read_hdf5(request: Request) -> Image:
    """Read a data set as ``(H, W)`` or ``(frames, H, W)``.

    Raises:
        FileFormatError: See the policies above.
    """
    import h5py

    with h5py.File(request.source(), "r") as file:
        name = request.inside or the_one(_images(file), request)
        data = _data_set(file, name)
        compressed = data.chunks is not None
        stored = data.id.get_storage_size()
        stored_here = stored if compressed else None
        names = _axis_names(data)
        shape = declared(data.shape, data.dtype, request, stored=stored_here, chunks=data.chunks, names=names)
        if not compressed and stored < math.prod(data.shape) * data.dtype.itemsize:
            raise FileFormatError(f"{name} was never written: {stored} bytes of pixels are there", WRITE_AGAIN)
        values = np.empty(data.shape, data.dtype)
        data.read_direct(values)
        note = {}
        if compressed:
            chunks = math.prod(-(-size // step) for size, step in zip(data.shape, data.chunks, strict=True))
            note = fill_note(chunks - data.id.get_num_chunks(), chunks, data.fillvalue)
        attributes = {key: data.attrs.get(key) for key in PACKING}
    return as_image(values.reshape(shape), request, "hdf5", {"array": name, **note}, attributes)


def _axis_names(data: Any) -> list[str]:
    """Labels of the axes, or names of their scales, as netCDF and xarray write them; empty where there are none."""
    names = []
    for axis in data.dims:
        try:
            names.append(axis.label or (axis[0].name.rpartition("/")[2] if len(axis) else ""))
        except (KeyError, RuntimeError, OSError):  # scales that are not there any more
            names.append("")
    return names


def _images(file: Any) -> list[str]:
    """Names of the arrays that can be images; links to other files are not followed."""
    import h5py

    names: list[str] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape and can_be_image(item.shape, item.dtype):
            names.append(f"/{name}")

    file.visititems(visit)
    return names


def _data_set(file: Any, name: str) -> Any:
    import h5py

    group = file
    for part in filter(None, name.split("/")):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            raise FileFormatError(
                f"no {name} in it; {', '.join(_images(file)[:5]) or 'no image'} is there",
                "name one of these: FILE::/PATH",
            )
        if isinstance(link, h5py.ExternalLink):
            raise FileFormatError(f"{name} is a link to another file", "give that file")
        group = group[part]
    if not isinstance(group, h5py.Dataset) or group.shape is None:
        raise FileFormatError(
            f"{name} is no array; {', '.join(_images(file)[:5]) or 'no image'} is there",
            "name one of these: FILE::/PATH",
        )
    if group.is_virtual or group.external:
        raise FileFormatError(f"the pixels of {name} are in other files", "copy them into one")
    return group
