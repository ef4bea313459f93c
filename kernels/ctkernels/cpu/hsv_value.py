"""The value of colours (HSV) taken out and another put in its place, as scikit-image's conversions compute it.

Bit for bit what ``skimage.color.rgb2hsv``, a new ``V`` and ``hsv2rgb`` give, in the images' own precision and order of
operations, but a pixel at a time: hue and saturation are never written. Not an operation of the contract: it serves
``ctfast.compat.skimage`` alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit


@jit
def value_of(rgb, out):
    """The largest of the three numbers of each colour ``(n, 3)`` to ``out``; NaN where one is."""
    for i in range(out.size):
        red, green, blue = rgb[i, 0], rgb[i, 1], rgb[i, 2]
        most = red if red > green else green
        most = most if most > blue else blue
        known = red == red and green == green and blue == blue
        out[i] = most if known else most - most + (red + green + blue)


@jit
def with_value(rgb, value, out):
    """Colours ``(n, 3)`` with the hue and saturation of ``rgb`` and this value."""
    number = rgb.dtype.type
    one, two, four, six, zero = number(1), number(2), number(4), number(6), number(0)
    for i in range(value.size):
        red, green, blue = rgb[i, 0], rgb[i, 1], rgb[i, 2]
        most = max(red, green, blue)
        delta = most - min(red, green, blue)
        hue = saturation = zero
        if delta != zero:
            saturation = delta / most
            if blue == most:  # of equal ones the last counts
                hue = four + (red - green) / delta
            elif green == most:
                hue = two + (blue - red) / delta
            else:
                hue = (green - blue) / delta
            hue = hue / six
            hue = hue if hue >= zero else hue + one  # hue % one, which calls the C library
        sixth = np.floor(hue * six)
        f = hue * six - sixth
        v = value[i]
        p = v * (one - saturation)
        q = v * (one - f * saturation)
        t = v * (one - (one - f) * saturation)
        side = np.int64(sixth) if sixth < six else np.int64(0)
        out[i, 0] = (v, q, p, p, t, v)[side]
        out[i, 1] = (t, v, v, q, p, p)[side]
        out[i, 2] = (p, p, t, v, v, q)[side]


def of_colours(rgb: NDArray) -> NDArray:
    """``(H, W)`` of floats ``(H, W, 3)``."""
    out = np.empty(rgb.shape[:2], rgb.dtype)
    value_of(rgb.reshape(-1, 3), out.reshape(-1))
    return out


def replaced(rgb: NDArray, value: NDArray) -> NDArray:
    """``(H, W, 3)`` with another value of its dtype, ``(H, W)``."""
    out = np.empty(rgb.shape, rgb.dtype)
    with_value(rgb.reshape(-1, 3), value.reshape(-1), out.reshape(-1, 3))
    return out
