"""The host's side of ``common.cuh``: in which type keys are held on the device, and keys of a table's values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.shared.keys import keys_of, values_reaching


def key_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """``ctk_keys<T>::type``: int64 for float64, int32 for all others."""
    return np.dtype(np.int64) if dtype.char == "d" else np.dtype(np.int32)


def reaching(edges: tuple[float, ...], dtype: np.dtype[Any]) -> tuple[NDArray[Any], int]:
    """``values_reaching`` as keys: of the smallest pixels that reach each edge; how many edges every pixel reaches."""
    own, below = values_reaching(edges, dtype)
    if dtype.kind == "f":
        own[own == 0] = -0.0  # both zeros reach an edge of 0
    return keys_of(own).astype(key_dtype(dtype)), below
