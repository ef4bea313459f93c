"""Planted bugs: every one must be caught by the checks that the real kernels pass."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from ctkernels.gpu._core import geometry
from tests.cuda_on_host.simulation import Simulation
from tests.gpu import mutations
from tests.gpu.counts import counted
from tests.gpu.gpu_cases import HUGE, Case, cases, check, pictures, run

MUTANTS = mutations.everything()
ORDERS = ((2, 30), (0, 0), (1, 0), (3, 0), (2, 5))


FEW = ("int16", "float32")
BATCH = (3, 33, 41)


def calls(unit: str) -> list[Case]:
    """Calls that run everything in the unit: every variant, and each on a batch whose images share blocks, too."""
    found = []
    for name in mutations.UNITS[unit]:
        for dtype in FEW:
            batches = itertools.cycle(pictures(BATCH, dtype).values())
            for case in cases(name, dtype, picks=1):
                batch = pictures((3, 6, 5), dtype)["values"] if case.params.get("size") == HUGE else next(batches)
                found += [case, case._replace(image=batch, kind="batch")]
    size = SIZES.get(unit)
    return [case for case in found if case.image.size > 1 and (size is None or size(case.params.get("size", 3)))]


SIZES: dict[str, Any] = {
    "median_filter": lambda size: size in (3, 5),
    "median_large": lambda size: size not in (1, 3, 5, 7, 9, 11, (1, 7), (5, 1), (9, 3)),
}
"""Sizes of medians that run the unit, of those the ones that compile fast."""


@pytest.mark.parametrize("number", range(len(MUTANTS)), ids=[str(m) for m in MUTANTS])
def test_is_caught(host_gpu: Simulation, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from ctkernels.gpu._core import source

    mutant = MUTANTS[number]
    right: Any = source._inlined
    monkeypatch.setattr(source, "_inlined", lambda unit: mutant.source if unit == mutant.unit else right(unit))
    host_gpu.variant = "checked"
    counted["planted bugs"] += 1
    orders = itertools.cycle(ORDERS)
    for case in calls(mutant.unit):
        host_gpu.seed, host_gpu.preempt = next(orders)
        try:
            check(case, run(case))
        except AssertionError:
            counted["planted bugs caught"] += 1
            return
    pytest.fail(f"not caught: {mutant}")


def test_every_unit_has_planted_bugs() -> None:
    mutations.check_table({unit.name for unit in geometry.all_units()})
    assert {m.unit for m in MUTANTS} >= {"label_tissue", "median_filter"}
