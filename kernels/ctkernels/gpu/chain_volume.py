"""Operations on volumes one after the other, in memory that the caller gives: what a recording along three axes runs.

A step that sees three axes needs all slices of the step before, so that nothing is done in parts as ``chain`` does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ctkernels.contract import OPERATIONS, Link
from ctkernels.gpu._core import device
from ctkernels.gpu.chain import operation_bytes, operation_of

DeviceArray = device.DeviceArray
Shape = tuple[int, ...]


def seen_as(link: Link, axes: int, shape: Shape) -> Shape:
    """What a kernel takes volumes ``(N, D, H, W)`` as, which a step takes by so many axes."""
    count, depth, height, width = shape
    if axes == 2:
        return (count * depth, height, width)
    # To what is no filter all pixels of a volume are alike: an image of ``D * H`` rows.
    return shape if OPERATIONS[link.operation].kind == "filter" else (count, depth * height, width)


def _sizes(shape: Shape, dtype: np.dtype[Any], links: Sequence[Link], axes: Sequence[int]) -> tuple[int, int, int]:
    """Bytes of two buffers for images between steps, in turn, and of one step while it works."""
    made, work = [], 0
    for link, number in zip(links, axes, strict=True):
        work = max(work, operation_bytes(link, seen_as(link, number, shape), dtype))
        if not link.is_statistic:
            dtype = np.dtype(link.dtype)
            made.append(dtype.itemsize)
    first, second = (prod(shape) * max(made[turn:-1:2], default=0) for turn in (0, 1))
    return first, second, work


def workspace_bytes(shape: Shape, dtype: Any, links: Sequence[Link], axes: Sequence[int]) -> int:
    """Scratch memory of all that a run does."""
    return sum(device.padded_bytes(size) for size in _sizes(shape, np.dtype(dtype), links, axes))


def run(
    x: DeviceArray,
    out: DeviceArray | None,
    links: Sequence[Link],
    statistics: Sequence[DeviceArray],
    axes: Sequence[int],
    *,
    workspace: DeviceArray | None = None,
) -> None:
    """Take volumes ``(N, D, H, W)`` through ``links``, as :func:`chain.run` takes images.

    Args:
        x, out: ``(N, D, H, W)``.
        links, statistics, workspace: as there.
        axes: of each link, how many axes belong together: 2 for slices, 3 for volumes.
    """
    sizes = _sizes(x.shape, x.dtype, links, axes)
    scratch = device.Scratch(sum(device.padded_bytes(size) for size in sizes), workspace)
    *buffers, room = (scratch.take(size, np.uint8) for size in sizes)
    rows, last = iter(statistics), sum(not link.is_statistic for link in links)
    current, made = x, 0
    for link, number in zip(links, axes, strict=True):
        shape = seen_as(link, number, x.shape)
        if link.is_statistic:
            result = next(rows)
        else:
            made += 1
            dtype = np.dtype(link.dtype)
            between = buffers[(made - 1) % 2][: x.size * dtype.itemsize]
            image = out if made == last else between.view(dtype).reshape(x.shape)
            assert image is not None, "a chain that makes an image has a place for it"
            result = image.reshape(shape)
        operation_of(link.operation)(current.reshape(shape), result, **link.params, workspace=room)
        if not link.is_statistic:
            current = image
