"""How pointwise and statistical kernels are spread over images, bands of rows and threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numpy.typing import NDArray

from ctkernels.cpu._core.jit import one_type
from ctkernels.cpu._core.parallel import Band, bands, cutting, get_num_threads, run

T = TypeVar("T")

_LARGE_NANOSECONDS = 2_000_000.0
"""An image of this much work is better cut than left to one thread while others are idle."""

_PIXEL_NANOSECONDS = 0.25

LARGEST_BAND = 1 << 30
"""Pixels; the counters of one band have 32 bits."""


def threads_pay(pixels: int, pixel_nanoseconds: float) -> bool:
    """Whether there is work enough for a second thread, and a second thread."""
    return pixels * pixel_nanoseconds > cutting.call_nanoseconds and get_num_threads() > 1


def pointwise(kernel: Callable[..., None], x: NDArray[Any], out: NDArray[Any], *arguments: Any) -> None:
    """Run ``kernel(x, out, *arguments)`` over a batch ``(N, H, W)``, cut into bands where threads pay."""
    x = one_type(x)
    if not threads_pay(x.size, _PIXEL_NANOSECONDS):
        kernel(x, out, *arguments)
        return
    tasks = bands(x.shape[0], x.shape[1], x.shape[2] * _PIXEL_NANOSECONDS)

    def body(task: tuple[int, int, int]) -> None:
        i, first, end = task
        kernel(x[i : i + 1, first:end], out[i : i + 1, first:end], *arguments)

    run(tasks, body)


def bound_pointwise(kernel: Callable[..., None], *arguments: Any) -> Callable[[NDArray[Any], NDArray[Any]], None]:
    """``pointwise`` with all but its arrays."""
    return lambda x, out: pointwise(kernel, x, out, *arguments)


def each_image(x: NDArray[Any], pixel_nanoseconds: float, body: Callable[[int], None]) -> None:
    """Call ``body`` with each image's index; on several threads when there are images enough to keep them busy.

    A few large images are left to the bands that ``body`` cuts them into; of a few small ones bands would not pay.
    """
    count = x.shape[0]
    if count == 1:
        body(0)
        return
    many = count >= 2 * get_num_threads() or x.size * pixel_nanoseconds < count * _LARGE_NANOSECONDS
    if many and threads_pay(x.size, pixel_nanoseconds):
        run(range(count), body)
    else:
        for i in range(count):
            body(i)


def is_one_band(image: NDArray[Any], pixel_nanoseconds: float) -> bool:
    """Whether ``in_bands`` leaves this image whole."""
    return image.size < LARGEST_BAND and not threads_pay(image.size, pixel_nanoseconds)


def in_bands(image: NDArray[Any], pixel_nanoseconds: float, part: Callable[[NDArray[Any]], T]) -> list[T]:
    """``part`` of each band of rows of one ``(1, H, W)`` image, in order; one band where threads don't pay."""
    if is_one_band(image, pixel_nanoseconds):
        return [part(image)]
    rows = image.shape[1]
    tasks = bands(1, rows, image.shape[2] * pixel_nanoseconds)
    if image.size // len(tasks) > LARGEST_BAND:
        tasks = [(0, row, row + 1) for row in range(rows)]
    results: dict[int, T] = {}

    def body(task: tuple[int, int, int]) -> None:
        _, first, end = task
        results[first] = part(image[:, first:end])

    run(tasks, body)
    return [results[first] for _, first, _ in tasks]


def in_row_bands(x: NDArray[Any], rows: int, voxel_nanoseconds: float, body: Callable[[Band], None]) -> None:
    """Call ``body`` with (volume, first row, end) of bands of ``rows`` rows, through all planes of ``(N, D, H, W)``.

    ``rows`` is what fits into cache, so bands are cut on one thread too.
    """
    height = x.shape[2]
    starts = range(0, height, rows)
    tasks = [(n, first, min(first + rows, height)) for n in range(x.shape[0]) for first in starts]
    if threads_pay(x.size, voxel_nanoseconds):
        run(tasks, body)
    else:
        for task in tasks:
            body(task)
