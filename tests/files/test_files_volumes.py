"""MetaImage and NRRD against SimpleITK, and against headers written out by their definition."""

from __future__ import annotations

import gzip
import itertools
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from ctfast.errors import ArgumentError, FileFormatError
from ctfast.files import Limits, find_images, read_image, write_image
from ctfast.files import nrrd as nrrd_reader
from ctfast.files.geometry import Geometry
from tests.files.files_build import slice_hu

VOLUME = np.stack([slice_hu(seed=i) for i in range(3)])
OBLIQUE = Geometry.of(np.array([[0.3, 0, 0.7, -100], [0, 0.8, 0.1, 50], [2, -0.1, -0.2, 7]]))
NAMES = ("x.mha", "x.nrrd")


def by_sitk(path: Path, pixels: np.ndarray, direction: Any = None, compress: bool = False) -> Path:
    image = sitk.GetImageFromArray(pixels)
    if pixels.ndim == 3:
        image.SetSpacing((0.7, 0.8, 2.5))
        image.SetOrigin((-150, -140, 30))
        if direction is not None:
            image.SetDirection(np.ravel(direction).tolist())
    sitk.WriteImage(image, str(path), compress)
    return path


def points(image: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The patient's millimetres of the outermost pixels, by SimpleITK."""
    corners = itertools.product(*((0, size - 1) for size in shape))
    return np.array([image.TransformIndexToPhysicalPoint(corner[::-1]) for corner in corners])


def write(path: Path, header: str, data: bytes = b"") -> Path:
    path.write_bytes(header.encode() + data)
    return path


def metaimage(path: Path, data: bytes = VOLUME.tobytes(), **changes: Any) -> Path:
    fields = {"ObjectType": "Image", "NDims": 3, "DimSize": "24 20 3", "ElementType": "MET_SHORT", **changes}
    fields["ElementDataFile"] = fields.pop("file", "LOCAL")
    return write(path, "".join(f"{key} = {value}\n" for key, value in fields.items() if value is not None), data)


def nrrd(path: Path, data: bytes = VOLUME.astype(">i2").tobytes(), **changes: Any) -> Path:
    fields = {
        "type": "short", "dimension": 3, "sizes": "24 20 3", "endian": "big", "encoding": "raw",
        **{key.replace("_", " "): value for key, value in changes.items()},
    }  # fmt: skip
    lines = [f"{key}: {value}\n" for key, value in fields.items() if value is not None]
    return write(path, "NRRD0004\n# a comment\n" + "".join(lines) + "\n", data)


@pytest.mark.parametrize("name", [*NAMES, "x.mhd", "x.nhdr"])
@pytest.mark.parametrize("compress", [False, True], ids=["raw", "compressed"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "float32", "float64"])
def test_values_are_those_of_sitk(tmp_path: Path, dtype: str, compress: bool, name: str) -> None:
    pixels = (VOLUME % 100).astype(dtype)
    image = read_image(by_sitk(tmp_path / name, pixels, compress=compress))
    np.testing.assert_array_equal(image.pixels, pixels)
    assert (image.units, image.format) == ("unknown", "metaimage" if "m" in name else "nrrd")
    assert image.spacing == pytest.approx((0.8, 0.7))
    assert image.meta["stored_dtype"] == dtype
    assert image.pixels.flags.c_contiguous
    assert [item.path.name for item in find_images([tmp_path]).items] == [name]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("flips", list(itertools.product((1, -1), repeat=3)), ids=str)
@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))), ids=str)
def test_all_orders_are_shown_alike_and_written_as_they_were(
    tmp_path: Path, axes: tuple[int, ...], flips: tuple[int, ...], name: str
) -> None:
    direction = (np.eye(3)[list(axes)]) * flips
    path = by_sitk(tmp_path / name, VOLUME, direction)
    image, kept = read_image(path), read_image(path, orient="keep")
    np.testing.assert_array_equal(kept.pixels, VOLUME)
    reference = sitk.ReadImage(str(path))
    for read in (image, kept):
        assert read.geometry is not None
        for index in np.ndindex(2, 2, 2):
            at = tuple(np.array(index) * (np.array(read.pixels.shape) - 1))
            mm = read.geometry.matrix @ [*at, 1]
            there = reference.TransformPhysicalPointToIndex(mm[:3].tolist())
            assert reference[there] == read.pixels[at]
    assert image.geometry is not None
    frame, row, column = image.geometry.matrix[:3, :3].T
    if image.geometry.directions[2] == "S":
        assert min(column[0], row[1], frame[2]) > 0
    write_image(tmp_path / f"again{name}", image.pixels, geometry=image.geometry)
    again = sitk.ReadImage(str(tmp_path / f"again{name}"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(again), VOLUME)
    np.testing.assert_allclose(points(again, VOLUME.shape), points(reference, VOLUME.shape), atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("compression", ["none", "zlib"])
@pytest.mark.parametrize("geometry", [None, OBLIQUE], ids=["nowhere", "oblique"])
@pytest.mark.parametrize("shape", [(20, 24), (3, 20, 24), (1, 5, 6)], ids=str)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
def test_written_files(
    tmp_path: Path, dtype: str, shape: tuple[int, ...], geometry: Geometry | None, compression: Any, name: str
) -> None:
    pixels = (np.arange(np.prod(shape)).reshape(shape) % 200).astype(dtype)
    path = tmp_path / name
    spacing = None if geometry else (0.5, 0.25)
    write_image(path, pixels, units="hu", geometry=geometry, spacing=spacing, compression=compression)
    image = read_image(path, orient="keep")
    np.testing.assert_array_equal(image.pixels, pixels.reshape(shape[1:] if shape[0] == 1 else shape))
    assert image.units == "hu"
    assert image.spacing == pytest.approx(geometry.spacing[1:] if geometry else (0.5, 0.25))
    by_itk = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(by_itk).ravel(), pixels.ravel())
    if geometry is None:
        assert image.geometry is None
    else:
        assert image.geometry is not None
        np.testing.assert_allclose(image.geometry.matrix, geometry.matrix, atol=1e-9)
        one = by_itk.TransformIndexToPhysicalPoint((2, 1, 0))
        np.testing.assert_allclose(one, (geometry.matrix @ [0, 1, 2, 1])[:3], atol=1e-9)
    path_again = tmp_path / f"again{path.suffix}"
    write_image(path_again, pixels, units="hu", geometry=geometry, spacing=spacing, compression=compression)
    assert path_again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("name", "word"), [("x.mhd", ".mha"), ("x.nhdr", ".nrrd")])
