"""Planted bugs: every one must be caught by the checks that the real kernels pass."""

from __future__ import annotations

import itertools
import math
from functools import partial

import pytest

from ctkernels.contract import footprint_shape
from ctkernels.gpu._core.geometry_filters import network_serves
from ctkernels.gpu._core.geometry_volumes import network_serves_volumes
from tests.cuda_on_host.counts import counted
from tests.cuda_on_host.simulation import Simulation
from tests.gpu import mutations
from tests.gpu.gpu_cases import HUGE, VOLUMES, Case, cases, check, pictures, prepared, run, volumes

MUTANTS = mutations.everything()
ORDERS = ((2, 30), (0, 0), (1, 0), (3, 0), (2, 5))
FEW = ("int16", "float32")
BATCH = (3, 33, 41)
VOLUMES_BATCH = (2, 5, 17, 21)


def runs(unit: str, case: Case) -> bool:
    """Whether the call's launches are of the unit; of medians by networks, those that g++ compiles fast."""
    if "footprint" in case.params or unit == "median_footprint":
        return unit == "median_footprint" and case.image.ndim - 1 == len(
            footprint_shape(prepared(case)[0]["footprint"])
        )
    if unit.endswith("_volume") and case.name != "median_filter":
        return True
    if case.image.ndim == 4 and "volume" not in unit:
        return False
    if case.name == "match_histogram":  # integers are counted, floats sorted
        return (case.image.dtype.kind == "f") == (unit == "match_ranks")
    if case.name != "median_filter":
        return True
    params, dtype = prepared(case)
    if "volume" in unit:
        small = params["size"][0] == 1 or network_serves_volumes(params["size"], dtype)
        return (params["size"] == (3, 3, 3)) if unit == "median_volume" else not small
    return case.params.get("size") in (3, 5) if unit == "median_filter" else not network_serves(params["size"], dtype)


def calls(unit: str) -> list[Case]:
    """Calls that run everything in the unit: every variant, and each on a batch whose images share blocks, too."""
    made = []
    if unit == "masked":
        every = [case for name in ("histogram", "summary") for dtype in FEW for case in cases(name, dtype, picks=1)]
        return [case for case in every if case.masked]
    name = next((name for name in VOLUMES if name.startswith(unit.split("_")[0])), unit)
    name = "match_histogram" if unit == "match_ranks" else name
    of, shape = (volumes, VOLUMES_BATCH) if "volume" in unit else (cases, BATCH)
    for dtype in FEW:
        batches = itertools.cycle(pictures(shape, dtype).values())
        for case in of(name, dtype, picks=1):
            huge = case.params.get("size") in (HUGE, (3, *HUGE))
            batch = pictures((3, *shape[1:-2], 6, 5), dtype)["values"] if huge else next(batches)
            made += [case, case._replace(image=batch, kind="batch")]
    return [case for case in made if case.image.size > 1 and runs(unit, case)]


def work(case: Case) -> int:
    """About what a call costs: those that cost little find most bugs, and go first."""
    sides = case.params.get("size", 3)
    window = sides**2 if isinstance(sides, int) else math.prod(sides)
    return case.image.size * window


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_is_caught(host_gpu: Simulation, mutant: mutations.Mutant) -> None:
    host_gpu.variant, host_gpu.edit = "checked", partial(mutations.edited, mutant.unit)
    counted["planted bugs"] += 1
    ordered = zip(calls(mutant.unit), itertools.cycle(ORDERS))
    for case, (host_gpu.seed, host_gpu.preempt) in sorted(ordered, key=lambda both: work(both[0])):
        host_gpu.planted = mutant.number
        try:
            check(case, run(case))
        except AssertionError:
            host_gpu.planted = 0
            check(case, run(case))  # it was this bug
            counted["planted bugs caught"] += 1
            return
    pytest.fail(f"not caught: {mutant}")
