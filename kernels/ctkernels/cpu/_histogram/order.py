"""An image's floats in order, and where they come from: ``numpy.argsort`` by their bits."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core import digits
from ctkernels.cpu._core.jit import jit
from ctkernels.cpu._core.scratch import scratch


class Ordered(NamedTuple):
    """Lies in this thread's scratch until its next call."""

    pixels: NDArray[Any]
    """Ascending, NaN last."""
    places: NDArray[np.int64]
    """Where each of them stands in the image; of equal ones in any order."""


@jit
def _to_keys(bits, sign, infinite, keys):
    for i in range(bits.size):
        keys[i] = digits.float_key(np.uint64(bits[i]), sign, infinite)


def in_order(pixels: NDArray[Any]) -> Ordered:
    """A flat image of floats in order."""
    kind = np.dtype(f"u{pixels.itemsize}")
    sign = np.uint64(1 << (8 * pixels.itemsize - 1))
    infinite = np.uint64(np.array(np.inf, pixels.dtype).view(kind))
    keys = scratch("keys of pixels", pixels.size, np.uint64)
    ordered = scratch("pixels in order", pixels.size, kind)
    _to_keys(pixels.view(kind), sign, infinite, keys)
    keys, places = digits.in_order(keys, 8 * pixels.itemsize)
    digits.decode(keys, True, sign, ordered)
    return Ordered(ordered.view(pixels.dtype), places)
