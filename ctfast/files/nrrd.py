"""NRRD, ``.nrrd`` and ``.nhdr`` with its data file, by SimpleITK; written by the standard library alone.

Policies, each tested:

- Geometry is space directions and space origin, from RAS, LAS or LPS to the patient's LPS; volumes are turned for
  display as those of NIfTI. In other spaces (``scanner-xyz``) and without one, and where an origin or a direction is
  missing, ``none`` or no number, the place is not known, spacings are, as far as they are given.
- ``space units`` and ``units`` count, which SimpleITK leaves out: micrometres become mm.
- The first axis of an NRRD file runs fastest: columns, rows, frames. An axis of colours or vectors is refused, one of
  length 1 is dropped. NRRD names no units of values: ``"unknown"``, unless the file is one of our own.
- Encodings raw, gzip (up to its checksum, which SimpleITK leaves out) and text are read, attached or detached; bzip2 is
  refused (SimpleITK lacks it), with the way out.
- Sizes are held against the limits and the length of the data before anything is decoded.
- Written files are ``.nrrd`` in one piece, with gzip (``compression="zlib"``) or without, in the order in which the
  volume was stored.

Source: teem.sourceforge.net/nrrd/format.html.
"""

from __future__ import annotations

import gzip
import math
import re
from functools import partial
from pathlib import Path
from typing import IO, Final

import numpy as np

from ctfast.errors import ArgumentError, FileFormatError
from ctfast.files._convert import native
from ctfast.files._own_facts import padding_text
from ctfast.files._sitk import PADDING_KEY, UNITS_KEY, Header, header_text, inflated, read_by_sitk, version
from ctfast.files._volume import as_stored, beside, listed_bytes
from ctfast.files.image import ITK_LEVEL, Image, Request, WriteOptions
from ctfast.files.lengths import length_of

_SPACES: Final = tuple(
    f"{x}-{y}-superior" for x, y in (("left", "posterior"), ("right", "anterior"), ("left", "anterior"))
)
_SHORT: Final = ("lps", "ras", "las")
_MIRRORED: Final = ("left-anterior-superior", "las")
_RIGHT: Final = (2, 5, 6)
"""The first SimpleITK that does not mirror these: findings/simpleitk_nrrd_las.sh."""
_GZIP: Final = ("gz", "gzip")
_TEXT: Final = ("txt", "text", "ascii", "hex")
_LONGEST: Final = 500
"""Characters. No field of a CT volume's header is longer, and SimpleITK's reader is not given what is none."""
_FREE: Final = ("content", "labels", "datafile")
_TYPES: Final = {"uint8": "uint8", "int16": "int16", "uint16": "uint16", "float32": "float", "float64": "double"}


def read_nrrd(request: Request) -> Image:
    """Read an NRRD volume as ``(frames, H, W)``, a single slice as ``(H, W)``.

    Raises:
        FileFormatError: See the policies above.
    """
    return read_by_sitk(request, "nrrd", _header)


def _header(request: Request) -> Header:
    text, length = header_text(request, _end)
    pairs = (line.split(":", 1) for line in text.splitlines() if re.match(r"[^#:]+:(?!=)", line))
    fields = {key.strip().lower().replace(" ", ""): value.strip() for key, value in pairs}
    long = next((key for key, value in fields.items() if len(value) > _LONGEST and key not in _FREE), None)
    if long is not None:
        raise FileFormatError(
            f"{long}: a field of {len(fields[long])} characters is not believed",
            "shorten the field, or write the file anew",
        )
    encoding = fields.get("encoding", "").lower()
    if encoding not in ("raw", *_GZIP, *_TEXT):
        raise FileFormatError(
            f"encoding: {encoding or 'missing'}", "raw, gzip and text are read: convert it ('unu save -e gzip')"
        )
    space = fields.get("space", "").lower()
    if space in _MIRRORED and version() < _RIGHT:
        here = ".".join(map(str, version()))
        raise FileFormatError(f"space: {space}: SimpleITK {here} mirrors it", 'pip install "SimpleITK>=2.5.6"')
    sizes, origin = _sizes(fields), _numbers(fields.get("spaceorigin", ""))
    return Header(
        placed=space in (*_SPACES, *_SHORT) and len(sizes) == 3 and all(sizes) and len(origin) == 3,
        spaced=len(sizes) > 1 and all(sizes[:2]),
        frames_spaced=all(sizes) and fields.get("kinds", "").lower().split()[-1:] != ["time"],
        length=_length(fields),
        data_bytes=None if encoding in _TEXT else _data_bytes(request.path, fields, text, length),
        compressed=encoding in _GZIP,
        text=encoding in _TEXT and "datafile" not in fields,
        elsewhere=fields.get("datafile", ""),
        inflate=partial(_inflated, request.path, fields, length) if _is_one_stream(fields, encoding) else None,
    )


