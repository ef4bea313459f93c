"""Tissue labels: how many edges each pixel reaches, in one pass over memory.

Blocks of pixels stay in the first-level cache while every edge is compared with all of them: byte-wide counting that
vectorises for any number of edges. A table look-up for 16-bit images would miss the first-level cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.contract import NO_LABEL
from ctkernels.cpu._core.jit import jit
from ctkernels.cpu._core.spread import pointwise
from ctkernels.cpu._core.viewed import flat
from ctkernels.shared.keys import values_reaching

_BLOCK = 2048


@jit
def count_edges(x, out, edges, first):
    """``first`` and one more for each of ``edges`` (in the dtype of ``x``) that the pixel reaches."""
    pixels = flat(x)
    results = flat(out)
    for start in range(0, pixels.size, _BLOCK):
        block = pixels[start : start + _BLOCK]
        labels = results[start : start + _BLOCK]
        for i in range(block.size):
            labels[i] = first
        for k in range(edges.size):
            edge = edges[k]
            for i in range(block.size):
                labels[i] = labels[i] + np.uint8(block[i] >= edge)


@jit
def unlabel_nan(x, out):
    """NaN reaches no edge; it gets the label that says so."""
    pixels = flat(x)
    results = flat(out)
    for i in range(pixels.size):
        results[i] = results[i] if pixels[i] == pixels[i] else np.uint8(NO_LABEL)


@jit
def count_edges_or_nan(x, out, edges, first):
    """The same for floats."""
    count_edges(x, out, edges, first)
    unlabel_nan(x, out)


def label_tissue(x: NDArray[Any], out: NDArray[Any], *, edges: tuple[float, ...]) -> None:
    """See :func:`ctkernels.reference.label_tissue`."""
    own, first = values_reaching(edges, x.dtype)
    pointwise(count_edges_or_nan if x.dtype.kind == "f" else count_edges, x, out, own, np.uint8(first))
