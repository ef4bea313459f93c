"""Where things are in a slice: the body, the lungs, isolated dense clusters in them, and how noisy soft tissue is.

Simple, transparent image processing with SciPy's connected components, meant to point a person to a slice; none of it
is a segmentation for measurement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast.analysis.scan.dense import dense_in_lung
from ctfast.errors import missing_extra

Mask = NDArray[np.bool_]

BODY_HU: Final = -500.0
"""Halfway between air and water: a pixel on a border counts as what fills most of it."""
CLUSTER_HU: Final = -100.0
"""Just above fat; a pixel that lung shares with a thin vessel stays below."""
CLUSTER_MM: Final = (6.0, 30.0)
"""Smallest and largest diameter of a cluster; the flag's rule names the sources."""
_ASSUMED_MM: Final = 360.0
"""How wide the image is, for files that do not say: a body in 512 columns of 0.7 mm, or resized to any other number."""
# Labelling the parts takes most of the time of a slice; a cluster of 6 mm still has some 14 pixels at half the size.
_HALVE_FROM: Final = 256
_LUNG_SHARE: Final = 0.01
_BLOCK: Final = 8
_SOFT_HU: Final = (0, 100)
_FEWEST_BLOCKS: Final = 20


@dataclass(frozen=True)
class Regions:
    """The parts of one slice; masks are at ``every``-th row and column."""

    body: Mask
    lung: Mask
    every: int
    clusters_mm: tuple[float, ...]
    """Equivalent diameters of isolated dense clusters in lung, largest first, in mm."""
    dense_mm: tuple[float, ...]
    """Equivalent diameters of larger dense regions that reach into a lung, largest first; see ``dense_in_lung``."""


def assumed_spacing(shape: tuple[int, ...]) -> tuple[float, float]:
    """Row and column spacing in mm of an image ``(..., H, W)`` whose file tells none."""
    mm = _ASSUMED_MM / max(shape[-2:])
    return mm, mm


def find_regions(hu: NDArray[Any], spacing: tuple[float, float] | None) -> Regions:
    """Body, lungs and clusters of a slice ``(H, W)`` in HU; every second row and column from 256 x 256 pixels on."""
    every = 2 if min(hu.shape) >= _HALVE_FROM else 1
    small = hu[::every, ::every]
    body = body_mask(small)
    lung = _lungs(small, body)
    rows, columns = spacing or assumed_spacing(hu.shape)
    distances = rows * every, columns * every
    return Regions(body, lung, every, _clusters(small, lung, *distances), dense_in_lung(small, lung, *distances))


def body_mask(hu: NDArray[Any]) -> Mask:
    """The largest connected part above -500 HU, with everything that it encloses."""
    label = _labeller()
    parts, number = label(hu > BODY_HU)
    if not number:
        return np.zeros(hu.shape, bool)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0  # the background is no part
    # What is around the body reaches the border of the image; what it encloses (lungs, bowel gas) does not.
    around, _ = label(parts != sizes.argmax())
    return ~np.isin(around, _at_border(around))


def _lungs(hu: NDArray[Any], body: Mask) -> Mask:
    """Parts of the body below -500 HU that are each at least 1 % of it, which leaves out trachea and bowel gas."""
    parts, number = _labeller()(body & (hu < BODY_HU))
    if not number:
        return np.zeros(hu.shape, bool)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return (sizes >= _LUNG_SHARE * body.sum())[parts] & (parts > 0)


def _clusters(hu: NDArray[Any], lung: Mask, row_mm: float, column_mm: float) -> tuple[float, ...]:
    """Holes in the lung mask whose mean is above -100 HU, 6 to 30 mm across, compact rather than drawn out."""
    if not lung.any():
        return ()
    label = _labeller()
    # Whatever is not lung and not joined to the border lies inside a lung: vessels that run to the hilum drop out here.
    outside, _ = label(~lung)
    holes, number = label(~lung & ~np.isin(outside, _at_border(outside)))
    if not number:
        return ()
    from scipy import ndimage

    sizes = np.bincount(holes.ravel())
    sums = np.bincount(holes.ravel(), weights=hu.ravel())
    result = []
    for number, box in enumerate(ndimage.find_objects(holes), 1):
        area = float(sizes[number] * row_mm * column_mm)
        diameter = 2 * math.sqrt(area / math.pi)
        height, width = ((s.stop - s.start) * mm for s, mm in zip(box, (row_mm, column_mm), strict=True))
        # A disc fills 79 % of its box; vessels along the slice are long, or lie across their box.
        compact = max(height, width) <= 2 * min(height, width) and area >= 0.5 * height * width
        if CLUSTER_MM[0] <= diameter <= CLUSTER_MM[1] and compact and sums[number] / sizes[number] > CLUSTER_HU:
            result.append(round(diameter, 2))
    return tuple(sorted(result, reverse=True))


def _at_border(parts: NDArray[Any]) -> NDArray[Any]:
    """Labels that touch the border of the image."""
    edge = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    return edge[edge > 0]


def _labeller() -> Any:
    try:
        from scipy import ndimage
    except ImportError as error:
        raise missing_extra("connected components need scipy", "report") from error
    return ndimage.label


def noise_sd(hu: NDArray[Any]) -> float | None:
    """Noise in HU: the most frequent standard deviation of 8 x 8 blocks of soft tissue (mean 0 to 100 HU).

    Source: the global noise level of Christianson et al., "Automated technique to measure noise in clinical CT
    examinations", AJR 205 (2015), simplified to blocks. None where fewer than 20 blocks are soft tissue.
    """
    height, width = (n - n % _BLOCK for n in hu.shape)
    if not height or not width:
        return None
    blocks = hu[:height, :width].reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).astype(np.float32)
    mean = blocks.mean(axis=(1, 3))
    with np.errstate(invalid="ignore"):
        soft = (mean >= _SOFT_HU[0]) & (mean <= _SOFT_HU[1])
    if int(soft.sum()) < _FEWEST_BLOCKS:
        return None
    chosen = blocks.transpose(0, 2, 1, 3)[soft]
    deviations = chosen.reshape(len(chosen), -1).std(axis=1)
    # Blocks across an edge deviate more than noise does, so the peak of the distribution counts, not its mean: bins of
    # 1 HU, smoothed over three, then the mean of the deviations under the peak.
    counts = np.bincount(np.minimum(deviations, 499).astype(np.int64), minlength=3)
    peak = int(np.convolve(counts, (1, 1, 1), mode="same").argmax())
    near = deviations[(deviations >= peak - 1) & (deviations < peak + 2)]
    return float(near.mean())
