"""The host's side of ``line.cuh``: the numbers of a line in float32.

The order of operations is the CPU backend's, so that both give the same bits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ctkernels.shared.lines import narrowed


class FloatLine(NamedTuple):
    """``(x - base) * scale + offset``."""

    base: float
    scale: float
    offset: float


def float32_line(zero: float, base: float, span: float, low: float, rise: float) -> FloatLine:
    """``scale`` is rounded away from 0 so that the line's end is really reached."""
    rest = zero - base
    run_up = narrowed(zero + span - base) - rest
    exact = rise / run_up if run_up != 0.0 and np.isfinite(run_up) else rise / span
    scale = narrowed(exact)
    if abs(scale) < abs(exact):
        scale = narrowed(exact * (1.0 + 1.2e-7))
    return FloatLine(base, scale, narrowed(low - rest * exact))
