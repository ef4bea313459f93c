"""Where the arrays of a drop-in lie, and what computes there: NumPy and the CPU kernels, or CuPy and the GPU's.

The translations of ``_ndimage`` and ``_skimage`` are written for both.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, Final

import numpy as np

from ctfast import ops
from ctfast.memory import empty
from ctkernels.contract import IMAGE_DTYPES

Array = Any
OF_IMAGES: Final = frozenset(np.dtype(name) for name in IMAGE_DTYPES)
"""To ask a dtype for its name takes as long as to look at a thousand pixels."""


class Home(ABC):
    """One of the two."""

    takes_lists: bool
    """Whether the library makes an array of what is none."""
    xp: Any
    """The library."""

    def array(self, x: Any) -> Array | None:
        """What the library would take it for, where that is an array of numbers with at least one."""
        if isinstance(x, np.ma.MaskedArray) or not isinstance(
            x, (self.xp.ndarray, *((list, tuple) * self.takes_lists))
        ):
            return None
        array = self.xp.asarray(x)
        return array if array.ndim and array.size and array.dtype.isnative else None

    @abstractmethod
    def on_host(self, x: Any) -> Any:
        """A small array for NumPy."""

    @abstractmethod
    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Memory for a result."""

    @abstractmethod
    def narrow(self, x: Array) -> Array | None:
        """The same values in a dtype that medians take."""

    @abstractmethod
    def knots(self, x: Array) -> tuple[Any, Any]:
        """Values and the share of pixels at or below each, float64 on the host."""

    @abstractmethod
    def match_histogram(self, x: Array, out: Array, values: Any, shares: Any) -> None:
        """``(N, H, W)`` to the histogram of these values of the host."""


class _Host(Home):
    takes_lists, xp = True, np

    def on_host(self, x: Any) -> Any:
        return x

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return empty(shape, dtype)

    def narrow(self, x: Array) -> Array | None:
        if (narrow := _exactly(x)) is not None or x.dtype.kind not in "iu":
            return narrow
        low, high = int(x.min()), int(x.max())
        return next(
            (x.astype(t) for t in (np.int16, np.uint16) if np.iinfo(t).min <= low and high <= np.iinfo(t).max), None
        )

    def knots(self, x: Array) -> tuple[Any, Any]:
        from ctkernels.cpu._histogram.distinct import knots

        return knots(x)

    def match_histogram(self, x: Array, out: Array, values: Any, shares: Any) -> None:
        from ctkernels.cpu.match_histogram import match_histogram

        match_histogram(x, out, reference=(values, shares), value_range=None)


class _Device(Home):
    takes_lists = False

    @cached_property
    def xp(self) -> Any:
        return importlib.import_module("cupy")

    def on_host(self, x: Any) -> Any:
        return x.get() if isinstance(x, self.xp.ndarray) else x

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return self.xp.empty(shape, dtype)

    def narrow(self, x: Array) -> Array | None:
        return _exactly(x)  # wider integers would have to be looked at, which the device would wait for

    def knots(self, x: Array) -> tuple[Any, Any]:
        values, counts = self._unique(x)
        running = np.cumsum(counts)
        return values.astype(np.float64), running / running[-1]

    def _unique(self, x: Array) -> tuple[Any, Any]:
        if x.dtype.kind == "f":
            return np.unique(self.on_host(x), return_counts=True)
        low, high = int(x.min()), int(x.max())
        flat = self.xp.ascontiguousarray(x).reshape(1, -1)
        counts = self.on_host(ops.histogram(flat, high - low + 1, value_range=(low - 0.5, high + 0.5)).counts)
        (there,) = np.nonzero(counts.reshape(-1))
        return there + low, counts.reshape(-1)[there]

    def match_histogram(self, x: Array, out: Array, values: Any, shares: Any) -> None:
        from ctkernels.gpu.match_histogram import match_histogram

        with x.device:
            match_histogram(x, out, reference=(values, shares), value_range=None)


HOST: Final = _Host()
DEVICE: Final = _Device()


def _exactly(x: Array) -> Array | None:
    """By the dtype alone."""
    if x.dtype in OF_IMAGES:
        return x
    if x.dtype.char in "?b":
        return x.astype(np.uint8 if x.dtype.kind == "b" else np.int16)
    return None
