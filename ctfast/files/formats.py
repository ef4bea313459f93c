"""Which format a file has, by its first bytes; an extension that says otherwise is an error.

Policy: content decides, but a known extension must agree with it (a DICOM file named ``.tif`` was mislabelled by
something that may have damaged more than the name). A file that is both (PS3.10 allows a TIFF header in the DICOM
preamble) is what its extension says, DICOM without one.
"""

from __future__ import annotations

import stat
import zlib
from pathlib import Path
from typing import Final

from ctfast.errors import FileFormatError
from ctfast.files.image import FileFormat

EXTENSIONS: Final[dict[str, FileFormat]] = {
    ".tif": "tiff",
    ".tiff": "tiff",
    ".dcm": "dicom",
    ".dicom": "dicom",
    ".ima": "dicom",
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".npy": "npy",
}
TITLES: Final[dict[FileFormat, str]] = {"tiff": "TIFF", "dicom": "DICOM", "nifti": "NIfTI", "npy": "NumPy .npy"}
HEAD_BYTES: Final = 1024

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_FOREIGN: Final[dict[bytes, str]] = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "gzip-compressed data",
    b"GIF8": "a GIF image",
    b"\x00\x05\x16\x07": "macOS AppleDouble metadata, not the image of that name",
    b"version https://git-lfs": "a Git LFS pointer, not the image itself (run 'git lfs pull')",
}
# Explicit value representations of PS3.5 table 6.2-1: a data set without preamble starts with a tag and one of these.
_VRS = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)


def extension(path: Path) -> str:
    """The known extension in lower case (``.nii.gz`` as one), or an empty string."""
    name = path.name.lower()
    if name.endswith(".nii.gz"):
        return ".nii.gz"
    suffix = path.suffix.lower()
    return suffix if suffix in EXTENSIONS else ""


def read_head(path: Path) -> bytes:
    """The first bytes of a regular file.

    Raises:
        OSError: If it cannot be opened.
        FileFormatError: For a folder, a named pipe (which would wait forever), a device, or an empty file.
    """
    try:
        mode = path.stat().st_mode
    except ValueError as error:  # a NUL in the name
        raise FileFormatError(f"{str(path)!r}: not a file name ({error})") from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, socket or device"
        raise FileFormatError(f"{path}: {kind}, not an image file")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise FileFormatError(f"{path}: empty file (0 bytes)")
    return head


def detect(head: bytes) -> tuple[FileFormat, ...]:
    """Formats that the first bytes of a file fit, likeliest first; empty when none does."""
    found: list[FileFormat] = []
    if head[128:132] == b"DICM":
        found.append("dicom")
    if head[:4] in _TIFF:
        found.append("tiff")
    if head[:6] == b"\x93NUMPY":
        found.append("npy")
    if _is_nifti(head):
        found.append("nifti")
    if not found and _is_bare_dicom(head):
        found.append("dicom")
    return tuple(found)


def check_format(path: Path, head: bytes) -> FileFormat:
    """The format of a file by content, in agreement with its extension.

    Raises:
        FileFormatError: For unknown content, or content that contradicts the extension.
    """
    found = detect(head)
    claimed = EXTENSIONS.get(extension(path))
    if claimed in found:
        return claimed
    if found and claimed is None:
        return found[0]
    what = TITLES[found[0]] + " data" if found else _foreign(head)
    if claimed is not None:
        advice = "; rename it if that is what it is" if found else ""
        raise FileFormatError(f"{path}: named as {TITLES[claimed]} but holds {what}{advice}")
    raise FileFormatError(f"{path}: holds {what}; TIFF, DICOM, NIfTI and .npy are read")


def _foreign(head: bytes) -> str:
    for magic, title in _FOREIGN.items():
        if head.startswith(magic):
            return title
    if head.lstrip()[:5].lower() in (b"<!doc", b"<html"):
        return "an HTML page (a saved error page?)"
    return f"something else (it starts with {head[:8]!r})"


def _is_nifti(head: bytes) -> bool:
    if head[:2] == b"\x1f\x8b":
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, 400)
        except zlib.error:
            return False
    return head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0")


def _is_bare_dicom(head: bytes) -> bool:
    """A data set without preamble: group 0002 or 0008, then a value representation or a small implicit length."""
    group = head[:2]
    if len(head) < 16 or group not in (b"\x02\0", b"\x08\0", b"\0\x08"):
        return False
    if head[4:6] in _VRS:
        return True
    return group == b"\x08\0" and head[3] == 0 and head[6:8] == b"\0\0"
