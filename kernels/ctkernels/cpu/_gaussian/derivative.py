"""Derivatives of the Gaussian: the Gaussian's bands with weights that may be opposite on both sides, in float64.

Volumes go down their planes first, then through each plane, so that each axis sees the border of what those before it
made. Between two axes float32 images are rounded to float32, as in SciPy: its own tests compare to the sixth decimal.
Pixels at equal distances are added (or subtracted) before they are weighted, so that an odd derivative of a constant is
exactly 0.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit, one_type
from ctkernels.cpu._core.parallel import Band, bands, run
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._gaussian.band import along_planes_signed, band_signed
from ctkernels.cpu._gaussian.plan import Plan, arranged
from ctkernels.shared.gaussian_weights import Pass, derivative_passes

Array = NDArray[Any]


@lru_cache(maxsize=64)
def _plans(
    shape: tuple[int, ...],
    sigma: tuple[float, ...],
    truncate: float | tuple[float, ...],
    mode: str | tuple[str, ...],
    order: tuple[int, ...],
) -> tuple[Plan | None, Plan | None]:
    """For the planes of volumes, and for rows and columns; None for what is left alone."""
    found = {p.axis - len(sigma): p for p in derivative_passes(sigma, truncate, order, mode)}
    nothing = Pass(0, (1.0,), 1.0, "nearest")
    down, along, across = (found.get(axis, nothing) for axis in (-2, -1, -3))

    def plan(first: Pass, second: Pass, height: int) -> Plan:
        halves = tuple(np.array([*p.weights, p.sign]) for p in (first, second))
        return arranged(height, shape[-1], (halves[0], halves[1]), (first.mode, second.mode), False, signed=True)

    planes = None if across is nothing else plan(across, nothing, shape[0])
    return planes, None if down is along is nothing and planes else plan(down, along, shape[-2])


def derivatives(
    x: Array,
    out: Array,
    *,
    sigma: tuple[float, ...],
    truncate: float | tuple[float, ...],
    mode: str | tuple[str, ...],
    cval: float,
    order: tuple[int, ...],
) -> None:
    """``gaussian_filter`` with an ``order`` for each axis; see ``ctkernels.reference.gaussian_filter``."""
    planes, rest = _plans(x.shape[1:], sigma, truncate, mode, order)
    current = one_type(x if x.dtype.kind == "f" else x.astype(np.float64))
    made = out if out.dtype == current.dtype else scratch("derivative", x.size, np.float64).reshape(x.shape)
    if planes is not None:
        between = made if rest is None else scratch("derivative of planes", x.size, current.dtype).reshape(x.shape)
        _filter(along_planes_signed, current, between, planes, x.shape[2], x.shape[1], 0, cval)
        current = between
    if rest is not None:
        images, results = (v.reshape(-1, *x.shape[-2:]) for v in (current, made))
        _filter(band_signed, images, results, rest, x.shape[-2], 1, rest.rows_radius, cval)
    if made is not out:
        limits = np.iinfo(out.dtype)
        rounded(made.reshape(-1), out.reshape(-1), float(limits.min), float(limits.max))


@jit
def rounded(values, out, low, high):
    """Half to even, ending with the type of ``out``."""
    for i in range(values.size):
        out[i] = np.int32(min(max(np.rint(values[i]), low), high))


def _filter(kernel: Any, x: Array, out: Array, plan: Plan, rows: int, times: int, overlap: int, cval: float) -> None:
    """Bands of ``rows`` rows of all images; each takes ``times`` the time of one."""
    most = plan.scratch_bytes(max(rows, times))

    def body(band: Band) -> None:
        memory = scratch("gaussian", most, np.uint8)
        kernel(x, out, *band, plan.layout, plan.border, plan.weights, np.float64(cval), memory)

    run(bands(x.shape[0], rows, plan.row_nanoseconds * times, overlap_rows=overlap), body)
