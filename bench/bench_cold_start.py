"""First call of an operation in a new process: seconds over importing Numba and NumPy, compiled code on disk or not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]

CALLS = {
    "window": "ctfast.window(x, center=40, width=400, dtype='uint8')",
    "normalize, percentiles": "ctfast.normalize(x, percentiles=(1, 99))",
    "standardize": "ctfast.standardize(x)",
    "median 3": "ctfast.median_filter(x, 3)",
    "median 11": "ctfast.median_filter(x, 11)",
    "median 51": "ctfast.median_filter(x, 51)",
    "Gaussian sigma 2": "ctfast.gaussian_filter(x, 2.0)",
    "CLAHE": "ctfast.clahe(x)",
    "histogram": "ctfast.histogram(x, 256, value_range=(-1024, 3071))",
    "summary": "ctfast.summary(x)",
}

SCRIPT = """
import time
import numpy as np
import numba
start = time.perf_counter()
import ctfast
x = np.random.default_rng(0).integers(-1024, 3071, (512, 512)).astype(np.int16)
{call}
print(time.perf_counter() - start)
"""


def first_call(call: str, **extra: str) -> float:
    env = {**os.environ, **extra, "PYTHONPATH": os.pathsep.join([str(ROOT / "kernels"), str(ROOT)])}
    script = SCRIPT.format(call=call)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    return float(done.stdout)


@pytest.mark.parametrize("name", list(CALLS))
def bench_first_call(benchmark: Any, name: str, tmp_path: Path) -> None:
    first_call(CALLS[name])  # fills the cache on disk
    if benchmark.disabled:
        benchmark(lambda: None)
        return
    seconds = [first_call(CALLS[name]) for _ in range(5)]
    benchmark.extra_info.update(
        first_call=name,
        cached_seconds=float(np.median(seconds)),
        compiling_seconds=first_call(CALLS[name], NUMBA_CACHE_DIR=str(tmp_path)),
    )
    benchmark.pedantic(lambda: None, rounds=1)
