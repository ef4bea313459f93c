"""A soft-tissue window to float32 and uint8: OpenCV's look-up table and arithmetic, NumPy, torch."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import ctfast
from bench.images import as_int16, image
from bench.peers import installed


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32"])
@pytest.mark.parametrize("result", ["float32", "uint8"])
def bench_window(compare, dtype: str, result: str) -> None:
    x = image(dtype)
    out, theirs = np.empty(x.shape, result), np.empty(x.shape, result)
    center, width = {"uint8": (128.0, 200.0), "uint16": (1064.0, 400.0)}.get(dtype, (40.0, 400.0))
    low, top = center - width / 2, 255.0 if result == "uint8" else 1.0
    scale = top / width
    floats = np.empty(x.shape, np.float32)
    a = as_int16(x)
    depth = cv2.CV_8U if result == "uint8" else cv2.CV_32F
    there, absent = installed(torch="torch")

    def arithmetic() -> np.ndarray:
        if result == "uint8":  # saturates by itself
            return cv2.addWeighted(a, scale, a, 0, -low * scale, dst=theirs, dtype=depth)
        cv2.addWeighted(a, scale, a, 0, -low * scale, dst=floats, dtype=depth)
        return cv2.min(cv2.max(floats, 0, dst=floats), 1, dst=theirs)

    def numpy_chain() -> np.ndarray:
        np.subtract(x, np.float32(low), out=floats)
        np.multiply(floats, np.float32(scale), out=floats)
        np.clip(floats, 0, np.float32(top), out=floats)
        return np.rint(floats, out=floats).astype(result) if result == "uint8" else floats

    peers = {"opencv arithmetic": arithmetic, "numpy": numpy_chain}
    if dtype != "float32":
        bits = x if dtype == "uint8" else x.view(np.uint16)
        every = np.arange(np.iinfo(bits.dtype).max + 1, dtype=bits.dtype).view(x.dtype)
        unit = np.clip((every.astype(np.float64) - low) / width, 0, 1) * top
        table = (np.rint(unit) if result == "uint8" else unit).astype(result)
        peers["opencv LUT"] = lambda: cv2.LUT(bits, table, dst=theirs)
    if there["torch"]:
        import torch

        tensor = torch.from_numpy(as_int16(x))
        kind = torch.uint8 if result == "uint8" else torch.float32
        peers["torch"] = lambda: tensor.to(torch.float32).sub_(low).mul_(scale).clamp_(0, top).to(kind).numpy()
    exact = np.clip((x.astype(np.float64) - low) / width, 0, 1) * top

    def oracle(ours: np.ndarray) -> None:
        assert np.abs(ours - exact).max() <= (0.5 + 1e-4 if result == "uint8" else 1e-6)

    compare(
        f"window to {result}",
        dtype,
        lambda: ctfast.window(x, center=center, width=width, function="linear_exact", dtype=result, out=out),
        peers,
        oracle=oracle,
        same=lambda p, o: bool(np.abs(p.astype(np.float64) - o).max() <= (1 if result == "uint8" else 1e-5)),
        moved_bytes=x.nbytes + out.nbytes,
        absent=absent,
    )
