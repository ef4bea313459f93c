"""HDF5 files and Zarr stores, as h5py and zarr write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr

import ctfast
from ctfast import Pipeline, Step
from ctfast.batch.atomic import replacing_folder
from ctfast.batch.held import TEMPORARY, remove_leftovers
from ctfast.errors import FileFormatError, ShapeError, UsageError
from ctfast.files import Limits, find_images, read_image, write_image
from ctfast.files.geometry import Geometry
from ctfast.runner import run
from tests.files.files_build import slice_hu

VOLUME = np.stack([slice_hu(seed=i) for i in range(3)])


def hdf5(path: Path, **options: Any) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("scan/ct", data=VOLUME, **options)
        file["label"], file["name"] = np.arange(3), "made up"
    return path


def ome(path: Path, version: int, *, unit: str = "millimeter") -> Path:
    """A pyramid as OME-Zarr 0.5 (Zarr 3) and 0.4 (Zarr 2) have it."""
    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    for level in (0, 1):
        group.create_array(str(level), data=VOLUME[None, None, :, :: level + 1, :: level + 1], chunks=(1, 1, 1, 20, 24))
    axes: list[dict[str, str]] = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": unit} for name in "zyx"]
    scale = {"type": "scale", "scale": [1, 1, 2.5, 0.8, 0.7]}
    multiscales = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": [scale]}, {"path": "1"}]}]
    facts: dict[str, Any] = {"multiscales": multiscales}
    group.attrs.update({"ome": {"version": "0.5", **facts}} if version == 3 else facts)
    return path


@pytest.mark.parametrize("options", [{}, {"chunks": (1, 10, 24)}, {"compression": "gzip", "shuffle": True}])
def test_hdf5(tmp_path: Path, options: dict[str, Any]) -> None:
    path = hdf5(tmp_path / "x.h5", **options)
    for name in (path, f"{path}::/scan/ct", f"{path}::scan/ct"):
        image = read_image(name)
        np.testing.assert_array_equal(image.pixels, VOLUME)
        assert (image.units, image.format, image.source) == ("unknown", "hdf5", path)
    with h5py.File(path, "a") as file:
        file["mask"] = np.zeros((20, 24), np.uint8)
    with pytest.raises(FileFormatError, match=r"2 arrays .*name one: .*x.h5::/mask"):
        read_image(path)
    with pytest.raises(FileFormatError, match=r"no /nothing in it; /mask, /scan/ct"):
        read_image(f"{path}::/nothing")
    with pytest.raises(FileFormatError, match="limit is"):
        read_image(f"{path}::/scan/ct", limits=Limits(max_bytes=1000))


@pytest.mark.parametrize("line", [(1.0, -1024.0), (0.5, -1024.25), (1.0, 0.0)], ids=str)
@pytest.mark.parametrize("kind", ["h5", "zarr"])
def test_packed_numbers_are_unpacked(tmp_path: Path, kind: str, line: tuple[float, float]) -> None:
    """As xarray does, by the CF conventions of netCDF; a fill value stands for what is missing."""
    stored, packing = VOLUME.copy(), {"scale_factor": line[0], "add_offset": line[1], "_FillValue": -5}
    stored[0, :3] = -5
    path = tmp_path / f"x.{kind}"
    if kind == "h5":
        with h5py.File(path, "w") as file:
            file["ct"] = stored
            file["ct"].attrs.update({key: np.array([value]) for key, value in packing.items()})
    else:
        zarr.create_array(str(path), data=stored, attributes=packing)
    image = read_image(path)
    expected = stored * line[0] + line[1]
    np.testing.assert_array_equal(image.pixels, expected)
    np.testing.assert_array_equal(image.pixels == image.padding, stored == -5)
    assert image.padding == -5 * line[0] + line[1]
    np.testing.assert_array_equal(read_image(path, units="stored").pixels, stored)


@pytest.mark.parametrize("missing", ["_FillValue", "missing_value"])
@pytest.mark.parametrize("version", [2, 3])
def test_a_store_of_xarrays_is_read_as_it_reads_it(tmp_path: Path, version: Any, missing: str) -> None:
    """It keeps ``_FillValue`` among the attributes in version 3, and as Zarr's own fill value in version 2."""
    xarray = pytest.importorskip("xarray")
    hu = xarray.DataArray(VOLUME.astype(np.float64) * 0.25, dims=("z", "y", "x"), name="ct")
    hu[0, :3] = np.nan
    hu.encoding = {"dtype": "int16", "scale_factor": 0.25, "add_offset": -8.0, missing: -32768}
    hu.to_dataset().to_zarr(tmp_path / "x.zarr", zarr_format=version, consolidated=False)
    image = read_image(tmp_path / "x.zarr")
    with xarray.open_zarr(tmp_path / "x.zarr", consolidated=False) as opened:
        seen = opened.ct.values
    np.testing.assert_array_equal(image.pixels == image.padding, np.isnan(seen))
    np.testing.assert_array_equal(image.pixels[~np.isnan(seen)], seen[~np.isnan(seen)])
    assert image.padding == -32768 * 0.25 - 8


