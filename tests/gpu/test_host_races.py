"""Races, bounds, first use and undefined behaviour of the real kernels, with threads switched in the middle.

The dtypes with the fewest and the most bytes a pixel go through every case; those between are other instances of the
same templates and share the cases, one in turn. ``CTFAST_ALL_DTYPES=1`` takes all of them through every case.
"""

from __future__ import annotations

import os

import pytest

from ctkernels.contract import IMAGE_DTYPES, OPERATIONS
from tests.cuda_on_host.counts import counted
from tests.cuda_on_host.simulation import Simulation
from tests.gpu.gpu_cases import HUGE, LARGE_NETWORKS, cases, check, run

ORDERS = ((0, 0), (1, 0), (2, 40), (3, 7))
"""(seed, accesses to a switch)"""
ENDS = ("uint8", "float64")
BETWEEN = [dtype for dtype in IMAGE_DTYPES if dtype not in ENDS]
ALL = bool(os.environ.get("CTFAST_ALL_DTYPES"))


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_no_races_no_stray_access_nothing_undefined(host_gpu: Simulation, name: str, dtype: str) -> None:
    host_gpu.variant = "checked"
    for n, case in enumerate(cases(name, dtype, picks=1, pairs=False)):
        if case.params.get("size") in LARGE_NETWORKS[1:]:
            continue  # nothing but more of the same registers; 7 by 7 stands for them
        if case.params.get("size") in (HUGE, (3, *HUGE)) and dtype in BETWEEN:
            continue  # seconds each
        if dtype in BETWEEN and not ALL and BETWEEN[n % len(BETWEEN)] != dtype:
            continue
        host_gpu.seed, host_gpu.preempt = ORDERS[n % len(ORDERS)]
        check(case, run(case))
        counted["cases checked for races, bounds, first use, undefined behaviour (found: 0)"] += 1
