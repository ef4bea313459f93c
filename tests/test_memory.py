"""Memory of results: used again when nobody holds them any more, never before."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import ctfast
from ctfast import memory
from ctfast.errors import ArgumentError

SHAPE = (256, 256)  # float32: 256 KB
BYTES = 4 * 256 * 256


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_store", memory._Store())


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def image(value: float = 1.0) -> np.ndarray:
    return np.full(SHAPE, value, np.float32)


def test_the_next_result_takes_the_memory_of_one_that_is_gone() -> None:
    first = ctfast.rescale(image(2), slope=3, intercept=1)
    where = address(first)
    assert where % 64 == 0
    assert (first == 7).all()
    assert ctfast.recycled_memory() == (memory.DEFAULT_BYTES, 0, 1, 0)
    del first
    assert ctfast.recycled_memory().kept == BYTES
    second = ctfast.rescale(image(4), slope=3, intercept=1)
    assert (second == 13).all()
    assert address(second) == where
    assert ctfast.recycled_memory() == (memory.DEFAULT_BYTES, 0, 2, 1)


def test_pipelines_recycle_too() -> None:
    pipeline = ctfast.Pipeline([ctfast.Step("rescale", slope=2.0, intercept=0.0)])
    where = address(pipeline.run(image()).image)
    assert address(pipeline.run(image()).image) == where


HOLDERS: dict[str, Callable[[np.ndarray], Any]] = {
    "view": lambda x: x[3:5, ::2],
    "other dtype": lambda x: x.view(np.uint8),
    "transposed": lambda x: x.T[5:, ::-1],
    "memoryview": lambda x: x.data,
    "memoryview of a view": lambda x: x[1].data,
    "dlpack": lambda x: x.__dlpack__(),
    "from dlpack": np.from_dlpack,
    "subclass": lambda x: x.view(np.ma.MaskedArray),
    "iterator": lambda x: x.flat,
    "ctypes": lambda x: x.ctypes.data_as(__import__("ctypes").c_void_p),
    "base": lambda x: x.base,
    "view of the base": lambda x: x.base[5:],
    "part of a view of the base": lambda x: x.base[5:][1:],
}


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS.keys())
def test_whatever_shows_a_result_keeps_its_memory(holder: Callable[[np.ndarray], Any]) -> None:
    held = holder(ctfast.rescale(image(2), slope=1, intercept=0))
    gc.collect()
    assert ctfast.recycled_memory().kept == 0
    others = [ctfast.rescale(image(9), slope=1, intercept=0) for _ in range(3)]
    assert len({address(x) for x in others}) == 3
    assert ctfast.recycled_memory().recycled == 0
    del held
    assert ctfast.recycled_memory().kept == BYTES


def test_jax_keeps_what_it_shows() -> None:
    jnp = pytest.importorskip("jax.numpy", reason="jax is not installed")
    held = jnp.asarray(ctfast.rescale(image(2), slope=1, intercept=0))
    for _ in range(3):
        ctfast.rescale(image(9), slope=1, intercept=0)
    assert (np.asarray(held) == 2).all()


@pytest.mark.parametrize("made", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x)), np.array])
def test_copies_are_arrays_of_their_own(made: Callable[[np.ndarray], np.ndarray]) -> None:
    other = made(ctfast.rescale(image(2), slope=1, intercept=0))
    ctfast.rescale(image(9), slope=1, intercept=0)
    assert (other == 2).all()
    assert ctfast.recycled_memory().recycled == 1


def test_a_result_made_read_only_leaves_writable_memory() -> None:
    ctfast.rescale(image(), slope=1, intercept=0).setflags(write=False)
    assert ctfast.rescale(image(), slope=1, intercept=0).flags.writeable


def test_no_more_than_the_limit_is_kept() -> None:
    ctfast.set_recycled_memory(3 * BYTES)
    many = [ctfast.rescale(image(), slope=1, intercept=0) for _ in range(8)]
    del many
    assert ctfast.recycled_memory().kept == 3 * BYTES
    large = ctfast.rescale(np.ones((512, 256), np.float32), slope=1, intercept=0)
    del large
    assert ctfast.recycled_memory().kept == 2 * BYTES, "the size that was used last stays"
    ctfast.rescale(np.ones((1024, 1024), np.float32), slope=1, intercept=0)
    assert ctfast.recycled_memory().kept == 2 * BYTES


def test_sizes_come_and_go() -> None:
    for rows in range(200, 200 + 3 * memory._MOST_SIZES):
        ctfast.rescale(np.ones((rows, 256), np.float32), slope=1, intercept=0)
    assert len(memory._store.sizes) <= memory._MOST_SIZES


def test_it_can_be_switched_off_while_results_are_held() -> None:
    held = ctfast.rescale(image(5), slope=1, intercept=0)
    ctfast.set_recycled_memory(0)
    assert (held == 5).all()
    del held
    ctfast.rescale(image(), slope=1, intercept=0)
    assert ctfast.recycled_memory() == (0, 0, 1, 0)
    ctfast.set_recycled_memory(BYTES)
    ctfast.rescale(image(), slope=1, intercept=0)
    assert ctfast.recycled_memory().kept == BYTES


def test_small_results_are_ordinary_arrays() -> None:
    ctfast.rescale(np.ones((64, 64), np.float32), slope=1, intercept=0)
    assert ctfast.recycled_memory().taken == 0


@pytest.mark.parametrize("limit", [-1, 1.5, True, "1"])
def test_a_limit_that_is_none(limit: Any) -> None:
    with pytest.raises(ArgumentError, match="whole number of bytes"):
        ctfast.set_recycled_memory(limit)


def test_the_environment_sets_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(memory.VARIABLE, " 1000000 ")
    assert ctfast.recycled_memory().limit == 1_000_000


def test_an_environment_that_sets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(memory.VARIABLE, "1 GB")
    with pytest.raises(ArgumentError, match=r"CTFAST_RECYCLED_MEMORY='1 GB'.*0 keeps none"):
        ctfast.rescale(image(), slope=1, intercept=0)


def _values(seed: int) -> Iterator[int]:
    yield from np.random.default_rng(seed).integers(1, 1000, 150).tolist()


def test_threads_never_share_memory() -> None:
    def work(seed: int) -> bool:
        held: list[tuple[int, np.ndarray]] = []
        good = True
        for value in _values(seed):
            held.append((value, ctfast.rescale(image(value), slope=1, intercept=0)))
            if len(held) > 4:
                expected, array = held.pop(value % 4)
                good &= bool((array == expected).all())
        return good and all((array == expected).all() for expected, array in held)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(6)))
    assert ctfast.recycled_memory().recycled > 100


def _in_child(_: int) -> bool:
    results = [ctfast.rescale(image(value), slope=1, intercept=0) for value in range(1, 6)]
    return len({address(x) for x in results}) == 5 and all((x == k).all() for k, x in enumerate(results, 1))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning", "ignore:.*fork.*:RuntimeWarning")
def test_a_forked_child_has_its_own() -> None:
    held = [ctfast.rescale(image(7), slope=1, intercept=0) for _ in range(3)]
    held.pop()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_in_child, range(4)) == [True] * 4
    assert all((x == 7).all() for x in held)


def test_the_interpreter_ends_in_silence_with_results_held() -> None:
    code = "import ctfast, numpy as np; x = ctfast.rescale(np.ones((256, 256), np.float32), slope=1, intercept=0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
