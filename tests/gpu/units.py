"""Every compilation that the launchers can ask for; of median networks and of fused steps, which are many, a choice.

A ``.cu`` file that is not named here is compiled for every image dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from ctkernels.contract import IMAGE_DTYPES
from ctkernels.gpu._core import source
from ctkernels.gpu._core.geometry import c_type
from ctkernels.gpu._core.geometry_filters import PACKING_CAPABILITY, Defines, network_defines
from ctkernels.gpu._core.geometry_volumes import volume_network_defines

SOURCES: Final = tuple(sorted(path.stem for path in Path(source.__file__).parents[1].glob("*.cu")))

NETWORKS: Final = {
    "uint8": ((1, 5), (3, 3), (5, 1), (5, 5)),
    "int16": ((3, 3), (3, 5), (5, 5)),
    "uint16": ((3, 3), (5, 5)),
    "float32": ((3, 3), (5, 5), (7, 7), (9, 9), (11, 11)),
    "float64": ((3, 3), (5, 5), (7, 7)),
}
"""Sizes of the 36 that each dtype has: square and not, the largest, one of every number of rows a thread."""

VOLUME_NETWORKS: Final = {
    "uint8": ((3, 3, 3), (13, 3, 3)),
    "int16": ((3, 3, 3), (3, 7, 7)),
    "uint16": ((5, 5, 5),),
    "float32": ((3, 3, 3), (3, 5, 9), (13, 3, 3)),
    "float64": ((3, 3, 3), (5, 5, 3)),
}
"""The smallest, and those that take most registers."""

CAPABILITIES: Final = (PACKING_CAPABILITY - 1, PACKING_CAPABILITY)
"""On both sides of the only one that makes a difference."""


class Unit(NamedTuple):
    """One compilation: a ``.cu`` file with its specialisation."""

    name: str
    defines: Defines

    @property
    def text(self) -> str:
        """What the compiler is given."""
        return source.source(self.name, self.defines)

    @property
    def least_architecture(self) -> int:
        """Large networks of packed voxels take too many registers where comparing two at once takes several steps."""
        packed = self.defines.get("CTK_LANES") == 2 and "CTK_PLANES" in self.defines
        return PACKING_CAPABILITY if packed else 0

    def __str__(self) -> str:
        return "-".join([self.name, *(str(value).replace(" ", "_") for value in self.defines.values())])


def _each_dtype(name: str) -> Iterator[Defines]:
    parameter = "CTK_IN" if "CTK_IN" in source.inlined(name) else "CTK_PIXEL"
    for dtype in IMAGE_DTYPES:
        yield {parameter: c_type(dtype)}


def _of_kind(letters: str) -> Callable[[str], Iterator[Defines]]:
    return lambda _: ({"CTK_IN": c_type(dtype)} for dtype in IMAGE_DTYPES if np.dtype(dtype).kind in letters)


def _networks(_: str) -> Iterator[Defines]:
    for dtype, sizes in NETWORKS.items():
        for size in sizes:
            variants = [network_defines(size, dtype, capability) for capability in CAPABILITIES]
            yield from variants[: 1 if variants[0] == variants[1] else 2]


def _volume_networks(_: str) -> Iterator[Defines]:
    for dtype, sizes in VOLUME_NETWORKS.items():
        for size in sizes:
            variants = [volume_network_defines(size, dtype, capability) for capability in CAPABILITIES]
            yield from variants[: 1 if variants[0] == variants[1] else 2]


def _volumes_and_gaussians(_: str) -> Iterator[Defines]:
    for dtype in IMAGE_DTYPES:
        yield {"CTK_IN": c_type(dtype), "CTK_PIXEL": c_type("float64" if dtype == "float64" else "float32")}


def _derivatives(_: str) -> Iterator[Defines]:
    for dtype in IMAGE_DTYPES:
        between = c_type("float32" if dtype == "float32" else "float64")
        ends = c_type(dtype), between
        for first, last in dict.fromkeys(((ends[0],) * 2, ends, ends[::-1], (between,) * 2)):
            yield {"CTK_IN": first, "CTK_OUT": last}


def _windows_and_medians(_: str) -> Iterator[Defines]:
    for dtype in ("int16", "uint16", "float64"):
        for capability in CAPABILITIES if dtype == "int16" else CAPABILITIES[1:]:
            yield {"CTK_IN": c_type(dtype), **network_defines((3, 3), "uint8", capability)}


def _windows_and_gaussians(_: str) -> Iterator[Defines]:
    for dtype in ("int16", "uint16", "float64"):
        yield {"CTK_IN": c_type(dtype), "CTK_PIXEL": c_type("uint8")}


SPECIAL: Final[Mapping[str, Callable[[str], Iterator[Defines]]]] = {
    "median_filter": _networks,
    "median_volume": _volume_networks,
    "gaussian_derivative": _derivatives,
    "gaussian_volume": _volumes_and_gaussians,
    "window_median": _windows_and_medians,
    "window_gaussian": _windows_and_gaussians,
    "match_histogram": _of_kind("iu"),
    "match_ranks": _of_kind("f"),
    "clahe_histogram": lambda _: iter([{}]),
}


def all_units() -> list[Unit]:
    """All of them."""
    return [Unit(name, defines) for name in SOURCES for defines in SPECIAL.get(name, _each_dtype)(name)]
