"""The histogram that ``match_histogram`` gives to images: values, how often each occurs, and the file that keeps both.

>>> reference = ctfast.ReferenceHistogram.of(scans, units="HU", source="chest, 40 patients")
>>> reference.save("chest.npz")
>>> ctfast.match_histogram(image, "chest.npz")

The file is an ``.npz`` of NumPy (a ZIP archive of arrays, nothing pickled):

==========  ============================================================================
format      the text ``ctfast reference histogram 1``
values      float64, rising: each value that occurs
counts      int64, above 0, as many: pixels of each value; their running sum is the CDF
units       text: what the values are, such as ``HU``; may be empty
source      text: where they are from; may be empty
==========  ============================================================================
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctfast.errors import ArgumentError

_FORMAT: Final = "ctfast reference histogram 1"
_MOST_VALUES: Final = 1 << 25
_LARGEST: Final = 1e290
"""Of a value: differences, and their slopes, stay finite."""


class ReferenceHistogram:
    """Values and how often each occurs; never changed, equal where these are.

    Args:
        values: finite, rising, each once.
        counts: how many pixels have each, whole numbers above 0.
        units: what the values are, such as ``"HU"``: told, not checked.
        source: where they are from, for people.

    Raises:
        ArgumentError: says which of them, and what is allowed.
    """

    def __init__(self, values: ArrayLike, counts: ArrayLike, *, units: str = "", source: str = "") -> None:
        self.values: NDArray[np.float64] = _values(values)
        self.counts: NDArray[np.int64] = _counts(counts, self.values.size)
        self.units, self.source = str(units), str(source)
        self.file: str | None = None
        """The file that holds it."""

    @classmethod
    def of(
        cls,
        images: Any,
        *,
        value_range: tuple[float | None, float | None] | None = None,
        units: str = "",
        source: str = "",
    ) -> ReferenceHistogram:
        """Of all pixels of an array, of what ``read_image`` gives, or of any number of them, one after the other.

        NaN and inf are left out, and what lies outside ``value_range`` (ends included; None leaves one open), such as
        padding. Of float images each value is kept: of many of them ``image.round()`` is as good and far smaller.
        """
        several = isinstance(images, Iterable) and not hasattr(images, "shape") and not hasattr(images, "pixels")
        values, counts = np.empty(0), np.empty(0, np.int64)
        for image in images if several else (images,):
            part, often = _counted(np.asarray(getattr(image, "pixels", image)))
            keep = np.isfinite(part)
            if value_range is not None:
                low, high = value_range
                keep &= (part >= (-np.inf if low is None else low)) & (part <= (np.inf if high is None else high))
            both, place = np.unique(np.concatenate((values, part[keep].astype(np.float64))), return_inverse=True)
            total = np.zeros(both.size, np.int64)
            np.add.at(total, place, np.concatenate((counts, often[keep])))
            values, counts = both, total
        if not values.size:
            raise ArgumentError("images without a pixel that counts: finite pixels within value_range are needed")
        return cls(values, counts, units=units, source=source)

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """The CDF: share of the pixels at or below each value, rising to 1."""
        running = np.cumsum(self.counts)
        shares: NDArray[np.float64] = running / running[-1]
        shares.setflags(write=False)
        return shares

    @cached_property
    def digest(self) -> str:
        """SHA-256 of values and counts, 64 hex digits."""
        hashed = hashlib.sha256(self.values.astype("<f8").tobytes())
        hashed.update(self.counts.astype("<i8").tobytes())
        return hashed.hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, whole or not at all."""
        from ctfast.batch.atomic import replacing

        with replacing(os.fspath(path), "wb") as file:
            np.savez_compressed(
                file,
                allow_pickle=False,
                format=np.array(_FORMAT),
                values=self.values,
                counts=self.counts,
                units=np.array(self.units),
                source=np.array(self.source),
            )
        self.file = os.path.abspath(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, digest: str | None = None) -> ReferenceHistogram:
        """What ``save`` wrote.

        Args:
            path: the file.
            digest: what its ``digest`` must be, such as that of the pipeline that names it.

        Raises:
            ArgumentError: no such file, another file, or another digest.
        """
        try:
            held = _arrays(path)
            found = cls(held["values"], held["counts"], units=str(held["units"]), source=str(held["source"]))
        except OSError as error:
            raise ArgumentError(f"reference histogram {path}: {error.strerror or error}") from error
        except (ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
            raise ArgumentError(
                f"reference histogram {path} can't be read: {error}; a file of ctfast.ReferenceHistogram.save is needed"
            ) from error
        if digest is not None and digest != found.digest:
            raise ArgumentError(
                f"reference histogram {path} has the digest {found.digest}, {digest} is needed: another one was put in "
                "its place; put it back, or name the file without the digest"
            )
        found.file = os.path.abspath(path)
        return found

    def plain(self) -> list[Any]:
        """As pipelines write it: its file and digest, or its values and counts where it has no file."""
        return [self.values.tolist(), self.counts.tolist()] if self.file is None else [self.file, self.digest]

    def __repr__(self) -> str:
        told = "".join(f", {text!r}" for text in (self.units, self.source, self.file) if text)
        return f"ReferenceHistogram({self.values.size:,} values of {self.counts.sum():,} pixels{told})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReferenceHistogram) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash((self.values.size, self.values[0], self.values[-1], self.counts[0], self.counts[-1]))


def _counted(pixels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """``numpy.unique`` with counts; 8- and 16-bit integers are counted in bins, without a sort."""
    if pixels.dtype.kind not in "iu" or pixels.itemsize > 2 or not pixels.size:
        return np.unique(pixels, return_counts=True)
    low = int(pixels.min())
    counts = np.bincount(pixels.reshape(-1).astype(np.int32) - low)
    (there,) = np.nonzero(counts)
    return there + low, counts[there]


def _values(given: ArrayLike) -> NDArray[np.float64]:
    try:
        values = np.array(given, np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"values of a reference histogram: {error}") from error
    if values.ndim != 1 or not 1 <= values.size <= _MOST_VALUES:
        raise ArgumentError(
            f"values of a reference histogram have the shape {values.shape}: one axis of 1 to {_MOST_VALUES:,} is "
            "allowed"
        )
    if not np.all(np.abs(values) <= _LARGEST) or not np.all(values[:-1] < values[1:]):
        raise ArgumentError("values of a reference histogram: finite numbers, each above the one before, are allowed")
    values.setflags(write=False)
    return values


def _counts(given: ArrayLike, size: int) -> NDArray[np.int64]:
    try:
        counts = np.array(given)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"counts of a reference histogram: {error}") from error
    whole = counts.dtype.kind in "iu" or (counts.dtype.kind == "f" and bool(np.all(counts == np.rint(counts))))
    if counts.shape != (size,) or not whole or not np.all((counts >= 1) & (counts < 2**53)):
        raise ArgumentError(
            f"counts of a reference histogram have the shape {counts.shape} and dtype {counts.dtype}: whole numbers "
            f"above 0, one for each of the {size:,} values, are allowed"
        )
    counts = counts.astype(np.int64)
    if counts.sum(dtype=np.float64) >= 2**53:
        raise ArgumentError("counts of a reference histogram: less than 2**53 pixels together are allowed")
    counts.setflags(write=False)
    return counts


def _arrays(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """The file's arrays, checked before they are unpacked.

    Raises:
        ValueError, KeyError, BadZipFile: another file.
    """
    names = ("format", "values", "counts", "units", "source")
    with zipfile.ZipFile(path) as archive:
        sizes = {name: archive.getinfo(f"{name}.npy").file_size for name in names}
    if max(sizes.values()) > 8 * _MOST_VALUES + 4096:
        raise ValueError(f"more than {_MOST_VALUES:,} values")
    with np.load(path, allow_pickle=False) as held:
        if str(held["format"]) != _FORMAT:
            raise ValueError(f"its format is {str(held['format'])[:80]!r}, not {_FORMAT!r}")
        return {name: held[name] for name in names[1:]}
