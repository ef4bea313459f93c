"""What a histogram's edges mean to the kernels of ``histogram.cu``, kept on the device between calls."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctkernels.gpu._core import device
from ctkernels.gpu._core.keys import key_dtype
from ctkernels.shared.bin_positions import bins_of_values, position_error
from ctkernels.shared.keys import key_bounds

_SEARCH = 2.0
"""An error of so many bins tells the kernel that positions are of no use."""


class Binning(NamedTuple):
    """``table``: bin of each value, or the edges; the rest as the kernel takes it."""

    table: device.DeviceArray
    numbers: tuple[Any, ...]
    """begin, end (keys); first, scale, error (of the table's type)."""


class _Key(NamedTuple):
    image_dtype: str
    edges_dtype: str
    edges: bytes


def binning(edges: NDArray[Any], image_dtype: np.dtype[Any]) -> Binning:
    """For edges as the contract has them; the upload happens once for each device, edges and image dtype."""
    key = _Key(image_dtype.char, edges.dtype.char, edges.tobytes())
    table = device.uploaded(("histogram", key), lambda: _table(edges, image_dtype))
    return Binning(table, _numbers(key))


def _table(edges: NDArray[Any], image_dtype: np.dtype[Any]) -> NDArray[Any]:
    if image_dtype.kind == "f":
        return edges.astype(image_dtype) + image_dtype.type(0)  # + 0: -0 becomes 0
    return bins_of_values(edges, image_dtype).astype(np.int32)


@lru_cache(maxsize=64)
def _numbers(key: _Key) -> tuple[Any, ...]:
    image_dtype = np.dtype(key.image_dtype)
    edges = np.frombuffer(key.edges, np.dtype(key.edges_dtype))
    bound = key_dtype(image_dtype).type
    if image_dtype.kind != "f":  # the table knows all
        return (bound(0), bound(0), np.int32(0), np.int32(0), np.int32(0))
    number = image_dtype.type
    begin, end = key_bounds(image_dtype, (float(edges[0]), float(edges[-1])))
    error = min(position_error(edges, image_dtype), _SEARCH)
    scale = (edges.size - 1) / (float(edges[-1]) - float(edges[0])) if error < 1 else 0.0
    return (bound(begin), bound(end), number(edges[0]), number(scale), number(error))
