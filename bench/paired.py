"""Timing in turns: every candidate once a round, so that what the machine does meanwhile hits all of them alike."""

from __future__ import annotations

import math
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

    Of several threads the processor's time says nothing: where that counts, see ``paired_alone``.
    """
    if PROCESSOR and threads > 1:
        return paired_alone(calls)
    now = clock
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
    return {name: float(np.median(t)) for name, t in times.items()}


ALONE_SECONDS, ALONE_ROUNDS, ALONE_MOST = 0.1, 4, 10
OTHERS = 0.12
"""Of a core, that other programs may take while a call of several threads is timed."""


def _busy() -> float:
    """Seconds of all cores at work since the machine began (Linux)."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def _time_alone(call: Callable[[], Any]) -> tuple[float, bool]:
    """Seconds of a call by the wall's clock, and whether other programs left the cores alone meanwhile."""
    busy, own, start, count = _busy(), time.process_time(), time.perf_counter(), 0
    while (wall := time.perf_counter() - start) < ALONE_SECONDS:
        call()
        count += 1
    return wall / count, _busy() - busy - (time.process_time() - own) < OTHERS * wall


def paired_alone(calls: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    """Median seconds of each call over the rounds in which no other program used the cores; without any, NaN."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(ALONE_MOST):
        for name, call in calls.items():
            if len(times[name]) < ALONE_ROUNDS:
                seconds, alone = _time_alone(call)
                times[name] += [seconds] if alone else []
    return {name: float(np.median(t)) if t else math.nan for name, t in times.items()}
