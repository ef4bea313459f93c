"""OpenCV and ctfast as users call them: 16 slices in turns and one hot slice, with ``out=`` and without, one thread.

python bench/turns.py [FOLDER OF TIFFS] > bench/results/turns.json   # ns a pixel meanwhile; else phantom slices
python bench/report.py bench/results/turns.json                      # its table in docs/measured.md

Where there is AVX-512, AVX2 alone for both sides (IPP too): NUMBA_CPU_NAME=haswell (of Intel's, znver3 of AMD's: some
plans differ) NUMBA_CPU_FEATURES=+avx2,+fma OPENCV_CPU_DISABLE=AVX512-SKX OPENCV_IPP=avx2; of libraries without a switch
see avx2_only.c. Every result is compared with the peer's before anything is timed.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "kernels"), str(ROOT)]

import cv2  # noqa: E402
import numpy as np  # noqa: E402

import ctfast  # noqa: E402
from bench.whole_job import machine  # noqa: E402
from ctfast.files import read_image  # noqa: E402
from ctfast.tools.synth import phantom  # noqa: E402

SLICES, ROUNDS = 16, 15
Case = tuple[Callable[..., Any], Callable[..., Any], str | None, float]


def slices(folder: str | None) -> dict[str, np.ndarray]:
    """HU as int16 and float32, moved to 0..4095 as uint16, the upper 8 of these 12 bits as uint8."""
    if folder:
        hu = np.stack([read_image(p).pixels for p in sorted(Path(folder).iterdir())[:SLICES]])
    else:
        hu = np.stack([phantom(n).hu for n in range(SLICES)])
    hu = np.clip(hu, -1024, 3071).astype(np.int16)
    twelve = (hu + 1024).astype(np.uint16)
    return {"int16": hu, "float32": hu.astype(np.float32), "uint16": twelve, "uint8": (twelve >> 4).astype(np.uint8)}


def cases() -> dict[tuple[str, str], Case]:
    """Ours and the peer's call, each with ``out`` or None; dtype of the result (None: numbers); largest difference."""
    nine = cv2.getGaussianKernel(9, 1)
    clahe = cv2.createCLAHE(2.0, (8, 8))

    def gaussian(x: np.ndarray, out: Any) -> Any:
        return ctfast.gaussian_filter(x, 1.0, mode="mirror", out=out)

    def separable(x: np.ndarray, out: Any) -> Any:
        return cv2.sepFilter2D(x, -1, nine, nine, dst=out)

    def median(size: int) -> tuple[Any, Any]:
        return (
            lambda x, out: ctfast.median_filter(x, size, mode="nearest", out=out),
            lambda x, out: cv2.medianBlur(x, size, dst=out),
        )

    def counts(bins: int, top: int) -> tuple[Any, Any]:
        return (
            lambda x, out: ctfast.histogram(x, bins, value_range=(0, top)).counts,
            lambda x, out: cv2.calcHist([x], [0], None, [bins], [0, top]).reshape(-1),
        )

    def min_max(x: np.ndarray, out: Any) -> Any:
        return cv2.normalize(x, out, 0, 1, cv2.NORM_MINMAX, cv2.CV_32F)

    def levels(x: np.ndarray, out: Any) -> Any:
        return ctfast.clahe(x, nbins=256**x.itemsize, out=out)

    found: dict[tuple[str, str], Case] = {}
    for dtype in ("uint8", "int16", "float32"):
        found["median 3", dtype] = (*median(3), dtype, 0)
        found["Gaussian sigma 1", dtype] = (gaussian, separable, dtype, 1.01)
        found["min-max", dtype] = (lambda x, out: ctfast.normalize(x, out=out), min_max, "float32", 2e-6)
    for dtype in ("uint8", "uint16"):
        found["CLAHE 8x8", dtype] = (levels, lambda x, out: clahe.apply(x, out), dtype, 0)
    found["histogram 256", "uint8"] = (*counts(256, 256), None, 0)
    found["histogram 4096", "uint16"] = (*counts(4096, 4096), None, 0)
    return found


def timed(calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Lower quartile of the processor's seconds of each call, all of them once a round."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for name in calls:
        calls[name]()
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.thread_time()
            call()
            times[name].append(time.thread_time() - start)
    return {name: float(np.percentile(t, 25)) for name, t in times.items()}


def _each(call: Callable[..., Any], images: Any, out: Any) -> list[Any]:
    return [call(x, out) for x in images]


def _copies(images: np.ndarray, out: np.ndarray | None) -> Callable[[], None]:
    """Copies as many bytes as the operation reads and writes: the least that memory takes."""
    count = images[0].nbytes + (0 if out is None else out.nbytes)
    sources = np.resize(images.view(np.uint8).reshape(len(images), -1), (len(images), count // 2))
    target = np.empty(count // 2, np.uint8)

    def copy() -> None:
        for source in sources:
            np.copyto(target, source)

    return copy


def measure(folder: str | None) -> list[dict[str, Any]]:
    """Seconds a slice of ours and the peer's: hot and in turns with ``out=``, in turns without; of a plain copy too."""
    ctfast.set_num_threads(1)
    cv2.setNumThreads(1)
    data, rows = slices(folder), []
    for (row, dtype), (ours, peer, result, largest) in cases().items():
        images = data[dtype]
        inner = (slice(8, -8), slice(8, -8)) if result else ()
        for x in images:
            a, b = (np.asarray(f(x, None), np.float64)[inner] for f in (ours, peer))
            assert np.abs(a - b).max() <= largest, f"{row} {dtype}: other work"
        out = None if result is None else np.empty(images[0].shape, result)
        calls: dict[str, Callable[[], Any]] = {"copy in turns": _copies(images, out)}
        for name, f in (("ours", ours), ("peer", peer)):
            calls[f"{name} hot"] = partial(_each, f, [images[3]] * SLICES, out)
            calls[f"{name} in turns"] = partial(_each, f, images, out)
            calls[f"{name} without out"] = partial(_each, f, images, None)
        seconds = {name: t / SLICES for name, t in timed(calls).items()}
        rows.append({"row": row, "column": dtype, "seconds": seconds, "pixels": int(images[0].size)})
        print(row, dtype, {name: round(s * 1e9 / images[0].size, 3) for name, s in seconds.items()}, file=sys.stderr)
    return rows


def processor() -> str:
    """Its name, as the system has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def where() -> dict[str, Any]:
    """The machine, what of it was used, and whose code."""
    from ctkernels.cpu._core.vectors import VECTOR_BYTES

    hidden = os.environ.get("OPENCV_CPU_DISABLE") or "avx2_only" in os.environ.get("LD_PRELOAD", "")
    forced = os.environ.get("NUMBA_CPU_FEATURES") and hidden
    wide = "AVX-512" if VECTOR_BYTES == 64 else "AVX2"
    return {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "cpu": processor(),
        "instructions": f"{wide}, the rest switched off for both sides" if forced else wide,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("numba", "numpy", "opencv-python-headless")},
    }


def main() -> None:
    """Measure, and print what ``bench/report.py`` takes."""
    folder = sys.argv[1] if len(sys.argv) > 1 else None
    shape = next(iter(slices(folder).values())).shape[1:]
    found = {"images": "real slices" if folder else "phantom slices", "slices": SLICES, "shape": shape}
    print(json.dumps({**where(), **found, "turns": measure(folder)}, indent=1))


if __name__ == "__main__":
    main()
