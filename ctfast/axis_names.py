"""What names of axes say about where rows and columns are: of xarray's dims, and of arrays in HDF5 and Zarr files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

IN_PLANE: Final = frozenset(
    ("y", "row", "rows", "height", "h", "lat", "latitude", "x", "col", "cols", "column", "columns", "width", "w")
    + ("lon", "longitude")
)
"""Rows and columns."""
PLANES: Final = frozenset(("z", "slice", "slices", "plane", "planes", "depth", "d", "frame", "frames"))
"""Of volumes."""
BESIDE: Final = frozenset(
    ("t", "time", "batch", "n", "image", "images", "sample", "samples", "c", "channel", "channels", "band")
    + ("scan", "scans", "series", "study", "patient", "patients", "subject", "energy", "phase", "member")
)
"""Of many images or volumes."""


def of_zarr(array: Any) -> Sequence[Any]:
    """Of version 3, or as xarray writes them into version 2; empty where there are none."""
    names = getattr(array.metadata, "dimension_names", None) or dict(array.attrs).get("_ARRAY_DIMENSIONS")
    return names if isinstance(names, list | tuple) else ()


def elsewhere(names: Sequence[Any], together: int = 2) -> bool:
    """Whether the names say that the last ``together`` axes are no images (or volumes) of rows and columns."""
    known = [str(name).lower() for name in names]
    before, behind = known[:-together], set(known[-together:])
    others = BESIDE | PLANES if together == 2 else BESIDE
    return bool(before) and (not others.isdisjoint(behind) or not IN_PLANE.isdisjoint(before))


def leave_open(names: Sequence[Any], together: int = 2) -> bool:
    """Whether the names say nothing of the last ``together`` axes, as ``i``, ``j``, ``k`` do. Names that xarray
    makes up (``dim_0``) are none, and where there are no other axes none are needed."""
    known = [str(name).lower() for name in names]
    before, behind = known[:-together], known[-together:]
    made_up = all(name == f"dim_{number}" for number, name in enumerate(known))
    return bool(before) and not made_up and IN_PLANE.isdisjoint(behind) and not set(before) <= PLANES | BESIDE
