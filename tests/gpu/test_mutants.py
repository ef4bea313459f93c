"""Planted bugs: every one must be caught by the checks that the real kernels pass."""

from __future__ import annotations

import itertools
from functools import partial

import pytest

from ctkernels.contract import OPERATIONS
from ctkernels.gpu._core.geometry_filters import network_serves
from tests.cuda_on_host.counts import counted
from tests.cuda_on_host.simulation import Simulation
from tests.gpu import mutations
from tests.gpu.gpu_cases import HUGE, Case, cases, check, pictures, prepared, run

MUTANTS = mutations.everything()
ORDERS = ((2, 30), (0, 0), (1, 0), (3, 0), (2, 5))
FEW = ("int16", "float32")
BATCH = (3, 33, 41)


def runs(unit: str, case: Case) -> bool:
    """Whether the call's launches are of the unit; of medians by networks, those that g++ compiles fast."""
    if case.name != "median_filter":
        return True
    params, dtype = prepared(case)
    return case.params.get("size") in (3, 5) if unit == "median_filter" else not network_serves(params["size"], dtype)


def calls(unit: str) -> list[Case]:
    """Calls that run everything in the unit: every variant, and each on a batch whose images share blocks, too."""
    made = []
    name = unit if unit in OPERATIONS else "median_filter"
    for dtype in FEW:
        batches = itertools.cycle(pictures(BATCH, dtype).values())
        for case in cases(name, dtype, picks=1):
            batch = pictures((3, 6, 5), dtype)["values"] if case.params.get("size") == HUGE else next(batches)
            made += [case, case._replace(image=batch, kind="batch")]
    return [case for case in made if case.image.size > 1 and runs(unit, case)]


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_is_caught(host_gpu: Simulation, mutant: mutations.Mutant) -> None:
    host_gpu.variant, host_gpu.edit = "checked", partial(mutations.edited, mutant.unit)
    counted["planted bugs"] += 1
    orders = itertools.cycle(ORDERS)
    for case in calls(mutant.unit):
        host_gpu.seed, host_gpu.preempt = next(orders)
        host_gpu.planted = mutant.number
        try:
            check(case, run(case))
        except AssertionError:
            host_gpu.planted = 0
            check(case, run(case))  # it was this bug
            counted["planted bugs caught"] += 1
            return
    pytest.fail(f"not caught: {mutant}")
