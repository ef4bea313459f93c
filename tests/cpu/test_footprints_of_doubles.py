"""Ranks of doubles with fractions by registers, by halves and by ranks: the same bits as integers of 64 bits."""

from __future__ import annotations

import numpy as np
import pytest

import ctfast
from ctkernels.cpu._median import footprint_ranks, halves, selection
from ctkernels.testing import assert_exact

ndimage = pytest.importorskip("scipy.ndimage")

RNG = np.random.default_rng(17)
SHAPE = (2, 29, 43)


def keys_of(x: np.ndarray) -> np.ndarray:
    """Integers that sort as doubles do: -0 below 0, NaN of any sign last."""
    bits = x.view(np.int64)
    keys = bits ^ ((bits >> 63) & np.int64(2**63 - 1))
    return np.where(np.isnan(x), np.int64(2**63 - 1), keys)


def expected(x: np.ndarray, rank: int, footprint: np.ndarray, mode: str = "reflect", cval: float = 0.0) -> np.ndarray:
    """Keys of the rank around each pixel of images, which SciPy gives for integers that it holds as doubles exactly."""
    order, places = np.unique(np.append(keys_of(x), keys_of(np.full(1, cval))), return_inverse=True)
    numbers = places[:-1].reshape(x.shape).astype(np.float64)
    found = [
        ndimage.rank_filter(image, rank, footprint=footprint, mode=mode, cval=float(places[-1])) for image in numbers
    ]
    return order[np.array(found).astype(int)]


def window(pixels: int, shape: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask.reshape(-1)[RNG.permutation(mask.size)[:pixels]] = True
    return mask


KINDS = {
    "fractions": RNG.normal(40, 300, SHAPE),
    "NaN and -0": np.where(
        RNG.random(SHAPE) < 0.1, np.nan, np.where(RNG.random(SHAPE) < 0.3, -0.0, RNG.normal(0, 1, SHAPE))
    ),
    "equal upper halves": 1 + RNG.integers(0, 2**31, SHAPE) * 2.0**-52,
    "some equal upper halves": np.where(
        RNG.random(SHAPE) < 0.03, 1 + RNG.random(SHAPE) * 2.0**-22, RNG.normal(1, 9, SHAPE)
    ),
    "both signs": np.copysign(1 + RNG.integers(0, 9, SHAPE) * 2.0**-50, RNG.normal(0, 1, SHAPE)),
}
WINDOWS = {
    "few": window(9, (3, 5)),
    "most in registers": window(selection.MOST_PIXELS["d"], (9, 9)),
    "halves": window(selection.MOST_PIXELS["d"] + 12, (8, 9)),
    "ranks": window(120, (15, 15)),
}


def test_each_way_is_taken() -> None:
    found = {}
    for name, mask in WINDOWS.items():
        pixels = tuple(
            sorted((0, y - mask.shape[0] // 2, x - mask.shape[1] // 2) for y, x in np.argwhere(mask).tolist())
        )
        sides = (1, *SHAPE[1:])
        found[name] = [
            bool(footprint_ranks.rows_at_once(sides, np.dtype("f8"), pixels, len(pixels) // 2)),
            selection.bind(sides, np.dtype("f8"), pixels, 0, "reflect", 0.0) is not None,
            halves.bind(sides, pixels, 0, "reflect", 0.0) is not None,
        ]
    few, many = [False, True, True], [False, False, True]
    assert found == {"few": few, "most in registers": few, "halves": many, "ranks": [True, False, True]}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WINDOWS)
def test_bits(name: str, kind: str) -> None:
    x, mask = KINDS[kind], WINDOWS[name]
    ones = int(mask.sum())
    for mode, cval in (("reflect", 0.0), ("constant", 0.5), ("constant", -0.0), ("constant", 1e300)):
        for rank in {ones // 2, 0, ones - 1, ones // 5}:
            found = ctfast.rank_filter(x, rank, footprint=mask, mode=mode, cval=cval)
            assert_exact(keys_of(found), expected(x, rank, mask, mode, cval), f"{mode} {cval} {rank}")


@pytest.mark.parametrize("pixels", [2, 3, 4, 5, 6, 7, 8, 13, 24, 31])
def test_every_rank_in_registers(pixels: int) -> None:
    mask, x = window(pixels, (6, 7)), RNG.normal(0, 1, (1, 17, 23))
    for rank in range(pixels):
        found = ctfast.rank_filter(x, rank, footprint=mask, mode="mirror")
        assert_exact(found[0], ndimage.rank_filter(x[0], rank, footprint=mask, mode="mirror"), str(rank))


@pytest.mark.parametrize("char", "BHhfd")
def test_few_pixels_as_they_are(char: str) -> None:
    x = RNG.normal(0, 300, (1, 19, 201))
    x = x.astype(char) if char in "fd" else RNG.integers(0, np.iinfo(char).max, x.shape, dtype=char, endpoint=True)
    for pixels in (3, selection.MOST_PIXELS[char]):
        mask = window(pixels, (6, 7))
        for rank in (pixels // 2, pixels // 4):
            for mode in ("constant", "wrap"):
                found = ctfast.rank_filter(x, rank, footprint=mask, mode=mode, cval=7.0)
                assert_exact(found[0], ndimage.rank_filter(x[0], rank, footprint=mask, mode=mode, cval=7.0), str(rank))


@pytest.mark.parametrize("width", [1, 3, 4, 5, 7, 8, 9, 12])
def test_narrow_images(width: int) -> None:
    for mask in WINDOWS.values():
        x = RNG.normal(0, 1, (31, width))
        found = ctfast.median_filter(x, footprint=mask, mode="wrap")
        wide = np.pad(x, 20, mode="wrap")
        assert_exact(found, ndimage.median_filter(wide, footprint=mask)[20:-20, 20:-20], str(mask.shape))


def test_volumes() -> None:
    x = RNG.normal(0, 1, (6, 19, 21))
    for shape, share in (((3, 3, 3), 0.5), ((2, 5, 4), 0.9), ((5, 7, 7), 0.6)):
        mask = RNG.random(shape) < share
        found = ctfast.median_filter(x, footprint=mask, mode="nearest")
        assert_exact(found, ndimage.median_filter(x, footprint=mask, mode="nearest"), str(shape))
