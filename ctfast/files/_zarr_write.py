"""OME-Zarr 0.5 (Zarr 3), written as a folder.

One array, ``0``, in the order in which the pixels are shown. Chunks hold 16 slices of 256 x 256, so that programs read
blocks of any plane. Millimetres stand where OME-Zarr keeps them; what it has no place for (units, padding, position and
directions in the patient) stands in the group's attribute ``ctfast``.

Source: OME-NGFF 0.5 (axes, coordinateTransformations).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from ctfast.files._convert import native
from ctfast.files.image import WriteOptions

_CHUNK: Final = (16, 256, 256)


def write_zarr(folder: Path, pixels: np.ndarray, options: WriteOptions) -> None:
    """Fill ``folder`` with ``(H, W)`` or ``(frames, H, W)``."""
    import zarr
    from zarr.codecs import ZstdCodec

    names = "zyx"[-pixels.ndim :]
    attributes = {
        "ome": {"version": "0.5", "multiscales": [_multiscale(names, options)]},
        "ctfast": dict(options.facts),
    }
    packed = (ZstdCodec(level=options.level or 0),) if options.compression == "zstd" else None
    group = zarr.open_group(str(folder), mode="w", zarr_format=3, attributes=attributes)
    array: Any = group.create_array(
        "0",
        shape=pixels.shape,
        chunks=tuple(map(min, _CHUNK[-pixels.ndim :], pixels.shape)),
        dtype=pixels.dtype.newbyteorder("="),
        compressors=packed,
        dimension_names=tuple(names),
    )
    for start in range(0, len(pixels), array.chunks[0]):  # pixels may lie in a file that is larger than memory
        array[start : start + array.chunks[0]] = native(pixels[start : start + array.chunks[0]])


def _multiscale(names: str, options: WriteOptions) -> dict[str, Any]:
    frame = options.slice_spacing if options.geometry is None else options.geometry.spacing[0]
    mm = dict(zip("zyx", (frame, *(options.spacing or (None, None)))))
    axes = [{"name": name, "type": "space", **({} if mm[name] is None else {"unit": "millimeter"})} for name in names]
    scale = {"type": "scale", "scale": [1.0 if mm[name] is None else mm[name] for name in names]}
    return {"name": options.path.stem, "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": [scale]}]}
