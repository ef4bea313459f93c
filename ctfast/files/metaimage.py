"""MetaImage, ``.mha`` and ``.mhd`` with its ``.raw`` or ``.zraw`` (LUNA16), by SimpleITK; written by ``struct`` alone.

Policies, each tested:

- Geometry is TransformMatrix, Offset and ElementSpacing, in the patient's LPS as ITK reads them; volumes are turned for
  display as those of NIfTI. Without TransformMatrix and Offset the place is not known. DistanceUnits count, which
  SimpleITK leaves out.
- ElementToIntensityFunctionSlope and -Offset are applied, which SimpleITK does not do. The format names no units of
  values: ``"unknown"``, unless the file is one of our own.
- Compressed data are inflated here, because SimpleITK gives any pixels for damaged data, without an error; truncated
  and damaged ones are refused, and so are compressed lists of slices.
- Byte order, HeaderSize -1 and lists of slices (``ElementDataFile = LIST``) are SimpleITK's work. Files of pixels are
  looked for beside the header; missing and short ones are refused.
- Colour and time series are refused; leading axes of length 1 are dropped.
- Written files are ``.mha`` in one piece, with zlib or without, in the order in which the volume was stored.

Source: MetaIO documentation (itk.org, MetaIO/Documentation); ITK's metaImage.cxx for what it leaves open.
"""

from __future__ import annotations

import math
import re
import zlib
from functools import partial
from pathlib import Path
from typing import IO, Final

import numpy as np

from ctfast.errors import ArgumentError, FileFormatError
from ctfast.files._convert import native
from ctfast.files._own_facts import padding_text
from ctfast.files._sitk import HEADER_BYTES, PADDING_KEY, UNITS_KEY, Header, header_text, inflated, read_by_sitk
from ctfast.files._volume import as_stored, beside, listed_bytes
from ctfast.files.image import ITK_LEVEL, Image, Request, WriteOptions
from ctfast.files.lengths import length_of
from ctfast.files.next_steps import COPY_AGAIN

_LAST: Final = re.compile(rb"^ElementDataFile\s*=\s*(\S[^\r\n]*)\r?\n", re.MULTILINE)
_LOCAL: Final = ("LOCAL", "LOCALFILE")
_TYPES: Final = {
    "uint8": "MET_UCHAR", "int16": "MET_SHORT", "uint16": "MET_USHORT", "float32": "MET_FLOAT", "float64": "MET_DOUBLE",
}  # fmt: skip


def read_metaimage(request: Request) -> Image:
    """Read a MetaImage volume as ``(frames, H, W)``, a single slice as ``(H, W)``.

    Raises:
        FileFormatError: See the policies above.
    """
    return read_by_sitk(request, "metaimage", _header)


def _header(request: Request) -> Header:
    text, length = header_text(request, _end)
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    fields = {key.strip().lower(): value.strip() for key, value in pairs}
    if "elementdatafile" not in fields:
        raise FileFormatError("no ElementDataFile: the header is cut off", COPY_AGAIN)
    compressed = _is_true(fields.get("compresseddata", "False"))
    binary = _is_true(fields.get("binarydata", "True"))
    if compressed and (_several(fields) or not binary or fields.get("headersize", "0") != "0"):
        raise FileFormatError(
            "compressed data in a list of files, as text or behind a header", "write it as one .mha file"
        )
    return Header(
        placed=any(key in fields for key in ("transformmatrix", "rotation", "orientation"))
        and any(key in fields for key in ("offset", "position", "origin")),
        spaced="elementspacing" in fields or "elementsize" in fields,
        data_bytes=_data_bytes(request.path, fields, length) if binary else None,  # text has no fixed size
        compressed=compressed,
        text=not binary,
        elsewhere="" if fields["elementdatafile"].upper() in _LOCAL else fields["elementdatafile"],
        inflate=partial(_inflated, request.path, fields, length) if compressed else None,
        length=length_of(fields.get("distanceunits", "")),
        slope=_number(fields, "elementtointensityfunctionslope", 1.0),
        intercept=_number(fields, "elementtointensityfunctionoffset", 0.0),
    )


