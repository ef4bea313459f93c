"""A training set in memory: slices as the network sees them, their classes and their patients.

Every file is decoded once, many at a time, to 16-bit values at the network's size. What would not fit into memory lies
in a memory-mapped file of the user's cache folder and is found again by the next run. Slices of one patient, frames of
one file and slices with equal pixels share a group, so that a split by group never has the same thing on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctfast.batch.choices import POOLS, Pool, UnitsChoice, check_choice
from ctfast.batch.choices import Dataset as DatasetName
from ctfast.batch.limits import bytes_per_file
from ctfast.batch.progress import Progress, no_progress
from ctfast.errors import ArgumentError, ShapeError, UsageError
from ctfast.files import Limits, Unread
from ctfast.files.find import by_reason
from ctfast.files.values import Values
from ctfast.model.data._grouping import group_slices, leakage_warnings, patient_key
from ctfast.model.data._set_warnings import patient_warnings, reading_warnings
from ctfast.model.data.decoding import Decoded, decode_all
from ctfast.model.data.labels import Paths, Sample, Samples, find_samples, listed
from ctfast.model.data.preprocessing import Preprocessing
from ctfast.model.data.reading import Reading
from ctfast.model.data.store import Cache
from ctfast.threads import get_num_threads

UNKNOWN: Final = -1
"""The label of a slice whose class is not known."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Slices ready for the network.

    Attributes:
        images: ``(N, H, W)`` uint16, or ``(N, H, W, 3)``; the network's input is ``images / 65535``. Read-only where it
            is memory-mapped.
        labels: ``(N,)`` int32, index into ``classes``, -1 where not known.
        groups: ``(N,)`` int32: equal for slices that must stay on one side of a split.
        files: Where each slice comes from; frames of a stack end in ``[k]``.
        classes: Class names.
        preprocessing: What made ``images``.
        warnings: What a user must know before trusting results, in sentences.
        hashes: Equal for equal pixels, by slice; empty for arrays.
        hu_shares: ``(N, 200)`` float32: share of all pixels in each 10 HU from -1000 to 1000, at full resolution, for
            the choice of a window and the baselines; None where values are not HU.
        unread: Files that could not be read, and why.
        left_out: Paths in the input folders that are no images or not asked for, and why.
        source: Makes the same slices by another preprocessing; see ``prepared_by``.
    """

    images: NDArray[np.uint16]
    labels: NDArray[np.int32]
    groups: NDArray[np.int32]
    files: tuple[str, ...]
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    warnings: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    hu_shares: NDArray[np.float32] | None = None
    unread: tuple[Unread, ...] = field(default=())
    left_out: tuple[Unread, ...] = field(default=())
    source: Callable[[Preprocessing], Dataset] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def labelled(self) -> NDArray[np.intp]:
        """Indices of slices whose class is known."""
        return np.flatnonzero(self.labels >= 0)

    def class_counts(self) -> dict[str, int]:
        """Labelled slices by class."""
        return {name: int((self.labels == k).sum()) for k, name in enumerate(self.classes)}

    @classmethod
    def from_arrays(
        cls,
        images: ArrayLike,
        labels: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        classes: Sequence[str] | None = None,
        preprocessing: Preprocessing | None = None,
    ) -> Dataset:
        """From slices in HU ``(N, H, W)``, ``(N, H, W, 1)`` (or RGB with ``channels=3``), class numbers, patients.

        ``preprocessing`` is applied. Equal slices share a group.

        Raises:
            ArgumentError: Lengths that differ, or labels outside ``classes``.
            DTypeError, ShapeError: For what is no batch of images.
        """
        preprocessing = preprocessing or Preprocessing()
        made = preprocessing(images)
        if made.ndim != (3 if preprocessing.channels == 1 else 4):
            raise ShapeError(f"images of shape {np.shape(images)}: a batch (N, H, W) is needed; one image is x[None]")
        numbers = np.asarray(labels)
        patients = np.arange(len(made)) if groups is None else np.asarray(groups)
        if numbers.shape != (len(made),) or patients.shape != (len(made),):
            raise ArgumentError(
                f"{len(made)} images, labels of shape {numbers.shape}, groups of shape {patients.shape}: "
                "one label and one group per image are needed"
            )
        names = tuple(classes) if classes is not None else tuple(map(str, range(int(numbers.max(initial=0)) + 1)))
        if not np.issubdtype(numbers.dtype, np.integer) or (numbers < UNKNOWN).any() or (numbers >= len(names)).any():
            raise ArgumentError(f"labels must be whole numbers from 0 to {len(names) - 1}, or -1 where not known")
        files = tuple(f"image {k}" for k in range(len(made)))
        keys = [str(p) for p in patients.tolist()]
        decoded = [Decoded.of_array(image) for image in made]
        grouped = group_slices(keys, [d.hashes[0] for d in decoded])
        labels32 = numbers.astype(np.int32)
        warnings = leakage_warnings(files, labels32, names, [d.hashes[0] for d in decoded], keys)
        return cls(
            made,
            labels32,
            grouped,
            files,
            names,
            preprocessing,
            tuple(warnings),
            tuple(d.hashes[0] for d in decoded),
            source=_Again(partial(cls.from_arrays, images, labels, groups=groups, classes=classes)),
        )

    def take(self, indices: ArrayLike) -> Dataset:
        """Only these slices, in this order (copied)."""
        chosen = np.asarray(indices)
        numbers = chosen.tolist()
        return replace(
            self,
            images=self.images[chosen],
            labels=self.labels[chosen],
            groups=self.groups[chosen],
            files=tuple(self.files[k] for k in numbers),
            hashes=tuple(self.hashes[k] for k in numbers) if self.hashes else (),
            hu_shares=None if self.hu_shares is None else self.hu_shares[chosen],
            source=partial(_taken_again, self, chosen),
        )

    def prepared_by(self, preprocessing: Preprocessing) -> Dataset:
        """The same slices, labels and groups through another preprocessing; files are read once more.

        Raises:
            UsageError: If the slices' source is not known, or no longer holds the same slices.
        """
        if preprocessing == self.preprocessing:
            return self
        if self.source is None:
            raise UsageError("this Dataset does not know its source: make it by load_dataset or Dataset.from_arrays")
        again = self.source(preprocessing)
        if again.files != self.files:
            raise UsageError("the files have changed while they were read: train again")
        return replace(again, labels=self.labels, groups=self.groups, warnings=self.warnings)


def load_dataset(
    path: Paths,
    *,
    labels: str | Path | None = None,
    column: str | None = None,
    groups: str | None = None,
    preprocessing: Preprocessing | None = None,
    units: UnitsChoice = "auto",
    offset: int = 0,
    dataset: DatasetName = "none",
    classes: Sequence[str] | None = None,
    workers: int | None = None,
    pool: Pool = "threads",
    modality: str = "CT",
    cache: str | Path | None = None,
    memory: int | None = None,
    progress: Progress = no_progress,
) -> Dataset:
    """Read a training set.

    Args:
        path: The Kaggle folder, a folder with one folder per class, a folder of slices with ``labels=``, a ``.csv``
            file with columns ``file`` and ``label``; or several folders, patterns, files.
        labels: CSV table of labels; see ``find_samples``.
        column: Its column of classes.
        groups: Its column of patients; default: PatientID of DICOM files.
        preprocessing: From HU to the network's input; default: HU -200..1000 at 256 x 256.
        units: What the files' values are: ``"auto"`` (as each file says), ``"hu"`` or ``"stored"``.
        offset: Added to the values of every file, for sets that document one.
        dataset: A public set that files may be of, as for ``read_image``: ``"deeplesion"`` or ``"none"``.
        classes: The classes of an existing model, in its order; default: those that are found.
        workers: Files at work at once; default: the threads ctfast may use.
        pool: Workers as ``"threads"``, ``"processes"`` (the calling script needs the ``if __name__ == "__main__"``
            guard; they survive decoders that crash) or ``"auto"`` (processes for sets of many files).
        modality: Which DICOM images are taken, such as ``"CT"`` or ``"CT,PT"``; ``"any"`` takes all. Files that do not
            name their modality are always taken.
        cache: Folder for sets that are too large for memory; default: ``ctfast/datasets`` in the user's cache folder.
        memory: Bytes that the images may take before they go to the cache; default: a quarter of what is free.
        progress: Called after each file.

    Files that are left out are listed in ``left_out``.
    Files that cannot be read are listed in ``unread`` and named in ``warnings``; the set is made of the others.

    Raises:
        ArgumentError: Other ``units``, both ``offset`` and ``dataset``, another ``pool``.
        UsageError: Nothing to learn from: no slices, no labels, one class, nothing readable.
        FileFormatError: A table of labels that cannot be read or contradicts itself.
    """
    values = Values(units, offset, dataset)
    check_choice("pool", pool, POOLS, ArgumentError)
    preprocessing = preprocessing or Preprocessing()
    samples = find_samples(path, labels=labels, column=column, groups=groups, classes=classes)
    store = Cache(samples.items, preprocessing, values, modality, cache, memory)
    kept = store.find()
    if kept is None:
        workers = workers or get_num_threads()
        reading = Reading(preprocessing, values, Limits(max_bytes=bytes_per_file(workers)), modality)
        kept = store.fill(decode_all(samples.items, reading, workers, pool), progress)
    images, decoded = kept
    found = _assemble(samples, preprocessing, images, decoded, fixed_classes=classes is not None)
    words: dict[str, Any] = {
        "labels": labels,
        "column": column,
        "groups": groups,
        "units": units,
        "workers": workers,
        "pool": pool,
    }
    words |= {"offset": offset, "dataset": dataset}
    words |= {"classes": found.classes, "modality": modality, "cache": cache, "memory": memory}
    return replace(found, source=_Again(partial(load_dataset, path, **words)))


class _Again:
    """The same slices by another preprocessing; the last two are kept, because folds ask for the same ones in turns."""

    def __init__(self, make: Callable[..., Dataset]) -> None:
        self._make = make
        self._kept: dict[str, Dataset] = {}

    def __call__(self, preprocessing: Preprocessing) -> Dataset:
        key = preprocessing.hash
        made = self._kept.pop(key, None)
        if made is None:
            made = self._make(preprocessing=preprocessing)
            for old in list(self._kept)[:-1]:
                del self._kept[old]
        self._kept[key] = made
        return made


def _taken_again(whole: Dataset, chosen: NDArray[Any], preprocessing: Preprocessing) -> Dataset:
    return whole.prepared_by(preprocessing).take(chosen)


def _assemble(
    samples: Samples,
    preprocessing: Preprocessing,
    images: NDArray[np.uint16],
    decoded: list[Decoded],
    *,
    fixed_classes: bool,
) -> Dataset:
    good = [(s, d) for s, d in zip(samples.items, decoded) if not (d.error or d.left_out)]
    unread = tuple(Unread(s.name, d.error) for s, d in zip(samples.items, decoded) if d.error)
    left_out = (
        *(Unread(str(item.path), item.reason) for item in samples.ignored),
        *(Unread(s.name, d.left_out) for s, d in zip(samples.items, decoded) if d.left_out),
    )
    if not (good or unread):
        raise UsageError(f"no slice is left; left out: {by_reason(left_out)}")
    if not good:
        raise UsageError(f"none of {len(unread)} slices can be read; the first: {unread[0].name}: {unread[0].reason}")
    files = tuple(name for s, d in good for name in d.names(s.name))
    hashes = tuple(h for _, d in good for h in d.hashes)
    number = {name: k for k, name in enumerate(samples.classes)}
    each = [UNKNOWN if s.label is None else number[s.label] for s, d in good for _ in d.hashes]
    labels = np.array(each, np.int32)
    if not fixed_classes:
        _refuse_lost_classes(labels, samples.classes, (*unread, *left_out))
    keys = [_patient(s, d) for s, d in good for _ in d.hashes]
    written = [s.group or d.patient for s, d in good for _ in d.hashes]
    shares = [d.hu_shares for _, d in good]
    warnings = [
        *samples.warnings,
        *reading_warnings(good, unread, preprocessing),
        *patient_warnings(good),
        *leakage_warnings(files, labels, samples.classes, hashes, keys, written),
    ]
    return Dataset(
        images=images,
        labels=labels,
        groups=group_slices(keys, hashes),
        files=files,
        classes=samples.classes,
        preprocessing=preprocessing,
        warnings=tuple(warnings),
        hashes=hashes,
        hu_shares=None if any(s is None for s in shares) else np.concatenate([s for s in shares if s is not None]),
        unread=unread,
        left_out=left_out,
    )


def _patient(sample: Sample, decoded: Decoded) -> str:
    """What tells patients apart; without any knowledge each file is its own."""
    if known := sample.group or decoded.patient:
        return f"patient {patient_key(known)}"
    if sample.kaggle is not None:
        return f"id {sample.kaggle.id}"
    return f"study {decoded.study}" if decoded.study else f"file {sample.name}"


def _refuse_lost_classes(labels: NDArray[np.int32], classes: tuple[str, ...], lost_files: tuple[Unread, ...]) -> None:
    lost = [name for k, name in enumerate(classes) if not (labels == k).any()]
    if lost:
        raise UsageError(
            f"no readable slice of {', '.join(map(repr, lost))} is left: "
            f"{listed([u.name for u in lost_files])} can't be read or are left out, the first because: "
            f"{lost_files[0].reason}"
        )
