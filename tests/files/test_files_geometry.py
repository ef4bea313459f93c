"""Geometry: the same point of the patient before and after reading, turning and writing, as other libraries say it."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from pydicom.dataset import Dataset

from ctfast.files import Image, read_image, read_series, write_image
from ctfast.files.geometry import Geometry
from tests.files.files_build import data_set, dicom, save, slice_hu

ORDERS = ["".join(letters) for axes in permutations(("LR", "PA", "SI")) for letters in product(*axes)]
ZOOMS = (2.5, 0.7, 0.8)
OBLIQUE = np.array([[-0.69, 0.07, 0.3, 12], [-0.07, -0.79, 0.2, -30], [0.1, -0.03, 2.4, -900], [0, 0, 0, 1]])


def volume(frames: int = 4) -> np.ndarray:
    return np.arange(frames * 5 * 6, dtype=np.int16).reshape(frames, 5, 6)


def nifti(path: Path, data: np.ndarray, affine: np.ndarray | None, units: str = "mm") -> Path:
    """``data`` in the order of NIfTI's axes."""
    image: Any = nibabel.Nifti1Image(data, affine)
    image.header.set_xyzt_units(units)
    nibabel.save(image, path)
    return path


def points(image: Image) -> dict[int, tuple[float, ...]]:
    """Where each value lies in the patient (RAS), by ctfast."""
    assert image.geometry is not None
    frames = image.pixels.reshape(-1, *image.pixels.shape[-2:])
    return {
        int(frames[index]): tuple(np.round(np.array([-1, -1, 1]) * (image.geometry.matrix @ [*index, 1])[:3], 3))
        for index in np.ndindex(frames.shape)
    }


def points_of_nifti(path: Path) -> dict[int, tuple[float, ...]]:
    """The same by nibabel."""
    image: Any = nibabel.load(path)
    data = np.asarray(image.dataobj).reshape((*image.shape, 1)[:3])
    return {int(data[i]): tuple(np.round((image.affine @ [*i, 1])[:3], 3)) for i in np.ndindex(data.shape)}


def same(a: dict[int, tuple[float, ...]], b: dict[int, tuple[float, ...]]) -> bool:
    return a.keys() == b.keys() and all(np.allclose(a[key], b[key], atol=2e-3) for key in a)


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_of_the_axes_gives_the_same_pixels_and_comes_back_as_it_was(tmp_path: Path, order: str) -> None:
    axial = volume()
    affine = np.array([[-0.8, 0, 0, 30], [0, -0.7, 0, 40], [0, 0, 2.5, -900], [0, 0, 0, 1.0]])  # LPS
    base: Any = nibabel.Nifti1Image(axial.T, affine)
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.axcodes2ornt("LPS"), nibabel.orientations.axcodes2ornt(order)
    )
    stored = base.as_reoriented(turn)
    stored.header.set_xyzt_units("mm")
    assert "".join(nibabel.aff2axcodes(stored.affine)) == order
    nibabel.save(stored, tmp_path / "x.nii")
    image = read_image(tmp_path / "x.nii")
    np.testing.assert_array_equal(image.pixels, axial)
    assert image.geometry is not None
    assert image.geometry.orientation == "LPS"
    np.testing.assert_allclose(image.geometry.spacing, ZOOMS, rtol=1e-6)
    assert image.spacing == image.geometry.spacing[1:]
    assert image.meta["orientation"] == order
    assert image.meta.get("turned") == (None if order == "LPS" else f"{order} to LPS")
    write_image(tmp_path / "y.nii", image.pixels, geometry=image.geometry)
    back: Any = nibabel.load(tmp_path / "y.nii")
    np.testing.assert_allclose(back.affine, stored.affine, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(back.dataobj), np.asarray(stored.dataobj))
    kept = read_image(tmp_path / "x.nii", orient="keep")
    np.testing.assert_array_equal(kept.pixels, np.asarray(stored.dataobj).T)
    assert same(points(kept), points_of_nifti(tmp_path / "x.nii"))


def test_oblique_volumes(tmp_path: Path) -> None:
    path = nifti(tmp_path / "x.nii.gz", volume().T, OBLIQUE)
    image = read_image(path)
    assert same(points(image), points_of_nifti(path))
    assert image.geometry is not None
    write_image(tmp_path / "y.nii.gz", image.pixels, geometry=image.geometry)
    assert same(points(image), points_of_nifti(tmp_path / "y.nii.gz"))
    header = nibabel.load(tmp_path / "y.nii.gz").header  # type: ignore[attr-defined]
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 0), "a qform can't hold this shear"


