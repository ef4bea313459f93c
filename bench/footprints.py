"""Footprints of up to 15 x 15 pixels beside SciPy's, on a CT slice, one thread: which are below the goal.

python bench/footprints.py [FILE OF A SLICE] [--kinds uint8 int16 ...] [--ranks median min ...] [--only WORDS]

Each result is compared with SciPy's. Times are the least of rounds in turns, by the processor's time.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "CTFAST_NUM_THREADS"):
    os.environ[_name] = "1"
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "kernels"), str(ROOT)]

import numpy as np  # noqa: E402
import scipy.ndimage  # noqa: E402
from skimage.morphology import diamond, disk  # noqa: E402

from ctfast.compat import scipy_ndimage  # noqa: E402
from ctfast.files import read_image  # noqa: E402
from ctfast.tools.synth import phantom  # noqa: E402

GOAL = 20.0
RANKS: dict[str, tuple[str, dict[str, Any]]] = {
    "median": ("median_filter", {}),
    "min": ("rank_filter", {"rank": 0}),
    "max": ("rank_filter", {"rank": -1}),
    "second": ("rank_filter", {"rank": 1}),
    "quartile": ("percentile_filter", {"percentile": 25}),
    "90 %": ("percentile_filter", {"percentile": 90}),
}


def footprints() -> dict[str, np.ndarray]:
    """Crosses, disks, diamonds, rings, lines, boxes, random ones and the smallest of all."""
    made: dict[str, Any] = {}
    for n in range(3, 16, 2):
        cross = np.zeros((n, n), bool)
        cross[n // 2] = cross[:, n // 2] = True
        ring = np.ones((n, n), bool)
        ring[1:-1, 1:-1] = False
        made |= {f"cross {n}": cross, f"disk {n}": disk(n // 2), f"ring {n}": ring, f"diagonal {n}": np.eye(n)}
        if n > 3:
            made[f"diamond {n}"] = diamond(n // 2)
    for n in (2, 3, 4, 5, 6, 7, 8, 11, 15):
        made |= {f"row {n}": np.ones((1, n)), f"column {n}": np.ones((n, 1))}
    boxes = "2x2 3x3 2x3 4x4 5x3 4x6 6x6 7x7 8x8 10x10 9x15 14x14 15x15"
    for h, w in (map(int, sides.split("x")) for sides in boxes.split()):
        made[f"box {h} x {w}"] = np.ones((h, w))
    rng = np.random.default_rng(1)
    for n in (3, 5, 7, 9, 10, 12, 13, 15):
        for share in (0.2, 0.5, 0.8):
            made[f"random {n}, {share}"] = rng.random((n, n)) < share
    made |= {"corner 2 x 2": np.array([[1, 1], [1, 0]]), "two apart": np.eye(5)[:, ::-1] * [1, 0, 0, 0, 1]}
    return {name: np.asarray(mask, bool) for name, mask in made.items() if np.any(mask)}


def images(path: str | None) -> dict[str, np.ndarray]:
    """A slice of each dtype; floats have fractions."""
    hu = np.clip(np.rint(read_image(path).pixels if path else phantom(3).hu), -1024, 3071).astype(np.int16)
    fractions = hu + np.random.default_rng(0).random(hu.shape)
    eight = np.clip((hu + 160) * (255 / 400), 0, 255).astype(np.uint8)
    sixteen = (hu.astype(np.int32) + 1024).astype(np.uint16)
    return {
        "uint8": eight,
        "uint16": sixteen,
        "int16": hu,
        "float32": fractions.astype(np.float32),
        "float64": fractions,
    }


def least(ours: Callable[[], Any], original: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of both."""
    times: list[list[float]] = [[], []]
    began = time.perf_counter()
    while len(times[0]) < 2 or (len(times[0]) < 5 and time.perf_counter() - began < 0.15):
        for call, taken in zip((original, ours, ours, ours), (times[1], times[0], times[0], times[0]), strict=True):
            start = time.process_time()
            call()
            taken.append(time.process_time() - start)
    return min(times[0]), min(times[1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("slice", nargs="?")
    parser.add_argument("--kinds", nargs="*", default=["uint8", "uint16", "int16", "float32", "float64"])
    parser.add_argument("--ranks", nargs="*", default=["median"])
    parser.add_argument("--only", default="")
    parser.add_argument("--all", action="store_true", help="print all, not only what is below the goal")
    asked = parser.parse_args()
    pictures = images(asked.slice)
    for kind in asked.kinds:
        x = pictures[kind]
        for rank in asked.ranks:
            name, options = RANKS[rank]
            below, count = [], 0
            for shape, mask in footprints().items():
                if asked.only not in shape or (rank == "second" and mask.sum() < 2):
                    continue
                both = (getattr(module, name) for module in (scipy_ndimage, scipy.ndimage))
                calls = [partial(function, x, footprint=mask, **options) for function in both]
                results = [call() for call in calls]
                if not np.array_equal(*results):
                    print(f"DIFFERENT: {kind} {rank} {shape}", flush=True)
                ours, original = least(*calls)
                ratio, count = original / ours, count + 1
                if ratio < GOAL or asked.all:
                    one, other = (t / x.size * 1e9 for t in (ours, original))
                    below.append((ratio, f"{shape} ({mask.sum()}): {ratio:.1f} [{one:.2f} / {other:.1f} ns]"))
            print(f"{kind} {rank}: {sum(r < GOAL for r, _ in below)} of {count} below {GOAL:.0f}", flush=True)
            for _, line in sorted(below):
                print("   ", line, flush=True)


if __name__ == "__main__":
    main()
