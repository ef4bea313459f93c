"""Uncompressed TIFF slices, many of them one after the other: what ``write_image`` writes, put together from what the
slices before had in common."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from ctfast.files._tiff_write import plain_head
from ctfast.files.formats import written
from ctfast.files.geometry import Geometry
from ctfast.files.image import MetaValue, Units, WriteOptions
from ctfast.files.writing import Padding, checked_options

_MOST_KINDS: Final = 256


class _Kind(NamedTuple):
    """What slices of one kind have in common: how they are written, and their text around the place in the patient."""

    options: WriteOptions
    before: str
    after: str
    heads: dict[int, tuple[bytes, bytes] | None]
    """What stands around texts of a length; None where no head is made."""


class PlainWriter:
    """Heads of files whose pixels come behind them as they are.

    Args:
        description: as for ``write_image``.
    """

    def __init__(self, description: Mapping[str, MetaValue]) -> None:
        self._description = description
        self._kinds: dict[Any, _Kind | None] = {}

    def head(
        self,
        pixels: np.ndarray,
        units: Units,
        spacing: tuple[float, float] | None,
        geometry: Geometry | None,
        padding: Padding = None,
    ) -> bytes | None:
        """What stands in front of these pixels, C-contiguous; None where ``write_image`` has to write them.

        Args:
            pixels: as for ``write_image``, and what follows.

        Raises:
            DTypeError, ShapeError, ArgumentError: as ``write_image`` does.
        """
        axes = None if geometry is None else tuple(row[:3] for row in geometry.affine)
        key = pixels.shape, pixels.dtype, units, spacing, axes, padding
        if key not in self._kinds:
            if len(self._kinds) >= _MOST_KINDS:
                self._kinds.clear()
            self._kinds[key] = self._kind(pixels, units, spacing, geometry, padding)
        kind = self._kinds[key]
        if kind is None:
            return None
        text = f"{kind.before}{'' if geometry is None else geometry.text()}{kind.after}"
        if len(text) not in kind.heads:
            head = plain_head(pixels.shape, pixels.dtype, text, kind.options)
            before, found, after = (head or b"").partition(text.encode("ascii"))
            kind.heads[len(text)] = (before, after) if found else None
        around = kind.heads[len(text)]
        return None if around is None else text.encode("ascii").join(around)

    def _kind(
        self,
        pixels: np.ndarray,
        units: Units,
        spacing: tuple[float, float] | None,
        geometry: Geometry | None,
        padding: Padding,
    ) -> _Kind | None:
        options = checked_options(
            Path("output.tif"), written("tiff"), pixels, units=units, spacing=spacing, padding=padding,
            geometry=geometry, description=self._description,
        )  # fmt: skip
        before, after = json.dumps(options.facts, allow_nan=False), ""
        if geometry is not None:
            before, _, after = before.partition(geometry.text())
        return None if pixels.ndim != 2 else _Kind(options, before, after, {})
