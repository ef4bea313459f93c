"""Results of the operations, kept on one machine and compared bit by bit on another: ``packaging/arm64.sh`` runs it.

``python -m tests.other_machine keep FILE``, there ``python -m tests.other_machine compare FILE``. Not a test by itself.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

import ctfast
from tests.cases import images

SHAPE: Final = (2, 37, 53)
CROSS: Final = ((0, 1, 0), (1, 1, 1), (0, 1, 0))
THREE: Final = ("uint8", "int16", "float32")
FIVE: Final = (*THREE, "uint16", "float64")
CASES: Final[list[tuple[str, tuple[str, ...], Callable[[Any], Any]]]] = [
    ("window to uint8", FIVE, lambda x: ctfast.window(x, center=40, width=400, dtype="uint8")),
    ("window to float32", THREE, lambda x: ctfast.window(x, center=40, width=400, dtype="float32")),
    ("rescale", ("int16", "uint16"), lambda x: ctfast.rescale(x, slope=0.5, intercept=-10.25)),
    ("normalize", FIVE, ctfast.normalize),
    ("standardize", FIVE, ctfast.standardize),
    ("label_tissue", ("int16",), ctfast.label_tissue),
    ("median 3", THREE, lambda x: ctfast.median_filter(x, 3)),
    ("median 5", ("uint8", "float32"), lambda x: ctfast.median_filter(x, 5)),
    ("median 15", ("int16", "float32"), lambda x: ctfast.median_filter(x, 15)),
    ("median of a cross", ("int16", "float64"), lambda x: ctfast.median_filter(x, footprint=CROSS)),
    ("median of volumes", ("int16",), lambda x: ctfast.median_filter(x, (3, 3, 3))),
    ("Gaussian of sigma 1", THREE, lambda x: ctfast.gaussian_filter(x, 1.0)),
    ("Gaussian of sigma 2.5", ("float64",), lambda x: ctfast.gaussian_filter(x, 2.5, mode="wrap")),
    ("Gaussian derivative", ("float32",), lambda x: ctfast.gaussian_filter(x, 1.0, order=(1, 0))),
    ("CLAHE", THREE, lambda x: ctfast.clahe(x, clip_limit=2.0, value_range=(0, 255))),
    ("histogram", THREE, lambda x: ctfast.histogram(x, 64, value_range=(-100, 200)).counts),
    ("least and greatest", THREE, lambda x: np.stack([ctfast.summary(x).min, ctfast.summary(x).max])),
]
"""What is exactly defined. Means and deviations are added up in the order of the machine's vectors."""


def results() -> Iterator[tuple[str, np.ndarray]]:
    """The results, with a word on how long each took."""
    for name, dtypes, function in CASES:
        for dtype in dtypes:
            image, start = images(SHAPE, dtype)["values"], time.perf_counter()
            yield f"{name}, {dtype}", np.asarray(function(image))
            print(f"{name}, {dtype}: {time.perf_counter() - start:.0f} s", flush=True)


def compare(file: str) -> int:
    """How many results differ from those in a file."""
    print(platform.machine())
    differing = []
    with np.load(file) as kept:
        for name, result in results():
            if result.dtype != kept[name].dtype or result.tobytes() != kept[name].tobytes():
                differing.append(name)
    print("different:", ", ".join(differing) or "none")
    return len(differing)


if __name__ == "__main__":
    word, path = sys.argv[1:]
    if word == "keep":
        np.savez(path, **dict(results()))  # type: ignore[arg-type]
    else:
        sys.exit(compare(path) > 0)
