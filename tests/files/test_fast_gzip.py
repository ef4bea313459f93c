"""Gzip by libdeflate and ISA-L, and by zlib: the same values and the same complaints, whichever is there."""

from __future__ import annotations

import builtins
import gzip
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from ctfast.errors import CTFastError, FileFormatError
from ctfast.files import read_image, write_image
from ctfast.files.image import Limits

WAYS = ["quickly", "zlib"]


@pytest.fixture
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.param == "quickly":
        for library in ("imagecodecs", "isal"):
            pytest.importorskip(library, reason=f"gzip is not tried quickly: {library} is not installed")
        yield
        return
    genuine = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name in ("imagecodecs", "isal"):
            raise ImportError(name)
        return genuine(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    yield


def volume() -> Any:
    return np.random.default_rng(0).integers(-1024, 3071, (5, 30, 40)).astype(np.int16)


def saved(path: Path, **fields: int) -> bytes:
    image: Any = nibabel.Nifti1Image(volume().T, np.diag([-1.0, -1.0, 2.0, 1.0]))
    for name, value in fields.items():
        image.header[name] = value
    nibabel.save(image, path)
    return path.read_bytes()


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_whole_files_of_any_make(way: None, tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    data = gzip.decompress(saved(path))
    for packed in (
        path.read_bytes(),
        gzip.compress(data[:3000]) + gzip.compress(data[3000:]),  # as bgzip writes it
        gzip.compress(data + b"more"),
        gzip.compress(data) + b"\0" * 600,
        gzip.compress(data) + b"garbage",
    ):
        path.write_bytes(packed)
        np.testing.assert_array_equal(read_image(path).pixels, volume())


@pytest.mark.parametrize("way", WAYS, indirect=True)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("extension", [b"", b"as long as this"])
def test_headers_of_any_length_and_order(way: None, tmp_path: Path, order: str, extension: bytes) -> None:
    path = tmp_path / "a.nii.gz"
    header = nibabel.Nifti1Header(endianness=order)
    header.set_data_dtype(np.dtype("i2").newbyteorder(order))
    image: Any = nibabel.Nifti1Image(volume().T, np.diag([-1.0, -1.0, 2.0, 1.0]), header)
    if extension:
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", extension))
    nibabel.save(image, path)
    for moved in (0,) if extension else (0, 1, 16):  # bytes before the voxels
        data = bytearray(gzip.decompress(path.read_bytes()))
        (start,) = struct.unpack_from(f"{order}f", data, 108)
        data[int(start) : int(start)] = bytes(moved)
        struct.pack_into(f"{order}f", data, 108, start + moved)
        (tmp_path / "b.nii.gz").write_bytes(gzip.compress(bytes(data)))
        read = read_image(tmp_path / "b.nii.gz").pixels
        np.testing.assert_array_equal(read, volume())
        assert read.flags.aligned
        assert read.flags.writeable
        assert read.dtype.isnative


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_damaged_files_are_refused(way: None, tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    packed = saved(path)
    data = gzip.decompress(packed)
    checksum = bytearray(packed)
    checksum[-8] ^= 1
    other = bytearray(data)
    other[-9] ^= 4  # one bit of one voxel, as if it had changed on the way
    for damaged in (
        packed[: len(packed) // 2],
        packed[:-4],
        gzip.compress(data[:-500]),
        packed[:400] + b"\xff" * 40 + packed[440:],
        bytes(checksum),
        gzip.compress(bytes(other))[:-8] + packed[-8:],
    ):
        path.write_bytes(damaged)
        with pytest.raises(CTFastError):
            read_image(path)


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_written_files_are_gzip_without_a_time(way: None, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_image(tmp_path / f"{name}.nii.gz", volume())
    packed = (tmp_path / "a.nii.gz").read_bytes()
    assert packed == (tmp_path / "b.nii.gz").read_bytes()
    assert packed[4:8] == b"\0\0\0\0"
    written: Any = nibabel.load(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj).T, volume())


def test_large_files_are_read_through_zlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which takes no memory for all of it."""
    write_image(tmp_path / "a.nii.gz", volume())
    monkeypatch.setattr("ctfast.files.nifti.AT_ONCE", 1000)
    monkeypatch.setattr("ctfast.files.nifti.inflate_quickly", None)
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii.gz").pixels, volume())


def test_what_is_too_large_is_not_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(tmp_path / "a.nii.gz", volume())
    inflated: list[int] = []
    monkeypatch.setattr("ctfast.files.nifti.inflate_quickly", lambda packed, size: inflated.append(size))
    with pytest.raises(FileFormatError):
        read_image(tmp_path / "a.nii.gz", limits=Limits(max_bytes=1000))
    assert not inflated
