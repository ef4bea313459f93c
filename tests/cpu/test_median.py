"""The CPU median filter against SciPy and the plain reference: every dtype and mode, borders, odd shapes, NaN."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ctkernels import reference
from ctkernels.contract import IMAGE_DTYPES, MODES
from ctkernels.cpu._core import parallel
from ctkernels.cpu._median import box_ranks, histogram, small
from ctkernels.cpu.median_filter import median_filter
from ctkernels.shared.networks import Graph, live_ranks
from ctkernels.testing import assert_exact, force_bands

Array = NDArray[Any]
Size = tuple[int, int]

SMALL: tuple[Size, ...] = ((3, 3), (5, 5))
"""Sizes with a network, checked in full; the other networks differ in their plan alone and are checked one by one."""
LARGE: tuple[Size, ...] = ((17, 17), (101, 1))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = parallel.get_num_threads()
    parallel.set_num_threads(1)
    yield
    parallel.set_num_threads(before)


def ct_like(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Array:
    values = np.random.default_rng(seed).normal(40, 300, shape).round().clip(-1024, 3071)
    if dtype.startswith("u"):
        values = (values / 8 + 128).clip(0, 255) if dtype == "uint8" else values + 1024
    return values.astype(dtype)


def wild(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Array:
    """Values from one end of the dtype to the other."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        values = rng.standard_cauchy(shape)
        values.flat[::7], values.flat[3::11], values.flat[4::13] = np.inf, -np.inf, -0.0
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, endpoint=True, dtype=dtype)


def check(x: Array, size: Size, mode: str = "reflect", cval: float = 0.0, oracle: str = "scipy") -> None:
    batch = x.reshape(-1, *x.shape[-2:])
    # SciPy's reflection reads pixel -1 of an axis of n pixels for position -4n (NI_InitFilterOffsets, seen in 1.17).
    if mode == "reflect" and any(k // 2 >= 4 * n for k, n in zip(size, batch.shape[1:], strict=True)):
        oracle = "reference"
    before = batch.copy()
    expected, out = np.empty_like(batch), np.empty_like(batch)
    if oracle == "scipy":
        for image, result in zip(batch, expected, strict=True):
            scipy.ndimage.median_filter(image, size=size, output=result, mode=mode, cval=cval)
    else:
        reference.median_filter(batch, expected, size=size, mode=mode, cval=cval)
    median_filter(batch, out, size=size, mode=mode, cval=cval)
    assert_exact(out, expected, f"{x.dtype} {x.shape} {size} {mode} {cval}")
    assert_exact(batch, before, "input changed")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", SMALL + LARGE)
@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_equals_scipy(dtype: str, size: Size, mode: str) -> None:
    for shape in ((37, 45), (1, 1), (1, 9), (9, 1), (6, 140)):
        for make in (ct_like, wild):
            check(make(shape, dtype), size, mode, cval=7.0)


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 3), (3, 1), (1, 31), (15, 1), (3, 7), (9, 5), (7, 7), (9, 9), (11, 11), (15, 15)]
)
def test_equals_scipy_for_every_kind_of_network(size: Size) -> None:
    for mode in ("mirror", "constant"):
        check(ct_like((19, 151), "int16"), size, mode, cval=-1024.0)
        check(ct_like((3, 2), "int16"), size, mode, cval=-1024.0)


@pytest.mark.parametrize("size", [(17, 3), (1, 33), (301, 3), (3, 301), (257, 257)])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_equals_scipy_for_windows_of_any_shape(dtype: str, size: Size) -> None:
    check(wild((7, 40), dtype), size, "wrap")
    check(ct_like((5, 9), dtype), size, "mirror")


