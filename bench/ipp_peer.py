"""Intel IPP's median filter through ctypes, where its PyPI package is installed: the strongest peer for medians."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TYPES: dict[str, tuple[int, str, Any]] = {
    "uint8": (1, "8u", ctypes.c_uint8),
    "uint16": (5, "16u", ctypes.c_uint16),
    "int16": (7, "16s", ctypes.c_int16),
    "float32": (13, "32f", ctypes.c_float),
}
_BORDER_REPLICATE = 1


class _Size(ctypes.Structure):
    _fields_ = (("width", ctypes.c_int), ("height", ctypes.c_int))


@cache
def loaded() -> Any:
    """The part of libippi that suits this CPU, or None where it is not installed.

    Loaded directly: IPP's own dispatcher looks for file names that the wheel lacks and ends the process without them.
    """
    folder = Path(sys.prefix) / "lib"
    try:
        cpu = "k0" if "avx512bw" in Path("/proc/cpuinfo").read_text() else "l9"
        files = [sorted(folder.glob(f"lib{n}.so*")) for n in ("ippcore", f"ippvm{cpu}", f"ipps{cpu}", f"ippi{cpu}")]
        core, _, _, images = (ctypes.CDLL(str(found[0])) for found in files)
    except (OSError, IndexError):
        return None
    core.ippInit()
    return images


def median(x: NDArray, out: NDArray, size: int) -> Callable[[], NDArray] | None:
    """A call that filters ``x`` into ``out`` with replicated borders; None where IPP is absent or refuses."""
    ippi = loaded()
    if ippi is None or x.dtype.name not in _TYPES:
        return None
    number, suffix, scalar = _TYPES[x.dtype.name]
    roi, mask, needed = _Size(x.shape[1], x.shape[0]), _Size(size, size), ctypes.c_int()
    if ippi.ippiFilterMedianBorderGetBufferSize(roi, mask, number, 1, ctypes.byref(needed)):
        return None
    scratch = np.empty(needed.value + 64, np.uint8)
    function = getattr(ippi, f"ippiFilterMedianBorder_{suffix}_C1R")
    image = (ctypes.c_void_p, ctypes.c_int)
    function.argtypes = [*image, *image, _Size, _Size, ctypes.c_int, scalar, ctypes.c_void_p]
    arguments = (
        x.ctypes.data, x.strides[0], out.ctypes.data, out.strides[0], roi, mask, _BORDER_REPLICATE, scalar(0),
        scratch.ctypes.data,
    )  # fmt: skip

    def call() -> NDArray:
        status = function(*arguments)
        if status:
            raise RuntimeError(f"IPP status {status}")
        return out

    call.keeps = (x, scratch)  # type: ignore[attr-defined]
    return call
