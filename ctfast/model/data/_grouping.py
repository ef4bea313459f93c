"""Which slices must stay together in a split, and the warnings that follow."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_MOST_NAMED = 2
_NUMBER = re.compile(r"0*(\d+)(?:\.0*)?")


def patient_key(name: str) -> str:
    """Equal for a patient that is written in several ways: ``007``, ``7`` and pandas' ``7.0``, in any case.

    Tables lose zeros where a program takes numbers for numbers. Two patients of which one is taken for the other cost a
    split nothing but freedom; one that is taken for two lands on both sides.
    """
    word = " ".join(name.casefold().split())
    number = _NUMBER.fullmatch(word)
    return number[1] if number else word


def group_slices(patients: Sequence[str], hashes: Sequence[str]) -> NDArray[np.int32]:
    """Group numbers ``(N,)`` from 0, in order of first appearance: equal patients and equal pixels belong together."""
    parent = list(range(len(patients)))

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    for keys in (patients, hashes):
        first: dict[str, int] = {}
        for k, key in enumerate(keys):
            a, b = root(first.setdefault(key, k)), root(k)
            parent[max(a, b)] = min(a, b)
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(root(k), len(numbers)) for k in range(len(parent))], np.int32)


def leakage_warnings(
    files: Sequence[str],
    labels: NDArray[np.int32],
    classes: Sequence[str],
    hashes: Sequence[str],
    patients: Sequence[str],
    written: Sequence[str] = (),
) -> list[str]:
    """Identical slices, identical slices of different classes, and patients with several classes or names, by file.

    ``written`` are the patients as table and headers write them.
    """
    warnings = []
    same = [members for members in _members(hashes).values() if len(members) > 1]
    if same:
        pairs = _listed([" = ".join(files[k] for k in members[:3]) for members in same])
        warnings.append(
            f"{sum(map(len, same))} slices have the pixels of another: kept on one side of a split ({pairs})"
        )
    contradictory = [m for m in same if len(_known(labels, m)) > 1]
    if contradictory:
        pairs = _listed([" = ".join(f"{files[k]} ({_name(classes, labels[k])})" for k in m[:3]) for m in contradictory])
        warnings.append(f"contradictory labels: identical slices of different classes ({pairs}); correct the labels")
    mixed = [m for m in _members(patients).values() if len(_known(labels, m)) > 1]
    if mixed:  # by their files, because this is written down and the name of a patient must not be
        listed = _listed([", ".join(files[k] for k in m[:3]) for m in mixed])
        number = len(mixed)
        warnings.append(
            f"{number} {'patient has' if number == 1 else 'patients have'} slices of several classes: kept on one side "
            f"of a split ({listed})"
        )
    several = [m for m in _members(patients).values() if len({written[k] for k in m if written}) > 1]
    if several:
        pairs = _listed([", ".join(files[k] for k in _each_once(written, m)) for m in several])
        warnings.append(
            f"{len(several)} {'patient is' if len(several) == 1 else 'patients are'} written in several ways (such as "
            f"007 and 7) and kept on one side of a split ({pairs})"
        )
    return warnings


def _each_once(written: Sequence[str], members: list[int]) -> list[int]:
    """The first slice of each of up to three ways."""
    return list({written[k]: k for k in reversed(members)}.values())[::-1][:3]


def _members(keys: Sequence[str]) -> dict[str, list[int]]:
    members: dict[str, list[int]] = defaultdict(list)
    for k, key in enumerate(keys):
        members[key].append(k)
    return members


def _known(labels: NDArray[np.int32], members: list[int]) -> set[int]:
    return {int(labels[k]) for k in members} - {-1}


def _name(classes: Sequence[str], label: int) -> str:
    return classes[label] if label >= 0 else "not known"


def _listed(texts: list[str]) -> str:
    more = f"; and {len(texts) - _MOST_NAMED} more" if len(texts) > _MOST_NAMED else ""
    return "; ".join(texts[:_MOST_NAMED]) + more