@pytest.mark.parametrize("size", [(13, 17), (51, 51)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_more_distinct_floats_than_ranks(dtype: str, size: Size) -> None:
    check(wild((90, 80), dtype), size, "mirror")
    levels = np.random.default_rng(4).permutation(90 * 80).reshape(90, 80)
    for distinct in (4095, 4096, 4097, 6000):
        check(((levels % distinct) / 4).astype(dtype), size)


@pytest.mark.parametrize("mode", MODES)
def test_boxes_of_doubles_by_ranks_have_the_bits_of_keys(mode: str) -> None:
    """NaN of either sign, -0 among 0, and equal ones; bands that begin and end within an image, more parts than one."""
    rng = np.random.default_rng(8)
    shape = (2, 59, 1500)
    x = np.where(rng.random(shape) < 0.4, rng.integers(-2, 3, shape) * 0.5, rng.normal(0, 1, shape))
    x[0, :30, :200] = rng.choice([0.0, -0.0, np.nan, -np.nan, np.inf, 0.5], (30, 200))
    assert box_ranks.serves(x.shape, x.dtype, (15, 13))
    assert not box_ranks.serves((1, 9, 9999), x.dtype, (15, 13))  # rows so long that few share their ranks
    for band in ((0, 0, 59), (1, 3, 41)):
        by_ranks, by_keys = np.zeros_like(x), np.zeros_like(x)
        box_ranks.bind(x.shape, (15, 13), mode, -0.5)(x, by_ranks, band)
        small.bind(x.shape, small.KEYS["d"], (15, 13), mode, -0.5)(x, by_keys, band)
        assert (by_ranks.view(np.int64) == by_keys.view(np.int64)).all()


@pytest.mark.parametrize("size", SMALL + LARGE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_counts_as_larger_than_every_number(dtype: str, size: Size) -> None:
    for seed, make in enumerate((ct_like, wild)):
        x = make((21, 70), dtype, seed)
        for share in (0.1, 0.6):
            x[np.random.default_rng(seed).random(x.shape) < share] = np.nan
            x[3, 5:9] = -np.nan
            check(x, size, "nearest", oracle="reference")
    check(np.full((5, 6), np.nan, dtype), size, oracle="reference")


@pytest.mark.parametrize("cval", [0.5, -40000.0, np.inf, -np.inf, np.nan, 12.0])
@pytest.mark.parametrize("size", [(5, 5), (17, 17)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_border_value_of_floats(dtype: str, size: Size, cval: float) -> None:
    check(ct_like((14, 70), dtype), size, "constant", cval, oracle="reference")
    check(wild((14, 10), dtype), size, "constant", cval, oracle="reference")


@pytest.mark.parametrize("size", [(3, 3), (17, 17)])
@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_constant_images_and_ends_of_the_dtype(dtype: str, size: Size) -> None:
    info: Any = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else np.finfo(dtype)
    for value in (info.min, info.max, 0):
        check(np.full((20, 33), value, dtype), size)
    ends = np.array([info.min, info.max], dtype)[np.random.default_rng(0).integers(0, 2, (31, 70))]
    check(ends, size)


@pytest.mark.parametrize("low", [-32768.0, -32769.0, 32767.0, 32768.0, 0.5])
@pytest.mark.parametrize("size", [(3, 3), (17, 17)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_around_the_range_of_whole_numbers(dtype: str, size: Size, low: float) -> None:
    x = ct_like((40, 70), dtype)
    x[30:34, 60:64] = low
    check(x, size)


@pytest.mark.parametrize("size", [(5, 5), (21, 21)])
@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_images_of_a_batch_do_not_mix(dtype: str, size: Size) -> None:
    check(np.stack([ct_like((17, 23), dtype, seed) for seed in range(4)]), size, "wrap")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(5, 5), (21, 21)])
@pytest.mark.parametrize("make", [ct_like, wild])
def test_bands_of_rows_on_two_threads(make: Any, size: Size, mode: str) -> None:
    with force_bands(threads=2, bands=[(0, 0, 7), (0, 7, 8), (0, 8, 31), (0, 31, 40)]):
        for dtype in ("uint16", "float32"):
            check(make((40, 60), dtype), size, mode)


def test_filters_of_two_sizes_have_names_of_their_own() -> None:
    """Or code from disk that calls one (a chain, compiled by another process) is linked to the other."""
    kernels = [small.kernel(3, 3), small.kernel(5, 5), histogram.kernel(16), histogram.kernel(64)]
    assert len({kernel.py_func.__qualname__ for kernel in kernels}) == len(kernels)


def test_read_only_input() -> None:
    x = ct_like((12, 80), "int16")
    x.flags.writeable = False
    check(x, (3, 3))


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 90)),
    size=st.sampled_from(SMALL + LARGE),
    mode=st.sampled_from(MODES),
    dtype=st.sampled_from(IMAGE_DTYPES),
    levels=st.sampled_from([2, 300, 5000, 60000]),
    seed=st.integers(0, 1000),
)
def test_any_shape_mode_and_number_of_values(
    shape: tuple[int, int], size: Size, mode: str, dtype: str, levels: int, seed: int
) -> None:
    if dtype == "uint8":
        levels = min(levels, 256)
    values = np.random.default_rng(seed).integers(0, levels, shape)
    x = (values - 30000 * (dtype == "int16")).clip(None, 65535 if dtype == "uint16" else 32767).astype(dtype)
    check(x, size, mode, cval=1.0)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), size=st.sampled_from(SMALL + LARGE), dtype=st.sampled_from(IMAGE_DTYPES))
