"""Grays to a result from 0 to 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit
from ctkernels.cpu._core.target import has
from ctkernels.cpu._core.vectors import VECTOR_BYTES, Vectors, emits, whole


def grays_within(out: NDArray[Any]) -> NDArray[np.uint16]:
    """Memory for the grays of a result at the end of its own, where ``rescaled`` reads them before it writes there."""
    return out.reshape(-1).view(np.uint16)[-out.size :].reshape(out.shape)


def rescaled(x: NDArray[np.uint16], low: float, high: float, out: NDArray[Any]) -> None:
    """``(x - low) / (high - low)`` in the precision of ``out``; ``x`` may be ``grays_within(out)``."""
    kind = out.dtype.type
    _rescaled(x.reshape(-1), kind(low), kind(high) - kind(low), out.reshape(-1))


@emits(kinds=1)
def _rescale(builder, kind, source, count, line, target):
    """Grays at ``source`` to ``target``; smallest gray, width and its reciprocal stand at ``line``.

    With fused multiply-adds nothing is divided: what the product with the reciprocal lacks is known exactly, and adding
    it gives the quotient's bits for all grays. Vectors are read before they are written, and what they write ends
    before the next is read.
    """
    b = builder
    fused = has("fma") and (kind == types.float64 or VECTOR_BYTES == 64)

    def run(v: Vectors, first, end) -> None:
        low, width, reciprocal = (v.splat(v.load(v.at(line, whole(k)), v.scalar, v.size)) for k in range(3))

        def body(i):
            gray = v.load(v.at(source, i, 2), ir.VectorType(ir.IntType(16), v.lanes), 2)
            number = b.fsub(b.uitofp(gray, v.type), low)
            if not fused:
                share = b.fdiv(number, width)
            else:
                near = b.fmul(number, reciprocal)
                share = v.fused(v.fused(b.fneg(near), width, number), reciprocal, near)
            v.store(share, v.at(target, i), v.size)

        v.loop(first, end, v.lanes, body)

    vectors = Vectors(b, kind)
    whole_vectors = b.and_(count, whole(-vectors.lanes))
    run(vectors, whole(0), whole_vectors)
    run(Vectors(b, kind, 1), whole_vectors, count)


@jit
def _rescaled(x, low, width, out):
    line = np.array([low, width, 1 / width], out.dtype)
    _rescale(out.dtype.type(0), x.ctypes.data, x.size, line.ctypes.data, out.ctypes.data)