def test_the_fill_value_0_that_nobody_chose_is_no_padding(tmp_path: Path) -> None:
    array = zarr.create_array(str(tmp_path / "x.zarr"), data=VOLUME, zarr_format=2, fill_value=0)
    array.attrs["_ARRAY_DIMENSIONS"] = ["z", "y", "x"]
    assert read_image(tmp_path / "x.zarr").padding is None


def test_shards_that_are_not_there_are_told(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    array = zarr.create_array(
        str(path), shape=VOLUME.shape, dtype="int16", chunks=(1, 16, 16), shards=(2, 64, 64), fill_value=-1024
    )
    array[...] = VOLUME
    assert "notes" not in read_image(path).meta
    whole = -(-VOLUME.shape[0] // 2) * -(-VOLUME.shape[1] // 64) * -(-VOLUME.shape[2] // 64)
    (path / "c" / "0" / "0" / "0").unlink()
    image = read_image(path)
    assert image.meta["notes"] == f"1 of {whole} shards are not there: read as -1024"
    assert (image.pixels[:2, :64, :64] == -1024).all()


@pytest.mark.parametrize(
    ("more", "spacing"),
    [
        ([{"type": "scale", "scale": [1, 1, 2, 2, 3]}], (1.6, 2.1)),
        ([{"type": "translation", "translation": [0, 0, 1, 2, 3]}], (0.8, 0.7)),
        ([{"type": "affine", "path": "elsewhere"}], None),
    ],
    ids=["scale", "translation", "another"],
)
def test_scales_of_all_data_sets_count(tmp_path: Path, more: list[Any], spacing: Any) -> None:
    """OME-NGFF 0.5, 3.4: those of the multiscale are applied after those of the data set."""
    group = zarr.open_group(str(ome(tmp_path / "x.zarr", 3)), mode="a")
    facts = dict(group.attrs["ome"])
    facts["multiscales"][0]["coordinateTransformations"] = more
    group.attrs["ome"] = facts
    image = read_image(tmp_path / "x.zarr")
    assert image.spacing == (None if spacing is None else pytest.approx(spacing))
    if spacing and more[0]["type"] == "scale":
        assert image.meta["slice_spacing"] == 5


@pytest.mark.parametrize("kind", ["labels", "scales", "zarr 2", "zarr 3"])
def test_axes_whose_names_say_another_order_are_refused(tmp_path: Path, kind: str) -> None:
    cube = np.arange(8**3, dtype=np.int16).reshape(8, 8, 8)
    for names, right in ((("z", "y", "x"), True), (("i", "j", "k"), True), (("row", "column", "slice"), False)):
        path = tmp_path / ("x.zarr" if "zarr" in kind else "x.h5")
        if "zarr" in kind:
            attributes = {"_ARRAY_DIMENSIONS": list(names)} if kind == "zarr 2" else {}
            facts: Any = {"dimension_names": names} if kind == "zarr 3" else {}
            array = zarr.create_array(
                path, data=cube, zarr_format=int(kind[-1]), attributes=attributes, overwrite=True, **facts
            )
            if not right:
                with pytest.raises(ShapeError, match="dimensions"):
                    ctfast.median_filter(array, 3, out=np.empty_like(cube))
        else:
            with h5py.File(path, "w") as file:
                data = file.create_dataset("ct", data=cube)
                for axis, name in zip(data.dims, names):
                    if kind == "labels":
                        axis.label = name
                    else:
                        file[f"of/{name}"] = np.arange(8.0)
                        file[f"of/{name}"].make_scale()
                        axis.attach_scale(file[f"of/{name}"])
        whole = f"{path}::/ct" if kind == "scales" else path
        if right:
            np.testing.assert_array_equal(read_image(whole).pixels, cube)
            continue
        with pytest.raises(FileFormatError, match=r"named row, column, slice.*--axes"):
            read_image(whole)
        np.testing.assert_array_equal(read_image(whole, axes="last").pixels, np.moveaxis(cube, -1, 0))


def test_hdf5_reads_no_other_file(tmp_path: Path) -> None:
    hdf5(tmp_path / "secret.h5")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["link"] = h5py.ExternalLink("secret.h5", "/scan/ct")
        layout = h5py.VirtualLayout((3, 20, 24), np.int16)
        layout[:] = h5py.VirtualSource("secret.h5", "scan/ct", (3, 20, 24))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("outside", (3, 20, 24), "i2", external=[("secret.h5", 0, 2880)])
        file.create_dataset("empty", (3, 20, 24), "i2")
        file.create_dataset("bomb", (8, 8), "u1", chunks=(1 << 12, 1 << 12), maxshape=(None, None))
    for name, reason in (
        ("link", "another file"), ("virtual", "other files"), ("outside", "other files"), ("empty", "never written"),
    ):  # fmt: skip
        with pytest.raises(FileFormatError, match=reason):
            read_image(f"{tmp_path / 'x.h5'}::/{name}")
    with pytest.raises(FileFormatError, match="limit is"):
        read_image(f"{tmp_path / 'x.h5'}::/bomb", limits=Limits(max_bytes=1 << 20))


@pytest.mark.parametrize("version", [2, 3])
def test_zarr(tmp_path: Path, version: Any) -> None:
    array = zarr.create_array(str(tmp_path / "x.zarr"), data=VOLUME, chunks=(1, 20, 24), zarr_format=version)
    image = read_image(tmp_path / "x.zarr")
    np.testing.assert_array_equal(image.pixels, VOLUME)
    assert (image.units, image.format, image.spacing, image.meta.get("notes")) == ("unknown", "zarr", None, None)
    array[1] = array.fill_value
    assert read_image(tmp_path / "x.zarr").pixels[1].max() == 0
    next(path for path in (tmp_path / "x.zarr").rglob("*") if path.is_file() and path.name in ("0", "2.0.0")).unlink()
    assert "chunks are not there: read as 0" in str(read_image(tmp_path / "x.zarr").meta["notes"])
    with pytest.raises(FileFormatError, match="limit is"):
        read_image(tmp_path / "x.zarr", limits=Limits(max_bytes=1000))


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr_is_read_in_full_resolution(tmp_path: Path, version: int) -> None:
    image = read_image(ome(tmp_path / "x.zarr", version))
    np.testing.assert_array_equal(image.pixels, VOLUME)
    assert (image.spacing, image.meta["slice_spacing"], image.geometry) == ((0.8, 0.7), 2.5, None)
    assert read_image(f"{tmp_path / 'x.zarr'}::/1").pixels.shape == (3, 10, 12)
    assert read_image(ome(tmp_path / "y.zarr", version, unit="micrometer")).spacing == pytest.approx((8e-4, 7e-4))
    assert read_image(ome(tmp_path / "z.zarr", version, unit="foot")).spacing is None


def test_stores_and_data_sets_are_found_and_run(tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    ome(tmp_path / "in" / "sub" / "a.zarr", 3)
    path = hdf5(tmp_path / "in" / "b.hdf5")
    found = find_images([tmp_path / "in", f"{path}::/scan/ct"])
    assert [str(item.stem) for item in found.items] == ["b", "sub/a", "b_scan_ct"]
    assert not found.ignored
    steps = Pipeline([Step("median_filter", size=3)])
    inputs = [tmp_path / "in" / "sub", f"{path}::/scan/ct"]
    assert run(inputs, tmp_path / "out", steps, format="npy").ok == 2
    for name in ("a", "b_scan_ct"):
        np.testing.assert_array_equal(np.load(tmp_path / "out" / f"{name}.npy"), steps(VOLUME))
    again = run(inputs, tmp_path / "out", steps, format="npy")
    assert (again.ok, again.done_before, again.gone) == (0, 2, [])
    facts = tmp_path / "in" / "sub" / "a.zarr" / "zarr.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()), indent=1))
    assert run(inputs, tmp_path / "out", steps, format="npy").ok == 1
    with pytest.raises(UsageError, match="does not exist"):
        find_images([f"{tmp_path / 'in' / 'c.h5'}::/x"])
    np.save(tmp_path / "d.npy", VOLUME[0])
    with pytest.raises(FileFormatError, match="without ::/x"):
        read_image(f"{tmp_path / 'd.npy'}::/x")


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_written_zarr_is_ome_zarr_and_keeps_what_we_know(tmp_path: Path, compression: Any) -> None:
    place = Geometry.of(np.array([[0, 0, 0.7, -90], [0, 0.8, 0, -80.5], [2.5, 0, 0, 12]]))
    path = tmp_path / "x.zarr"
    write_image(path, VOLUME, units="hu", geometry=place, padding=-2000, compression=compression)
    group: Any = zarr.open_group(str(path), mode="r")
    array = group["0"]
    np.testing.assert_array_equal(array[...], VOLUME)
    assert (array.chunks, array.dtype, array.metadata.dimension_names) == ((3, 20, 24), np.int16, ("z", "y", "x"))
    assert bool(array.compressors) == (compression == "zstd")
    (found,) = group.attrs["ome"]["multiscales"]
    assert [(axis["name"], axis["unit"]) for axis in found["axes"]] == [(name, "millimeter") for name in "zyx"]
    assert found["datasets"][0]["coordinateTransformations"] == [{"type": "scale", "scale": [2.5, 0.8, 0.7]}]
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, VOLUME)
    assert (image.units, image.padding, image.spacing, image.geometry) == ("hu", -2000, (0.8, 0.7), place)
    assert image.meta["slice_spacing"] == 2.5
    write_image(path, VOLUME[0], spacing=(0.8, 0.7))  # takes the place of the folder
    single = read_image(path)
    np.testing.assert_array_equal(single.pixels, VOLUME[0])
    assert (single.units, single.spacing, single.geometry) == ("unknown", (0.8, 0.7), None)
    write_image(path, VOLUME)  # nothing is known of the millimetres, and nothing is made up
    assert (read_image(path).spacing, "slice_spacing" in read_image(path).meta) == (None, False)
    assert [item.name for item in tmp_path.iterdir()] == ["x.zarr"]


def test_a_store_that_fails_leaves_the_older_one(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    write_image(path, VOLUME)
    with pytest.raises(FileNotFoundError, match="none"), replacing_folder(path) as folder:
        (folder / "part").write_bytes((tmp_path / "none").read_bytes())
    np.testing.assert_array_equal(read_image(path).pixels, VOLUME)
    left = tmp_path / TEMPORARY.replace("*", "0123")
    left.mkdir()
    (left / "part").write_bytes(b"x")
    with replacing_folder(path) as folder:
        assert remove_leftovers(tmp_path) == 1, "of a process that was killed; not what is being written"
        assert folder.exists()
    assert [item.name for item in tmp_path.iterdir()] == ["x.zarr"]


def test_a_run_fills_stores_and_resumes(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    hdf5(tmp_path / "in" / "a.h5")
    window = Pipeline([Step("window", center=40, width=400, dtype="uint8")])
    out = tmp_path / "out"
    first = run(tmp_path / "in", out, window, format="zarr", units="hu")
    assert (first.ok, first.failed) == (1, 0), first.failures
    expected = ctfast.window(VOLUME, center=40, width=400, dtype="uint8")
    np.testing.assert_array_equal(read_image(out / "a.zarr").pixels, expected)
    assert run(tmp_path / "in", out, window, format="zarr", units="hu", verify=True).done_before == 1
    chunk = next(path for path in (out / "a.zarr" / "0").rglob("*") if path.is_file() and path.name != "zarr.json")
    chunk.write_bytes(chunk.read_bytes()[:-1])
    again = run(tmp_path / "in", out, window, format="zarr", units="hu")
    assert (again.ok, again.done_before) == (1, 0), "a store of another size is no output of ours"
    np.testing.assert_array_equal(read_image(out / "a.zarr").pixels, expected)
    (tmp_path / "in" / "a.h5").write_bytes(b"nothing")
    broken = run(tmp_path / "in", out, window, format="zarr", units="hu")
    assert broken.failed == 1
    assert not (out / "a.zarr").exists()
    assert (out / "a.zarr.stale").is_dir()
