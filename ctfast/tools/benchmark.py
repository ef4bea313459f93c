"""``ctfast bench``: the backends side by side on this machine, with the error beside the speed, and a recommendation.

Compute is timed on arrays that live where the backend computes; transfer (host to device and back) is timed apart and
is nothing for host backends. The recommendation is kept in the user's cache folder; ``ctfast run --backend auto`` reads
it.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import ctfast
from ctfast import backend as backends
from ctfast import ops
from ctfast.batch.atomic import write_json
from ctfast.batch.cache_folder import user_cache
from ctfast.dispatch.device_errors import device_errors
from ctfast.dispatch.nested import mapped
from ctfast.dispatch.transfer import gpu
from ctfast.errors import ArgumentError
from ctfast.tools.synth import phantom
from ctkernels.contract import IMAGE_DTYPES, OPERATIONS

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_SECONDS = 0.3
_REPEATS = 7


@dataclass(frozen=True)
class Timing:
    """One operation on one backend."""

    operation: str
    dtype: str
    backend: str
    compute_ms: float
    """Milliseconds an image."""
    transfer_ms: float
    error: float
    """Largest absolute difference from the reference; 0 means equal in every value."""


def recommendation_file() -> Path:
    """Where the recommendation is kept."""
    return user_cache("recommendation.json")


def recommended_backend() -> str | None:
    """The backend that ``ctfast bench`` found fastest here, if it is still usable; None without a recommendation."""
    try:
        name = json.loads(recommendation_file().read_text(encoding="utf-8"))["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return name if name in backends.NAMES and backends.status(name).usable else None


def _batch(dtype: str, size: int, images: int) -> np.ndarray:
    batch = np.stack([phantom(i, size=size).hu for i in range(min(images, 8))])
    batch = np.concatenate([batch] * -(-images // len(batch)))[:images]
    return np.clip((batch + 160.0) * (255 / 400), 0, 255).astype(dtype)


def _median_seconds(call: Callable[[], Any]) -> float:
    call()
    times: list[float] = []
    end = time.perf_counter() + _SECONDS
    while len(times) < _REPEATS and (time.perf_counter() < end or len(times) < 2):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _numbers(result: Any) -> np.ndarray:
    if hasattr(result, "counts"):
        return np.asarray(result.counts, np.float64)
    if hasattr(result, "percentiles"):
        return np.concatenate([np.atleast_1d(result.mean), np.ravel(result.percentiles)])
    return np.asarray(result, np.float64)


def measure(dtypes: Sequence[str], size: int, images: int, operations: Sequence[str]) -> Iterator[Timing]:
    """Time every operation and dtype on every usable backend but the reference, which gives the error.

    Raises:
        ArgumentError: an unknown dtype or operation.
    """
    for name, given, known in (("dtype", dtypes, IMAGE_DTYPES), ("operation", operations, tuple(OPERATIONS))):
        for value in given:
            if value not in known:
                raise ArgumentError(f"{name} {value!r}: one of {', '.join(known)} is allowed")
    usable = [name for name, status in ctfast.backends().items() if status.usable and name != "reference"]
    for operation in operations:
        function, params = getattr(ops, operation), OPERATIONS[operation].examples[0]
        for dtype in dtypes:
            batch = _batch(dtype, size, images)
            expected = _numbers(function(batch[:1], **params, backend="reference"))
            for backend in usable:
                got = _numbers(function(batch[:1], **params, backend=backend))
                compute, transfer = _compute_and_transfer(partial(function, **params, backend=backend), batch, backend)
                error = float(np.abs(got - expected).max())
                yield Timing(operation, dtype, backend, 1e3 * compute / images, 1e3 * transfer / images, error)


def _compute_and_transfer(function: Callable[..., Any], batch: np.ndarray, backend: str) -> tuple[float, float]:
    """Seconds for computing on pixels that are there already, and for bringing them there and the result back."""
    if backend != "gpu":
        return _median_seconds(lambda: function(batch)), 0.0
    with device_errors():
        device = gpu()
        x = device.upload(batch)
        result = function(x)

        def compute() -> None:
            function(x)
            device.synchronize()

        def transfer() -> None:
            device.upload(batch)
            mapped(device.download, result)
            device.synchronize()

        return _median_seconds(compute), _median_seconds(transfer)


def recommend(timings: Sequence[Timing]) -> str:
    """The backend with the smallest total time, transfers included."""
    total: dict[str, float] = {}
    for t in timings:
        total[t.backend] = total.get(t.backend, 0.0) + t.compute_ms + t.transfer_ms
    return min(total, key=lambda name: total[name])


def run_bench(
    console: Console, *, dtypes: Sequence[str], size: int, images: int, operations: Sequence[str] | None = None
) -> str:
    """Measure (all operations, if none is named), show and keep the recommendation; returns the recommended backend."""
    for status in ctfast.backends().values():
        if not status.usable:
            console.print(f"not measured: {status}", highlight=False, markup=False, soft_wrap=True)
    timings = list(measure(dtypes, size, images, operations or list(OPERATIONS)))
    title = f"{images} images of {size} x {size}, {ctfast.get_num_threads()} threads"
    console.print(_table(title, timings))
    best, path = recommend(timings), recommendation_file()
    write_json(path, {"backend": best, "size": size, "images": images, "timings": [asdict(t) for t in timings]})
    console.print(f"recommended: {best} (ctfast run --backend auto takes it; kept in {path})", soft_wrap=True)
    return best


def _table(title: str, timings: Sequence[Timing]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    # Without frames, and with the time of copies only where there are any: at 60 columns nothing is cut.
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    copies = ["transfer\nms"] if any(t.transfer_ms for t in timings) else []
    for column in ("operation", "dtype", "backend"):
        table.add_column(column, no_wrap=True)
    for column in ("ms an\nimage", "images/s", "largest\nerror", *copies):
        table.add_column(column, justify="right", no_wrap=True)
    for t in timings:
        error = "exact" if t.error == 0 else f"{t.error:.2g}"
        numbers = [f"{t.compute_ms:.3f}", f"{1e3 / t.compute_ms:,.0f}", error]
        if copies:
            numbers.append(f"{t.transfer_ms:.3f}" if t.transfer_ms else "-")
        table.add_row(t.operation, t.dtype, t.backend, *numbers)
    return table
