"""Many slices: the pipeline window, median 3, Gaussian 1, CLAHE, histogram against the best OpenCV chain on a pool."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

import ctfast
from bench.images import image
from ctfast import Pipeline, Step

SLICES = 64
LOW, WIDTH = -160.0, 400.0

CHAIN = Pipeline(
    [
        Step("window", center=LOW + WIDTH / 2, width=WIDTH, function="linear_exact", dtype="uint8"),
        Step("median_filter", size=3, mode="nearest"),
        Step("gaussian_filter", sigma=1.0, mode="mirror"),
        Step("clahe", clip_limit=2.0),
        Step("histogram", bins=256, value_range=(0, 256)),
    ]
)


def batch() -> np.ndarray:
    return np.stack([image("int16", i) for i in range(8)] * (SLICES // 8))


class OpenCVChain:
    """Every step into preallocated buffers, a slice at a time, one set of buffers a thread."""

    def __init__(self, slices: np.ndarray, threads: int, *, table: bool) -> None:
        self.slices, self.threads = slices, threads
        every = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.float64)
        unit = np.clip((every - LOW) / WIDTH, 0, 1)
        self.table = np.rint(unit * 255).astype(np.uint8) if table else None
        self.weights = cv2.getGaussianKernel(9, 1.0, cv2.CV_32F)
        self.out = np.empty(slices.shape, np.uint8)
        self.counts = np.empty((len(slices), 256), np.int64)
        self.local = threading.local()
        self.pool = ThreadPoolExecutor(threads)

    def one(self, i: int) -> None:
        if not hasattr(self.local, "buffers"):
            shape = self.slices.shape[1:]
            self.local.buffers = np.empty(shape, np.uint8), np.empty(shape, np.uint8), cv2.createCLAHE(2.0, (8, 8))
        a, b, clahe = self.local.buffers
        x = self.slices[i]
        scale = 255 / WIDTH
        if self.table is None:
            # addWeighted saturates to uint8: a true window in one pass (convertScaleAbs would mirror negative values)
            cv2.addWeighted(x, scale, x, 0, -LOW * scale, dst=a, dtype=cv2.CV_8U)
        else:
            cv2.LUT(x.view(np.uint16), self.table, dst=a)
        cv2.medianBlur(a, 3, dst=b)
        if self.table is None:
            cv2.GaussianBlur(b, (9, 9), 1.0, dst=a, borderType=cv2.BORDER_REFLECT_101)
        else:
            cv2.sepFilter2D(b, -1, self.weights, self.weights, dst=a, borderType=cv2.BORDER_REFLECT_101)
        clahe.apply(a, self.out[i])
        self.counts[i] = cv2.calcHist([self.out[i]], [0], None, [256], [0, 256]).ravel()

    def part(self, k: int) -> None:
        for i in range(k, len(self.slices), self.threads):
            self.one(i)

    def __call__(self) -> np.ndarray:
        if self.threads == 1:
            self.part(0)
        else:
            list(self.pool.map(self.part, range(self.threads)))
        return self.out


def expected_of(one: np.ndarray) -> np.ndarray:
    with ctfast.use_backend("reference"):
        return CHAIN(one)


@pytest.mark.parametrize("threads", ["1", "2"])
def bench_pipeline(compare, threads: str) -> None:
    slices = batch()
    ctfast.set_num_threads(int(threads))
    expected = expected_of(slices[0])

    def oracle(result: np.ndarray) -> None:
        # a Gaussian that differs by a rounding moves a pixel to the next bin of CLAHE: few pixels, few levels
        off = np.abs(result[0].astype(int) - expected)
        assert (off > 0).mean() < 0.02

    compare(
        f"pipeline of {SLICES} slices",
        f"{threads} thread{'s' if threads != '1' else ''}",
        lambda: CHAIN.run(slices).image,
        {
            "opencv": OpenCVChain(slices, int(threads), table=False),
            "opencv LUT, sepFilter2D": OpenCVChain(slices, int(threads), table=True),
        },
        oracle=oracle,
        same=lambda a, b: bool(np.abs(a.astype(int) - b).mean() < 0.5),
        pixels=slices.size,
    )


SCALING: dict[str, Callable[[np.ndarray, np.ndarray], object]] = {
    "median 5": lambda x, out: ctfast.median_filter(x, 5, out=out),
    "Gaussian sigma 2": lambda x, out: ctfast.gaussian_filter(x, 2.0, out=out),
    "CLAHE 8x8": lambda x, out: ctfast.clahe(x, value_range=(-1024, 3071), out=out),
    "histogram 4096": lambda x, _: ctfast.histogram(x, 4096, value_range=(-1024, 3072)).counts,
    "z-score": lambda x, _: ctfast.standardize(x),
}


@pytest.mark.parametrize("name", list(SCALING))
def bench_two_threads(compare, name: str) -> None:
    """A batch of 64 on two threads against the same on one: 2 is perfect, 1.8 the goal."""
    slices = batch()
    call = SCALING[name]
    outs = {1: np.empty_like(slices), 2: np.empty_like(slices)}

    def on(threads: int) -> object:
        ctfast.set_num_threads(threads)
        return call(slices, outs[threads])

    compare(
        f"{name}, {SLICES} slices",
        "2 threads against 1",
        lambda: on(2),
        {"ctfast on 1 thread": lambda: on(1)},
        oracle=lambda result: np.testing.assert_array_equal(result, on(1)),
        same=lambda a, b: bool((np.asarray(a) == np.asarray(b)).all()),
        pixels=slices.size,
    )
