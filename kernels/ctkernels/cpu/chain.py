"""A chain of operations on a batch, slice by slice: a slice stays in one core's cache from its first step to its last.

``run(x, out, links, statistics)`` gives, bit for bit, what the operations give one after the other on the whole batch.
Each thread takes a slice through all links and keeps intermediate images in two buffers of its own, which the next
slice uses again: nothing between the input and the result is written to main memory. A uint8 chain on 512x512 slices
needs 0.5 MB a thread, which a second-level cache holds; the first link reads the input once, the last image link
writes the result once, and a statistic sees the image while it is in cache.

The slice, not a row, is what goes from link to link. Handing rows over, so that CLAHE counts its tiles as the
Gaussian's rows leave, was built and took 1.000 of the time: counting is bound by its one store a pixel, not by
reading.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.contract import Link
from ctkernels.cpu._core.parallel import get_num_threads, single_thread
from ctkernels.cpu._core.parallel import run as run_tasks
from ctkernels.cpu._core.scratch import scratch

Array = NDArray[Any]
Kernel = Callable[..., None]
_WORTH_COMPILING = 4
"""Slices from which on the chain is compiled as one function, 2 s an input type once a machine."""


def run(x: Array, out: Array | None, links: Sequence[Link], statistics: Sequence[Array]) -> None:
    """Take every image of ``x`` through ``links``.

    Args:
        x: ``(N, H, W)``, C-contiguous, not changed.
        out: the image after the last link that makes one, ``(N, H, W)`` in that link's dtype; None if no link does.
        links: the steps.
        statistics: the array for each statistic among ``links``, in their order, of the shape and dtype that the
            contract gives (``result_shape``, ``out_dtypes[0]``).
    """
    images = x.shape[0]
    if out is not None and images >= max(get_num_threads(), _WORTH_COMPILING) and _compiled().fits(x, links):
        do = _compiled().runner(x, out, links, statistics)
        # Some slices a task: little enough for all threads to end together.
        some = max(1, min(8, images // (4 * get_num_threads())))
        run_tasks([(i, min(i + some, images)) for i in range(0, images, some)], lambda task: do(*task))
        return
    chain = [(_kernel(link.operation), link.dtype, link.params, link.is_statistic) for link in links]
    last = max((k for k, link in enumerate(chain) if not link[3]), default=-1)
    if images < get_num_threads():
        # Too few images to keep the threads busy: each operation cuts them into bands by itself.
        _through(x, out, chain, last, statistics)
        return

    def body(i: int) -> None:
        part = slice(i, i + 1)
        with single_thread():
            _through(x[part], None if out is None else out[part], chain, last, [s[part] for s in statistics])

    run_tasks(range(images), body)


def image_runner(shape: tuple[int, int], dtype: Any, links: Sequence[Link]) -> Callable[..., None] | None:
    """What ``run`` does with one image, with all that many of a kind have in common made once; None for other chains.

    It is called with ``x, out, statistics`` as ``run`` is, for one image, on the thread that made it, and with the
    range of values of ``x`` that are no data for statistics (``_chain_bytes.image_runner``).
    """
    kind = np.empty((1, *shape), dtype)
    if all(link.is_statistic for link in links) or not _compiled().fits(kind, links):
        return None
    made: Callable[..., None] = _compiled().image_runner(shape, links)
    return made


@cache
def _compiled() -> Any:
    """Brings every filter with it, a tenth of a second: a command that windows one slice need not wait for that."""
    return importlib.import_module("ctkernels.cpu._chain_bytes")


def _through(x: Array, out: Array | None, chain: Sequence[Any], last: int, statistics: Sequence[Array]) -> None:
    current = x
    seen = made = 0
    for k, (kernel, dtype, params, is_statistic) in enumerate(chain):
        if is_statistic:
            kernel(current, statistics[seen], **params)
            seen += 1
            continue
        wanted = current.dtype if dtype is None else dtype
        if k == last and out is not None:
            result = out
        else:
            result = scratch(f"chain {made % 2}", current.size, wanted).reshape(current.shape)
        made += 1
        kernel(current, result, **params)
        current = result


@cache
def _kernel(operation: str) -> Kernel:
    function: Kernel = getattr(importlib.import_module(f"ctkernels.cpu.{operation}"), operation)
    return function
