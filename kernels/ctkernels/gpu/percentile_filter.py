"""Percentiles of windows on the GPU: the rank filter, with the rank that a percentile is of a window's pixels."""

from __future__ import annotations

from typing import Any

from ctkernels.contract import rank_of, window_pixels
from ctkernels.gpu._core import device
from ctkernels.gpu.rank_filter import rank_filter


def percentile_filter(
    x: device.DeviceArray,
    out: device.DeviceArray,
    *,
    percentile: float,
    workspace: device.DeviceArray | None = None,
    **window: Any,
) -> None:
    """See :func:`ctkernels.reference.percentile_filter`. Needs no workspace."""
    rank_filter(x, out, rank=rank_of(percentile, window_pixels(window)), **window)
