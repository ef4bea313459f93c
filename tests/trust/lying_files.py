"""Small files that declare far more pixels than they hold, one or more for each way in which a format can lie."""

from __future__ import annotations

import gzip
import io
import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np

SIDE = 8192
"""Rows and columns: 134 MB of 16 bits, within the limit on what one file may decode to."""
ZEROS = b"\0" * (1 << 20)
Make = Callable[[Path], object]
T = TypeVar("T")


@cache
def zeros(megabytes: int, *, wbits: int) -> bytes:
    """So many of them, compressed to a thousandth (31: gzip, 15: zlib, -15: deflate alone)."""
    packer = zlib.compressobj(9, wbits=wbits)
    return b"".join([*(packer.compress(ZEROS) for _ in range(megabytes)), packer.flush()])


def npy(shape: tuple[int, ...], data: bytes = b"") -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "<i2", "fortran_order": False, "shape": shape})
    return out.getvalue() + data


def npz(path: Path, member: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("image.npy", member)


def nifti(side: int, *, offset: int = 352, kind: int = 1) -> bytes:
    """A header alone."""
    if kind == 1:
        header = bytearray(352)
        struct.pack_into("<i", header, 0, 348)
        struct.pack_into("<8h", header, 40, 2, side, side, 1, 1, 1, 1, 1)
        struct.pack_into("<2h", header, 70, 4, 16)
        struct.pack_into("<8f", header, 76, 1, 1, 1, 1, 1, 1, 1, 1)
        struct.pack_into("<3f", header, 108, offset, 1, 0)
        header[344:348] = b"n+1\0"
        return bytes(header)
    header = bytearray(544)
    struct.pack_into("<i8s2h", header, 0, 540, b"n+2\0\r\n\x1a\n", 4, 16)
    struct.pack_into("<8q", header, 16, 2, side, side, 1, 1, 1, 1, 1)
    struct.pack_into("<8d", header, 104, *[1.0] * 8)
    struct.pack_into("<q2d", header, 168, offset, 1, 0)
    return bytes(header)


def metaimage(side: int, *lines: str, data: bytes = b"") -> bytes:
    head = ["ObjectType = Image", "NDims = 2", f"DimSize = {side} {side}", "BinaryData = True", *lines]
    return "\n".join([*head, "ElementType = MET_SHORT", "ElementDataFile = LOCAL\n"]).encode() + data


def nrrd(side: int, encoding: str, data: bytes = b"") -> bytes:
    head = ["NRRD0004", "type: int16", "dimension: 2", f"sizes: {side} {side}", f"encoding: {encoding}"]
    return "\n".join([*head, "endian: little\n\n"]).encode() + data


def png(side: int, data: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">2I5B", side, side, 16, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def tiff(side: int, *, compression: int, data: bytes) -> bytes:
    """One strip of 16-bit pixels."""
    tags = [
        (256, 4, side), (257, 4, side), (258, 3, 16), (259, 3, compression), (262, 3, 1), (273, 4, 8), (277, 3, 1),
        (278, 4, side), (279, 4, len(data)),
    ]  # fmt: skip
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<2H2I", t, k, 1, v) for t, k, v in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + b"\0\0\0\0"


def dicom(rows: int, columns: int, data: bytes, *, syntax: str = "1.2.840.10008.1.2.1", frames: int = 1) -> bytes:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate

    ds, out = Dataset(), io.BytesIO()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = "1.2.840.10008.5.1.4.1.1.2", "1.2.3", "CT"
    ds.Rows, ds.Columns, ds.NumberOfFrames, ds.SamplesPerPixel = rows, columns, frames, 1
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation, ds.PhotometricInterpretation = 15, 0, "MONOCHROME2"
    ds.PixelData = encapsulate([data]) if syntax.startswith("1.2.840.10008.1.2.4") else data
    ds["PixelData"].VR = "OW"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def jpeg_head(side: int) -> bytes:
    """Up to the frame header of a JPEG stream of 8 bits."""
    return b"\xff\xd8\xff\xc0" + struct.pack(">HB2HB3B", 11, 8, side, side, 1, 1, 0x11, 0) + b"\xff\xd9"


def jpeg2000_head(side: int) -> bytes:
    """SOC and SIZ of a JPEG 2000 stream of 16 bits."""
    size = struct.pack(">2H8IH3B", 41, 0, side, side, 0, 0, side, side, 0, 0, 1, 15, 1, 1)
    return b"\xff\x4f\xff\x51" + size + b"\xff\xd9"


def blosc2_zeros(path: Path, side: int) -> None:
    import blosc2

    blosc2.zeros((side, side), dtype=np.int16, urlpath=str(path), mode="w")


def hdf5_zeros(path: Path, side: int) -> None:
    """A file of weights whose kernels are only declared."""
    import h5py

    with h5py.File(path, "w") as file:
        for number, shape in enumerate(((3, 3, 3, side), (side, side), (side, 2))):
            name = ("conv2d", "dense", "dense_1")[number]
            group = file.create_group(f"layers/{name}/vars")
            group.create_dataset("0", shape, "f4", chunks=True, compression="gzip")
            group.create_dataset("1", (shape[-1],), "f4", chunks=True, compression="gzip")


def lies() -> dict[str, Make]:
    """Name of a file to what writes it."""
    text = {
        "header.npy": npy((SIDE, SIDE)),
        "header.nii": nifti(SIDE),
        "second.nii": nifti(SIDE, offset=544, kind=2),
        "header.nii.gz": gzip.compress(nifti(SIDE)),
        "bomb.nii.gz": gzip.compress(nifti(SIDE)) + zeros(128, wbits=31),
        "offset.nii.gz": gzip.compress(nifti(64, offset=1 << 27)) + zeros(129, wbits=31),
        "offset.nii": nifti(64, offset=1 << 27),
        "header.mha": metaimage(SIDE),
        "bomb.mha": metaimage(SIDE, "CompressedData = True", data=zeros(128, wbits=15)),
        "text.mha": metaimage(SIDE).replace(b"BinaryData = True", b"BinaryData = False"),
        "pattern.mhd": metaimage(SIDE).replace(b"LOCAL", b"pattern.%s 1 1 1"),
        "many.mhd": metaimage(SIDE).replace(b"LOCAL", b"many.%d 1 999999999 1"),
        "list.mhd": metaimage(SIDE).replace(b"LOCAL", b"LIST") + b"list.mhd\n" * 3,
        "list.nhdr": nrrd(SIDE, "raw").replace(b"\n\n", b"\ndata file: LIST\n") + b"list.nhdr\n" * 3,
        "header.nrrd": nrrd(SIDE, "raw"),
        "bomb.nrrd": nrrd(SIDE, "gzip", zeros(128, wbits=31)),
        "short.nrrd": nrrd(4096, "gzip", zeros(1, wbits=31)),
        "longer.nrrd": nrrd(64, "gzip", zeros(128, wbits=31)),
        "text.nrrd": nrrd(SIDE, "text", b"1 2 3"),
        "header.png": png(SIDE, zlib.compress(b"")),
        "bomb.png": png(SIDE, zeros(128, wbits=15)),
        "header.jpg": jpeg_head(SIDE),
        "header.tif": tiff(SIDE, compression=1, data=b"12345678"),
        "bomb.tif": tiff(SIDE, compression=8, data=zeros(128, wbits=15)),
        "longer.tif": tiff(64, compression=8, data=zeros(128, wbits=15)),
        "header.dcm": dicom(SIDE, SIDE, b"12"),
        "frames.dcm": dicom(64, 64, b"12", frames=200_000),
        "deflated.dcm": dicom(SIDE, SIDE, ZEROS, syntax="1.2.840.10008.1.2.1.99"),
        "jpeg.dcm": dicom(SIDE, SIDE, jpeg_head(SIDE), syntax="1.2.840.10008.1.2.4.57"),
        "jpeg2000.dcm": dicom(SIDE, SIDE, jpeg2000_head(SIDE), syntax="1.2.840.10008.1.2.4.90"),
        "other.dcm": dicom(64, 64, jpeg2000_head(SIDE), syntax="1.2.840.10008.1.2.4.90"),
    }
    made: dict[str, Make] = {name: lambda path, data=data: path.write_bytes(data) for name, data in text.items()}
    made |= {
        "header.npz": lambda path: npz(path, npy((SIDE, SIDE))),
        "bomb.npz": lambda path: npz(path, npy((SIDE, SIDE), ZEROS * 128)),
        "zeros.b2nd": lambda path: blosc2_zeros(path, SIDE),
        "zeros.weights.h5": lambda path: hdf5_zeros(path, SIDE),
    }
    return made


def peak_after_reading(path: Path) -> tuple[str, int, float]:
    """What reading raises, the memory in bytes by which it raised the peak of this process, and the seconds."""
    import time

    from ctfast.errors import CTFastError

    read: Callable[[Path], object]
    if path.name.endswith(".h5"):
        from ctfast.model.exchange.keras_files import load_keras as read
    else:
        from ctfast.files import read_image as read

    def answer() -> str:
        try:
            read(path)
        except CTFastError as error:
            return f"{type(error).__name__}: {error}"
        except Exception as error:
            return f"foreign {type(error).__name__}: {error}"
        return "nothing"

    start = time.perf_counter()
    raised, peak = peak_of(answer)
    return raised, peak, time.perf_counter() - start


def peak_of(call: Callable[[], T]) -> tuple[T, int]:
    """What a call gives, and by how many bytes it raised the peak of this process's memory (0: not known here)."""
    if not os.access("/proc/self/clear_refs", os.W_OK):
        return call(), 0
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _kilobytes("VmRSS")
    result = call()
    return result, (_kilobytes("VmHWM") - before) << 10


def _kilobytes(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for name, make in lies().items():
        make(folder / name)
        for _ in range(2):  # the first pays for imports
            answer, peak, seconds = peak_after_reading(folder / name)
        print(name, peak, f"{seconds:.3f}", answer.replace(str(folder), "")[:150], sep="\t")
        (folder / name).unlink()
