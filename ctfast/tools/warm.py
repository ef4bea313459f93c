"""Compile ahead: small calls fill Numba's cache on disk.

By itself that is what presets and common calls take: of each operation the first two of the contract's examples, for
the dtypes that slices have, in windows of one size each that presets and most scripts use. Everything else compiles at
its first call, in some seconds at most, or here where it is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ctfast import ops
from ctfast.batch.compiling import Part
from ctfast.files.plain import compile_reader
from ctfast.pipeline import Pipeline
from ctfast.presets import preset
from ctfast.threads import get_num_threads
from ctkernels.contract import IMAGE_DTYPES, OPERATIONS

if TYPE_CHECKING:
    from rich.console import Console

_SIDE = 64
_CHAIN_SLICES = 4
"""Fewer slices go through a chain operation by operation."""

_CHAINS: Final = ("mediastinum", "mediastinum-plain")
"""Presets whose chains are compiled: with CLAHE and without."""
_COMMON: Final = {
    "window": 2,
    "normalize": 2,
    "standardize": 1,
    "median_filter": 2,
    "gaussian_filter": 1,
    "clahe": 1,
    "histogram": 1,
    "summary": 1,
}
"""Operations in presets and most scripts, and how many of their first examples are."""
_COMMON_DTYPES: Final = ("int16", "float32", "uint8")
"""HU, normalised, and windowed; float64 slices of whole numbers become int16 as they are read."""


def calls() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every (operation, input dtype, parameters) that is compiled where everything is."""
    for name, operation in OPERATIONS.items():
        results = operation.out_dtypes if operation.chooses_dtype else (None,)
        for image_dtype in IMAGE_DTYPES:
            for params in operation.examples:
                for dtype in results:
                    yield name, image_dtype, dict(params) if dtype is None else {**params, "dtype": dtype}


def common_calls() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Those of presets and most scripts, with the results that they ask for."""
    for name, count in _COMMON.items():
        for image_dtype in _COMMON_DTYPES:
            for params in OPERATIONS[name].examples[:count]:
                yield name, image_dtype, dict(params)


def parts(everything: bool) -> list[Part]:
    """What is compiled, in order."""
    pixels = np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE))
    by_name: dict[str, list[Callable[[], object]]] = {}
    for name, image_dtype, params in calls() if everything else common_calls():
        operation, some = getattr(ops, name), by_name.setdefault(name, [])
        some.append(partial(operation, pixels.astype(image_dtype), **params))
        if image_dtype.startswith("float"):  # whole numbers and others take different code
            some.append(partial(operation, (pixels + 0.3).astype(image_dtype), **params))
    batch = np.repeat(pixels[None], max(_CHAIN_SLICES, get_num_threads()), axis=0)
    # A run of one file, and of some, has int16 alone in it.
    chains = [
        partial(Pipeline(step for step in preset(name).steps if step.operation != "summary").run, batch.astype(dtype))
        for dtype in (IMAGE_DTYPES if everything else ("int16",))
        for name in _CHAINS
    ]
    return [
        *(Part(name, tuple(some)) for name, some in by_name.items()),
        *([Part("masks and footprints", tuple(_rarer(pixels)))] if everything else []),
        Part("pipelines of uint8 windows, as one function", tuple(chains)),
        Part("plain files", (compile_reader,)),
        *([Part("convolutions of the network", (_convolutions,))] if find_spec("jax") is not None else []),
    ]


def _rarer(pixels: np.ndarray) -> Iterator[Callable[[], object]]:
    for image_dtype in IMAGE_DTYPES:
        image = pixels.astype(image_dtype)
        yield partial(ops.summary, image, where=pixels > 0)
        yield partial(ops.median_filter, image, footprint=[[0, 1, 0], [1, 1, 1], [0, 1, 0]])


def _convolutions() -> None:
    from ctkernels.cpu.xla import targets

    targets("float32")


def compile_all(console: Console, *, everything: bool = False) -> float:
    """Compile the common or everything, telling what and how far; returns the seconds it took."""
    start, done = time.perf_counter(), 0
    todo = parts(everything)
    total = sum(len(part.calls) for part in todo)
    for part in todo:
        said = f"{time.perf_counter() - start:6.1f} s  {done:4d} of {total} calls  {part.title}"
        console.print(said, highlight=False)
        for call in part.calls:
            call()
            done += 1
    seconds = time.perf_counter() - start
    what = "all kernels" if everything else "the kernels of presets and common calls"
    console.print(f"{seconds:6.1f} s  {what} compiled and cached", highlight=False)
    return seconds
