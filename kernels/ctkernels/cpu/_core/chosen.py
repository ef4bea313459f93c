"""The pixels of an image that a mask chooses, side by side: what statistics of a part of an image are taken from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit, one_type
from ctkernels.cpu._core.scratch import scratch


@jit
def side_by_side(bits, keep, result):
    """Copy the elements of ``bits`` where ``keep`` is 1 to the start of ``result``, which is as long; their number.

    Every element is written, the next one over those that are not kept: no branch that would guess wrong at the edges
    of a mask.
    """
    n = np.int64(0)
    for i in range(bits.size):
        result[n] = bits[i]
        n += np.int64(keep[i])
    return n


def chosen(image: NDArray[Any], where: NDArray[np.bool_]) -> NDArray[Any]:
    """The pixels of one image ``(1, H, W)`` at the true elements of ``where`` ``(H, W)``, as an image ``(1, 1, n)``.

    They lie in this thread's scratch until its next call. ``n`` may be 0.
    """
    bits = np.dtype(f"u{image.itemsize}")
    place = scratch("chosen", image.size, bits)
    pixels, keep = image.view(bits).reshape(-1), one_type(where).view(np.uint8).reshape(-1)
    n = side_by_side(pixels, keep, place)
    return place[:n].view(image.dtype).reshape(1, 1, n)
