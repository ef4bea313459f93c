"""Timing in turns: every candidate once a round, so that what the machine does meanwhile hits all of them alike."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

ROUND_SECONDS = 0.01
TOTAL_SECONDS = 0.5
FEWEST, MOST = 5, 41
SLOW_SECONDS = 0.5


PROCESSOR = os.environ.get("CTFAST_BENCH_CLOCK") == "processor"
"""Whether the processor's time counts, of all threads together: for one thread on a machine with other work."""
clock = time.process_time if PROCESSOR else time.perf_counter


def _time(call: Callable[[], Any], repeats: int, now: Callable[[], float]) -> float:
    start = now()
    for _ in range(repeats):
        call()
    return (now() - start) / repeats


def paired_medians(calls: Mapping[str, Callable[[], Any]], *, threads: int = 1) -> dict[str, float]:
    """Median seconds of a call of each. Candidates that take over half a second are timed in two rounds only.

    Of several threads the processor's time says nothing: where that counts, theirs is the least by the wall's clock.
    """
    least = PROCESSOR and threads > 1
    now = time.perf_counter if least else clock
    single = {name: (call(), _time(call, 1, now))[1] for name, call in calls.items()}  # also the warm-up
    repeats = {name: max(1, round(ROUND_SECONDS / max(t, 1e-9))) for name, t in single.items()}
    fast = {name: t for name, t in single.items() if t < SLOW_SECONDS}
    round_cost = sum(max(ROUND_SECONDS, t) for t in fast.values()) or 1.0
    rounds = int(np.clip(TOTAL_SECONDS * len(fast) / round_cost, FEWEST, MOST))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        for name, call in calls.items():
            if name in fast or number < 2:
                times[name].append(_time(call, repeats[name], now))
    return {name: float(np.min(t) if least else np.median(t)) for name, t in times.items()}
