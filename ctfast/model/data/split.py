"""Splits of a data set that keep a patient's slices, and equal slices, on one side. Deterministic by seed."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast.errors import ArgumentError, UsageError, missing_extra
from ctfast.model.data.dataset import Dataset

Indices = NDArray[np.intp]
_MOST_FOLDS: Final = 1000


def split_by_group(dataset: Dataset, fraction: float = 0.2, seed: int = 0) -> tuple[Indices, Indices]:
    """Training and validation indices; all slices of a group stay on one side,
    classes keep their shares as far as groups allow.

    Groups are drawn in an order given by ``seed``; one goes to validation if that brings the number of slices of each
    class closer to ``fraction`` (least squares). Slices without a label are on neither side.

    Args:
        dataset: Two or more groups of each class are needed.
        fraction: Share of labelled slices in validation, above 0 and below 1.
        seed: Another seed, another split.

    Raises:
        ArgumentError: For another fraction.
        UsageError: If a class would be missing on one side; names it.
    """
    if not 0.0 < fraction < 1.0:
        raise ArgumentError(f"fraction={fraction!r}: above 0 and below 1 is allowed")
    refuse_too_few_groups(dataset, 2)
    members, counts = _groups_of(dataset)
    total = counts.sum(axis=0)
    target = np.clip(fraction * total, 1, total - 1)
    order = np.random.default_rng([seed, 0x5917]).permutation(len(members))
    held = np.zeros_like(target)
    chosen = np.zeros(len(members), bool)
    # Largest groups first: small ones then even out what is left. The seed's order decides among equals.
    for k in sorted(order, key=lambda g: -int(counts[g].sum())):
        rest_keeps_all = (total - held - counts[k] > 0).all()
        if rest_keeps_all and ((held + counts[k] - target) ** 2).sum() < ((held - target) ** 2).sum():
            chosen[k] = True
            held += counts[k]
    _complete(chosen, held, counts, order)
    if (held == 0).any() or (total - held <= 0).any():
        lost = ", ".join(repr(dataset.classes[c]) for c in np.flatnonzero((held == 0) | (held == total)))
        raise UsageError(
            f"no split by patient has {lost} on both sides: too few patients; give more, or fraction= closer to 0.5"
        )
    validation = np.sort(np.concatenate([members[k] for k in np.flatnonzero(chosen)]))
    training = np.sort(np.concatenate([members[k] for k in np.flatnonzero(~chosen)]))
    return training, validation


def _complete(chosen: NDArray[np.bool_], held: NDArray[Any], counts: NDArray[Any], order: NDArray[Any]) -> None:
    """Give validation a group of each class that it lacks, the smallest that leaves some for training."""
    total = counts.sum(axis=0)
    for c in np.flatnonzero(held == 0):
        fits = [g for g in order if not chosen[g] and counts[g, c] and (total - held - counts[g] > 0).all()]
        if fits:
            k = min(fits, key=lambda g: int(counts[g].sum()))
            chosen[k] = True
            held += counts[k]


def group_folds(dataset: Dataset, k: int, seed: int = 0) -> list[tuple[Indices, Indices]]:
    """``k`` pairs of training and test indices; each labelled slice is in one test fold.

    scikit-learn's ``StratifiedGroupKFold``, shuffled by ``seed``.

    Raises:
        ArgumentError: For fewer than 2 folds.
        UsageError: If a class has fewer groups than folds; names it and the largest number that works.
        MissingDependencyError: If scikit-learn is not installed.
    """
    if type(k) is not int or not 2 <= k <= _MOST_FOLDS:
        raise ArgumentError(f"folds={k!r}: a whole number from 2 to {_MOST_FOLDS} is allowed")
    refuse_too_few_groups(dataset, k)
    try:
        from sklearn.model_selection import StratifiedGroupKFold
    except ImportError as error:
        raise missing_extra("cross-validation needs scikit-learn", "nn") from error
    known = dataset.labelled
    labels, groups = dataset.labels[known], dataset.groups[known]
    folds = StratifiedGroupKFold(n_splits=k, shuffle=True, random_state=seed).split(known, labels, groups)
    pairs = [(known[train], known[test]) for train, test in folds]
    for number, (train, test) in enumerate(pairs, 1):
        lost = set(range(len(dataset.classes))) - set(dataset.labels[train].tolist())
        if lost or not len(test):
            what = f"no slice of {dataset.classes[min(lost)]!r} to train on" if lost else "no slice to test"
            raise UsageError(f"fold {number} of {k} has {what}: patients are too unequal; use fewer folds")
    return pairs


def refuse_too_few_groups(dataset: Dataset, k: int) -> None:
    """Raise if a class has fewer slices or patients than ``k``.

    Raises:
        UsageError: Names the class, how many there are, and what to do.
    """
    for number, name in enumerate(dataset.classes):
        mine = dataset.labels == number
        slices, patients = int(mine.sum()), len(np.unique(dataset.groups[mine]))
        if patients < k:
            what = f"{slices} slices" if slices < k else f"{slices} slices of {patients} patients"
            remedy = f"at most {patients} folds are possible" if patients >= 2 else "more patients are needed"
            hint = "; one PatientID for all? give groups=" if patients == 1 and slices >= k else ""
            raise UsageError(f"class {name!r} has {what}, {k} folds by patient were asked for: {remedy}{hint}")


def _groups_of(dataset: Dataset) -> tuple[list[Indices], NDArray[np.float64]]:
    """Members of each group, and how many slices of each class it has."""
    known = dataset.labelled
    _, inverse = np.unique(dataset.groups[known], return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    members = np.split(known[order], np.flatnonzero(np.diff(inverse[order])) + 1)
    counts = np.zeros((len(members), len(dataset.classes)))
    np.add.at(counts, (inverse, dataset.labels[known]), 1)
    return members, counts
