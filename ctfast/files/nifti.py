"""NIfTI-1 and -2 by nibabel, single files (``.nii``, ``.nii.gz``).

Policies, each tested:

- The order of the axes in a NIfTI file is that of the program which wrote it, so volumes are turned (never resampled)
  to the order in which axial DICOM slices come: columns to the patient's left, rows to the back, frames upwards.
  ``meta["orientation"]`` names the stored order (``"LAS"``), ``meta["turned"]`` what was done; written as NIfTI again,
  a volume has its stored order back. Volumes whose geometry is not known (sform and qform code 0) stay as they are.
- Geometry is the sform's, else the qform's; where both are there and disagree, a note says so. Written files have both
  (no qform where the axes are not at right angles), with codes 0 where the geometry is not known.
- ``scl_slope`` and ``scl_inter`` are applied. NIfTI does not name units of values, so they are ``"unknown"`` unless
  the caller (or, in a file of our own, the description field) tells.
- Trailing axes of length 1 are dropped; time series and colour are refused.
- Content decides whether gzip is at work, not the name.
"""

from __future__ import annotations

import gzip
import math
import zlib
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast.errors import FileFormatError
from ctfast.files._convert import count_nonfinite, linear, native, to_supported
from ctfast.files._fast_gzip import AT_ONCE, deflate, inflate_quickly
from ctfast.files._own_facts import padding_of_text, padding_text
from ctfast.files._volume import PIXEL_TYPES, as_stored, check_declared, for_display, image_shape
from ctfast.files.formats import inflated
from ctfast.files.geometry import Geometry
from ctfast.files.image import Image, MetaValue, Request, Units, WriteOptions
from ctfast.files.next_steps import COPY_AGAIN, SAVE_NUMBERS
from ctfast.files.units import is_unit

_SCANNER: Final = 1  # NIFTI_XFORM_SCANNER_ANAT
_DESCRIPTION: Final = b"ctfast "
_PADDING: Final = "; padding "
_FIRST: Final = 352  # byte of the voxels, where there are no extensions
_APART_MM: Final = 1.0
_LONGEST: Final = 80  # bytes of the description field
_MILLIMETRES: Final = {"mm": 1.0, "meter": 1000.0, "micron": 0.001}


def read_nifti(request: Request) -> Image:
    """Read a NIfTI volume as ``(frames, H, W)``, a single slice as ``(H, W)``.

    Raises:
        FileFormatError: For time series, colour, pairs of files, truncated data, sizes beyond the limits.
    """
    import nibabel

    path, allocate = request.path, request.allocate
    volume, whole = _load(request)
    header = volume.header
    if not isinstance(volume, nibabel.Nifti1Image | nibabel.Nifti2Image):
        raise FileFormatError(f"{type(volume).__name__} is not a single-file NIfTI image", "save it as .nii or .nii.gz")
    shape = image_shape(tuple(int(size) for size in volume.shape), trailing=True)
    dtype = header.get_data_dtype()
    if dtype.newbyteorder("=").name not in PIXEL_TYPES:
        raise FileFormatError(f"pixels of type {dtype} are not supported; one number a pixel is needed", SAVE_NUMBERS)
    _check_size(request, shape, dtype, int(volume.dataobj.offset))
    if whole is None:
        stored = np.asarray(volume.dataobj.get_unscaled())
        _check_rest(volume.file_map["image"].fileobj)
    else:
        stored = np.frombuffer(whole, dtype, math.prod(shape), int(volume.dataobj.offset))
        stored = stored if stored.flags.aligned else stored.copy()
    stored = stored.reshape(shape, order="F").T
    zooms = [*map(float, header.get_zooms()[:3]), 0.0, 0.0][:3]
    scale = _MILLIMETRES.get(header.get_xyzt_units()[0])
    geometry = _geometry(header, scale or 1.0)  # nibabel and others write mm without saying so
    notes = [_two_places(header, shape, scale or 1.0)]
    stored, geometry, facts = for_display(stored, geometry, request)
    slope, intercept = (1.0, 0.0) if request.units == "stored" else _scaling(volume)
    if (slope, intercept) == (1.0, 0.0):
        pixels = to_supported(stored, allocate)
    else:
        pixels = linear(stored, slope, intercept, allocate, narrow=True)
    meta: dict[str, MetaValue] = {
        "stored_dtype": dtype.newbyteorder("=").name,
        "rescale_slope": slope,
        "rescale_intercept": intercept,
        **facts,
    }
    meta.update(count_nonfinite(pixels))
    if request.head.startswith(b"\x1f\x8b") and not request.apart and not path.name.lower().endswith(".gz"):
        notes.append("compressed by gzip, which its name does not say")
    if any(notes):
        meta["notes"] = "; ".join(filter(None, notes))
    spacing = None
    if geometry is not None:
        spacing = geometry.spacing[1:]
    elif scale is not None and min(zooms[:2]) > 0 and all(map(math.isfinite, zooms)):
        spacing, meta["slice_spacing"] = (zooms[1] * scale, zooms[0] * scale), zooms[2] * scale
    units, padding, of_range = _own(header)
    meta.update(of_range)
    return Image(pixels, units, path, "nifti", padding, spacing, meta, geometry)


