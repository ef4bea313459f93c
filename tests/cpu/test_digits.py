"""Keys of pixels in order, against NumPy's stable sort."""

from __future__ import annotations

import numpy as np
import pytest

from ctkernels.cpu._core import digits
from ctkernels.cpu._histogram.order import in_order


@pytest.mark.parametrize("bits", [16, 32, 64])
@pytest.mark.parametrize("size", [0, 1, 5000])
def test_keys_are_sorted_as_numpy_sorts(bits: int, size: int) -> None:
    keys = np.random.default_rng(bits).integers(0, 1 << bits, size, np.uint64, endpoint=False)
    keys[: size // 5] = keys[:1]
    for every in (keys, keys % 7, keys % 2 + (1 << (bits - 1)), np.zeros_like(keys)):
        found, places = digits.in_order(every.copy(), bits)
        np.testing.assert_array_equal(found, np.sort(every))
        np.testing.assert_array_equal(places, np.argsort(every, kind="stable"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_order_of_floats_is_that_of_numpy(dtype: type) -> None:
    """Both zeros, both signs of NaN, infinities and subnormal numbers among the rest."""
    pixels = np.random.default_rng(3).normal(0, 500, 5000).astype(dtype)
    pixels[:10] = [-0.0, 0.0, np.nan, -np.nan, np.inf, -np.inf, 1e-42, -1e-42, -5, np.nextafter(dtype(-5), dtype(0))]
    found, places = in_order(pixels)
    np.testing.assert_array_equal(found, np.sort(pixels))
    np.testing.assert_array_equal(pixels[places], found)
    np.testing.assert_array_equal(np.sort(places), np.arange(pixels.size))