def _is_true(text: str) -> bool:
    return text[:1] in ("T", "t", "1")  # as MetaIO looks at it


def _inflated(path: Path, fields: dict[str, str], length: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Pixels of compressed data; MetaIO takes zlib's and gzip's."""
    name = fields["elementdatafile"]
    big = _is_true(fields.get("binarydatabyteordermsb", fields.get("elementbyteordermsb", "False")))
    file, start = (path, length) if name.upper() in _LOCAL else (beside(path, name), 0)
    return inflated(file, start, shape, dtype.newbyteorder(">" if big else "<"))


def _end(head: bytes) -> int:
    last = _LAST.search(head)
    return last.end() if last else -1


def _data_bytes(path: Path, fields: dict[str, str], length: int) -> int:
    name = fields["elementdatafile"]
    if name.upper() in _LOCAL:
        return path.stat().st_size - length
    if _several(fields):
        with path.open("rb") as file:
            file.seek(length)
            return listed_bytes(path, name, file.read(HEADER_BYTES).decode("latin-1").splitlines())
    return beside(path, name).stat().st_size


def _several(fields: dict[str, str]) -> bool:
    name = fields["elementdatafile"]
    return name.upper().startswith("LIST") or "%" in name


def _number(fields: dict[str, str], key: str, default: float) -> float:
    text = fields.get(key)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or (number == 0 and default != 0):
        raise FileFormatError(f"{key} = {text!r} is not usable", "correct the header, or read with units='stored'")
    return number


def write_metaimage(file: IO[bytes], pixels: np.ndarray, options: WriteOptions) -> None:
    """Write ``(H, W)`` or ``(frames, H, W)`` with its geometry and, as fields of our own, its units and padding.

    Raises:
        ArgumentError: For ``.mhd``, whose pixels would be a second file.
    """
    if options.path.suffix.lower() == ".mhd":
        raise ArgumentError(f"{options.path.name!r}: MetaImage is written in one file; name it .mha")
    stored, place = as_stored(native(pixels), options.geometry)
    data = np.ascontiguousarray(stored).tobytes()
    if options.compression == "zlib":
        data = zlib.compress(data, ITK_LEVEL if options.level is None else options.level)
    fields: dict[str, object] = {
        "ObjectType": "Image",
        "NDims": stored.ndim,
        "BinaryData": True,
        "BinaryDataByteOrderMSB": np.little_endian is False,
        "CompressedData": options.compression == "zlib",
    }
    if options.compression == "zlib":
        fields["CompressedDataSize"] = len(data)
    if place is not None:
        frame, row, column = place.spacing
        axes = (place.matrix[:3, :3] / np.array(place.spacing))[:, ::-1]
        fields["TransformMatrix"] = _numbers(axes.T)  # each axis of the array after the other
        fields["Offset"] = _numbers(place.matrix[:3, 3])
        fields["ElementSpacing"] = _numbers(np.array([column, row, frame]))
    elif options.spacing is not None:
        sizes = [options.spacing[1], options.spacing[0], options.slice_spacing or 1.0]
        fields["ElementSpacing"] = _numbers(np.array(sizes[: stored.ndim]))
    fields[UNITS_KEY] = options.units
    if padding := padding_text(options.facts):
        fields[PADDING_KEY] = padding
    fields["DimSize"] = " ".join(map(str, stored.shape[::-1]))
    fields["ElementType"] = _TYPES[stored.dtype.name]
    fields["ElementDataFile"] = "LOCAL"
    file.write("".join(f"{key} = {value}\n" for key, value in fields.items()).encode())
    file.write(data)


def _numbers(values: np.ndarray) -> str:
    return " ".join(repr(float(value)) for value in values.ravel())
