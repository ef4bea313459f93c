"""A day of calls in short: an operation again and again, and how much the process has grown.

python -m tests.trust.calls OPERATION NUMBER
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


def growth(name: str, number: int) -> int:
    """Bytes by which ``number`` calls of an operation let the process grow.

    Images differ in size and dtype from call to call, as they do in a day's work.
    """
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 3000, (40 + k, 64 - k)).astype(d) for k in range(8) for d in (np.int16, np.float32)]
    function, example = getattr(ctfast, name), dict(OPERATIONS[name].examples[0])
    for k in range(_WARM):
        function(images[k % len(images)], **example)
    before = resident()
    for k in range(number):
        function(images[k % len(images)], **example)
    return resident() - before


if __name__ == "__main__":
    print(growth(sys.argv[1], int(sys.argv[2])))
