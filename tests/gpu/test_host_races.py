"""Races, bounds, first use and undefined behaviour of the real kernels, with threads switched in the middle."""

from __future__ import annotations

import pytest

from ctkernels.contract import IMAGE_DTYPES, OPERATIONS
from tests.cuda_on_host.counts import counted
from tests.cuda_on_host.simulation import Simulation
from tests.gpu.gpu_cases import HUGE, LARGE_NETWORKS, cases, check, run

ORDERS = ((0, 0), (1, 0), (2, 40), (3, 7))
"""(seed, accesses to a switch)"""


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_no_races_no_stray_access_nothing_undefined(host_gpu: Simulation, name: str, dtype: str) -> None:
    host_gpu.variant = "checked"
    for n, case in enumerate(cases(name, dtype, picks=1, pairs=False)):
        if case.params.get("size") in LARGE_NETWORKS[1:]:
            continue  # nothing but more of the same registers; 7 by 7 stands for them
        if case.params.get("size") in (HUGE, (3, *HUGE)) and dtype not in ("uint8", "float64"):
            continue  # seconds each; the fewest and the most bytes of a key stand for what lies between
        host_gpu.seed, host_gpu.preempt = ORDERS[n % len(ORDERS)]
        check(case, run(case))
        counted["cases checked for races, bounds, first use, undefined behaviour (found: 0)"] += 1
