"""NIfTI-1 and -2 by nibabel, single files (``.nii``, ``.nii.gz``).

Policies, each tested: frames are the third NIfTI axis, rows the second, columns the first, as stored: nothing is
flipped or resampled, and ``meta["orientation"]`` names the directions (``"LAS"``: columns run to the left, rows to the
front, frames up). ``scl_slope`` and ``scl_inter`` are applied. NIfTI does not name units, so the meaning is
``"unknown"`` unless the caller (or, in a file of our own, the description field) tells. Trailing axes of length 1 are
dropped; time series and colour are refused.
"""

from __future__ import annotations

import gzip
import math
from typing import IO, Any, Final

import numpy as np

from ctfast.errors import FileFormatError
from ctfast.files._convert import count_nonfinite, linear, native, to_supported
from ctfast.files.image import Image, MetaValue, Request, Units, WriteOptions

_DESCRIPTION: Final = b"ctfast "
_DTYPES = frozenset(["uint8", "int8", "int16", "uint16", "int32", "uint32", "float32", "float64"])


def read_nifti(request: Request) -> Image:
    """Read a NIfTI volume as ``(frames, H, W)``, a single slice as ``(H, W)``.

    Raises:
        FileFormatError: For time series, colour, pairs of files, truncated data, sizes beyond the limits.
    """
    import nibabel

    path, limits, allocate = request.path, request.limits, request.allocate
    volume: Any = nibabel.load(path, mmap=False)
    header = volume.header
    if not isinstance(volume, nibabel.Nifti1Image | nibabel.Nifti2Image):
        raise FileFormatError(f"{type(volume).__name__} is not a single-file NIfTI image")
    shape = _shape(tuple(int(size) for size in volume.shape))
    dtype = header.get_data_dtype()
    if dtype.name not in _DTYPES:
        raise FileFormatError(f"pixels of type {dtype} are not supported; one number a pixel is needed")
    needed = math.prod(shape) * dtype.itemsize
    needed += int(volume.dataobj.offset)  # of a compressed file, all before the pixels is inflated as well
    if needed > limits.max_bytes or shape[-1] > limits.max_frames:
        raise FileFormatError(f"{shape} {dtype} needs {needed} bytes; the limit is {limits.max_bytes}")
    stored = np.asarray(volume.dataobj.get_unscaled()).reshape(shape, order="F").T
    slope, intercept = (1.0, 0.0) if request.units == "stored" else _scaling(volume)
    if (slope, intercept) == (1.0, 0.0):
        pixels = to_supported(stored, allocate)
    else:
        pixels = linear(stored, slope, intercept, allocate, narrow=True)
    meta: dict[str, MetaValue] = {
        "stored_dtype": dtype.newbyteorder("=").name,
        "orientation": "".join(code or "?" for code in nibabel.aff2axcodes(volume.affine)),
        "rescale_slope": slope,
        "rescale_intercept": intercept,
    }
    meta.update(count_nonfinite(pixels))
    zooms = [float(size) for size in header.get_zooms()[:3]]
    if len(zooms) == 3 and math.isfinite(zooms[2]):
        meta["slice_spacing"] = zooms[2]
    known = header.get_xyzt_units()[0] == "mm" and min(zooms[:2]) > 0 and all(map(math.isfinite, zooms[:2]))
    return Image(pixels, _units_of(header), path, "nifti", None, (zooms[1], zooms[0]) if known else None, meta)


def _shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    kept = shape
    while len(kept) > 2 and kept[-1] == 1:
        kept = kept[:-1]
    if len(kept) not in (2, 3) or min(kept) < 1:
        raise FileFormatError(f"shape {shape} is no volume; one time point and one channel are read")
    return kept


def _units_of(header: Any) -> Units:
    """What a file of our own says in its description field."""
    text = header["descrip"].tobytes().rstrip(b"\0 ")
    return "hu" if text == _DESCRIPTION + b"hu" else "stored" if text == _DESCRIPTION + b"stored" else "unknown"


def _scaling(volume: Any) -> tuple[float, float]:
    slope, intercept = float(volume.dataobj.slope), float(volume.dataobj.inter)
    if not (math.isfinite(slope) and math.isfinite(intercept)) or slope == 0:
        raise FileFormatError(f"scaling slope {slope:g} and intercept {intercept:g} are not usable")
    return slope, intercept


def write_nifti(file: IO[bytes], pixels: np.ndarray, options: WriteOptions) -> None:
    """Write ``(H, W)`` or ``(frames, H, W)`` as a NIfTI-1 volume whose axes are columns, rows, frames.

    The description field keeps the units; spacing is 1 without a unit where it is not known. ``.gz`` files carry no
    time stamp, so that equal images give equal files.
    """
    import nibabel

    row, column = (1.0, 1.0) if options.spacing is None else options.spacing
    volume: Any = nibabel.Nifti1Image(native(pixels).T, np.diag([column, row, 1.0, 1.0]))
    volume.header["descrip"] = _DESCRIPTION + options.units.encode()
    if options.spacing is not None:
        volume.header.set_xyzt_units("mm")
    if options.path.suffix.lower() != ".gz":
        volume.to_stream(file)
        return
    with gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="") as packed:
        volume.to_stream(packed)
