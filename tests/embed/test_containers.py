"""What carries more than pixels comes back as it came, with the values of the plain array, or is refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.ndimage

import ctfast
from ctfast.errors import ArgumentError, BackendUnavailableError, CTFastError, DTypeError, ShapeError

HU = np.random.default_rng(5).normal(40, 200, (6, 16, 20)).astype(np.int16)
IMAGES: dict[str, Callable[[Any], Any]] = {
    "median_filter": lambda x: ctfast.median_filter(x, 3),
    "clahe": lambda x: ctfast.clahe(x, tile_grid=(2, 2)),
    "window": lambda x: ctfast.window(x, center=40, width=400, dtype="uint8"),
    "normalize": ctfast.normalize,
    "pipeline": ctfast.Pipeline([ctfast.Step("median_filter", size=3), ctfast.Step("normalize")]),
}
every_image = pytest.mark.parametrize("function", IMAGES.values(), ids=IMAGES)


def needs(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is not installed")


@every_image
def test_xarray(function: Callable[[Any], Any]) -> None:
    xarray = needs("xarray")
    x = xarray.DataArray(
        HU, dims=("z", "y", "x"), coords={"z": np.arange(6) * 2.5}, attrs={"units": "HU", "series": 4}, name="chest"
    )
    found = function(x)
    assert isinstance(found, xarray.DataArray)
    assert (found.dims, found.name, found.attrs["series"]) == (x.dims, "chest", 4)
    np.testing.assert_array_equal(found.z, x.z)
    np.testing.assert_array_equal(found.data, function(HU))
    assert ("units" in found.attrs) == (function is IMAGES["median_filter"]), "what is no longer HU does not say HU"
    assert x.attrs["units"] == "HU"
    stored = function(x.assign_attrs(add_offset=-1024.0, valid_range=(0, 4095)))  # as opened without unpacking
    assert ("add_offset" in stored.attrs, "valid_range" in stored.attrs) == (function is IMAGES["median_filter"],) * 2
    with pytest.raises(ArgumentError, match=r"x\.map"):
        function(x.to_dataset())


def test_xarray_results_are_not_packed_as_the_file_was(tmp_path: Path) -> None:
    """As after xarray's own arithmetic; a window saved as whole numbers less 1,024 would be black and white."""
    xarray = needs("xarray")
    needs("zarr")
    packed = {"dtype": "uint16", "scale_factor": 1.0, "add_offset": -1024.0, "_FillValue": 65535}
    stored = xarray.Dataset({"hu": (("z", "y", "x"), HU.astype(float))})
    stored.hu.encoding = packed
    stored.to_zarr(tmp_path / "hu.zarr", consolidated=False)
    with xarray.open_zarr(tmp_path / "hu.zarr", consolidated=False) as opened:
        for function in (lambda v: ctfast.window(v, center=40, width=400), lambda v: ctfast.gaussian_filter(v, 1.0)):
            made = function(opened.hu)
            made.to_dataset(name="made").to_zarr(tmp_path / "made.zarr", mode="w", consolidated=False)
            with xarray.open_zarr(tmp_path / "made.zarr", consolidated=False) as again:
                np.testing.assert_array_equal(again.made.values, function(opened.hu.values))
        assert opened.hu.encoding["add_offset"] == -1024


def test_xarray_whose_last_dims_are_not_x_and_y() -> None:
    xarray = needs("xarray")
    x = xarray.DataArray(np.ascontiguousarray(np.moveaxis(HU, 0, -1)), dims=("y", "x", "z"))
    wide = x.isel(z=[0] * 9)
    for function in (lambda v, **o: ctfast.median_filter(v, 3, **o), ctfast.standardize, ctfast.summary):
        with pytest.raises(ShapeError, match=r"axes=\(0, 1\), or transpose it"):
            function(wide)
    found = ctfast.median_filter(wide, 3, axes=(0, 1))
    np.testing.assert_array_equal(found.transpose("z", "y", "x")[0], ctfast.median_filter(HU[0], 3))
    assert found.dims == wide.dims
    turned = wide.transpose("z", "x", "y")
    np.testing.assert_array_equal(ctfast.median_filter(turned, 3)[0].T, ctfast.median_filter(HU[0], 3))
    assert ctfast.window(wide, center=40, width=400).dims == wide.dims  # a pixel by itself
    np.testing.assert_array_equal(ctfast.median_filter(x.isel(z=[0]), 3)[..., 0], ctfast.median_filter(HU[0], 3))
    assert ctfast.gaussian_filter(wide.transpose("y", "z", "x"), (1, 1, 1)).dims == ("y", "z", "x")


