"""Threads of a user that call operations at once: how much more two do than one, with the GIL and without.

python bench/user_threads.py prints a row of the table of docs/reliability.md; run it with each Python, on a quiet
machine.
"""

from __future__ import annotations

import platform
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import ctfast

SIZES = {512: 400, 64: 20_000}
"""Rows and columns, and how many images a thread does."""
ROUNDS = 3


def work(images: list[np.ndarray], number: int) -> float:
    """Seconds for a window and a 3 x 3 median of so many images."""
    start = time.perf_counter()
    for k in range(number):
        ctfast.median_filter(ctfast.window(images[k % len(images)], center=0, width=400), size=3)
    return time.perf_counter() - start


def gain(size: int, number: int) -> float:
    """What two threads do in the time that one needs for its part."""
    rng = np.random.default_rng(0)
    images = [rng.integers(-1000, 2000, (size, size)).astype(np.int16) for _ in range(8)]
    work(images, 8)
    one, two = [], []
    with ThreadPoolExecutor(2) as threads:
        for _ in range(ROUNDS):
            one.append(work(images, number))
            start = time.perf_counter()
            list(threads.map(work, [images] * 2, [number] * 2))
            two.append(time.perf_counter() - start)
    return 2 * min(one) / min(two)


def main() -> None:
    """Print the row."""
    ctfast.set_num_threads(1)
    with_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    gains = " | ".join(f"{gain(*size):.2f}" for size in SIZES.items())
    print(f"| Python {platform.python_version()} {'with' if with_gil else 'without'} the GIL | {gains} |")


if __name__ == "__main__":
    main()