def test_order_is_kept(seed: int, size: Size, dtype: str) -> None:
    """A median commutes with every monotone map: here, doubling what is halved exactly."""
    x = (ct_like((9, 50), dtype, seed) // 4) * 2
    once, twice = np.empty_like(x[None]), np.empty_like(x[None])
    median_filter(x[None], once, size=size, mode="mirror", cval=0.0)
    median_filter(x[None] // 2, twice, size=size, mode="mirror", cval=0.0)
    assert_exact(once, twice * 2)


def run_network(graph: Graph, outputs: list[int], inputs: list[int]) -> list[int]:
    values: dict[int, int] = {}
    for node in graph.needed(outputs):
        kind, a, b, _ = graph.nodes[node]
        values[node] = inputs[a] if kind == "load" else (min if kind == "min" else max)(values[a], values[b])
    return [values[node] for node in outputs]


@pytest.mark.parametrize("n", range(1, 11))
def test_networks_sort_all_zeros_and_ones(n: int) -> None:
    """A network of minima and maxima that sorts these sorts everything (Knuth, TAOCP 3, 5.3.4, theorem Z)."""
    graph = Graph()
    outputs = graph.sort([graph.load(("x", 0), i) for i in range(n)])
    for bits in range(2**n):
        inputs = [bits >> i & 1 for i in range(n)]
        assert run_network(graph, outputs, inputs) == sorted(inputs)


@pytest.mark.parametrize(("a", "b"), [(1, 1), (2, 7), (5, 3), (6, 6), (9, 4)])
def test_merges_and_single_ranks(a: int, b: int) -> None:
    graph = Graph()
    nodes = [graph.load(("x", 0), i) for i in range(a + b)]
    for first in range(a + b):
        last = min(first + 2, a + b - 1)
        outputs = graph.merge_ranks(nodes[:a], nodes[a:], first, last)
        for zeros_a in range(a + 1):
            for zeros_b in range(b + 1):
                inputs = [int(i >= zeros_a) for i in range(a)] + [int(i >= zeros_b) for i in range(b)]
                assert run_network(graph, outputs, inputs) == sorted(inputs)[first : last + 1]


@pytest.mark.parametrize("size", [(3, 3), (5, 5), (1, 3), (3, 3, 3)])
def test_floats_as_they_are_have_the_bits_of_keys(size: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN and -0 wherever a row is read in another way: at corners, in the middle, beyond a band, outside."""
    # Of a volume bands are pairs of rows.
    bands = (
        [(0, 0, 5), (0, 5, 19)] if len(size) == 3 else [(n, *rows) for n in range(4) for rows in ((0, 10), (10, 37))]
    )

    def found(x: Array, mode: str, cval: float, pays: bool) -> Array:
        monkeypatch.setattr(small, "pays", lambda: pays)
        out = np.empty_like(x)
        median_filter(x, out, size=size, mode=mode, cval=cval)
        return out.view(np.int32)

    fractions = ct_like((4, 37, 45), "float32") + np.float32(0.25)
    places = [(0, 0), (36, 44), (0, 20), (18, 0), (9, 44), (10, 21), (25, 43), (36, 1)]
    with force_bands(threads=1, bands=bands):
        for x in (fractions, np.trunc(fractions) + np.float32(0)):
            image = x.reshape(1, *x.shape) if len(size) == 3 else x
            for cval in (0.5, -0.0, np.nan, np.inf):
                assert_exact(*(found(image, "constant", cval, pays) for pays in (True, False)), f"{size} {cval}")
            for (row, column), value in itertools.product(places, (np.nan, -np.nan, -0.0, np.inf, 1e-42)):
                changed = image.copy()
                zeros = changed[..., max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
                zeros[...] = 0.0
                changed[..., row, column] = value
                what = f"{size} {row} {column} {value}"
                assert_exact(*(found(changed, "nearest", 0.0, pays) for pays in (True, False)), what)


def test_middle_of_sorted_triples() -> None:
    graph = Graph()
    nodes = [graph.load(("x", 0), i) for i in range(9)]
    output = graph.middle_of_triples(nodes[:3], nodes[3:6], nodes[6:])
    for ones in itertools.product(range(4), repeat=3):
        inputs = [int(i >= 3 - n) for n in ones for i in range(3)]
        assert run_network(graph, [output], inputs) == [sorted(inputs)[4]]


def test_live_ranks() -> None:
    assert live_ranks(6, 9) == (1, 4)
    assert live_ranks(9, 9) == (4, 4)
    assert live_ranks(3, 25) == (0, 2)
