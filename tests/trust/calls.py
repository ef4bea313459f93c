"""A day of calls in short: every operation again and again, and how much the process has grown.

python -m tests.trust.calls NUMBER
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import ctfast
from ctkernels.contract import OPERATIONS

_WARM = 300


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def growth(number: int) -> tuple[int, str]:
    """Bytes by which ``number`` calls of each operation let the process grow, the most of all, and of which.

    Images differ in size and dtype from call to call, as they do in a day's work.
    """
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 3000, (40 + k, 64 - k)).astype(d) for k in range(8) for d in (np.int16, np.float32)]
    most = (0, "")
    for name, operation in OPERATIONS.items():
        function, example = getattr(ctfast, name), dict(operation.examples[0])
        for k in range(_WARM):
            function(images[k % len(images)], **example)
        before = resident()
        for k in range(number):
            function(images[k % len(images)], **example)
        most = max(most, (resident() - before, name))
    return most


if __name__ == "__main__":
    grown, name = growth(int(sys.argv[1]))
    print(f"{grown}\t{name}")
