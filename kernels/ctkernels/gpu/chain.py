"""Several operations on the GPU, planned to few launches: ``run`` gives the results of the operations one by one.

What is done in one launch, because the image in between is then never written:

- a window and the median or the Gaussian after it (the window is applied as pixels are read),
- CLAHE's lookup, blend and cast, and the histogram of the uint8 image that comes out.

Window, median 3, Gaussian, CLAHE and histogram are so 4 launches and the clearing of the counts instead of 6 and that.

So many slices go through all steps at a time that the images between steps can stay in the level-2 cache.

Tried and left: CLAHE's tables made by the Gaussian's blocks (tiles of 128 x 64 hold whole CLAHE tiles of 512 x 512). On
the host, uint8, sigma 1, the two launches ask the cache for 4.58 bytes a pixel, the one for 3.58, the chain above for
11.34 and 10.34; device memory moves 3.0 either way if the cache holds what is between, else 8.1 and 7.1. It takes 96
registers instead of 72 on sm_80. For any size, with counters in global memory, the two ask for 4.08 and .025 atomics.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ctkernels.contract import Link
from ctkernels.gpu._core import device
from ctkernels.gpu._core.geometry_filters import chain_images, network_serves
from ctkernels.gpu._core.histogram_plan import binning
from ctkernels.gpu.clahe import Counted, equalized
from ctkernels.gpu.gaussian_filter import smoothed
from ctkernels.gpu.median_filter import medians
from ctkernels.gpu.window import line_numbers
from ctkernels.shared.lines import window_line

DeviceArray = device.DeviceArray
Shape = tuple[int, int, int]


class Stage(NamedTuple):
    """One or two links that are done together."""

    links: tuple[Link, ...]
    source: np.dtype[Any]
    """Of the image before it."""
    dtype: np.dtype[Any]
    """Of the image after it."""
    line: tuple[Any, ...] | None = None
    """Numbers of the window that the first link is, where a filter applies it as it reads."""

    @property
    def counts(self) -> bool:
        """Whether it ends with a statistic."""
        return self.links[-1].is_statistic

    @property
    def makes_image(self) -> bool:
        """Whether it changes the image."""
        return not self.links[0].is_statistic


def plan(dtype: np.dtype[Any], links: Sequence[Link]) -> list[Stage]:
    """The stages of a chain whose first image has this dtype."""
    stages: list[Stage] = []
    rest = list(links)
    while rest:
        taken, line = _together(dtype, rest)
        source = dtype
        for link in taken:
            dtype = dtype if link.dtype is None else np.dtype(link.dtype)
        stages.append(Stage(taken, source, dtype, line))
        rest = rest[len(taken) :]
    return stages


def _together(dtype: np.dtype[Any], links: Sequence[Link]) -> tuple[tuple[Link, ...], tuple[Any, ...] | None]:
    first = links[0]
    if len(links) > 1:
        second = links[1]
        if first.operation == "clahe" and second.operation == "histogram" and dtype == np.uint8:
            return (first, second), None
        line = _window_numbers(first) if _takes_window(second, first.dtype) else None
        if line is not None:
            return (first, second), line
    return (first,), None


def _takes_window(link: Link, dtype: Any) -> bool:
    """Whether it can apply a window as it reads."""
    if link.operation == "median_filter":
        params = link.params
        box = params["footprint"] is None and all(side % 2 for side in params["size"])
        plain = box and not params.get("origin") and isinstance(params["mode"], str)
        return plain and network_serves(params["size"], dtype)
    return link.operation == "gaussian_filter" and not link.params.get("order")


def _window_numbers(link: Link) -> tuple[Any, ...] | None:
    """What ``line_enter.cuh`` needs; None for windows that are no straight line or that float32 cannot hold."""
    if link.operation != "window" or link.params["function"] == "sigmoid":
        return None
    line = window_line(**link.params, dtype=np.dtype(link.dtype))
    return None if line is None else line_numbers(line)


def workspace_bytes(shape: Shape, dtype: Any, links: Sequence[Link]) -> int:
    """Scratch memory of all that a run does: images between stages, and what single operations need."""
    return _Buffers.of(shape, plan(np.dtype(dtype), links)).bytes


def run(
    x: DeviceArray,
    out: DeviceArray | None,
    links: Sequence[Link],
    statistics: Sequence[DeviceArray],
    *,
    workspace: DeviceArray | None = None,
) -> None:
    """Take every image of ``x`` through ``links``.

    Args:
        x: ``(N, H, W)``, C-contiguous, on the current device, not changed.
        out: the image after the last link that makes one, ``(N, H, W)`` in that link's dtype; None if no link does.
        links: the steps.
        statistics: the array for each statistic among ``links``, in their order, of the shape and dtype that the
            contract gives (``result_shape``, ``out_dtypes[0]``).
        workspace: a uint8 array of ``workspace_bytes``; None takes it from CuPy's pool. Nothing else is allocated.
    """
    device.check_image_arrays("chain", x, *(() if out is None else (out,)), *statistics)
    stages = plan(x.dtype, links)
    buffers = _Buffers.of(x.shape, stages)
    scratch = device.Scratch(buffers.bytes, workspace)
    memory = [scratch.take(size, np.uint8) for size in buffers.sizes]
    for first in range(0, x.shape[0], buffers.images):
        part = slice(first, first + buffers.images)
        _through(x[part], None if out is None else out[part], stages, [s[part] for s in statistics], memory)


class _Buffers(NamedTuple):
    """Memory for images between stages, two buffers in turn, and for one stage while it works."""

    images: int
    """That go through all stages at a time."""
    sizes: tuple[int, int, int]

    @property
    def bytes(self) -> int:
        return sum(device.padded_bytes(size) for size in self.sizes)

    @classmethod
    def of(cls, shape: Shape, stages: Sequence[Stage]) -> _Buffers:
        made = [stage.dtype for stage in stages if stage.makes_image]
        widths = [max((dtype.itemsize for dtype in made[turn:-1:2]), default=0) for turn in (0, 1)]
        images = chain_images(shape, sum(widths)) if sum(widths) else shape[0]
        one = images * shape[1] * shape[2]
        # The last part may be smaller and still need more: few images are cut into more pieces.
        parts = {images, shape[0] % images or images}
        work = max((_stage_bytes(stage, (n, *shape[1:])) for stage in stages for n in parts), default=0)
        return cls(images, (one * widths[0], one * widths[1], work))


def _stage_bytes(stage: Stage, shape: Shape) -> int:
    """Scratch memory of one stage for one part of a batch."""
    first, last = stage.links[0], stage.links[-1]
    if stage.line is None:
        return operation_bytes(first, shape, stage.source)
    own = operation_bytes(last, shape, stage.dtype)
    return own and own + device.padded_bytes(prod(shape) * stage.dtype.itemsize)  # the windowed image is then written


def operation_bytes(link: Link, shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Scratch memory of one operation on images or volumes of this shape."""
    needed = getattr(_module(link.operation), "workspace_bytes", None)
    return 0 if needed is None else int(needed(shape, dtype, **link.params))


