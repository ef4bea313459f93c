"""CLAHE of images and volumes in compiled code."""

# mypy: disable-error-code="attr-defined,no-untyped-call,no-untyped-def"
# Numba infers the types of what is compiled, and has none of its own.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba.core import types
from numba.core.errors import TypingError

from ctfast.embed._numba_arguments import image_dtype, is_none, kind_of, result_dtype
from ctfast.embed._numba_shapes import as_pixels, as_volumes, part
from ctkernels.cpu import within_jit, within_jit_clahe, within_jit_clahe_volumes

_LEVELS: Final = {"f": np.float32, 1: np.uint8, 2: np.uint16}
_GRIDS: Final = {
    1: part(lambda tiles: (np.int64(tiles), np.int64(tiles))),
    2: part(lambda tiles: (np.int64(tiles[0]), np.int64(tiles[1]))),
    3: part(lambda tiles: (np.int64(tiles[0]), np.int64(tiles[1]), np.int64(tiles[2]))),
}
"""Tiles along each axis, of one number or as many as there are axes."""


def clahe(
    image: Any, clip_limit: Any = 2.0, tile_grid: Any = (8, 8), nbins: Any = 256, value_range: Any = None,
    axes: Any = None, out: Any = None, backend: Any = None,
) -> Any:  # fmt: skip
    """All of it."""
    pixel = image_dtype(image, "clahe", axes, backend)
    if pixel is None:
        return None
    if result_dtype("clahe", pixel, None, out) != pixel:
        raise TypingError(f"ctfast.clahe: out= of {out}: {pixel} is needed")
    several = isinstance(tile_grid, types.BaseTuple | tuple) or isinstance(getattr(tile_grid, "value", None), tuple)
    number = len(getattr(tile_grid, "value", tile_grid)) if several else 2
    if number not in (2, 3) or image.ndim < number:
        raise TypingError(f"ctfast.clahe: tile_grid of {number} axes of an image of {image.ndim}: 2 or 3 are allowed")
    kind = kind_of(pixel)
    level = kind_of(_LEVELS["f" if pixel.kind == "f" else pixel.itemsize if number == 2 else 2])
    own, unsigned = is_none(value_range), pixel.kind == "u"
    top = float(np.iinfo(pixel).max) if unsigned else 0.0
    most = float(np.finfo(pixel).max) if pixel.kind == "f" else np.inf
    shaped = as_volumes if number == 3 else as_pixels
    grid_of = _GRIDS[number if several else 1]
    images, own_images = (
        (within_jit_clahe_volumes.clahe_volumes, within_jit_clahe_volumes.clahe_volumes_own_bins)
        if number == 3
        else (within_jit_clahe.clahe_images, within_jit_clahe.clahe_own_bins)
    )

    def run(image, clip_limit=2.0, tile_grid=(8, 8), nbins=256, value_range=None, axes=None, out=None, backend=None):
        grid = grid_of(tile_grid)
        made = within_jit.place(image, out, kind)
        x, result = shaped(image), shaped(made)
        known = 2 <= nbins <= 65536 and clip_limit >= 0
        for k in range(number):
            known &= 1 <= grid[k] <= x.shape[x.ndim - number + k]
        if not known:
            raise ValueError(
                "ctfast.clahe: tiles that the image holds, 2 to 65,536 bins and a limit from 0 are allowed"
            )
        if unsigned and own and nbins == top + 1:
            own_images(x, result, grid, clip_limit, np.int64(nbins), level)
            return made
        low, high = (
            (0.0 if unsigned else np.nan, top)
            if own
            else (max(np.float64(value_range[0]), -most), min(np.float64(value_range[1]), most))
        )
        images(x, result, grid, clip_limit, np.int64(nbins), low, high, level)
        return made

    return run