def test_headers_alone_are_not_written(tmp_path: Path, name: str, word: str) -> None:
    with pytest.raises(ArgumentError, match=f"name it {word}"):
        write_image(tmp_path / name, VOLUME)
    assert list(tmp_path.iterdir()) == []


class TestMetaImage:
    def test_intensity_function(self, tmp_path: Path) -> None:
        path = metaimage(tmp_path / "x.mha", ElementToIntensityFunctionSlope=2, ElementToIntensityFunctionOffset=-1024)
        np.testing.assert_array_equal(read_image(path).pixels, 2 * VOLUME.astype(int) - 1024)
        np.testing.assert_array_equal(read_image(path, units="stored").pixels, VOLUME)
        with pytest.raises(FileFormatError, match="slope = 'x'"):
            read_image(metaimage(path, ElementToIntensityFunctionSlope="x"))

    def test_byte_order_header_size_list_and_detached_files(self, tmp_path: Path) -> None:
        big = VOLUME.astype(">i2").tobytes()
        path = tmp_path / "x.mhd"
        np.testing.assert_array_equal(read_image(metaimage(path, big, BinaryDataByteOrderMSB=True)).pixels, VOLUME)
        (tmp_path / "x.raw").write_bytes(b"junk before" + VOLUME.tobytes())
        np.testing.assert_array_equal(read_image(metaimage(path, b"", HeaderSize=-1, file="x.raw")).pixels, VOLUME)
        packed = metaimage(path, zlib.compress(big), BinaryDataByteOrderMSB=True, CompressedData=True)
        np.testing.assert_array_equal(read_image(packed).pixels, VOLUME)
        (tmp_path / "x.zraw").write_bytes(zlib.compress(VOLUME.tobytes()))
        np.testing.assert_array_equal(
            read_image(metaimage(path, b"", CompressedData=True, file="x.zraw")).pixels, VOLUME
        )
        for number, frame in enumerate(VOLUME):
            (tmp_path / f"s{number}.raw").write_bytes(frame.tobytes())
        listed = metaimage(path, b"s0.raw\ns1.raw\ns2.raw\n", file="LIST")
        np.testing.assert_array_equal(read_image(listed).pixels, VOLUME)
        (tmp_path / "s1.raw").write_bytes(b"short")
        with pytest.raises(FileFormatError):
            read_image(listed)
        (tmp_path / "s1.raw").unlink()
        with pytest.raises(FileFormatError):
            read_image(listed)

    def test_narrow_images_are_no_colour(self, tmp_path: Path) -> None:
        path = metaimage(tmp_path / "x.mha", VOLUME[0].tobytes(), DimSize="4 30 4")
        np.testing.assert_array_equal(read_image(path).pixels, VOLUME[0].reshape(4, 30, 4))

    def test_place_is_not_invented(self, tmp_path: Path) -> None:
        image = read_image(metaimage(tmp_path / "x.mha", ElementSpacing="0.5 0.6 2"))
        assert (image.geometry, image.spacing, image.meta["slice_spacing"]) == (None, (0.6, 0.5), 2)
        assert read_image(metaimage(tmp_path / "x.mha")).spacing is None

    def test_what_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "x.mha"
        whole = VOLUME.tobytes()
        for match, data, changes in (
            ("truncated: .* needs 2880 bytes, 2879 are there", whole[:-1], {}),
            ("not beside it", b"", {"file": "gone.raw"}),
            ("incorrect header check", b"xyz", {"CompressedData": True}),
            ("truncated: 2880 bytes", zlib.compress(whole)[:-20], {"CompressedData": True}),
            ("compressed data in a list", b"a\n", {"CompressedData": True, "file": "LIST"}),
            ("needs 20000000000 bytes; the limit", b"", {"DimSize": "100000 100000 1"}),
            ("bomb", zlib.compress(whole), {"DimSize": "4000 4000 5", "CompressedData": True}),
            ("3 values a pixel", whole, {"DimSize": "24 20 1", "ElementNumberOfChannels": 3}),
            ("no image", whole, {"NDims": 4, "DimSize": "12 2 20 3"}),
            ("limit is 100", whole, {}),
        ):  # fmt: skip
            limits = Limits(max_bytes=100) if match == "limit is 100" else Limits()
            with pytest.raises(FileFormatError, match=match):
                read_image(metaimage(path, data, **changes), limits=limits)
        with pytest.raises(FileFormatError, match="no ElementDataFile"):
            read_image(write(path, "ObjectType = Image\nNDims = 3\nDimSize = 1 2 3\n"))