@pytest.mark.parametrize(
    ("dims", "way_out"),
    [
        (("z", "y", "x"), None), (("slice", "rows", "cols"), None), (("Depth", "Height", "Width"), None),
        (("dim_0", "dim_1", "dim_2"), None), (("time", "lat", "lon"), None), (("frame", "a", "b"), None),
        (("who", "row", "column"), None),
        (("row", "column", "z"), r"axes=\(0, 1\), or transpose"), (("rows", "cols", "slice"), r"axes=\(0, 1\)"),
        (("height", "width", "depth"), r"axes=\(0, 1\)"), (("X", "Y", "Z"), r"axes=\(0, 1\)"),
        (("row", "z", "column"), r"axes=\(0, 2\)"), (("i", "j", "k"), r"axes=\(1, 2\)"),
        (("slice", "a", "time"), r"axes=\(1, 2\)"),
    ],
)  # fmt: skip
def test_xarray_names_say_which_axes_are_rows_and_columns(dims: tuple[str, ...], way_out: str | None) -> None:
    x = needs("xarray").DataArray(HU, dims=dims)
    if way_out is None:
        np.testing.assert_array_equal(ctfast.median_filter(x, 3).data, ctfast.median_filter(HU, 3))
    else:
        for function in (lambda v: ctfast.median_filter(v, 3), ctfast.summary):
            with pytest.raises(ShapeError, match=way_out):
                function(x)
    np.testing.assert_array_equal(ctfast.median_filter(x, 3, axes=(-2, -1)).data, ctfast.median_filter(HU, 3))
    ctfast.gaussian_filter(x, (1, 1, 1))  # all three, whatever they are
    assert ctfast.summary(x, axes=3).count == ctfast.summary(x, axes=3, where=HU < 5000).count == HU.size
    ctfast.window(x, center=40, width=400)  # a pixel by itself
    with pytest.raises(ShapeError, match=r"axes=\(1, 2, 3\) for the last 3"):
        ctfast.median_filter(x.expand_dims(channel=6).transpose(..., "channel"), (3, 3, 3))


def test_xarray_out_statistics_and_dask_inside() -> None:
    xarray, dask = needs("xarray"), needs("dask.array")
    x, out = xarray.DataArray(HU, dims=("z", "y", "x")), xarray.DataArray(np.empty_like(HU), dims=("z", "y", "x"))
    assert ctfast.median_filter(x, 3, out=out) is out
    np.testing.assert_array_equal(out.data, ctfast.median_filter(HU, 3))
    np.testing.assert_array_equal(ctfast.summary(x).median, ctfast.summary(HU).median)
    result = ctfast.Pipeline([ctfast.Step("median_filter", size=3), ctfast.Step("summary")]).run(x)
    assert isinstance(result.image, xarray.DataArray)
    assert isinstance(result.summary.mean, np.ndarray)
    lazy = ctfast.median_filter(x.chunk({"z": 2}), 3)
    assert isinstance(lazy.data, dask.Array)
    np.testing.assert_array_equal(lazy.compute(), out)


