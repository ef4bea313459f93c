"""The formats that ctfast knows: one row each. Finding, reading, writing, runs, doctor and help read this table.

A new format is a module with its reader (and writer), and a row here.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Literal, get_args

from ctfast.errors import ArgumentError, missing_extra
from ctfast.files._dicom_head import is_bare, object_without_pixels

if TYPE_CHECKING:
    import numpy as np

    from ctfast.files.image import Image, Request, WriteOptions

    Reader = Callable[[Request], Image]
    Writer = Callable[[Any, np.ndarray, WriteOptions], None]

STORE: Final = b"\0zarr store"
"""What stands for the first bytes of a folder that is a Zarr store."""
Compression = Literal["none", "zlib", "zstd", "lzw"]


def inflated(head: bytes) -> bytes:
    """The beginning of what gzip-compressed bytes hold; other bytes as they are."""
    if not head.startswith(b"\x1f\x8b"):
        return head
    try:
        return zlib.decompressobj(wbits=31).decompress(head, 400)
    except zlib.error:
        return b""


def is_metaimage(head: bytes) -> bool:
    """Whether the first bytes are those of a MetaImage header, which has no magic bytes: its first keys are known."""
    first = re.match(rb"\s*(ObjectType|NDims|Comment|ObjectSubType)\s*=", head)
    return bool(first and re.search(rb"^\s*NDims\s*=\s*\d", head, re.MULTILINE))


def is_npz(head: bytes) -> bool:
    """Whether the first bytes are those of a ZIP archive whose first member is a NumPy array."""
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    return head.startswith(b"PK\x03\x04") and name.endswith(b".npy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One file format.

    Attributes:
        name: as in ``Image.format``.
        title: as people write it.
        extensions: in lower case; the first, without its dot, is the word on the command line.
        magic: pairs of an offset and the bytes there; any of them recognises the format.
        without_magic: recognises the format by a closer look, where no format's magic bytes are found.
        without_pixels: says by the first bytes what a file of this format is that is no image; None for images.
        folder: whether it is a folder, which its writer fills, and not a file.
        data_sets: whether ``FILE::/PATH`` names one of several arrays in a file.
        gzip: whether the whole file may be compressed by gzip.
        reader: ``"module:function"`` in ``ctfast.files``, a ``Reader``; empty for a format that is not read.
        writer: the same of a ``Writer``; empty for a format that is not written.
        output: extension of a run's outputs.
        compressions: what ``compression=`` may be.
        package: what the reader imports from outside, where ctfast itself does not depend on it, as pip knows it.
        module: the same as Python knows it, where it is called something else.
        seldom: whether many files are read without it, so that the reader imports it where one needs it.
        writer_alone: whether the writer works without it.
        extra: the extra of ctfast that installs this package.
    """

    name: str
    title: str
    extensions: tuple[str, ...]
    magic: tuple[tuple[int, bytes], ...]
    without_magic: Callable[[bytes], bool] | None = None
    without_pixels: Callable[[bytes], str | None] | None = None
    folder: bool = False
    data_sets: bool = False
    gzip: bool = False
    reader: str = ""
    writer: str = ""
    output: str = ""
    compressions: tuple[str, ...] = ("none",)
    package: str = ""
    module: str = ""
    seldom: bool = False
    writer_alone: bool = False
    extra: str = ""

    @property
    def word(self) -> str:
        """Its name on the command line."""
        return self.extensions[0][1:]

    def fits(self, head: bytes) -> bool:
        """Whether the first bytes of a file are those of this format."""
        start = inflated(head) if self.gzip else head
        return any(start.startswith(magic, offset) for offset, magic in self.magic)

    def read(self, request: Request) -> Image:
        """Read a file of this format."""
        if self.seldom:
            self.check_package()
        else:
            self._check_package()
        reader: Reader = _function(self.reader)
        return reader(request)

    def write(self, file: IO[bytes] | Path, pixels: np.ndarray, options: WriteOptions) -> None:
        """Write a file of this format, or fill a folder."""
        if not self.writer_alone:
            self._check_package()
        writer: Writer = _function(self.writer)
        writer(file, pixels, options)

    def check_package(self) -> None:
        """Refuse where the package that the format needs is not there; it is not imported.

        Raises:
            MissingDependencyError: names the pip command.
        """
        if self.package and not _is_there(self.module or self.package):
            raise missing_extra(f"{self.title} files need {self.package}", self.extra)

    def _check_package(self) -> None:
        if self.package:
            try:
                importlib.import_module(self.module or self.package)
            except ImportError as error:
                raise missing_extra(f"{self.title} files need {self.package}", self.extra) from error


def _is_there(module: str) -> bool:
    return (importlib.util.find_spec if module in sys.modules else _found)(module) is not None


@cache
def _found(module: str) -> ModuleSpec | None:
    """Looked for once, as this takes a tenth of what a file takes."""
    return importlib.util.find_spec(module)


def _function(home: str) -> Any:
    module, _, function = home.partition(":")
    return getattr(importlib.import_module(f"ctfast.files.{module}"), function)