class TestNrrd:
    def test_encodings_and_detached_files(self, tmp_path: Path) -> None:
        big = VOLUME.astype(">i2").tobytes()
        np.testing.assert_array_equal(
            read_image(nrrd(tmp_path / "x.nrrd", gzip.compress(big), encoding="gzip")).pixels, VOLUME
        )
        text = " ".join(map(str, VOLUME.ravel())).encode()
        np.testing.assert_array_equal(
            read_image(nrrd(tmp_path / "x.nrrd", text, encoding="ascii", endian=None)).pixels, VOLUME
        )
        (tmp_path / "x.raw").write_bytes(big)
        np.testing.assert_array_equal(read_image(nrrd(tmp_path / "x.nhdr", b"", data_file="x.raw")).pixels, VOLUME)
        (tmp_path / "x.raw.gz").write_bytes(gzip.compress(big))
        packed = nrrd(tmp_path / "x.nhdr", b"", encoding="gz", data_file="x.raw.gz")
        np.testing.assert_array_equal(read_image(packed).pixels, VOLUME)

    @pytest.mark.parametrize(
        ("space", "signs"),
        [
            ("left-posterior-superior", (1, 1)),
            ("RAS", (-1, -1)),
            ("left-anterior-superior", (1, -1)),
            ("scanner-xyz", ()),
        ],
    )
    def test_spaces(self, tmp_path: Path, space: str, signs: tuple[int, ...]) -> None:
        place = {"space_directions": "(0.5,0,0) (0,0.6,0) (0,0.1,2)", "space_origin": "(1,2,3)"}
        image = read_image(nrrd(tmp_path / "x.nrrd", space=space, **place), orient="keep")
        if not signs:
            assert (image.geometry, image.spacing) == (None, (0.6, 0.5))
            return
        x, y = signs
        assert image.geometry is not None
        expected = [[0, 0, 0.5 * x, x], [0.1 * y, 0.6 * y, 0, 2 * y], [2, 0, 0, 3]]
        np.testing.assert_allclose(image.geometry.affine, expected, atol=1e-9)

    def test_a_simpleitk_that_mirrors_las_is_not_believed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = {"space_directions": "(1,0,0) (0,1,0) (0,0,1)", "space_origin": "(1,2,3)"}
        monkeypatch.setattr(nrrd_reader, "version", lambda: (2, 5, 5))
        for space in ("left-anterior-superior", "LAS"):
            with pytest.raises(FileFormatError, match=r"SimpleITK 2\.5\.5 mirrors it; pip install"):
                read_image(nrrd(tmp_path / "x.nrrd", space=space, **place))
        assert read_image(nrrd(tmp_path / "x.nrrd", space="RAS", **place)).geometry is not None

    def test_spacings_alone(self, tmp_path: Path) -> None:
        image = read_image(nrrd(tmp_path / "x.nrrd", spacings="0.5 0.6 2"))
        assert (image.geometry, image.spacing) == (None, (0.6, 0.5))

    def test_an_axis_of_one_is_dropped(self, tmp_path: Path) -> None:
        path = nrrd(tmp_path / "x.nrrd", dimension=4, sizes="1 24 20 3", kinds="list domain domain domain")
        np.testing.assert_array_equal(read_image(path).pixels, VOLUME)

    def test_what_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "x.nrrd"
        whole = VOLUME.astype(">i2").tobytes()
        for match, data, changes in (
            ("truncated: .* needs 2880 bytes, 2879 are there", whole[:-1], {}),
            ("not beside it", b"", {"data_file": "gone.raw"}),
            ("bzip2; raw, gzip and text are read", b"", {"encoding": "bzip2"}),
            ("truncated: 2880 bytes", gzip.compress(whole)[:-30], {"encoding": "gzip"}),
            ("needs 20000000000 bytes; the limit", b"", {"sizes": "100000 100000 1"}),
            ("bomb", gzip.compress(whole), {"sizes": "4000 4000 5", "encoding": "gzip"}),
            ("3 values a pixel", whole, {"sizes": "3 20 24", "kinds": "RGB-color domain domain"}),
            ("no image", whole, {"dimension": 4, "sizes": "12 2 20 3"}),
            ("a field of 501 characters", whole, {"units": "m" * 501}),
        ):  # fmt: skip
            with pytest.raises(FileFormatError, match=match):
                read_image(nrrd(path, data, **changes))