@every_image
@pytest.mark.parametrize("chunks", [(2, 16, 20), (6, 7, 11)], ids=["slices", "cut slices"])
def test_dask_stays_lazy_and_keeps_images_whole(function: Callable[[Any], Any], chunks: tuple[int, ...]) -> None:
    da = needs("dask.array")
    found = function(da.from_array(HU, chunks=chunks))
    assert isinstance(found, da.Array)
    assert found.chunks[1:] == ((16,), (20,))
    expected = function(HU)
    assert found.dtype == expected.dtype
    computed = found.compute(scheduler="synchronous")
    assert isinstance(computed, np.ndarray)
    np.testing.assert_array_equal(computed, expected)
    assert pickle.loads(pickle.dumps(found)).shape == HU.shape


def test_dask_checks_at_once_and_computes_nothing() -> None:
    da = needs("dask.array")
    asked: list[int] = []

    def block(block_id: tuple[int, ...]) -> np.ndarray:
        asked.append(block_id[0])
        return HU[block_id[0] : block_id[0] + 1]

    x = da.map_blocks(block, chunks=((1,) * 6, (16,), (20,)), dtype=np.int16, meta=HU[:0])
    lazy = ctfast.median_filter(x, 3)
    with pytest.raises(ArgumentError, match="size"):
        ctfast.median_filter(x, 4.5)
    with pytest.raises(DTypeError):
        ctfast.median_filter(x.astype("complex64"), 3)
    with pytest.raises(ArgumentError, match="compute"):
        ctfast.histogram(x)
    with pytest.raises(ShapeError):
        ctfast.median_filter(x[..., :3], 3)
    with pytest.raises(ArgumentError, match=r"dask\.array\.store"):
        ctfast.median_filter(x, 3, out=HU.copy())
    assert not asked
    lazy[2].compute(scheduler="synchronous")
    assert asked == [2]


def test_zarr_is_worked_off_chunk_by_chunk(tmp_path: Path) -> None:
    zarr = needs("zarr")
    x = zarr.create_array(str(tmp_path / "in"), shape=HU.shape, dtype="int16", chunks=(2, 16, 20))
    x[...] = HU
    out = zarr.create_array(str(tmp_path / "out"), shape=HU.shape, dtype="int16", chunks=(2, 16, 20))
    assert ctfast.median_filter(x, 3, out=out) is out
    np.testing.assert_array_equal(out[...], ctfast.median_filter(HU, 3))
    bright = zarr.create_array(str(tmp_path / "bright"), shape=HU.shape, dtype="uint8", chunks=(3, 8, 8))
    ctfast.window(x, center=40, width=400, out=bright)
    np.testing.assert_array_equal(bright[...], ctfast.window(HU, center=40, width=400, dtype="uint8"))
    with pytest.raises(DTypeError, match="uint8"):
        ctfast.median_filter(x, 3, out=bright)
    with pytest.raises(ArgumentError, match=r"out=.*x\[\.\.\.\]"):
        ctfast.median_filter(x, 3)
    with pytest.raises(ArgumentError, match=r"x\[\.\.\.\]"):
        ctfast.summary(x)
    with pytest.raises(ShapeError):
        ctfast.median_filter(x, 3, out=zarr.create_array(str(tmp_path / "s"), shape=(2, 16, 20), dtype="int16"))


@every_image
def test_simpleitk_keeps_geometry(function: Callable[[Any], Any]) -> None:
    sitk = needs("SimpleITK")
    x = sitk.GetImageFromArray(HU)
    x.SetSpacing((0.7, 0.8, 2.5))
    x.SetOrigin((-10.0, 4.0, -295.0))
    x.SetDirection((0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0))
    x.SetMetaData("0008|0060", "CT")
    found = function(x)
    assert isinstance(found, sitk.Image)
    for of in ("GetSpacing", "GetOrigin", "GetDirection", "GetSize"):
        assert getattr(found, of)() == getattr(x, of)()
    assert found.GetMetaData("0008|0060") == "CT"
    np.testing.assert_array_equal(sitk.GetArrayFromImage(found), function(HU))