FORMATS: Final = (
    Format(
        name="dicom",
        title="DICOM",
        extensions=(".dcm", ".dicom", ".ima"),
        magic=((128, b"DICM"),),
        without_magic=is_bare,
        without_pixels=object_without_pixels,
        reader="dicom:read_dicom",
        package="pydicom",
        seldom=True,
        extra="dicom",
    ),
    Format(
        name="tiff",
        title="TIFF",
        extensions=(".tif", ".tiff"),
        magic=((0, b"II*\0"), (0, b"MM\0*"), (0, b"II+\0"), (0, b"MM\0+")),
        reader="tiff:read_tiff",
        writer="_tiff_write:write_tiff",
        output=".tif",
        compressions=get_args(Compression),
    ),
    Format(
        name="npy",
        title="NumPy .npy",
        extensions=(".npy",),
        magic=((0, b"\x93NUMPY"),),
        reader="npy:read_npy",
        writer="npy:write_npy",
        output=".npy",
    ),
    Format(
        name="npz",
        title="NumPy .npz",
        extensions=(".npz",),
        magic=(),
        without_magic=is_npz,
        reader="npz:read_npz",
    ),
    Format(
        name="b2nd",
        title="Blosc2",
        extensions=(".b2nd",),
        magic=((1, b"\xa8b2frame\0"),),
        reader="b2nd:read_b2nd",
        package="blosc2",
        extra="arrays",
    ),
    Format(
        name="hdf5",
        title="HDF5",
        extensions=(".h5", ".hdf5"),
        magic=((0, b"\x89HDF\r\n\x1a\n"),),
        data_sets=True,
        reader="hdf5:read_hdf5",
        package="h5py",
        extra="arrays",
    ),
    Format(
        name="zarr",
        title="Zarr",
        extensions=(".zarr",),
        magic=((0, STORE),),
        folder=True,
        data_sets=True,
        reader="zarr_store:read_zarr",
        writer="_zarr_write:write_zarr",
        output=".zarr",
        compressions=("none", "zstd"),
        package="zarr",
        extra="arrays",
    ),
    Format(
        name="nifti",
        title="NIfTI",
        extensions=(".nii", ".nii.gz"),
        magic=((344, b"n+1\0"), (344, b"ni1\0"), (4, b"n+2\0"), (4, b"ni2\0")),
        gzip=True,
        reader="nifti:read_nifti",
        writer="nifti:write_nifti",
        output=".nii.gz",
        package="nibabel",
        extra="nifti",
    ),
    Format(
        name="metaimage",
        title="MetaImage",
        extensions=(".mha", ".mhd"),
        magic=(),
        without_magic=is_metaimage,
        reader="metaimage:read_metaimage",
        writer="metaimage:write_metaimage",
        output=".mha",
        compressions=("none", "zlib"),
        package="SimpleITK",
        writer_alone=True,
        extra="volumes",
    ),
    Format(
        name="nrrd",
        title="NRRD",
        extensions=(".nrrd", ".nhdr"),
        magic=((0, b"NRRD0"),),
        reader="nrrd:read_nrrd",
        writer="nrrd:write_nrrd",
        output=".nrrd",
        compressions=("none", "zlib"),
        package="SimpleITK",
        writer_alone=True,
        extra="volumes",
    ),
    Format(
        name="png",
        title="PNG",
        extensions=(".png",),
        magic=((0, b"\x89PNG"),),
        reader="picture:read_png",
        writer="png:write_png",
        output=".png",
        package="pillow",
        module="PIL",
        writer_alone=True,
        extra="pictures",
    ),
    Format(
        name="jpeg",
        title="JPEG",
        extensions=(".jpg", ".jpeg"),
        magic=((0, b"\xff\xd8\xff"),),
        reader="picture:read_jpeg",
        package="pillow",
        module="PIL",
        extra="pictures",
    ),
)
READ: Final = tuple(row for row in FORMATS if row.reader)
WRITTEN: Final = tuple(row for row in FORMATS if row.writer)
READ_ENDS: Final = {end: row for row in READ for end in row.extensions}
WRITTEN_ENDS: Final = {end: row for row in WRITTEN for end in row.extensions}


def written(word: str) -> Format:
    """The format that a name or a word of the command line means.

    Raises:
        ArgumentError: For a word of no format that is written.
    """
    for row in WRITTEN:
        if word in (row.name, row.word, row.output[1:]):
            return row
    raise ArgumentError(f"format={word!r}; {', '.join(row.word for row in WRITTEN)} are allowed")


def check_compression(kind: Format, compression: str) -> None:
    """Refuse a compression that the format does not have.

    Raises:
        ArgumentError: With those that it has.
    """
    if compression not in kind.compressions:
        allowed = ", ".join(kind.compressions)
        raise ArgumentError(f"compression={compression!r}; {kind.title} allows {allowed}")


def by_extension(path: Path | str, ends: Mapping[str, Format] = READ_ENDS) -> Format | None:
    """The format that a file's extension claims, None for an extension of no format."""
    return ends.get(extension(path, ends))


def extension(path: Path | str, ends: Mapping[str, Format] = READ_ENDS) -> str:
    """The known extension in lower case (``.nii.gz`` as one), or an empty string; of text without making a path."""
    name = path.rpartition("/")[2] if isinstance(path, str) else path.name
    parts = name.lower().rsplit(".", 2)
    for start in (-2, -1):
        end = "." + ".".join(parts[start:])
        if end in ends and len(parts) > -start and any(parts[:start]):
            return end
    return ""


def extras() -> dict[str, tuple[str, ...]]:
    """Packages that formats need, by the extra of ctfast that installs them."""
    names = dict.fromkeys(row.extra for row in FORMATS if row.extra)
    return {name: tuple(dict.fromkeys(row.package for row in FORMATS if row.extra == name)) for name in names}