PLACED = {
    ".nrrd": {
        "space": "LPS",
        "space_directions": "(0.7,0,0) (0,0.8,0) (0,0,2.5)",
        "space_origin": "(10,20,30)",
    },
    ".mha": {"TransformMatrix": "1 0 0 0 1 0 0 0 1", "Offset": "10 20 30", "ElementSpacing": "0.7 0.8 2.5"},
}


@pytest.mark.parametrize(
    ("ending", "unit", "length"),
    [
        *((".nrrd", f'"{word}" "{word}" "{word}"', mm) for word, mm in (("mm", 1), ("um", 0.001), ("microns", 0.001))),
        *((".nrrd", f'"{word}" "{word}" "{word}"', mm) for word, mm in (("", 1), ("cm", 10), ("pixels", None))),
        (".nrrd", '"mm" "mm" "s"', None),
        *((".mha", word, mm) for word, mm in (("mm", 1), ("um", 0.001), ("cm", 10), ("?", 1), ("furlongs", None))),
    ],
)
def test_lengths_in_other_units(tmp_path: Path, ending: str, unit: str, length: float | None) -> None:
    """As nrrd's and MetaIO's documents have them; SimpleITK takes all for mm."""
    write_as, key = {".nrrd": (nrrd, "space_units"), ".mha": (metaimage, "DistanceUnits")}[ending]
    image = read_image(write_as(tmp_path / f"x{ending}", **PLACED[ending], **{key: unit}))
    if length is None:
        assert (image.geometry, image.spacing, "slice_spacing" in image.meta) == (None, None, False)
        return
    assert image.geometry is not None
    mm = np.array([[0, 0, 0.7, 10], [0, 0.8, 0, 20], [2.5, 0, 0, 30]]) * length
    np.testing.assert_allclose(image.geometry.matrix[:3], mm)
    assert image.spacing == pytest.approx((0.8 * length, 0.7 * length))