def _check_size(request: Request, shape: tuple[int, ...], dtype: np.dtype, offset: int) -> None:
    """nibabel takes the memory for all pixels before it reads the first, and inflates all that lies before them."""
    size = request.size()
    check_declared(shape[::-1], dtype.itemsize, request.limits)
    if request.head.startswith(b"\x1f\x8b"):
        check_declared((offset + math.prod(shape) * dtype.itemsize,), 1, request.limits, stored=size, compressed=True)
    else:
        check_declared(shape[::-1], dtype.itemsize, request.limits, stored=size - offset)


def _geometry(header: Any, scale: float) -> Geometry | None:
    """By sform, else qform; None where the file knows neither (code 0), as nibabel's default affine is invented."""
    if header["sform_code"] > 0:
        affine = header.get_sform()
    elif header["qform_code"] > 0:
        affine = header.get_qform()
    else:
        return None
    return _geometry_of(affine, scale)


def _geometry_of(affine: np.ndarray, scale: float) -> Geometry | None:
    return Geometry.of(np.diag([-scale, -scale, scale]) @ affine[:3][:, [2, 1, 0, 3]])


def _two_places(header: Any, shape: tuple[int, ...], scale: float) -> str:
    """What to say of a volume that sform and qform put in different places, as two that are mirrored; else empty."""
    if header["sform_code"] <= 0 or header["qform_code"] <= 0:
        return ""
    try:
        forms = header.get_sform(), header.get_qform()
    except ValueError:  # no rotation: nobody has to agree with it
        return ""
    corners = np.array([*np.ndindex(2, 2, 2)]) * (np.array([*shape, 1])[:3] - 1)
    apart = forms[0] - forms[1]
    far = float(np.linalg.norm(corners @ apart[:3, :3].T + apart[:3, 3], axis=1).max()) * scale
    if not far > _APART_MM:
        return ""
    places = [_geometry_of(affine, scale) for affine in forms]
    directions = {None if place is None else place.orientation for place in places}
    turned = ", in other directions" if len(directions) > 1 else ""
    return f"sform and qform place it up to {far:.0f} mm apart{turned}: the sform was taken"


def _load(request: Request) -> tuple[Any, NDArray[np.uint8] | None]:
    """The volume, and all bytes of its file where they are inflated already: then its own hold the header alone."""
    import nibabel

    path, head = request.path, request.head
    packed = head.startswith(b"\x1f\x8b")
    if packed and (quickly := _inflated_at_once(request)) is not None:
        offset = int(nibabel.Nifti1Header(quickly[:348].tobytes(), check=False).get_data_offset())
        return nibabel.Nifti1Image.from_bytes(quickly[: max(offset, _FIRST)].tobytes()), quickly
    if not (packed or request.apart or path.name.lower().endswith(".gz")):
        return nibabel.load(path, mmap=False), None
    # nibabel goes by the name alone, and leaves the checksum unread.
    start = inflated(head)
    kind = nibabel.Nifti2Image if start[4:8] in (b"n+2\0", b"ni2\0") else nibabel.Nifti1Image
    file = gzip.open(request.source()) if packed else request.open()  # noqa: SIM115  closed when it is read
    return kind.from_file_map(kind.make_file_map({"image": file, "header": file})), None


