"""Zarr stores in folders, version 3 and 2, and OME-Zarr 0.4 and 0.5, by zarr: ``x.zarr``, or ``x.zarr::/path``.

Policies, each tested:

- A store of one array is read; of an OME-Zarr group the full resolution; of other groups the only array that can be an
  image, else one is named.
- Leading axes of length 1 (time, channel) are dropped; several channels or times are refused. Spacing is that of
  OME-Zarr's scales (of the data set and of all) where its axes are in millimetres or micrometres. ``scale_factor``,
  ``add_offset`` and ``_FillValue`` of an array count, as xarray writes them in either version. Units of values and the
  place in the patient are only known of stores of our own (``_zarr_write``).
- The declared size is held against the limits and the bytes that are there before anything is decompressed. Chunks
  that are not there are the fill value, by definition, with a note.

Source: Zarr specification 3.0, OME-NGFF 0.5 (axes, coordinateTransformations).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Final

import numpy as np

from ctfast.axis_names import of_zarr
from ctfast.errors import FileFormatError
from ctfast.files._data_sets import PACKING, as_image, can_be_image, declared, fill_note, the_one
from ctfast.files._own_facts import flat_facts, number, units_of
from ctfast.files.geometry import Geometry
from ctfast.files.image import Image, MetaValue, Request

_MM: Final = {"millimeter": 1.0, "micrometer": 1e-3}


def read_zarr(request: Request) -> Image:
    """Read an array as ``(H, W)`` or ``(frames, H, W)``.

    Raises:
        FileFormatError: See the policies above.
    """
    import zarr

    node: Any = zarr.open(str(request.path), mode="r")
    scale: tuple[float, ...] = ()
    inside = request.inside.strip("/")
    if not inside and isinstance(node, zarr.Group):
        inside, scale = _full_resolution(node)
        inside = inside or the_one([name for name, array in _arrays(node)], request)
    array = node if not inside else node.get(inside)
    if not isinstance(array, zarr.Array):
        raise FileFormatError(f"no array {inside} in it", "name one that is there: STORE::/PATH")
    shape = declared(
        array.shape,
        array.dtype,
        request,
        stored=array.nbytes_stored(),
        chunks=array.shards or array.chunks,
        names=of_zarr(array),
    )
    values = np.asarray(array[...]).reshape(shape)
    facts: dict[str, MetaValue] = {"array": inside} if inside else {}
    facts |= _missing(array)
    own = {} if request.inside.strip("/") else flat_facts(dict(node.attrs).get("ctfast"))
    image = as_image(values, request, "zarr", {**own, **facts}, _attributes(array))
    if "ctfast" in own:
        place = Geometry.parse(str(image.meta.get("affine", "")))
        image = replace(image, units=units_of(own), padding=number(own.get("padding")), geometry=place)
    return _spaced(image, scale[-len(shape) :]) if scale else image


def _attributes(array: Any) -> dict[str, Any]:
    """Those of the array; xarray keeps ``_FillValue`` of version 2 as the fill value, where others leave it 0."""
    found = dict(array.attrs)
    of_xarray = array.metadata.zarr_format == 2 and "_ARRAY_DIMENSIONS" in found and "missing_value" not in found
    if of_xarray and (array.fill_value or any(name in found for name in PACKING)):
        found.setdefault("_FillValue", array.fill_value)
    return found


def _missing(array: Any) -> dict[str, MetaValue]:
    """A note for chunks, or shards of them, that nobody wrote."""
    value = 0 if array.fill_value is None else array.fill_value
    if not array.shards:
        return fill_note(array.nchunks - array.nchunks_initialized, array.nchunks, value)
    shards = math.prod(-(-side // of) for side, of in zip(array.shape, array.shards, strict=True))
    chunks = math.prod(array.shards) // math.prod(array.chunks)  # of a shard, beyond the edge too
    return fill_note(shards - array.nchunks_initialized // chunks, shards, value, "shards")


def _arrays(group: Any) -> list[tuple[str, Any]]:
    import zarr

    return [
        (name, item)
        for name, item in group.members(max_depth=None)
        if isinstance(item, zarr.Array) and can_be_image(item.shape, item.dtype)
    ]


def _full_resolution(group: Any) -> tuple[str, tuple[float, ...]]:
    """The path of an OME-Zarr group's first data set, and the mm of its axes; empty where it is none."""
    facts = dict(group.attrs)
    scales = facts.get("ome", facts).get("multiscales") if isinstance(facts.get("ome", {}), dict) else None
    if not scales:
        return "", ()
    first = scales[0]
    data = first["datasets"][0]
    units = [_MM.get(axis.get("unit", ""), math.nan) for axis in first.get("axes", ())]
    steps = _steps([*data.get("coordinateTransformations", ()), *first.get("coordinateTransformations", ())])
    mm = tuple(step * unit for step, unit in zip(steps, units, strict=False)) if len(steps) == len(units) else ()
    return str(data["path"]), mm


def _steps(transformations: list[dict[str, Any]]) -> tuple[float, ...]:
    """Of a data set's transformations and those of all data sets, one after the other; empty where they say no more."""
    if any(one.get("type") not in ("identity", "scale", "translation") for one in transformations):
        return ()
    scales = [one["scale"] for one in transformations if one["type"] == "scale"]
    return tuple(map(math.prod, zip(*scales, strict=True)))


def _spaced(image: Image, mm: tuple[float, ...]) -> Image:
    *frame, row, column = mm
    if not (math.isfinite(row * column) and min(row, column) > 0):
        return image
    known = {"slice_spacing": frame[0]} if frame and math.isfinite(frame[0]) else {}
    return replace(image, spacing=(row, column), meta={**image.meta, **known})