@pytest.mark.parametrize(
    ("fields", "spacing", "frames"),
    [
        ({"space_origin": None}, (0.8, 0.7), 2.5),
        ({"space_origin": "(nan,nan,nan)"}, (0.8, 0.7), 2.5),
        ({"space_directions": "(0.7,0,0) (0,0.8,0) none"}, (0.8, 0.7), None),
        ({"space": None, "space_directions": None, "space_origin": None, "spacings": "0.7 0.8 nan"}, (0.8, 0.7), None),
        ({"space": None, "space_directions": None, "space_origin": None, "spacings": "0.7 -0.8 2.5"}, None, 2.5),
    ],
    ids=str,
)
def test_what_nrrd_does_not_say_is_not_invented(
    tmp_path: Path, fields: dict[str, Any], spacing: tuple[float, float] | None, frames: float | None
) -> None:
    image = read_image(nrrd(tmp_path / "x.nrrd", **{**PLACED[".nrrd"], **fields}))
    np.testing.assert_array_equal(image.pixels, VOLUME)
    assert image.geometry is None
    assert image.spacing == (None if spacing is None else pytest.approx(spacing))
    assert image.meta.get("slice_spacing") == (None if spacing is None else frames)


@pytest.mark.parametrize("name", ["x.mha", "x.mhd", "x.nrrd", "x.nhdr"])
def test_compressed_pixels_that_do_not_fit_their_checksum(tmp_path: Path, name: str) -> None:
    """Some flipped bits inflate to other pixels without any error but the checksum's."""
    path = by_sitk(tmp_path / name, VOLUME, compress=True)
    holder = next((p for p in tmp_path.iterdir() if p.suffix in (".zraw", ".gz")), path)
    whole = holder.read_bytes()
    np.testing.assert_array_equal(read_image(path).pixels, VOLUME)
    checksum = 8 if name in ("x.nrrd", "x.nhdr") else 4
    for damaged in (
        whole[:-1],
        whole[:-checksum],
        whole[:-checksum] + bytes([whole[-checksum] ^ 1]) + whole[1 - checksum :],
    ):
        holder.write_bytes(damaged)
        with pytest.raises(FileFormatError):
            read_image(path)


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("detached", [False, True])
def test_gzip_nrrd_in_both_orders(tmp_path: Path, order: str, detached: bool) -> None:
    data = gzip.compress(VOLUME.astype(">i2" if order == "big" else "<i2").tobytes())
    (tmp_path / "x.raw.gz").write_bytes(data)
    more = {"data_file": "x.raw.gz"} if detached else {}
    path = nrrd(
        tmp_path / f"x.{'nhdr' if detached else 'nrrd'}",
        b"" if detached else data,
        encoding="gzip",
        endian=order,
        **more,
    )
    np.testing.assert_array_equal(read_image(path).pixels, VOLUME)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), VOLUME)


@pytest.mark.parametrize(
    ("qform", "said"),
    [
        (np.diag([0.7, 0.8, 2.5, 1]), ""),
        (np.diag([-0.7, 0.8, 2.5, 1]), "6 mm apart, in other directions"),  # mirrored: 0.7 mm, 4 steps, both ways
        (np.diag([0.7, 0.8, 2.5, 1]) + np.outer([30, 0, 0, 0], [0, 0, 0, 1]), "30 mm apart:"),
    ],
    ids=["alike", "mirrored", "moved"],
)
def test_two_places_of_one_volume_are_told(tmp_path: Path, qform: np.ndarray, said: str) -> None:
    nibabel = pytest.importorskip("nibabel")
    volume = nibabel.Nifti1Image(np.arange(210, dtype=np.int16).reshape(5, 6, 7), None)
    volume.set_sform(np.diag([0.7, 0.8, 2.5, 1]), 1)
    volume.set_qform(qform, 1)
    nibabel.save(volume, tmp_path / "v.nii")
    image = read_image(tmp_path / "v.nii")
    np.testing.assert_allclose(image.geometry.spacing, (2.5, 0.8, 0.7), rtol=1e-6)  # type: ignore[union-attr]
    assert ("sform" in str(image.meta.get("notes", ""))) == bool(said)
    assert said in str(image.meta.get("notes", ""))


@pytest.mark.parametrize(("kinds", "frame"), [("domain domain time", None), ("domain domain domain", 2.0)])
def test_seconds_between_frames_are_no_millimetres(tmp_path: Path, kinds: str, frame: float | None) -> None:
    head = "NRRD0004\ntype: short\ndimension: 3\nsizes: 4 3 2\nendian: little\nencoding: raw\nspacings: 0.5 0.6 2\n"
    path = write(tmp_path / "t.nrrd", f"{head}kinds: {kinds}\n\n", np.arange(24, dtype="<i2").tobytes())
    image = read_image(path)
    assert (image.spacing, image.meta.get("slice_spacing")) == ((0.6, 0.5), frame)