def _through(
    x: DeviceArray,
    out: DeviceArray | None,
    stages: Sequence[Stage],
    statistics: Sequence[DeviceArray],
    memory: Sequence[DeviceArray],
) -> None:
    results = _results(x, out, stages, memory)
    room = memory[-1]
    rows = iter(statistics)
    current = x
    for stage in stages:
        row = next(rows) if stage.counts else None
        result = next(results) if stage.makes_image else None
        _do(stage, current, result, row, room)
        current = current if result is None else result


def _results(
    x: DeviceArray, out: DeviceArray | None, stages: Sequence[Stage], memory: Sequence[DeviceArray]
) -> Iterator[DeviceArray]:
    """The array for the image of each stage that makes one: the buffers in turn, ``out`` at last."""
    made = [stage.dtype for stage in stages if stage.makes_image]
    for k, dtype in enumerate(made[:-1]):
        yield memory[k % 2][: x.size * dtype.itemsize].view(dtype).reshape(x.shape)
    yield out


def _do(stage: Stage, x: DeviceArray, out: DeviceArray | None, row: DeviceArray | None, room: DeviceArray) -> None:
    first, last = stage.links[0], stage.links[-1]
    if len(stage.links) == 1:
        operation_of(first.operation)(x, row if out is None else out, **first.params, workspace=room)
    elif stage.line is None:
        device.clear(row)
        counted = Counted(binning(last.params["edges"], np.dtype(np.uint8)).table, row)
        equalized(x, out, **first.params, workspace=room, counted=counted)
    elif last.operation == "median_filter":
        medians(x, out, **last.params, line=stage.line)
    elif not smoothed(x, out, **last.params, line=stage.line):
        size = x.size * stage.dtype.itemsize
        middle = room[:size].view(stage.dtype).reshape(x.shape)
        operation_of("window")(x, middle, **first.params)
        operation_of("gaussian_filter")(middle, out, **last.params, workspace=room[device.padded_bytes(size) :])


@cache
def _module(name: str) -> Any:
    return importlib.import_module(f"ctkernels.gpu.{name}")


def operation_of(name: str) -> Callable[..., None]:
    """The operation of this name on arrays of the device."""
    function: Callable[..., None] = getattr(_module(name), name)
    return function