def test_simpleitk_names_what_came() -> None:
    sitk = needs("SimpleITK")
    colour = sitk.GetImageFromArray(np.zeros((4, 5, 3), np.uint8), isVector=True)
    with pytest.raises(ShapeError, match="SimpleITK image with 3 components"):
        ctfast.median_filter(colour, 3)
    with pytest.raises(DTypeError, match="int32"):
        ctfast.median_filter(sitk.GetImageFromArray(HU.astype(np.complex64).real.astype(np.int32) << 20), 3)
    with pytest.raises(ArgumentError, match="image of its own"):
        ctfast.median_filter(sitk.GetImageFromArray(HU), 3, out=sitk.GetImageFromArray(HU))
    labels = sitk.Cast(sitk.GetImageFromArray((HU > 40).astype(np.uint8)), sitk.sitkLabelUInt8)
    with pytest.raises(DTypeError, match=r"label map .*LabelMapToLabel"):  # SimpleITK itself ends the process
        ctfast.median_filter(labels, 3)
    assert isinstance(ctfast.median_filter(sitk.LabelMapToLabel(labels), 3), sitk.Image)


def test_simpleitk_s_line_to_hu_is_not_that_of_brightness(tmp_path: Path) -> None:
    """SimpleITK takes RescaleIntercept off what it writes as DICOM, and its reader adds it."""
    sitk = needs("SimpleITK")
    x = sitk.GetImageFromArray(HU[0])
    for key, value in (("0028|1052", "-1024"), ("0028|1053", "1"), ("0028|1050", "40"), ("0008|0060", "CT")):
        x.SetMetaData(key, value)
    shown = ctfast.window(x, center=40, width=400, dtype="uint8")
    assert shown.GetMetaDataKeys() == ("0008|0060",)
    for made, expected in (
        (shown, ctfast.window(HU[0], center=40, width=400, dtype="uint8")),
        (ctfast.median_filter(x, 3), scipy.ndimage.median_filter(HU[0], 3)),
    ):
        sitk.WriteImage(made, tmp_path / "made.dcm")
        again = sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / "made.dcm"))
        np.testing.assert_array_equal(again.squeeze(), expected)


