"""Decoded values of a DICOM image to the bits that its header calls stored, padding among them.

Source: DICOM PS3.5 8.1 (bits allocated, bits stored, high bit), PS3.3 C.7.5.1.1.2 (pixel padding).
"""

from __future__ import annotations

import numpy as np

from ctfast.files._dicom_layout import Layout


def drop_unused_bits(
    raw: np.ndarray, lay: Layout, padding: int | None, limit: int | None
) -> tuple[np.ndarray, int | None]:
    """Keep the stored bits: mask those above (overlays, junk), shift down those below, extend the sign.

    Some scanners mark padding with a value that the stored bits cannot hold (63536 in a 12-bit image), or with the
    largest one. It would be the brightest value of the image, and bright padding is taken for tissue, so such pixels
    get one less than the darkest value that the stored bits can hold.

    Args:
        raw: Integers of ``lay.allocated`` bits.
        lay: Bits stored and high bit.
        padding: Pixel Padding Value in the representation of ``raw``.
        limit: Pixel Padding Range Limit likewise: all values up to it are padding.

    Returns:
        The stored values, and the padding value among them.
    """
    if raw.dtype.kind == "f" or raw.dtype.itemsize * 8 != lay.allocated:
        return raw, padding
    kept = raw if _holds_no_more(raw, lay) else _stored_bits(raw, lay)
    if padding is None or not _is_brightest(padding, lay):
        return kept, padding
    # A range to the other end would be all of the image: its limit is in another signedness, or wrong.
    last = padding if limit is None or _is_upper(limit, lay) != _is_upper(padding, lay) else limit
    beyond = (kept >= min(padding, last)) & (kept <= max(padding, last))
    if outside := [value for value in (padding, last) if not _is_storable(value, lay)]:
        beyond |= (raw >= min(outside)) & (raw <= max(outside))
    if not beyond.any():
        return kept, padding
    wide = np.int32 if lay.allocated < 32 else np.int64
    return np.where(beyond, wide(lay.below), kept.astype(wide)), lay.below


def _holds_no_more(raw: np.ndarray, lay: Layout) -> bool:
    """Whether no bit is set beyond those that are stored: two looks at the pixels, half of what masking them takes."""
    if lay.allocated == lay.stored:
        return True
    lowest = -(1 << (lay.stored - 1)) if lay.signed else 0
    plain = lay.high_bit + 1 == lay.stored and (raw.dtype.kind == "i") == lay.signed
    return plain and int(raw.min()) >= lowest and int(raw.max()) < lowest + (1 << lay.stored)


def _stored_bits(raw: np.ndarray, lay: Layout) -> np.ndarray:
    spare, shift = lay.allocated - lay.stored, lay.high_bit + 1 - lay.stored
    word = raw.dtype.str[1:].replace("i", "u")
    bits = raw.view(word)
    if lay.signed:
        extended: np.ndarray = np.left_shift(bits, spare - shift).view(raw.dtype.str[1:].replace("u", "i")) >> spare
        return extended
    return (bits >> shift) & np.array((1 << lay.stored) - 1, word)


def may_be_padding(value: int, lay: Layout) -> bool:
    """Whether a padding value can stay what it is."""
    return not _is_brightest(value, lay)


def _is_brightest(value: int, lay: Layout) -> bool:
    """Whether a padding value is the brightest that can be stored, or lies beyond what can."""
    return not (_is_storable(value, lay) and (lay.white_is_low or _is_storable(value + 1, lay)))


def _is_storable(value: int, lay: Layout) -> bool:
    lowest = lay.below + 1
    return lowest <= value < lowest + (1 << lay.stored)


def _is_upper(value: int, lay: Layout) -> bool:
    """Whether a value lies in the upper half of what can be stored, or above."""
    return value >= (0 if lay.signed else 1 << (lay.stored - 1))