def test_simpleitk_agrees(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
    for k, affine in enumerate((np.diag([0.8, 0.7, 2.5, 1]), np.diag([-0.8, 0.7, 2.5, 1]))):
        read = sitk.ReadImage(str(nifti(tmp_path / f"{k}.nii", volume().T, affine)))
        array = sitk.GetArrayFromImage(read)
        theirs = {
            int(array[i]): tuple(np.array([-1, -1, 1]) * read.TransformIndexToPhysicalPoint([int(n) for n in i[::-1]]))
            for i in np.ndindex(array.shape)
        }
        assert same(points(read_image(tmp_path / f"{k}.nii")), theirs)
    path = axial_dicom(tmp_path / "s.dcm")
    read, image = sitk.ReadImage(str(path)), read_image(path)
    assert image.geometry is not None
    for row, column in ((0, 0), (3, 7), (19, 23)):
        ours = (image.geometry.matrix @ [0, row, column, 1])[:3]
        np.testing.assert_allclose(ours, read.TransformIndexToPhysicalPoint([column, row, 0]), atol=1e-3)
    write_image(tmp_path / "s.nii.gz", image.pixels, geometry=image.geometry)
    written = sitk.ReadImage(str(tmp_path / "s.nii.gz"))
    np.testing.assert_allclose(written.GetOrigin(), read.GetOrigin(), atol=1e-3)
    np.testing.assert_allclose(written.GetDirection(), read.GetDirection(), atol=1e-5)


def axial_dicom(path: Path, **more: Any) -> Path:
    elements: dict[str, Any] = {
        "PixelSpacing": [0.7, 0.8],
        "ImagePositionPatient": [-20.5, -30, 100],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "SliceThickness": 5,
        **more,
    }
    return dicom(path, slice_hu(), **elements)


def test_an_axial_dicom_slice(tmp_path: Path) -> None:
    image = read_image(axial_dicom(tmp_path / "x.dcm"))
    assert image.geometry is not None
    np.testing.assert_allclose(
        image.geometry.matrix, [[0, 0, 0.8, -20.5], [0, 0.7, 0, -30], [5, 0, 0, 100], [0, 0, 0, 1]]
    )
    assert (image.meta["orientation"], image.spacing) == ("LPS", (0.7, 0.8))


def test_the_same_slice_as_dicom_and_as_nifti(tmp_path: Path) -> None:
    image = read_image(axial_dicom(tmp_path / "x.dcm"))
    assert image.geometry is not None
    ras = np.diag([-1.0, -1, 1, 1]) @ image.geometry.matrix[:, [2, 1, 0, 3]]
    las = ras.copy()  # as dcm2niix stores it: rows from the back to the front
    las[:, 1], las[:, 3] = -ras[:, 1], ras[:, 3] + 19 * ras[:, 1]
    nifti(tmp_path / "las.nii", image.pixels[::-1].T[:, :, None], las)
    rai = -ras[:, :1] @ np.eye(1, 4) + ras @ np.diag([0.0, 1, 1, 1])
    rai[:, 3] += 23 * ras[:, 0]
    nifti(tmp_path / "rps.nii", image.pixels[:, ::-1].T[:, :, None], rai)
    for name in ("las.nii", "rps.nii"):
        read = read_image(tmp_path / name)
        np.testing.assert_array_equal(read.pixels, image.pixels)
        assert read.geometry is not None
        np.testing.assert_allclose(read.geometry.matrix, image.geometry.matrix, atol=1e-4)


@pytest.mark.parametrize("orientation", [[1, 0, 0, 0, -1, 0], [-1, 0, 0, 0, -1, 0], [0, 1, 0, 0, 0, -1]])
def test_dicom_frames_stay_as_the_scanner_stored_them_and_tell_their_orientation(
    tmp_path: Path, orientation: list[int]
) -> None:
    image = read_image(axial_dicom(tmp_path / "x.dcm", ImageOrientationPatient=orientation))
    np.testing.assert_array_equal(image.pixels, slice_hu())
    assert image.meta["orientation"] == {1: "LAI", -1: "RAS", 0: "PIR"}[orientation[0]]


@pytest.mark.parametrize(
    "elements",
    [
        {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
        {"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]},
        {"ImageOrientationPatient": [2, 0, 0, 0, 1, 0]},
        {"ImageOrientationPatient": None},
        {"ImagePositionPatient": None},
        {"PixelSpacing": None},
    ],
    ids=str,
)
def test_unknown_is_unknown(tmp_path: Path, elements: dict[str, Any]) -> None:
    image = read_image(axial_dicom(tmp_path / "x.dcm", **elements))
    assert image.geometry is None
    write_image(tmp_path / "x.nii", image.pixels, spacing=image.spacing, geometry=image.geometry)
    header = nibabel.load(tmp_path / "x.nii").header  # type: ignore[attr-defined]
    assert (int(header["sform_code"]), int(header["qform_code"])) == (0, 0)
    again = read_image(tmp_path / "x.nii")
    np.testing.assert_array_equal(again.pixels, image.pixels)
    assert (again.geometry, again.spacing) == (None, image.spacing and pytest.approx(image.spacing))


def group(**elements: Any) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def enhanced(path: Path, positions: list[list[float]]) -> Path:
    shared = group(
        PixelMeasuresSequence=[group(PixelSpacing=[0.7, 0.8], SliceThickness=6)],
        PlaneOrientationSequence=[group(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
    )
    frames = [group(PlanePositionSequence=[group(ImagePositionPatient=position)]) for position in positions]
    pixels = np.stack([slice_hu(seed=k) for k in range(len(positions))])
    ds = data_set(pixels, SharedFunctionalGroupsSequence=[shared], PerFrameFunctionalGroupsSequence=frames)
    return save(ds, path)


def test_frames_by_their_positions(tmp_path: Path) -> None:
    image = read_image(enhanced(tmp_path / "x.dcm", [[-20, -30, 100 - 5.0 * k] for k in range(3)]))
    assert image.geometry is not None
    assert image.geometry.spacing == pytest.approx((5, 0.7, 0.8))
    assert (image.meta["orientation"], image.meta["slice_spacing"]) == ("LPI", 5)
    write_image(tmp_path / "x.nii.gz", image.pixels, geometry=image.geometry)
    read: Any = nibabel.load(tmp_path / "x.nii.gz")
    assert read.header.get_zooms() == pytest.approx((0.8, 0.7, 5))
    np.testing.assert_allclose((read.affine @ [0, 0, 2, 1])[:3], [20, 30, 90], atol=1e-4)


def test_frames_at_unequal_distances_have_no_affine(tmp_path: Path) -> None:
    image = read_image(enhanced(tmp_path / "x.dcm", [[0, 0, 0], [0, 0, 5], [0, 0, 11]]))
    assert (image.geometry, image.spacing) == (None, (0.7, 0.8))
    assert "out of order, or at unequal distances: --series" in str(image.meta["notes"])


@pytest.mark.parametrize(("differs", "spacing"), [("pixel spacing", None), ("orientation", (0.7, 0.8))])
def test_frames_of_two_kinds_have_no_affine(tmp_path: Path, differs: str, spacing: Any) -> None:
    def turned(k: int) -> tuple[int, int]:
        return (0, 1) if k > 1 and spacing else (1, 0)

    groups = [
        group(
            PixelMeasuresSequence=[group(PixelSpacing=[1.4, 1.6] if k > 1 and spacing is None else [0.7, 0.8])],
            PlaneOrientationSequence=[group(ImageOrientationPatient=[1, 0, 0, 0, *turned(k)])],
            PlanePositionSequence=[group(ImagePositionPatient=[0, 5 * k, 5 * k])],
        )
        for k in range(4)
    ]
    pixels = np.stack([slice_hu(seed=k) for k in range(4)])
    path = save(data_set(pixels, PerFrameFunctionalGroupsSequence=groups), tmp_path / "x.dcm")
    image = read_image(path)
    assert (image.geometry, image.spacing) == (None, spacing)
    assert f"frames differ in {differs}: --series" in str(image.meta["notes"])
    parts = read_series(path)
    assert [series.shape for series in parts] == [(2, 20, 24)] * 2
    for series, rows in zip(parts, (0.7, 0.7 if spacing else 1.4), strict=True):
        assert [one.spacing[0] for one in series.slices() if one.spacing] == pytest.approx([rows] * 2)
        assert "--series" not in str(series.read().meta.get("notes"))


def test_slices_of_another_plane_stay_slices(tmp_path: Path) -> None:
    sagittal = np.array([[0, 0, 4.0, 0], [-0.7, 0, 0, 0], [0, -0.8, 0, 0], [0, 0, 0, 1]])  # columns P, rows I, frames R
    image = read_image(nifti(tmp_path / "x.nii", volume().T, sagittal))
    np.testing.assert_array_equal(image.pixels, volume()[::-1])
    assert (image.meta["orientation"], image.geometry and image.geometry.orientation) == ("PIR", "PIL")


@pytest.mark.parametrize(("units", "factor"), [("mm", 1), ("unknown", 1), ("micron", 0.001), ("meter", 1000)])
def test_lengths_of_nifti(tmp_path: Path, units: str, factor: float) -> None:
    image = read_image(nifti(tmp_path / "x.nii", volume().T, np.diag([-0.8, -0.7, 2.5, 1]), units))
    assert image.spacing == pytest.approx((0.7 * factor, 0.8 * factor))


def test_tiff_keeps_the_geometry(tmp_path: Path) -> None:
    geometry = read_image(axial_dicom(tmp_path / "x.dcm")).geometry
    write_image(tmp_path / "x.tif", slice_hu(), geometry=geometry)
    image = read_image(tmp_path / "x.tif")
    assert image.geometry == geometry
    assert (image.spacing, image.meta["orientation"]) == ((0.7, 0.8), "LPS")


@pytest.mark.parametrize("keyword", ["ImagerPixelSpacing", "NominalScannedPixelSpacing"])
def test_spacing_of_other_elements_is_named(tmp_path: Path, keyword: str) -> None:
    image = read_image(axial_dicom(tmp_path / "x.dcm", PixelSpacing=None, **{keyword: [0.5, 0.6]}))
    assert image.spacing == (0.5, 0.6)
    assert "(0018," in str(image.meta["spacing_from"])


def test_no_geometry_is_made_of_nonsense() -> None:
    assert Geometry.of(np.zeros((4, 4))) is None
    assert Geometry.of(np.full((4, 4), np.nan)) is None
    assert Geometry.parse("1 2 3") is None
    assert Geometry.parse("a b c") is None