def test_simpleitk_of_four_axes_is_no_volume_of_vectors() -> None:
    sitk = needs("SimpleITK")
    volumes = np.stack([HU, -HU, HU // 2])
    x = sitk.JoinSeries([sitk.GetImageFromArray(v) for v in volumes], 0.0, 1.5)
    found = ctfast.median_filter(x, (3, 3, 3))
    assert (found.GetSize(), found.GetSpacing()) == (x.GetSize(), x.GetSpacing())
    assert found.GetNumberOfComponentsPerPixel() == 1
    for k, volume in enumerate(volumes):
        np.testing.assert_array_equal(sitk.GetArrayFromImage(found[..., k]), scipy.ndimage.median_filter(volume, 3))


@every_image
def test_nibabel_keeps_affine_and_filters_slices(function: Callable[[Any], Any], tmp_path: Path) -> None:
    nib = needs("nibabel")
    affine = np.array([[-0.7, 0, 0, 5.6], [0, 0.7, 0, -43.4], [0, 0, 2.5, -295.0], [0, 0, 0, 1]])
    x = nib.Nifti1Image(HU.T, affine)
    x.header.set_xyzt_units("mm")
    x.header["cal_max"] = 300
    nib.save(x, tmp_path / "x.nii.gz")
    for image in (x, nib.load(tmp_path / "x.nii.gz")):
        found = function(image)
        assert isinstance(found, nib.Nifti1Image)
        nib.save(found, tmp_path / "y.nii.gz")
        again = nib.load(tmp_path / "y.nii.gz")
        np.testing.assert_allclose(again.affine, affine, atol=1e-5)
        assert again.header.get_xyzt_units()[0] == "mm"
        expected = function(HU)
        assert again.get_data_dtype() == expected.dtype
        np.testing.assert_array_equal(np.asanyarray(again.dataobj).T, expected)
        assert again.header["cal_max"] == (300 if function is IMAGES["median_filter"] else 0)


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_masked_pixels_count_for_nothing(dtype: str) -> None:
    x = np.ma.masked_array(HU.astype(dtype), HU < 0)
    kept = [image[image >= 0].astype(np.float64) for image in HU]
    for found, low in (
        (ctfast.normalize(x), [(k - k.min()) / np.ptp(k) for k in kept]),
        (ctfast.standardize(x), [(k - k.mean()) / k.std() for k in kept]),
        (ctfast.window(x, center=40, width=401, out_range=(0, 1)), [np.clip((k + 160.5) / 400, 0, 1) for k in kept]),
    ):
        assert isinstance(found, np.ma.MaskedArray)
        np.testing.assert_array_equal(found.mask, x.mask)
        for image, expected in zip(found, low):
            np.testing.assert_allclose(image.compressed(), expected, rtol=2e-6, atol=2e-6)
    summary = ctfast.summary(x)
    np.testing.assert_array_equal(summary.count, [len(k) for k in kept])
    np.testing.assert_array_equal(summary.median, [np.median(k) for k in kept])
    counts, _ = ctfast.histogram(x, 50, value_range=(0, 500))
    np.testing.assert_array_equal(counts, [np.histogram(k, 50, (0, 500))[0] for k in kept])
    assert isinstance(ctfast.label_tissue(x), np.ma.MaskedArray)
    for filters in (
        ctfast.median_filter,
        ctfast.clahe,
        ctfast.Pipeline([ctfast.Step("clahe"), ctfast.Step("summary")]),
    ):
        with pytest.raises(ArgumentError, match="filled"):
            filters(x)


@every_image
def test_masked_arrays_with_nothing_masked(function: Callable[[Any], Any]) -> None:
    for x in (np.ma.masked_array(HU), np.ma.masked_equal(HU, 12345)):
        found = function(x)
        assert isinstance(found, np.ma.MaskedArray)
        assert not np.ma.getmaskarray(found).any()
        np.testing.assert_array_equal(found.data, function(HU))


def test_torch_tensors_without_values() -> None:
    torch = needs("torch")
    with pytest.raises(BackendUnavailableError, match="no values: give one that was made on the CPU"):
        ctfast.median_filter(torch.from_numpy(HU).to("meta"), 3)


@every_image
def test_metatensor_keeps_affine_and_history(function: Callable[[Any], Any]) -> None:
    torch, monai_data = needs("torch"), needs("monai.data")
    affine = torch.diag(torch.tensor([0.7, 0.7, 2.5, 1.0], dtype=torch.float64))
    x = monai_data.MetaTensor(torch.from_numpy(HU), affine=affine, meta={"patient": 7})
    x.applied_operations.append({"class": "Spacing"})
    found = function(x)
    assert type(found) is monai_data.MetaTensor
    assert torch.equal(found.affine, affine)
    assert found.meta["patient"] == 7
    assert found.applied_operations == [{"class": "Spacing"}]
    np.testing.assert_array_equal(found.numpy(), function(HU))
    with pytest.raises(ShapeError, match=r"\(channel, H, W, D\).*axes=\(1, 2, 3\)"):
        function(x[None])
    batch = x[None, None]
    batch.is_batch = True
    with pytest.raises(ShapeError, match="axes="):
        function(batch)
    out = monai_data.MetaTensor(torch.empty_like(torch.from_numpy(HU)))
    assert ctfast.median_filter(x, 3, out=out) is out
    np.testing.assert_array_equal(out.numpy(), ctfast.median_filter(HU, 3))


def test_other_subclasses_of_tensors_and_parameters() -> None:
    torch = needs("torch")

    class Named(torch.Tensor):
        pass

    x = torch.from_numpy(HU).as_subclass(Named)
    x.who = "me"
    found = ctfast.median_filter(x, 3)
    assert type(found) is Named
    assert found.who == "me"
    parameter = torch.nn.Parameter(torch.ones(4, 4), requires_grad=False)
    assert type(ctfast.median_filter(parameter, 3)) is torch.Tensor


def test_what_torch_traces_has_a_shape_and_no_numbers() -> None:
    torch = needs("torch")
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        x = torch.ones(4, 6)
        assert ctfast.window(x, center=0, width=2, dtype="uint8").dtype == torch.uint8
        with pytest.raises(ArgumentError, match=r"no values.*torch\.compile"):
            ctfast.summary(x)


def test_errors_name_the_type_that_came() -> None:
    for x, name in ((np.array(3.0), r"shape \(\)"), (object(), "object"), ("a.tif", "str|<U")):
        with pytest.raises(CTFastError, match=name):
            ctfast.median_filter(x, 3)


def test_volumes_stay_whole_in_blocks(tmp_path: Path) -> None:
    """Three numbers: chunks along the planes are put together, never filtered one by one."""
    da, zarr = needs("dask.array"), needs("zarr")
    expected = ctfast.median_filter(HU, (3, 3, 3))
    lazy = ctfast.median_filter(da.from_array(HU, chunks=(2, 8, 20)), (3, 3, 3))
    np.testing.assert_array_equal(lazy.compute(), expected)
    both = ctfast.median_filter(da.from_array(np.stack([HU, HU + 7])[..., None], chunks=(1, 2, 8, 20, 1)), (3, 3, 3))
    np.testing.assert_array_equal(both.compute(), np.stack([expected, expected + 7])[..., None])
    pipeline = ctfast.Pipeline([ctfast.Step("median_filter", size=(3, 3, 3)), ctfast.Step("normalize")])
    np.testing.assert_array_equal(pipeline(da.from_array(HU, chunks=(1, 8, 8))).compute(), pipeline(HU))
    x = zarr.create_array(str(tmp_path / "in"), shape=HU.shape, dtype="int16", chunks=(2, 16, 20))
    x[...] = HU
    out = zarr.create_array(str(tmp_path / "out"), shape=HU.shape, dtype="int16", chunks=(2, 16, 20))
    ctfast.median_filter(x, (3, 3, 3), out=out)
    np.testing.assert_array_equal(out[...], expected)


def memory_of(x: Any) -> int:
    """Address of the first pixel."""
    if hasattr(x, "unsafe_buffer_pointer"):
        return x.unsafe_buffer_pointer()
    return x.data_ptr() if hasattr(x, "data_ptr") else np.asarray(x).ctypes.data


ZERO_COPY: dict[str, Callable[[], Any]] = {
    "numpy": lambda: np.ascontiguousarray(HU),
    "torch": lambda: needs("torch").from_numpy(HU.copy()),
    "jax": lambda: needs("jax.numpy").asarray(HU),
    "xarray": lambda: needs("xarray").DataArray(HU.copy(), dims=("z", "y", "x")),
    "SimpleITK": lambda: needs("SimpleITK").GetImageFromArray(HU),
    "MetaTensor": lambda: needs("monai.data").MetaTensor(needs("torch").from_numpy(HU.copy())),
}


@pytest.mark.parametrize("make", ZERO_COPY.values(), ids=ZERO_COPY)
def test_kernels_read_and_write_the_caller_s_memory(make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is copied on the way in; on the way out only where a library takes no memory of others."""
    from ctfast.dispatch import call, plain

    seen: list[int] = []
    prepare, found = call.prepare, plain._found

    def watched(made: Any) -> Any:
        def run(x: np.ndarray, out: np.ndarray, **params: Any) -> None:
            seen.extend([x.ctypes.data, out.ctypes.data])
            made.run(x, out, **params)

        return made and made._replace(run=run)

    # The long way of a call, and the short one of NumPy arrays.
    monkeypatch.setattr(call, "prepare", lambda *args, **options: watched(prepare(*args, **options)))
    monkeypatch.setattr(plain, "_found", lambda *args: watched(found(*args)))
    x = make()
    view = needs("SimpleITK").GetArrayViewFromImage(x) if type(x).__module__.startswith("SimpleITK") else x
    result = ctfast.median_filter(x, 3)
    assert seen[0] == memory_of(view)
    if type(x).__module__.partition(".")[0] not in ("SimpleITK", "jaxlib", "jax"):
        assert seen[1] == memory_of(result)
