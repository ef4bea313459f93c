"""What else a GPU offers for the same work; what is not installed is said, not timed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Peer = tuple[str, str, str, Callable[[Any], Any]]
"""Row of ``gpu_work.TIMED``, peer, dtype, what to time with a batch ``(N, H, W)`` on the device."""

ABSENT: dict[str, str] = {}


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:  # a GPU library fails to import in many ways
        ABSENT[name] = f"{type(error).__name__}: {error}"[:120]
        return None


def peers() -> Iterator[Peer]:
    """All that can be had here."""
    yield from _cupy_peers()
    yield from _cucim_peers()
    yield from _torch_peers()


def _cupy_peers() -> Iterator[Peer]:
    """Batched calls: a window of one image in the first axis."""
    cupy = _module("cupy")
    ndimage = _module("cupyx.scipy.ndimage")
    if not hasattr(cupy, "fuse"):
        return
    window = cupy.ElementwiseKernel(
        "T x", "float32 y", "y = fminf(fmaxf((float(x) - 864.5f) * (1.0f / 399.0f), 0.0f), 1.0f)", "peer_window"
    )
    yield "window to float32", "cupy.ElementwiseKernel", "uint16", window
    yield "normalize", "cupy", "uint16", _cupy_normalize
    yield "histogram, 256 bins", "cupy.histogram, one by one", "uint16", lambda x: [_counts(cupy, i) for i in x]
    if ndimage is None:
        return
    for k in (3, 5, 11):
        row = f"median {k}"
        yield row, "cupyx.scipy.ndimage", "uint16", lambda x, k=k: ndimage.median_filter(x, size=(1, k, k))
    for s in (1.0, 5.0):
        row = f"Gaussian sigma {s:.0f}"
        yield row, "cupyx.scipy.ndimage", "float32", lambda x, s=s: ndimage.gaussian_filter(x, (0, s, s))


def _counts(cupy: Any, image: Any) -> Any:
    return cupy.histogram(image, 256, (0, 4095))[0]


def _cupy_normalize(x: Any) -> Any:
    low, high = x.min((1, 2), keepdims=True), x.max((1, 2), keepdims=True)
    return (x - low).astype(np.float32) / (high - low).astype(np.float32)


def _cucim_peers() -> Iterator[Peer]:
    exposure, filters = _module("cucim.skimage.exposure"), _module("cucim.skimage.filters")
    if exposure is None or filters is None:
        return
    footprint = np.ones((5, 5), bool)
    yield "median 5", "cuCIM, one by one", "uint16", lambda x: [filters.median(i, footprint) for i in x]
    yield "CLAHE uint8", "cuCIM, one by one", "uint8", lambda x: [exposure.equalize_adapthist(i) for i in x]


def _torch_peers() -> Iterator[Peer]:
    torch = _module("torch")
    if torch is None or not torch.cuda.is_available():
        return
    taps = np.exp(-0.5 * (np.arange(-4, 5) / 1.0) ** 2).astype(np.float32)
    weights = torch.tensor(taps / taps.sum(), device="cuda")

    def gaussian(x: Any) -> Any:
        t = torch.nn.functional.pad(torch.from_dlpack(x)[:, None], (4, 4, 4, 4), mode="reflect")
        t = torch.nn.functional.conv2d(t, weights.view(1, 1, 9, 1))
        return torch.nn.functional.conv2d(t, weights.view(1, 1, 1, 9))

    yield "Gaussian sigma 1", "torch conv2d", "float32", gaussian
    kornia = _module("kornia")
    if kornia is not None:
        yield (
            "CLAHE uint8",
            "kornia",
            "uint8",
            lambda x: kornia.enhance.equalize_clahe(torch.from_dlpack(x)[:, None].float() / 255, 2.0, (8, 8)),
        )
