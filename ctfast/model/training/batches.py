"""Batches of a data set: which images, in which order, read ahead and put on the devices while these compute."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast.model.data.dataset import Dataset
from ctfast.model.devices import Devices
from ctfast.model.training.step import Batch

_AHEAD: Final = 2
_ORDER: Final = 0x0DE4
"""Keeps the order's random numbers apart from those that split the data by the same seed."""


@dataclass(frozen=True)
class Layout:
    """How a batch lies: ``parts`` one after the other, ``images`` in each, over all devices."""

    parts: int
    images: int

    @classmethod
    def of(cls, batch: int, parts: int, devices: int) -> Layout:
        """For ``batch`` images in about ``parts`` parts; padded to what divides evenly."""
        images = -(-batch // parts)
        images = -(-images // devices) * devices
        return cls(-(-batch // images), images)


def epoch_order(indices: NDArray[np.intp], seed: int, epoch: int) -> NDArray[np.intp]:
    """The images of an epoch in its order: of seed and epoch only, so that a resumed run has the same."""
    return np.random.default_rng([_ORDER, seed, epoch]).permutation(indices)


def grouped_steps(order: NDArray[np.intp], batch: int, steps: int) -> Iterator[list[NDArray[np.intp]]]:
    """The numbers of the images of each step, ``steps`` of them a dispatch; the last of an epoch may be fewer."""
    all_steps = [order[k : k + batch] for k in range(0, len(order), batch)]
    for k in range(0, len(all_steps), steps):
        yield all_steps[k : k + steps]


def placed(dataset: Dataset, group: list[NDArray[np.intp]], layout: Layout, devices: Devices) -> Batch:
    """A dispatch on the devices: arrays ``(steps, parts, images, ...)``; padding repeats the first image."""
    shape = (len(group), layout.parts, layout.images)
    numbers = np.full((shape[0], layout.parts * layout.images), group[0][0], np.int32)
    real = np.zeros(numbers.shape, np.float32)
    for row, step in enumerate(group):
        numbers[row, : len(step)] = step
        real[row, : len(step)] = 1
    return _put(dataset, numbers.reshape(shape), real.reshape(shape), devices)


def placed_flat(dataset: Dataset, chosen: NDArray[np.intp], size: int, devices: Devices) -> Batch:
    """A validation batch on the devices: arrays ``(size, ...)``."""
    numbers = np.full(size, chosen[0], np.int32)
    numbers[: len(chosen)] = chosen
    return _put(dataset, numbers, (np.arange(size) < len(chosen)).astype(np.float32), devices)


def _put(dataset: Dataset, numbers: NDArray[np.int32], real: NDArray[np.float32], devices: Devices) -> Batch:
    split = devices.split(numbers.ndim - 1)

    def put(shape: tuple[int, ...], part: Any) -> Any:
        return devices.put(split, shape, part)

    axes, shape = numbers.ndim, numbers.shape
    return Batch(
        images=put((*shape, *dataset.images.shape[1:]), lambda i: dataset.images[numbers[i[:axes]]]),
        labels=put(shape, lambda i: dataset.labels[numbers[i]]),
        numbers=put(shape, lambda i: numbers[i]),
        real=put(shape, lambda i: real[i]),
    )


def read_ahead(source: Iterator[Any]) -> Iterator[Any]:
    """The same items, made in a thread of their own, two ahead; its errors appear here."""
    items: queue.Queue[tuple[str, Any]] = queue.Queue(_AHEAD)
    given_up = threading.Event()

    def offer(kind: str, item: Any) -> bool:
        while not given_up.is_set():
            try:
                items.put((kind, item), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in source:
                if not offer("item", item):
                    return
            offer("end", None)
        except BaseException as error:
            offer("error", error)

    thread = threading.Thread(target=work, name="ctfast-batches", daemon=True)
    thread.start()
    try:
        while True:
            kind, item = items.get()
            if kind == "item":
                yield item
            elif kind == "error":
                raise item
            else:
                return
    finally:
        given_up.set()
        thread.join()
