"""Images of one shape and dtype, one after the other, through a chain that is checked and set up once.

What ``Pipeline.run`` does for each call (checks, plans, arguments) takes a fifth of what its kernels take on a slice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctfast import backend
from ctfast.dispatch.arrays import Images
from ctfast.dispatch.chain import check_chain, check_steps, fits
from ctfast.dispatch.steps import Step
from ctfast.results import PipelineResult


class OneKind:
    """A chain for the thread that makes it."""

    def __init__(self, run: Any, chain: Any, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self._run, self._chain, self._dtype = run, chain, dtype
        self._out = np.empty((1, *shape), chain.dtype)
        self._rows = [np.empty(*chain.rows((1, *shape), link)) for link in chain.statistics]
        self._images = Images(None, shape, "numpy")

    def run(self, pixels: NDArray[Any], padding: tuple[float, float] | None = None) -> PipelineResult:
        """The result for one image ``(H, W)``; all its arrays are the next one's, too.

        Args:
            pixels: of the chain's shape and dtype, C-contiguous.
            padding: values in this range are no data. Some pixel lies outside of it, and none that lies in it is
                brighter than one that does not: then it makes a difference to statistics alone.
        """
        low, high = (1.0, 0.0) if padding is None else self._of_type(*padding)
        self._run(pixels[np.newaxis], self._out, self._rows, (low, high))
        return PipelineResult(self._out[0], **self._chain.results(self._rows, self._images))

    def _of_type(self, low: float, high: float) -> tuple[float, float]:
        """The same range as the pixels' type holds it, as ``padded.held_pixels`` compares."""
        if self._dtype.kind == "f":
            return float(self._dtype.type(low)), float(self._dtype.type(high))
        limits = np.iinfo(self._dtype)
        return float(max(math.ceil(low), limits.min)), float(min(math.floor(high), limits.max))


def one_kind(steps: Sequence[Step], shape: tuple[int, int], dtype: np.dtype[Any]) -> OneKind | None:
    """The chain of these steps on the CPU; None where it is not compiled as one, or not for such images.

    Raises:
        ArgumentError, DTypeError, ShapeError: as ``Pipeline.run`` does for such images.
    """
    if not fits(steps, "cpu"):
        return None
    check_steps(steps, shape)
    chain = check_chain(dtype, steps, "cpu")
    run = backend.image_chain_kernel()(shape, dtype, chain.links)
    return None if run is None else OneKind(run, chain, shape, dtype)
