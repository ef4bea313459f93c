"""Kernels compiled for AVX2 and for AVX-512 give the same bits: results do not depend on whose machine it is."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from ctkernels.cpu._core import target

AVX2 = {"NUMBA_CPU_NAME": "znver3", "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi,+bmi2,+popcnt,+lzcnt"}

PROGRAM = """
import hashlib, numpy as np, ctfast
from ctkernels.cpu._core.vectors import VECTOR_BYTES
hu = np.random.default_rng(7).integers(-1024, 3071, (67, 150)).astype(np.int16)
hu[:20, :40] = -1024
light = (hu >> 4).astype(np.uint8)
results = [
    ctfast.median_filter(hu, 3),
    ctfast.median_filter(light, 5),
    ctfast.gaussian_filter(light, 1.0),
    ctfast.gaussian_filter(hu.astype(np.float32), 1.0),
    ctfast.gaussian_filter(hu.astype(np.float32), 2.0),
    ctfast.clahe(light),
    ctfast.clahe(light[:64, :128]),
    ctfast.normalize(hu),
    ctfast.histogram(hu, 4096, value_range=(-1024, 3072)).counts,
]
print(VECTOR_BYTES, *(hashlib.sha256(r.tobytes()).hexdigest()[:16] for r in results))
"""


def run(tmp_path: Path, **environment: str) -> list[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    # Code of its own: compiled for another target, it must not lie beside that of this machine.
    folder = {"NUMBA_CACHE_DIR": str(tmp_path)} if environment else {}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=env | folder | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="both widths are x86's")
@pytest.mark.skipif(not target.has("avx512f"), reason="this processor has one of both widths")
def test_either_width_gives_the_same_bits(tmp_path: Path) -> None:
    wide, *expected = run(tmp_path)
    narrow, *results = run(tmp_path, **AVX2)
    assert (wide, narrow) == ("64", "32")
    assert results == expected