def _check_rest(file: Any) -> None:
    """Read packed data to the end, where its checksum is."""
    if not isinstance(file, gzip.GzipFile):
        return
    try:
        with file:
            while file.read(1 << 20):
                pass
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        if not str(error).startswith("Not a gzipped file"):  # something else follows, which gzip ignores too
            raise FileFormatError(f"the compressed data is damaged ({error})", COPY_AGAIN) from error


def _inflated_at_once(request: Request) -> NDArray[np.uint8] | None:
    """A NIfTI-1 file of some hundred megabytes at most, as long as its header says; None for others."""
    import nibabel
    from nibabel.spatialimages import HeaderDataError

    start = inflated(request.head)
    if start[344:348] != b"n+1\0":
        return None
    try:
        header = nibabel.Nifti1Header(start[:348], check=False)
        shape, dtype, offset = header.get_data_shape(), header.get_data_dtype(), int(header.get_data_offset())
        _check_size(request, shape, dtype, offset)
    except (HeaderDataError, ValueError, OverflowError, FileFormatError):
        return None  # what is wrong, or too large, is said when nibabel has read the header
    size = offset + math.prod(shape) * dtype.itemsize
    if not 0 < size <= min(AT_ONCE, 1032 * request.size()):
        return None
    return inflate_quickly(request.whole(), size)


def _own(header: Any) -> tuple[Units, float | None, dict[str, MetaValue]]:
    """Units and padding, which a file of our own says in its description field."""
    text = header["descrip"].tobytes().rstrip(b"\0 ")
    units, _, padding = text.removeprefix(_DESCRIPTION).decode("latin-1").partition(_PADDING)
    if not text.startswith(_DESCRIPTION) or not is_unit(units):
        return "unknown", None, {}
    return units, *padding_of_text(padding)


def _scaling(volume: Any) -> tuple[float, float]:
    slope, intercept = float(volume.dataobj.slope), float(volume.dataobj.inter)
    if not (math.isfinite(slope) and math.isfinite(intercept)) or slope == 0:
        raise FileFormatError(
            f"scaling slope {slope:g} and intercept {intercept:g} are not usable",
            "correct scl_slope and scl_inter, or take the numbers as stored (--units stored, units='stored')",
        )
    return slope, intercept


def write_nifti(file: IO[bytes], pixels: np.ndarray, options: WriteOptions) -> None:
    """Write ``(H, W)`` or ``(frames, H, W)`` as a NIfTI-1 volume whose axes are columns, rows, frames.

    The description field keeps the units of the values and the padding. ``.gz`` files carry no time stamp, so that
    equal images give equal files.
    """
    import nibabel

    volume: Any = nibabel.Nifti1Image(*_stored_order(native(pixels), options.geometry))
    _set_geometry(volume, options)
    padding = padding_text(options.facts)
    said = _DESCRIPTION + options.units.encode(), (padding and _PADDING + padding).encode()
    volume.header["descrip"] = b"".join(said) if sum(map(len, said)) <= _LONGEST else said[0]
    if options.path.suffix.lower() != ".gz":
        volume.to_stream(file)
        return
    deflate(volume.to_stream, file)


def _stored_order(pixels: np.ndarray, geometry: Geometry | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Data in the order of NIfTI's axes, as the volume was stored before it was turned, and their affine (RAS)."""
    if geometry is None:
        return pixels.T, None
    pixels, geometry = as_stored(pixels, geometry)
    assert geometry is not None
    return pixels.T, np.diag([-1.0, -1.0, 1.0, 1.0]) @ geometry.matrix[:, [2, 1, 0, 3]]


def _set_geometry(volume: Any, options: WriteOptions) -> None:
    header = volume.header
    if options.geometry is None:
        header["sform_code"] = header["qform_code"] = 0
        if options.spacing is not None:
            row, column = options.spacing
            frames = header.get_zooms()[2:]
            header.set_zooms((column, row, *(frames if options.slice_spacing is None else (options.slice_spacing,))))
            header.set_xyzt_units("mm")
        return
    header.set_xyzt_units("mm")
    volume.set_sform(volume.affine, _SCANNER)
    axes = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    orthogonal = np.allclose(axes.T @ axes, np.eye(3), atol=1e-4)
    volume.set_qform(volume.affine, _SCANNER if orthogonal else 0)  # a qform can't hold a shear, such as gantry tilt
