"""Which stored value padding pixels have, as far as a header that other software rewrote still says it.

Pixel Padding Value has two bytes, read as signed or unsigned like the pixels (PS3.3 C.7.5.1.1.2). Software that changes
the pixels' type leaves it as it was, or cuts it off: SimpleITK's copies have 32 bits with the padding of 16, or 32767
for what was 63536.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ctfast.files._dicom_layout import Layout
from ctfast.files._dicom_tags import number_or_none

_WORD: Final = 1 << 16
LOWEST_HU: Final = -1100.0
"""Air is -1000: what lies below, at one single value, is no tissue."""
FEWEST: Final = 0.005
"""Share of the pixels: a few are noise."""


def declared(ds: Any, keyword: str, lay: Layout) -> int | None:
    """A padding tag as the pixels would hold it: PS3.3 gives it their representation, writers do not."""
    number = number_or_none(ds, keyword)
    if number is None or lay.keyword != "PixelData":
        return None
    value = int(number) % (1 << lay.allocated)
    return value - (1 << lay.allocated) if lay.signed and value >= 1 << (lay.allocated - 1) else value


def of_sixteen_bits(raw: np.ndarray, padding: int | None, lay: Layout) -> int | None:
    """The padding of pixels that were widened to 32 bits: read as signed, where only that value is in the image."""
    if padding is None or not (lay.signed and lay.allocated == 32 and _WORD // 2 <= padding < _WORD):
        return padding
    signed = padding - _WORD
    return signed if _holds(raw, signed) and not _holds(raw, padding) else padding


def lost(pixels: np.ndarray, padding: tuple[float, float] | None, units: str) -> float | None:
    """The value that stands for padding where no pixel has a declared one; None where nothing speaks for one.

    Args:
        pixels: Rescaled.
        padding: Lowest and highest value as declared, rescaled; None where the file declares none.
        units: Of the pixels; only HU, or what may be HU, tell what is no tissue.
    """
    if padding is None or units not in ("hu", "US") or _holds_any(pixels, *padding):
        return None
    low = pixels[pixels < LOWEST_HU]
    return float(low[0]) if low.size > FEWEST * pixels.size and bool((low == low[0]).all()) else None


def made_one(pixels: np.ndarray, stored: np.ndarray, padding: int, limit: int | None) -> float | None:
    """Give all padding the darkest value that any of it has, where no single line leads from stored values to pixels.

    Args:
        pixels: changed.
        stored: what they were made from.
        padding: stored value.
        limit: of the other end of a range.

    Returns:
        That value; None where no pixel is padding.
    """
    last = padding if limit is None else limit
    held = (stored >= min(padding, last)) & (stored <= max(padding, last))
    if not held.any():
        return None
    darkest = pixels[held].min()
    pixels[held] = darkest
    return float(darkest)


def _holds(pixels: np.ndarray, value: float) -> bool:
    # Nearly every padded image has it in its corner, so the others are not asked.
    return bool(pixels.flat[0] == value) or bool((pixels == value).any())


def _holds_any(pixels: np.ndarray, low: float, high: float) -> bool:
    return _holds(pixels, low) or (low < high and bool(((pixels > low) & (pixels <= high)).any()))