def _is_one_stream(fields: dict[str, str], encoding: str) -> bool:
    """Whether the pixels are one gzip stream, whose checksum SimpleITK does not look at."""
    skips = any(fields.get(key, "0") != "0" for key in ("lineskip", "byteskip"))
    return encoding in _GZIP and not skips and not _is_several(fields.get("datafile", ""))


def _is_several(name: str) -> bool:
    return name.upper().startswith("LIST") or "%" in name


def _inflated(path: Path, fields: dict[str, str], length: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    file, start = (beside(path, fields["datafile"]), 0) if "datafile" in fields else (path, length)
    big = fields.get("endian", "").lower() == "big"
    return inflated(file, start, shape, dtype.newbyteorder(">" if big else "<"))


def _sizes(fields: dict[str, str]) -> list[float]:
    """The spacing of each axis of space, 0 where the file gives none; axes of colours and the like have none."""
    directions = re.findall(r"none|\([^)]*\)", fields.get("spacedirections", "").lower())
    if directions:
        sizes = [math.hypot(*_numbers(vector)) for vector in directions]
    else:
        sizes = [max(math.fsum(_numbers(word)), 0.0) for word in fields.get("spacings", "").split()]
    while len(sizes) > 3 and 0.0 in sizes:
        sizes.remove(0.0)
    return sizes


def _numbers(text: str) -> list[float]:
    """Of a vector or a word; none where one of them is no finite number."""
    try:
        numbers = [float(word) for word in text.strip(" ()").split(",")]
    except ValueError:
        return []
    return numbers if all(map(math.isfinite, numbers)) else []


def _length(fields: dict[str, str]) -> float | None:
    """Millimetres of the file's unit of length; None where axes differ, or nobody knows it."""
    named = fields.get("spaceunits" if "spacedirections" in fields else "units", "")
    lengths = {length_of(unit) for unit in re.findall(r'"([^"]*)"', named)}
    return lengths.pop() if len(lengths) == 1 else None if lengths else 1.0


def _end(head: bytes) -> int:
    blank = re.search(rb"\r?\n\r?\n", head)
    return blank.end() if blank else -1


def _data_bytes(path: Path, fields: dict[str, str], text: str, length: int) -> int:
    name = fields.get("datafile")
    if name is None:
        return path.stat().st_size - length
    if _is_several(name):
        return listed_bytes(path, name, re.split(r"LIST[^\n]*\n", text, maxsplit=1)[-1].splitlines())
    return beside(path, name).stat().st_size


def write_nrrd(file: IO[bytes], pixels: np.ndarray, options: WriteOptions) -> None:
    """Write ``(H, W)`` or ``(frames, H, W)`` with its geometry and, as keys of our own, its units and padding.

    Raises:
        ArgumentError: For ``.nhdr``, whose pixels would be a second file.
    """
    if options.path.suffix.lower() == ".nhdr":
        raise ArgumentError(f"{options.path.name!r}: NRRD is written in one file; name it .nrrd")
    stored, place = as_stored(native(pixels), options.geometry)
    lines = [
        "NRRD0004",
        f"type: {_TYPES[stored.dtype.name]}",
        f"dimension: {stored.ndim}",
        f"sizes: {' '.join(map(str, stored.shape[::-1]))}",
        f"encoding: {'gzip' if options.compression == 'zlib' else 'raw'}",
        f"endian: {'little' if np.little_endian else 'big'}",
    ]
    if place is not None:
        columns = place.matrix[:3, [2, 1, 0, 3]].T
        lines.insert(3, "space: left-posterior-superior")
        lines.append(f"space directions: {' '.join(map(_vector, columns[:3]))}")
        lines.append(f"space origin: {_vector(columns[3])}")
    elif options.spacing is not None:
        row, column = options.spacing
        frame = "nan" if options.slice_spacing is None else repr(float(options.slice_spacing))
        lines.append(f"spacings: {column!r} {row!r}" + f" {frame}" * (stored.ndim - 2))
    lines.append(f"{UNITS_KEY}:={options.units}")
    if padding := padding_text(options.facts):
        lines.append(f"{PADDING_KEY}:={padding}")
    file.write("\n".join([*lines, "", ""]).encode())
    data = np.ascontiguousarray(stored).tobytes()
    if options.compression == "zlib":
        data = gzip.compress(data, ITK_LEVEL if options.level is None else options.level, mtime=0)
    file.write(data)


def _vector(numbers: np.ndarray) -> str:
    return f"({','.join(repr(float(number)) for number in numbers)})"
