"""Damaged files of every kind: read, or refused by an error of ctfast; ``make fuzz`` goes on where this ends."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.trust.fuzzing import damaged, fuzz, outcome

EXECUTIONS = 2000


def test_damaged_files_are_read_or_refused() -> None:
    code, said, counts = fuzz(EXECUTIONS, seed=0)
    assert code == 0, said
    assert counts.total() == EXECUTIONS
    assert min(counts["read"], counts["refused"]) > EXECUTIONS // 20, "all the same would test little"


def test_damage_is_the_same_for_a_seed_and_changes_files() -> None:
    data = bytes(range(256)) * 4
    changed = [damaged(data, random.Random(seed)) for seed in range(50)]
    assert changed == [damaged(data, random.Random(seed)) for seed in range(50)]
    assert len(set(changed)) > 45
    assert data not in changed


def test_foreign_errors_are_seen(tmp_path: Path) -> None:
    def stumbles(path: Path) -> None:
        raise KeyError(path)

    with pytest.raises(KeyError):
        outcome(stumbles, tmp_path)
