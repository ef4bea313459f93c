"""Results written past the caches, where they are too large to stay there.

Before a cache takes what is written it reads the line from memory: a line through a float32 image moves 12 bytes a
pixel, 8 so. Afterwards no cache has the result, which costs who reads it next, unless it had been pushed out anyway.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

import numpy as np
from llvmlite import ir
from numba.core import types

from ctkernels.cpu._core.jit import jit_named
from ctkernels.cpu._core.vectors import I32, VECTOR_BYTES, Vectors, emits, whole
from ctkernels.cpu._core.viewed import flat

_NAME: Final = "SC_LEVEL3_CACHE_SIZE"
_LAST_CACHE: Final = os.sysconf(_NAME) if _NAME in getattr(os, "sysconf_names", ()) else 0
least_bytes = max(16 << 20, _LAST_CACHE // 2)
"""Of a result. A line, float32, one thread, AVX2, a last cache of 32 MB, ns a pixel without and with: 4 MB .16 and .19,
16 MB .41 and .31, 64 MB .47 and .33; and a pass that reads the result, 4 MB .26 and .48, 16 MB .67 and .61, 64 MB .73
and .57."""

_STAGE: Final = 256
"""Pixels computed at a time: with 1,024 and more, reading and writing take turns, and nothing is gained."""


def goes_past(result: np.dtype[np.generic], pixels: int) -> bool:
    """Whether a result of so many pixels is better written past the caches."""
    return result.kind == "f" and pixels * result.itemsize >= least_bytes


@emits()
def _copy(b, source, target, count):
    """``count`` bytes, a multiple of 4: whole vectors past the caches where ``target`` is a multiple of their size."""
    v, one = Vectors(b, types.float32), Vectors(b, types.float32, 1)
    hint = b.module.add_metadata([ir.Constant(I32, 1)])
    aligned = b.icmp_unsigned("==", b.urem(target, whole(VECTOR_BYTES)), whole(0))
    vectors = b.select(aligned, b.udiv(count, whole(VECTOR_BYTES)), whole(0))

    def vector(k):
        pointer = b.inttoptr(v.at(target, k, VECTOR_BYTES), v.type.as_pointer())
        stored = b.store(v.load(v.at(source, k, VECTOR_BYTES)), pointer)
        stored.align = VECTOR_BYTES
        stored.set_metadata("nontemporal", hint)

    def element(k):
        one.store(one.load(one.at(source, k), one.scalar, 4), one.at(target, k), 4)

    v.loop(whole(0), vectors, 1, vector)
    v.loop(b.mul(vectors, whole(v.lanes)), b.udiv(count, whole(4)), 1, element)


@emits()
def _fence(b):
    """Such stores overtake others: whoever hears that the result is there must find it."""
    b.fence("seq_cst")


def past_cache(kernel: Callable[..., None], name: str) -> Callable[..., None]:
    """``kernel(x, out, *arguments)``, whose pixels don't depend on each other, with the result past the caches."""

    def run(x, out, *arguments):
        pixels, results = flat(x), flat(out)
        stage = np.empty(_STAGE, out.dtype)
        size = out.itemsize
        stop = min(-(results.ctypes.data // size) % (VECTOR_BYTES // size), results.size)
        start = 0
        while start < results.size:
            kernel(pixels[start:stop], stage[: stop - start], *arguments)
            _copy(stage.ctypes.data, results.ctypes.data + start * size, (stop - start) * size)
            start, stop = stop, min(stop + _STAGE, results.size)
        _fence()

    return jit_named(run, name)
