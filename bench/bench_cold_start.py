"""First call of an operation in a new process: seconds over importing Numba and NumPy, compiled code on disk or not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctkernels.contract import OPERATIONS

ROOT = Path(__file__).resolve().parents[1]

MORE: dict[str, list[dict[str, Any]]] = {"median_filter": [{"size": 3}, {"size": 11}, {"size": 51}]}
"""Sizes whose networks compile in very different times."""

CALLS = {
    f"{name}({', '.join(f'{key}={value!r}' for key, value in params.items())})": (name, params)
    for name, spec in OPERATIONS.items()
    for params in (spec.examples[0], *MORE.get(name, ()))
}

SCRIPT = """
import time
import numpy as np
import numba
start = time.perf_counter()
import ctfast
x = np.random.default_rng(0).integers(-1024, 3071, (512, 512)).astype(np.int16)
ctfast.{name}(x, **{params})
print(time.perf_counter() - start)
"""


def script_of(label: str) -> str:
    return SCRIPT.format(name=CALLS[label][0], params=dict(CALLS[label][1]))


def first_call(label: str, **extra: str) -> float:
    env = {**os.environ, **extra, "PYTHONPATH": os.pathsep.join([str(ROOT / "kernels"), str(ROOT)])}
    done = subprocess.run([sys.executable, "-c", script_of(label)], capture_output=True, text=True, check=True, env=env)
    return float(done.stdout)


@pytest.mark.parametrize("name", list(CALLS))
def bench_first_call(benchmark: Any, name: str, tmp_path: Path) -> None:
    if benchmark.disabled:  # the same lines here; one in a process of its own, which costs more than most calls
        exec(script_of(name), {})
        if name == next(iter(CALLS)):
            assert first_call(name) > 0
        benchmark(lambda: None)
        return
    first_call(name)  # fills the cache on disk
    seconds = [first_call(name) for _ in range(5)]
    benchmark.extra_info.update(
        first_call=name,
        cached_seconds=float(np.median(seconds)),
        compiling_seconds=first_call(name, NUMBA_CACHE_DIR=str(tmp_path)),
    )
    benchmark.pedantic(lambda: None, rounds=1)
