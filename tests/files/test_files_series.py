"""Series: slices of any names and orders become one volume, as SimpleITK and dcm2niix say, or say why not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from ctfast.errors import ArgumentError, CTFastError, DTypeError, FileFormatError, ShapeError
from ctfast.files import Series, _dicom_planes, read_image, read_series, write_image
from ctfast.files.image import Limits
from ctfast.files.recognize import read_head
from tests.files.files_build import data_set, dicom, save, slice_hu, slices

SAGITTAL = (0.0, 1, 0, 0, 0, -1)
CORONAL = (1.0, 0, 0, 0, 0, -1)
OBLIQUE = (0.9553364891, 0.2955202067, 0.0, -0.2559280056, 0.8273456676, 0.5)
ORIENTATIONS = {
    "axial": (1.0, 0, 0, 0, 1, 0),
    "prone": (-1.0, 0, 0, 0, -1, 0),
    "mirrored": (1.0, 0, 0, 0, -1, 0),
    "sagittal": SAGITTAL,
    "coronal": CORONAL,
    "oblique": OBLIQUE,
}


def one(folder: Path) -> Series:
    (series,) = read_series(folder)
    return series


def values(count: int = 6) -> np.ndarray:
    return np.stack([slice_hu(seed=k) for k in range(count)])


def matrix(series: Series) -> np.ndarray:
    assert series.geometry is not None
    return series.geometry.matrix


@pytest.mark.parametrize("plane", ORIENTATIONS)
@pytest.mark.parametrize("sign", [1, -1], ids=["along the normal", "against it"])
def test_simpleitk_agrees(tmp_path: Path, plane: str, sign: int) -> None:
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
    orientation = ORIENTATIONS[plane]
    normal = np.cross(orientation[:3], orientation[3:])
    slices(tmp_path, orientation=orientation, step=tuple(sign * 2.5 * normal))
    series = one(tmp_path)
    assert (series.problem, series.notes, series.shape) == ("", (), (6, 20, 24))
    volume = series.read()
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    theirs = reader.Execute()
    np.testing.assert_array_equal(volume.pixels, sitk.GetArrayFromImage(theirs))
    np.testing.assert_array_equal(volume.pixels, values()[::sign])
    for index in ((0, 0, 0), (5, 19, 23), (2, 3, 7)):
        expected = theirs.TransformIndexToPhysicalPoint([int(i) for i in index[::-1]])
        np.testing.assert_allclose((matrix(series) @ [*index, 1])[:3], expected, atol=1e-3)
    assert (volume.units, volume.pixels.dtype, volume.spacing) == ("hu", np.int16, pytest.approx((0.7, 0.8)))


@pytest.mark.parametrize("plane", ORIENTATIONS)
def test_dcm2niix_agrees(tmp_path: Path, plane: str) -> None:
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # of no activated venv too
    program = shutil.which("dcm2niix", path=beside)
    if program is None:
        pytest.skip("dcm2niix is not installed")
    slices(tmp_path / "in", orientation=ORIENTATIONS[plane], Manufacturer="Nobody")
    (tmp_path / "theirs").mkdir()
    subprocess.run(
        [program, "-f", "x", "-b", "n", "-o", tmp_path / "theirs", tmp_path / "in"], check=True, capture_output=True
    )
    (path,) = (tmp_path / "theirs").glob("*.nii")
    volume = one(tmp_path / "in").read()
    write_image(tmp_path / "ours.nii", volume.pixels, geometry=volume.geometry)
    ours, theirs = points(tmp_path / "ours.nii"), points(path)
    np.testing.assert_allclose(ours[:, :3], theirs[:, :3], atol=1e-3)
    np.testing.assert_array_equal(ours[:, 3], theirs[:, 3])


def points(path: Path) -> np.ndarray:
    """Rows of place (RAS) and value, sorted by place."""
    image: Any = nibabel.load(path)
    data = np.asarray(image.dataobj)
    indices = np.indices(data.shape).reshape(3, -1)
    places = (image.affine[:3, :3] @ indices + image.affine[:3, 3:]).T
    rows = np.column_stack([places, data.reshape(-1)])
    return rows[np.lexsort(np.round(places, 2).T)]


def test_slices_come_one_at_a_time_with_their_places(tmp_path: Path) -> None:
    slices(tmp_path)
    series = one(tmp_path)
    for k, image in enumerate(series.slices()):
        own = read_image(series.files[k])
        np.testing.assert_array_equal(image.pixels, own.pixels)
        assert image.geometry is not None
        assert own.geometry is not None
        np.testing.assert_allclose(image.geometry.matrix, own.geometry.matrix, atol=1e-9)
    assert len(series.files) == 6


def test_one_folder_many_series(tmp_path: Path) -> None:
    slices(tmp_path / "a")
    slices(tmp_path / "a", SeriesInstanceUID="1.2.3.2", first=10, count=4)
    slices(tmp_path / "b", orientation=CORONAL, first=20, count=3)
    slices(tmp_path / "b", shape=(9, 9), first=30, count=2)
    write_image(tmp_path / "stack.tif", values(3), units="hu")
    write_image(tmp_path / "v.nii.gz", values(3))
    (tmp_path / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\x08" * 40)
    result = read_series(tmp_path)
    assert [series.shape and series.shape[0] for series in result] == [None, None, None, 6, 4, 3, 2]
    assert sum(len(series.files) for series in result) == 18
    assert len({series.key for series in result if series.sources}) == 4
    np.testing.assert_array_equal(result[2].read().pixels, values(3))
    assert [bool(series.problem) for series in result] == [True, *[False] * 6]
    with pytest.raises(FileFormatError, match=r"broken\.dcm: no Rows and Columns"):
        result[0].read()


def test_names_are_the_same_wherever_the_files_lie(tmp_path: Path) -> None:
    slices(tmp_path / "a" / "b")
    shutil.copytree(tmp_path / "a" / "b", tmp_path / "c")
    assert one(tmp_path / "a").key == one(tmp_path / "c").key


def test_each_slice_by_its_own_rescale(tmp_path: Path) -> None:
    slices(tmp_path, 3, RescaleSlope=lambda k: ("1", "0.5", "2")[k])
    volume = one(tmp_path).read()
    assert (volume.pixels.dtype, volume.units, "rescale_slope" in volume.meta) == (np.float32, "hu", False)
    for k, slope in enumerate((1, 0.5, 2)):
        np.testing.assert_array_equal(volume.pixels[k], (slice_hu(seed=k) + 1024) * slope - 1024)


def test_one_dtype_for_signed_and_unsigned_slices(tmp_path: Path) -> None:
    slices(tmp_path, 3, RescaleIntercept=lambda k: ("-1024", "60000", "-1024")[k], RescaleType="US")
    volume = one(tmp_path).read()
    assert (volume.pixels.dtype, volume.pixels.max()) == (np.float32, 3071 + 1024 + 60000)


def test_units_that_differ_are_unknown(tmp_path: Path) -> None:
    slices(tmp_path, 3, RescaleType=lambda k: ("HU", "HU", "Z_EFF")[k])
    volume = one(tmp_path).read()
    assert (volume.units, "hu in 2, Z_EFF in 1 slices" in str(volume.meta["notes"])) == ("unknown", True)


def test_padding_is_one_value(tmp_path: Path) -> None:
    slices(tmp_path, 2, PixelPaddingValue=0, RescaleIntercept=lambda k: ("-1024", "-2000")[k])
    volume = one(tmp_path).read()
    assert volume.padding == -1024
    assert volume.pixels[1][slice_hu(seed=1) == -1024].tolist() == [-1024] * int((slice_hu(seed=1) == -1024).sum())


@pytest.mark.parametrize("limit", [None, 40])
def test_padding_is_one_value_or_one_range(tmp_path: Path, limit: int | None) -> None:
    """Of slices that are rescaled apart, some of them without any; the stored values say where."""
    paths = slices(
        tmp_path,
        4,
        PixelPaddingValue=lambda k: None if k == 0 else 24,
        PixelPaddingRangeLimit=lambda k: None if k == 0 else limit,
        RescaleIntercept=lambda k: str(-1024 - 3 * k),
    )
    stored = np.stack([pydicom.dcmread(path).pixel_array for path in paths])
    volume = one(tmp_path).read()
    low, high = volume.padding_range or (0, 0)
    assert (low, high) == (-1003, -1003 if limit is None else -987)
    outside = (stored >= 24) & (stored <= (limit or 24))
    np.testing.assert_array_equal((volume.pixels >= low)[1:] & (volume.pixels <= high)[1:], outside[1:])
    hu = stored - 1024.0 - 3 * np.arange(4)[:, None, None]
    np.testing.assert_array_equal(volume.pixels[:2], hu[:2])
    np.testing.assert_array_equal(volume.pixels[2:][~outside[2:]], hu[2:][~outside[2:]])


@pytest.mark.parametrize("without", [0, 2])
@pytest.mark.parametrize("stored", [24, 23])  # -1000 HU, of which there are many; -1001, of which there are none
def test_data_that_look_like_the_padding_of_other_slices_are_told(tmp_path: Path, without: int, stored: int) -> None:
    slices(tmp_path, 3, PixelPaddingValue=lambda k: None if k == without else stored)
    volume = one(tmp_path).read()
    assert volume.padding == stored - 1024
    told = "slices that declare no padding, or another, hold the value that is padding in the others"
    assert (told in str(volume.meta.get("notes"))) == (stored == 24)
    np.testing.assert_array_equal(volume.pixels, values(3))


def test_out_and_allocate(tmp_path: Path) -> None:
    slices(tmp_path)
    out = np.empty((6, 20, 24), np.float32)
    assert one(tmp_path).read(out).pixels is out
    np.testing.assert_array_equal(out, values())
    made: list[np.ndarray] = []
    volume = one(tmp_path).read(allocate=lambda shape, dtype: made.append(np.empty(shape, dtype)) or made[-1])
    assert volume.pixels is made[0]
    with pytest.raises(ShapeError, match=r"\(6, 20, 24\) is needed"):
        one(tmp_path).read(out[:5])
    with pytest.raises(DTypeError, match="int16"):
        one(tmp_path).read(np.empty((6, 20, 24), np.uint8))
    write_image(tmp_path / "v.npy", values(3))
    stack = read_series(tmp_path / "v.npy")[0]
    np.testing.assert_array_equal(stack.read(out[:3]).pixels, values(3))
    with pytest.raises(ArgumentError, match="units='HU'"):
        read_series(tmp_path, units="HU")  # type: ignore[arg-type]


def test_gantry_tilt_is_a_shear(tmp_path: Path) -> None:
    slices(tmp_path, step=(0, 0.5, 2.5))
    series = one(tmp_path)
    assert series.problem == ""
    assert "gantry tilt of 11.3 degrees" in series.notes[0]
    np.testing.assert_allclose(matrix(series)[:3, 0], (0, 0.5, 2.5))
    volume = series.read()
    write_image(tmp_path / "x.nii", volume.pixels, geometry=volume.geometry)
    header = nibabel.load(tmp_path / "x.nii").header  # type: ignore[attr-defined]
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 0)


def test_missing_slices_are_named(tmp_path: Path) -> None:
    paths = slices(tmp_path, 9)
    paths[4].unlink()
    series = one(tmp_path)
    assert series.problem.startswith("1 slices are missing at a spacing of 2.5 mm, the first between")
    assert paths[3].name in series.problem
    assert series.geometry is None
    with pytest.raises(FileFormatError, match="1 slices are missing"):
        series.read()


@pytest.mark.parametrize(
    ("position", "problem"),
    [
        (lambda k: [0, 0, k * 2.0 + (k > 3) * k * 1.3], "apart: no affine is right for all"),
        (lambda k: [0, (k == 3) * 4.0, k * 2.0], "shifted against each other"),
        (lambda k: [0, 0, k * 2.0] if k else None, "1 of 6 slices have no Image Position"),
    ],
    ids=["unequal", "shifted", "without a position"],
)
def test_no_affine_is_invented(tmp_path: Path, position: Any, problem: str) -> None:
    slices(tmp_path, ImagePositionPatient=position)
    assert problem in one(tmp_path).problem


def test_rounded_positions_are_read_and_told(tmp_path: Path) -> None:
    slices(tmp_path, 12, ImagePositionPatient=lambda k: [0, 0, round(0.625 * k, 1)])
    series = one(tmp_path)
    assert (series.problem, len(series.notes)) == ("", 1)
    assert "off even spacing" in series.notes[0]


def test_spacing_is_decimal_text(tmp_path: Path) -> None:
    """Two writers of one number would halve the volume: every other slice, twice as far apart."""
    slices(tmp_path, 8, PixelSpacing=lambda k: [0.703125, 0.703125] if k % 2 else [0.70312501, 0.70312501])
    series = one(tmp_path)
    assert (series.problem, series.notes, series.shape) == ("", (), (8, 20, 24))
    assert matrix(series)[2, 0] == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("name", "element"),
    [
        ("Pixel Spacing", {"PixelSpacing": [0.7, 0.9]}),
        ("Frame of Reference", {"FrameOfReferenceUID": None}),
        ("Rows and Columns", {"shape": (20, 26)}),
        ("Pixel Spacing and Rows and Columns", {"shape": (10, 12), "PixelSpacing": [1.4, 1.6]}),
    ],
)
def test_what_cuts_a_series_is_told(tmp_path: Path, name: str, element: dict[str, Any]) -> None:
    slices(tmp_path, 6)
    slices(tmp_path, 4, first=6, **element)
    first, second = read_series(tmp_path)
    assert (first.problem, second.problem, len(first.sources), len(second.sources)) == ("", "", 6, 4)
    assert first.notes == (f"4 slices of the series are volumes of their own, by {name}",)
    assert second.notes == (f"6 slices of the series are volumes of their own, by {name}",)


@pytest.mark.parametrize(
    ("told", "element"),
    [
        ("Convolution Kernel: B70f in 4, B30f in 2", {"ConvolutionKernel": lambda k: "B30f" if k < 2 else "B70f"}),
        ("KVP: 120 in 4, 80 in 2", {"KVP": lambda k: "80" if k > 3 else ("120", "120.0")[k % 2]}),
        (
            "Image Type: ORIGINAL in 5, DERIVED in 1",
            {"ImageType": lambda k: ["DERIVED" if k == 3 else "ORIGINAL", "A"]},
        ),
    ],
)
def test_slices_of_several_kinds_are_told(tmp_path: Path, told: str, element: dict[str, Any]) -> None:
    slices(tmp_path, **element)
    assert one(tmp_path).notes == (f"slices differ in {told}",)


@pytest.mark.parametrize(
    ("element", "told"),
    [
        ({}, "Slice Thickness is 2.5 mm"),
        ({"SpacingBetweenSlices": "2.5", "SliceThickness": "5"}, "Spacing Between Slices is 2.5 mm"),
        ({"SliceThickness": "5"}, ""),
        ({"SliceThickness": None}, ""),
        ({"SliceThickness": "0"}, ""),
    ],
)
def test_slices_that_are_missing_evenly_are_told(tmp_path: Path, element: dict[str, Any], told: str) -> None:
    slices(tmp_path, 5, step=(0, 0, 5.0), **element)
    series = one(tmp_path)
    expected = f"slices lie 5 mm apart, their {told}: a scan with gaps, or slices are missing evenly"
    assert (series.problem, series.notes) == ("", (expected,) if told else ())
    assert matrix(series)[2, 0] == 5


def test_copies_are_named_and_left_out(tmp_path: Path) -> None:
    paths = slices(tmp_path / "a")
    shutil.copy(paths[2], tmp_path / "a" / "zz.dcm")
    (tmp_path / "b").mkdir()
    slices(tmp_path / "b", 1, first=4, SOPInstanceUID="1.2.3.77")  # exported again, under a new UID
    series = one(tmp_path)
    assert (series.problem, series.notes) == ("", ("2 slices are copies of others and left out",))
    kept = {copy.name: original for copy, original in series.copies}
    assert (kept["zz.dcm"], set(kept)) == (paths[2], {"zz.dcm", paths[4].name})
    np.testing.assert_array_equal(series.read().pixels, values())


def test_different_slices_at_one_position_are_refused(tmp_path: Path) -> None:
    slices(tmp_path, 5)
    slices(tmp_path, 1, first=7, start=(-20.5, -30, 100), ImagePositionPatient=[-20.5, -30.0, 102.5])
    assert "different slices at one position" in one(tmp_path).problem


def test_slices_of_one_name_are_told_apart(tmp_path: Path) -> None:
    slices(tmp_path / "a", 3)
    slices(tmp_path / "b", 3, RescaleIntercept="-1000")
    assert f"one position: {tmp_path}/a/000_0.dcm and {tmp_path}/b/000_0.dcm" in one(tmp_path).problem


@pytest.mark.parametrize("keyword", ["TemporalPositionIdentifier", "AcquisitionNumber"])
def test_phases_are_volumes_of_their_own(tmp_path: Path, keyword: str) -> None:
    for phase in range(3):
        slices(tmp_path, 4, first=10 * phase, start=(0, 0, -25.0 * phase), **{keyword: phase + 1})
    result = read_series(tmp_path)
    assert [series.shape for series in result] == [(4, 20, 24)] * 3
    assert len({series.key for series in result}) == 3
    for series in result:
        assert "split by" in series.notes[0]
        assert not series.problem
    found = {int(np.sum(series.read().pixels)) for series in result}
    assert found == {
        int(sum(np.sum(slice_hu(seed=10 * phase + k), dtype=np.int64) for k in range(4))) for phase in range(3)
    }


def group(**elements: Any) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def enhanced(path: Path, frames: list[dict[str, Any]]) -> Path:
    """Frames by position, stack and temporal index."""
    groups = [
        group(
            PlanePositionSequence=[group(ImagePositionPatient=frame["position"])],
            PlaneOrientationSequence=[
                group(ImageOrientationPatient=list(frame.get("orientation", (1.0, 0.0, 0.0, 0.0, 1.0, 0.0))))
            ],
            FrameContentSequence=[group(StackID=frame.get("stack", "1"), TemporalPositionIndex=frame.get("time", 1))],
        )
        for frame in frames
    ]
    shared = group(PixelMeasuresSequence=[group(PixelSpacing=[0.7, 0.8], SliceThickness=6)])
    pixels = np.stack([slice_hu(seed=k) for k in range(len(frames))])
    ds = data_set(
        pixels,
        SeriesInstanceUID="1.2.9",
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=groups,
    )
    return save(ds, path)


def test_frames_are_sorted_by_their_positions(tmp_path: Path) -> None:
    order = [3, 0, 2, 1]
    enhanced(tmp_path / "x.dcm", [{"position": [-20, -30, 5.0 * k]} for k in order])
    series = one(tmp_path)
    assert [frame for _, frame in series.sources] == [1, 3, 2, 0]
    assert "notes" not in series.read().meta
    np.testing.assert_array_equal(series.read().pixels, values(4)[[1, 3, 2, 0]])
    np.testing.assert_allclose(
        matrix(series), [[0, 0, 0.8, -20], [0, 0.7, 0, -30], [5, 0, 0, 0], [0, 0, 0, 1]], atol=1e-9
    )


def test_frames_are_named(tmp_path: Path) -> None:
    enhanced(tmp_path / "x.dcm", [{"position": [0, 0, z]} for z in (0.0, 5.0, 15.0, 20.0)])
    assert "between x.dcm frame 1 and x.dcm frame 2" in one(tmp_path).problem


def test_stacks_and_times_of_one_file_are_volumes(tmp_path: Path) -> None:
    frames: list[dict[str, Any]] = [{"position": [0, 0, 2.0 * k], "time": time} for time in (1, 2) for k in range(3)]
    frames += [{"position": [0, 4.0 * k, 0], "stack": "2", "orientation": CORONAL} for k in range(2)]
    enhanced(tmp_path / "x.dcm", frames)
    result = read_series(tmp_path)
    assert [[frame for _, frame in series.sources] for series in result] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    np.testing.assert_array_equal(result[1].read().pixels, values(8)[3:6])


def test_frames_without_places_are_a_volume_by_themselves(tmp_path: Path) -> None:
    dicom(tmp_path / "x.dcm", values(3))
    series = one(tmp_path)
    assert (series.sources, series.shape) == ((), None)
    np.testing.assert_array_equal(series.read().pixels, values(3))
    assert len(list(series.slices())) == 3


def test_pydicoms_own_files(tmp_path: Path) -> None:
    import pydicom.data

    path = pydicom.data.get_testdata_file("CT_small.dcm")
    assert isinstance(path, str)
    series = one(Path(path))
    volume = series.read()
    image = read_image(path)
    np.testing.assert_array_equal(volume.pixels[0], image.pixels)
    assert series.geometry == image.geometry


def test_the_quick_look_finds_what_pydicom_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the files that pydicom brings: implicit and explicit, several values, padding, zeros, no image planes."""
    files = [path for path in Path(pydicom.__file__).parent.glob("data/test_files/**/*") if path.is_file()]
    plain = [path for path in files if path.stat().st_size > 132 and read_head(path)[128:132] == b"DICM"]

    def found(path: Path) -> Any:
        try:
            return _dicom_planes.planes(path, read_head(path), Limits())
        except CTFastError as error:
            return str(error)

    quick = [found(path) for path in plain]
    looked = [_dicom_planes.scan(path.read_bytes()) is not None for path in plain]
    monkeypatch.setattr(_dicom_planes, "scan", lambda *_: None)
    assert quick == [found(path) for path in plain]
    assert sum(looked) > 10
    assert not all(looked)
