"""Splits and folds by patient."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ctfast.errors import ArgumentError, UsageError
from ctfast.model.data.dataset import Dataset
from ctfast.model.data.preprocessing import Preprocessing
from ctfast.model.data.split import group_folds, split_by_group
from tests.model.data_build import made_of


def bare(labels: Sequence[int], groups: Sequence[int]) -> Dataset:
    """A set whose pixels do not matter."""
    n = len(labels)
    classes = tuple(f"class {k}" for k in range(max(labels) + 1))
    return Dataset(
        np.zeros((n, 1, 1), np.uint16),
        np.array(labels, np.int32),
        np.array(groups, np.int32),
        tuple(map(str, range(n))),
        classes,
        Preprocessing(),
    )


def test_no_patient_is_on_both_sides_and_classes_keep_their_shares() -> None:
    data = bare([k % 2 for k in range(100)], [k // 4 for k in range(100)])
    train, held = split_by_group(data, 0.2, seed=3)
    assert sorted([*train, *held]) == list(range(100))
    assert not set(data.groups[train]) & set(data.groups[held])
    assert data.labels[held].mean() == 0.5
    assert len(held) == 20


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), min_size=12, max_size=60),
    st.sampled_from([0.1, 0.2, 0.5]),
    st.integers(0, 3),
)
def test_any_set_is_split_well_or_refused(rows: list[tuple[int, int]], fraction: float, seed: int) -> None:
    data = bare([r[0] for r in rows], [r[1] for r in rows])
    mine = [{g for label, g in rows if label == c} for c in range(len(data.classes))]
    if any(not groups for groups in mine) or min(map(len, mine)) < 2:
        with pytest.raises(UsageError, match="class"):
            split_by_group(data, fraction, seed)
        return
    # With two patients a class or more there may still be no split where the classes' patients overlap.
    with contextlib.suppress(UsageError):
        check_split(data, *split_by_group(data, fraction, seed))


def check_split(data: Dataset, train: NDArray, held: NDArray) -> None:
    assert not set(data.groups[train]) & set(data.groups[held])
    assert set(data.labels[train]) == set(data.labels[held]) == set(range(len(data.classes)))
    assert len(train) + len(held) == len(data)


def test_the_seed_decides() -> None:
    data = bare([k % 2 for k in range(60)], list(range(60)))
    first = split_by_group(data, 0.2, seed=1)[1].tolist()
    assert first == split_by_group(data, 0.2, seed=1)[1].tolist()
    assert first != split_by_group(data, 0.2, seed=2)[1].tolist()
    folds = [test.tolist() for _, test in group_folds(data, 5, seed=1)]
    assert folds == [test.tolist() for _, test in group_folds(data, 5, seed=1)]
    assert folds != [test.tolist() for _, test in group_folds(data, 5, seed=2)]


def test_slices_without_a_label_are_on_no_side() -> None:
    data = made_of([0, 1, -1, 0, 1, -1, 0, 1], range(8))
    train, held = split_by_group(data, 0.3)
    assert sorted([*train, *held]) == [0, 1, 3, 4, 6, 7]
    assert sorted(k for _, test in group_folds(data, 3) for k in test) == [0, 1, 3, 4, 6, 7]


def test_every_slice_is_tested_once_by_a_model_that_has_not_seen_its_patient() -> None:
    data = bare([k // 3 % 2 for k in range(90)], [k // 3 for k in range(90)])
    folds = group_folds(data, 5, seed=0)
    assert sorted(k for _, test in folds for k in test) == list(range(90))
    for train, test in folds:
        assert not set(data.groups[train]) & set(data.groups[test])
        assert len(train) + len(test) == 90
        assert abs(data.labels[test].mean() - 0.5) <= 0.1


@pytest.mark.parametrize(
    ("labels", "groups", "k", "word"),
    [
        ([0] * 8 + [1] * 3, range(11), 5, "'class 1' has 3 slices, 5 folds.*at most 3 folds"),
        ([0] * 8 + [1] * 6, [*range(8), 8, 8, 8, 9, 9, 9], 5, "6 slices of 2 patients.*at most 2 folds"),
        ([0, 1] * 6, [0] * 12, 5, "more patients are needed; one PatientID for all"),
    ],
)
def test_too_few_patients_are_named(labels: list[int], groups: Sequence[int], k: int, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        group_folds(bare(labels, groups), k)


def test_arguments() -> None:
    data = bare([0, 1] * 4, range(8))
    for fraction in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(ArgumentError, match="fraction"):
            split_by_group(data, fraction)
    for k in (1, 0, 2.0, True):
        with pytest.raises(ArgumentError, match="folds"):
            group_folds(data, k)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="class 1"):
        split_by_group(bare([0, 0, 1], [0, 1, 2]))
