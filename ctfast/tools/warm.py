"""Compile ahead: one small call of every operation, input dtype and result dtype fills Numba's cache on disk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ctfast import ops
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


def calls() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every (operation, input dtype, parameters) that is compiled."""
    for name, operation in OPERATIONS.items():
        results = operation.out_dtypes if operation.chooses_dtype else (None,)
        for image_dtype in IMAGE_DTYPES:
            for params in operation.examples:
                for dtype in results:
                    yield name, image_dtype, dict(params) if dtype is None else {**params, "dtype": dtype}


def compile_all(console: Console) -> float:
    """Compile everything, telling how far it is; returns the seconds it took."""
    start = time.perf_counter()
    pixels = np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE))
    last = ""
    for name, image_dtype, params in calls():
        if name != last:
            console.print(f"{time.perf_counter() - start:6.1f} s  {name}", highlight=False)
            last = name
        getattr(ops, name)(pixels.astype(image_dtype), **params)
        if image_dtype.startswith("float"):  # whole numbers and others take different code
            getattr(ops, name)((pixels + 0.3).astype(image_dtype), **params)
    for image_dtype in IMAGE_DTYPES:
        ops.summary(pixels.astype(image_dtype), where=pixels > 0)
        ops.median_filter(pixels.astype(image_dtype), footprint=[[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    console.print(f"{time.perf_counter() - start:6.1f} s  pipelines of uint8 windows, as one function", highlight=False)
    batch = np.repeat(pixels[None], max(_CHAIN_SLICES, get_num_threads()), axis=0)
    for name in _CHAINS:
        chain = Pipeline(step for step in preset(name).steps if step.operation != "summary")
        for image_dtype in IMAGE_DTYPES:
            chain.run(batch.astype(image_dtype))
    console.print(f"{time.perf_counter() - start:6.1f} s  plain files", highlight=False)
    compile_reader()
    if find_spec("jax") is not None:
        from ctkernels.cpu.xla import targets

        console.print(f"{time.perf_counter() - start:6.1f} s  convolutions of the network", highlight=False)
        targets("float32")
    seconds = time.perf_counter() - start
    console.print(f"{seconds:6.1f} s  all kernels compiled and cached", highlight=False)
    return seconds
