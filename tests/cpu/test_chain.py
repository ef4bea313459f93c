"""Chains give, bit for bit, what their operations give one after the other."""

from __future__ import annotations

import itertools
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from ctkernels.contract import OPERATIONS, Link
from ctkernels.cpu import _chain_bytes
from ctkernels.cpu._core import parallel
from ctkernels.cpu.chain import run
from ctkernels.testing import assert_exact

BYTE = np.dtype(np.uint8)
WINDOW = Link("window", BYTE, {
    "center": 40.0, "width": 400.0, "function": "linear", "out_range": None, "slope": 1.0, "intercept": 0.0,
})  # fmt: skip
MEDIAN = Link("median_filter", None, {"size": (3, 3), "mode": "reflect", "cval": 0.0})
GAUSSIAN = Link("gaussian_filter", None, {"sigma": (1.0, 1.5), "truncate": 4.0, "mode": "mirror", "cval": 0.0})
CLAHE = Link("clahe", None, {"clip_limit": 2.0, "tile_grid": (4, 3), "nbins": 256, "value_range": None})
HISTOGRAM = Link("histogram", None, {"edges": np.linspace(0, 256, 257)})
SUMMARY = Link("summary", None, {"percentiles": (25.0, 50.0)})
NORMALIZE = Link("normalize", np.dtype(np.float32), {
    "in_range": None, "percentiles": (1.0, 99.0), "value_range": None, "out_range": None,
})  # fmt: skip
FULL = [WINDOW, MEDIAN, GAUSSIAN, CLAHE, HISTOGRAM]


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Any:
    before = parallel.get_num_threads()
    parallel.set_num_threads(request.param)
    yield request.param
    parallel.set_num_threads(before)


def ct(images: int, shape: tuple[int, int], dtype: str = "int16") -> Any:
    r = np.random.default_rng(0)
    x = r.normal(20, 150, (images, *shape))
    x[:, : shape[0] // 3] = -1024
    return np.rint(x).astype(dtype) if dtype != "uint16" else np.rint(x + 1024).clip(0).astype(dtype)


def one_by_one(x: Any, links: list[Link]) -> tuple[Any, list[Any]]:
    found = []
    for link in links:
        function = getattr(import_module(f"ctkernels.cpu.{link.operation}"), link.operation)
        if link.is_statistic:
            statistics = empty_statistics(x.shape, link)
            function(x, statistics, **link.params)
            found.append(statistics)
        else:
            y = np.empty(x.shape, link.dtype or x.dtype)
            function(x, y, **link.params)
            x = y
    return x, found


def empty_statistics(shape: tuple[int, ...], link: Link) -> Any:
    operation = OPERATIONS[link.operation]
    return np.empty(operation.result_shape(shape, link.params), operation.out_dtypes[0])


def check(x: Any, links: list[Link]) -> None:
    expected, statistics = one_by_one(x, links)
    before = x.copy()
    makes_image = not all(link.is_statistic for link in links)
    out = np.full(x.shape, 77, expected.dtype) if makes_image else None
    found = [empty_statistics(x.shape, link) for link in links if link.is_statistic]
    run(x, out, links, found)
    names = [link.operation for link in links]
    if out is not None:
        assert_exact(out, expected, f"{names} {x.dtype} {x.shape}")
    for mine, one in zip(found, statistics):
        assert_exact(mine, one, f"statistics of {names}")
    assert_exact(x, before, "the input")


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
def test_the_whole_chain(dtype: str, threads: int) -> None:
    for shape in ((61, 67), (128, 128), (1, 1), (5, 9)):
        check(ct(5, shape, dtype), FULL)


def test_every_order_and_part_of_the_byte_chain(threads: int) -> None:
    x = ct(4, (40, 50))
    others = FULL[1:]
    for count in range(len(others) + 1):
        for order in itertools.permutations(others, count):
            links = [WINDOW, *order]
            assert _chain_bytes.fits(x, links)
            check(x, links)


@pytest.mark.parametrize("mode", ["reflect", "mirror", "nearest", "wrap", "constant"])
def test_border_modes(mode: str, threads: int) -> None:
    links = [WINDOW, *(link._replace(params={**link.params, "mode": mode, "cval": 9.0}) for link in (MEDIAN, GAUSSIAN))]
    check(ct(4, (33, 70)), links)


@pytest.mark.parametrize(
    "links",
    [
        [MEDIAN],
        [HISTOGRAM],
        [SUMMARY, GAUSSIAN, SUMMARY],
        [MEDIAN._replace(params={**MEDIAN.params, "size": (5, 3)}), NORMALIZE, GAUSSIAN, MEDIAN],
        [WINDOW._replace(params={**WINDOW.params, "function": "sigmoid"}), CLAHE],
        [WINDOW._replace(params={**WINDOW.params, "width": 1.0}), CLAHE, HISTOGRAM],
        [WINDOW, MEDIAN, MEDIAN],
        [WINDOW, CLAHE._replace(params={**CLAHE.params, "nbins": 100})],
        [WINDOW, MEDIAN._replace(params={**MEDIAN.params, "size": (5, 5)}), CLAHE],
        [WINDOW._replace(dtype=np.dtype(np.uint16)), CLAHE, HISTOGRAM],
    ],
)
def test_other_chains(links: list[Link], threads: int) -> None:
    for images in (1, 5):
        check(ct(images, (40, 50)), links)


@pytest.mark.parametrize("edges", [[0, 1], [10, 20, 200.5], [-5, 255], [3, 3.5, 4, 300]])
def test_histogram_edges(edges: list[float], threads: int) -> None:
    check(ct(4, (40, 50)), [WINDOW, HISTOGRAM._replace(params={"edges": np.array(edges, np.float64)})])


def test_histogram_counts_what_numpy_counts(threads: int) -> None:
    x = ct(4, (40, 50))
    out, counts = np.empty(x.shape, np.uint8), np.empty((4, 256), np.int64)
    run(x, out, FULL, [counts])
    for image, row in zip(out, counts):
        assert_exact(row, np.histogram(image, 256, (0, 256))[0])


def test_read_only_input(threads: int) -> None:
    x = ct(4, (40, 50))
    x.flags.writeable = False
    check(x, FULL)
    check(x, [MEDIAN, GAUSSIAN])


def test_statistics_between_images_do_not_mix_up_the_buffers(threads: int) -> None:
    """A buffer is the input of one step and must not be its result, wherever statistics stand."""
    x = ct(3, (40, 50))
    other = Link("median_filter", None, {"size": (5, 3), "mode": "wrap", "cval": 0.0})
    for links in ([MEDIAN, SUMMARY, GAUSSIAN, other], [GAUSSIAN, SUMMARY, other, HISTOGRAM, MEDIAN, GAUSSIAN]):
        expected, statistics = one_by_one(x, links)
        out = np.empty_like(expected)
        found = [np.empty_like(f) for f in statistics]
        run(x, out, links, found)
        assert_exact(out, expected)
        for got, want in zip(found, statistics, strict=True):
            assert_exact(got, want)
