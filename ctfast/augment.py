"""Random changes of images and their masks, on arrays: what ``ctfast train`` does to its slices, for any training.

>>> from ctfast.augment import Augmentation, augment
>>> changed, masks = augment(slices, masks, settings=Augmentation(rotation=10, shift=0.05), seed=0, cval=-1024)

Arrays of NumPy or CuPy, ``(H, W)`` or ``(N, H, W)``; results are new, of the same kind, shape and dtype. What happens
to an image comes from the seed and its number alone, never from the batch or the device. Masks go through the same
moves with the nearest neighbour, so that no new label appears; their values are never brightened.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ctfast.errors import ArgumentError, DTypeError, ShapeError
from ctfast.model.config import Augmentation

__all__ = ["Augmentation", "Change", "adjust", "augment", "change_of", "flip", "move"]


_ROUNDING: Final = 1e-3
"""How far interpolation may leave 0 to 1."""


@dataclass(frozen=True)
class Change:
    """What happens to one image, drawn by ``change_of``.

    Attributes:
        flip_rows: Whether the order of rows is turned round.
        flip_columns: Likewise for columns.
        quarter_turns: 0 to 3, counter-clockwise as in ``numpy.rot90``.
        angle: Degrees, clockwise as shown with the first row on top: ``scipy.ndimage.rotate(image, -angle)``.
        shift: Rows and columns that the content moves by.
        factor: Values are multiplied by it,
        offset: then this is added, in units of the value range,
        noise: and Gaussian noise of this standard deviation, in the same units.
    """

    flip_rows: bool = False
    flip_columns: bool = False
    quarter_turns: int = 0
    angle: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    factor: float = 1.0
    offset: float = 0.0
    noise: float = 0.0


def change_of(settings: Augmentation, size: tuple[int, int], seed: int, number: int = 0) -> Change:
    """What happens to image ``number`` of ``size`` rows and columns; the same for the same arguments."""
    u = np.random.default_rng([seed, number]).uniform(size=9)
    signed = 2 * u - 1
    return Change(
        flip_rows=bool(u[0] < 0.5) and settings.flip_vertical,
        flip_columns=bool(u[1] < 0.5) and settings.flip_horizontal,
        quarter_turns=int(u[2] * 4) if settings.rot90 else 0,
        angle=float(signed[3] * settings.rotation),
        shift=(float(signed[4] * settings.shift * size[0]), float(signed[5] * settings.shift * size[1])),
        factor=float(1 + signed[6] * settings.contrast),
        offset=float(signed[7] * settings.brightness),
        noise=float(u[8] * settings.noise),
    )


def augment(
    images: Any,
    masks: Any = None,
    *,
    settings: Augmentation,
    seed: int,
    numbers: Sequence[int] | None = None,
    value_range: tuple[float, float] | None = None,
    cval: float | None = None,
    mask_cval: int = 0,
) -> Any:
    """Images, each changed by its own draw; with masks, both, changed alike.

    Args:
        images: ``(H, W)`` or ``(N, H, W)``, any integer or floating dtype; in HU as well.
        masks: Of the same shape, integers or booleans; None: none.
        settings: What may happen.
        seed: Another seed (such as seed plus epoch), other changes.
        numbers: The images' numbers in their set, so that an image changes alike in any batch; default: 0, 1, 2, ...
        value_range: What ``brightness``, ``contrast`` and ``noise`` count in: brightness 0.05 of (-1024, 1024) adds up
            to 102 HU; contrast multiplies about its lower end. Values that these change stay within it. Default: 0 to
            1, for images whose values are.
        cval: What moves in from outside; default: the lower end of ``value_range``.
        mask_cval: Likewise for masks.

    Raises:
        ArgumentError: Quarter turns of images that are not square; numbers that do not fit; images whose values are
            not 0 to 1, or below 0, without the ``value_range`` or ``cval`` that is needed; a ``cval`` or ``mask_cval``
            that the dtype can't hold.
        DTypeError, ShapeError: For what are no images, or masks that do not fit them.
    """
    batch, several = _checked("images", images)
    if settings.rot90 and batch.shape[1] != batch.shape[2]:
        raise ArgumentError(f"rot90 needs square images, these are {batch.shape[1:]}: leave it out, or use flips")
    each = range(len(batch)) if numbers is None else list(numbers)
    if len(each) != len(batch):
        raise ArgumentError(f"{len(each)} numbers for {len(batch)} images: one each is needed")
    span = (0.0, 1.0) if value_range is None else value_range
    fill = span[0] if cval is None else cval
    _check_fill("cval", fill, batch.dtype)
    if value_range is None:
        _check_default(batch, settings, fill_is_given=cval is not None)
    changes = [change_of(settings, batch.shape[1:], seed, int(number)) for number in each]
    made = batch.copy()
    for k, change in enumerate(changes):
        moved = move(flip(batch[k], change), change, cval=fill)
        made[k] = adjust(moved, change, value_range=span, seed=seed, number=int(each[k]))
    result = made if several else made[0]
    if masks is None:
        return result
    labels, _ = _checked("masks", masks)
    if labels.shape != batch.shape or labels.dtype.kind not in "bui":
        raise ShapeError(
            f"masks of shape {labels.shape}, {labels.dtype}, for images of {batch.shape}: the same shape, and integers "
            "or booleans, are needed"
        )
    _check_fill("mask_cval", mask_cval, labels.dtype)
    drawn = labels.copy()
    for k, change in enumerate(changes):
        drawn[k] = move(flip(labels[k], change), change, cval=mask_cval, nearest=True)
    return result, drawn if several else drawn[0]


def flip(image: Any, change: Change) -> Any:
    """The flips and quarter turns of a change: the same pixels in other places."""
    image = image[::-1] if change.flip_rows else image
    image = image[:, ::-1] if change.flip_columns else image
    return _namespace(image).rot90(image, change.quarter_turns) if change.quarter_turns else image


def move(image: Any, change: Change, *, cval: float = 0.0, nearest: bool = False) -> Any:
    """Turned about the centre by ``angle``, then moved by ``shift``; bilinear, or the nearest pixel for masks.

    The same as ``scipy.ndimage.affine_transform`` with ``order=1, mode="grid-constant"``; integers are rounded.
    """
    if change.angle == 0 and change.shift == (0.0, 0.0):
        return image
    xp = _namespace(image)
    rows, columns = image.shape
    radians = np.deg2rad(change.angle)
    cos, sin = float(np.cos(radians)), float(np.sin(radians))
    y = xp.arange(rows, dtype=np.float64)[:, None] - (rows - 1) / 2 - change.shift[0]
    x = xp.arange(columns, dtype=np.float64)[None, :] - (columns - 1) / 2 - change.shift[1]
    source = (cos * y - sin * x + (rows - 1) / 2, sin * y + cos * x + (columns - 1) / 2)
    if nearest:
        padded = xp.pad(image, 1, constant_values=cval)
        at = [xp.clip(xp.rint(s) + 1, 0, n + 1).astype(np.int64) for s, n in zip(source, image.shape)]
        return padded[at[0], at[1]]
    padded = xp.pad(image.astype(np.float64), ((1, 2), (1, 2)), constant_values=cval)
    y, x = (xp.clip(s + 1, 0, n + 1) for s, n in zip(source, image.shape))
    top, left = xp.floor(y).astype(np.int64), xp.floor(x).astype(np.int64)
    down, right = y - top, x - left
    above = padded[top, left] * (1 - right) + padded[top, left + 1] * right
    below = padded[top + 1, left] * (1 - right) + padded[top + 1, left + 1] * right
    return _as_dtype(above * (1 - down) + below * down, image.dtype)


def adjust(
    image: Any, change: Change, *, value_range: tuple[float, float] = (0.0, 1.0), seed: int = 0, number: int = 0
) -> Any:
    """Contrast, brightness and noise of a change; values stay within ``value_range`` where anything is changed."""
    if change.factor == 1 and change.offset == 0 and change.noise == 0:
        return image
    xp, (low, high) = _namespace(image), value_range
    values = (image.astype(np.float64) - low) * change.factor + low + change.offset * (high - low)
    if change.noise:
        # Drawn on the host, so that a GPU gives the same numbers.
        noise = np.random.default_rng([seed, number, 1]).normal(0, change.noise * (high - low), image.shape)
        values = values + xp.asarray(noise)
    return _as_dtype(xp.clip(values, low, high), image.dtype)


def _checked(name: str, array: Any) -> tuple[Any, bool]:
    """``(N, H, W)``, and whether a batch came in."""
    if getattr(array, "ndim", 0) not in (2, 3):
        raise ShapeError(f"{name} of shape {np.shape(array)}: (H, W) or (N, H, W) is needed")
    if array.dtype.kind not in "buif":
        raise DTypeError(f"{name} of dtype {array.dtype}: integers or floating numbers are allowed")
    return (array, True) if array.ndim == 3 else (array[None], False)


def _check_fill(name: str, value: float, dtype: Any) -> None:
    """Refuse what integers would turn into another value: -1 in uint8 is 255, NaN anything."""
    if dtype.kind == "f":
        return
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if not low <= value <= high:
        raise ArgumentError(f"{name}={value!r}: {dtype} holds {low} to {high}")


def _check_default(images: Any, settings: Augmentation, *, fill_is_given: bool) -> None:
    """Refuse values, such as HU, that the default range would clip, and next to which 0 is not dark."""
    if not images.size:
        return
    xp = _namespace(images)
    low, high = float(xp.nanmin(images)), float(xp.nanmax(images))
    if (settings.brightness or settings.contrast or settings.noise) and (low < -_ROUNDING or high > 1 + _ROUNDING):
        raise ArgumentError(
            f"images with values from {low:g} to {high:g}: brightness, contrast and noise need their value_range, such "
            "as value_range=(-1024, 3071) for HU"
        )
    if (settings.rotation or settings.shift) and low < -_ROUNDING and not fill_is_given:
        raise ArgumentError(
            f"images with values from {low:g} on: 0 would move in from outside; give cval, such as cval=-1024 for HU, "
            "or value_range"
        )


def _as_dtype(values: Any, dtype: Any) -> Any:
    if dtype.kind == "f":
        return values.astype(dtype)
    if dtype.kind == "b":
        return values >= 0.5
    limits = np.iinfo(dtype)
    return _namespace(values).clip(_namespace(values).rint(values), limits.min, limits.max).astype(dtype)


def _namespace(array: Any) -> Any:
    """NumPy, or CuPy where the array is CuPy's."""
    cupy = sys.modules.get("cupy")
    return cupy if isinstance(array, getattr(cupy, "ndarray", ())) else np
