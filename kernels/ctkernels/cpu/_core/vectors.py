"""Explicit vector code for Numba kernels: a small emitter of LLVM IR, shared by the Gaussian and CLAHE.

Kernels that use it work on addresses (``array.ctypes.data``) as int64. Two reasons: a slice of a Numba array costs two
atomic reference counts, and an index that LLVM can't prove to be non-negative keeps a loop scalar.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Final

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic as _numba_intrinsic
from numba.extending import register_jitable

from ctkernels.cpu._core.target import has

VECTOR_BYTES: Final = 64 if has("avx512f") else 32
LINE_BYTES: Final = 64
"""Of a cache line."""
I32 = ir.IntType(32)
I64 = ir.IntType(64)


@register_jitable
def round_up(number, step):
    """The next multiple."""
    return (number + step - 1) // step * step


def intrinsic(function: Callable[..., Any]):
    """``numba.extending.intrinsic`` as a typed decorator."""
    return _numba_intrinsic(function)


def emits(result=types.void, *, kinds: int = 0):
    """An intrinsic whose body, called as ``body(builder, *arguments)``, emits its code and returns its value.

    The first ``kinds`` arguments stand for their types alone, which the body gets; all others are int64.
    """

    def decorate(body: Callable[..., Any]):
        @wraps(body)
        def define(typing, *arguments):
            def codegen(context, builder, signature, values):
                value = body(builder, *arguments[:kinds], *values[kinds:])
                return context.get_dummy_value() if value is None else value

            return result(*arguments[:kinds], *[types.int64] * (len(arguments) - kinds)), codegen

        return _numba_intrinsic(define)

    return decorate


def number_type(kind):
    """LLVM's type for one of Numba's number types."""
    if is_integer(kind):
        return ir.IntType(kind.bitwidth)
    return ir.DoubleType() if kind == types.float64 else ir.FloatType()


def whole(value: int):
    """An int64 constant."""
    return ir.Constant(I64, value)


def is_integer(kind) -> bool:
    """Whether a Numba number type is one of the integers."""
    return str(kind).startswith(("int", "uint"))


def ask(builder, address, count: int, written: bool) -> None:
    """Ask for the cache lines of ``count`` bytes from an address on, that will be read soon, or written."""
    for line in range(0, count, LINE_BYTES):
        ask_line(builder, builder.add(address, whole(line)), 3, written=written)


def ask_line(builder, address, near: int, *, written: bool = False) -> None:
    """Ask for the cache line of an address: 3 for the first-level cache, 2 for the second, as LLVM counts."""
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte, I32, I32, I32])
    prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    numbers = (ir.Constant(I32, n) for n in (int(written), near, 1))
    builder.call(prefetch, [builder.inttoptr(address, byte), *numbers])


class Vectors:
    """Emits loads, stores and arithmetic on vectors of one floating-point type; ``lanes`` defaults to a full vector."""

    def __init__(self, builder, numba_type, lanes: int = 0) -> None:
        self.b = builder
        self.scalar = number_type(numba_type)
        self.size = numba_type.bitwidth // 8
        self.lanes = lanes or VECTOR_BYTES // self.size
        self.type = ir.VectorType(self.scalar, self.lanes)

    def at(self, base, index, size: int | None = None):
        """Address of element ``index`` after ``base``."""
        return self.b.add(base, self.b.mul(index, whole(self.size if size is None else size)))

    def load(self, address, of=None, align: int = 1):
        value = self.b.load(self.b.inttoptr(address, (of or self.type).as_pointer()))
        value.align = align
        return value

    def store(self, value, address, align: int = 1) -> None:
        self.b.store(value, self.b.inttoptr(address, value.type.as_pointer())).align = align

    def splat(self, value):
        one = self.b.insert_element(ir.Constant(self.type, ir.Undefined), value, ir.Constant(I32, 0))
        zeros = ir.Constant(ir.VectorType(I32, self.lanes), None)
        return self.b.shuffle_vector(one, ir.Constant(self.type, ir.Undefined), zeros)

    def shuffle(self, u, v, mask: Sequence[int]):
        """Elements of ``u`` followed by ``v``, by number."""
        return self.b.shuffle_vector(
            u, v, ir.Constant(ir.VectorType(I32, len(mask)), [ir.Constant(I32, k) for k in mask])
        )

    def constant(self, value: float):
        return ir.Constant(self.type, [ir.Constant(self.scalar, value)] * self.lanes)

    def muladd(self, a, b, c):
        """``a * b + c``, fused where the processor can."""
        return self._of_three("fmuladd", a, b, c)

    def fused(self, a, b, c):
        """``a * b + c``, rounded once; slow where the processor has no such instruction."""
        return self._of_three("fma", a, b, c)

    def _of_three(self, operation: str, a, b, c):
        name = f"llvm.{operation}.v{self.lanes}f{8 * self.size}"
        function = cgutils.get_or_insert_function(self.b.module, ir.FunctionType(self.type, [self.type] * 3), name)
        return self.b.call(function, [a, b, c])

    def loop(self, start, stop, step: int, body: Callable[..., Any], carried: Sequence[Any] = ()):
        """``for i in range(start, stop, step)``; ``body(i, *carried)`` returns the carried values' next state."""
        b = self.b
        before, head = b.block, b.append_basic_block()
        inside, after = b.append_basic_block(), b.append_basic_block()
        b.branch(head)
        b.position_at_end(head)
        i = b.phi(I64)
        i.add_incoming(start, before)
        state = [b.phi(v.type) for v in carried]
        for phi, v in zip(state, carried, strict=True):
            phi.add_incoming(v, before)
        b.cbranch(b.icmp_signed("<", i, stop), inside, after)
        b.position_at_end(inside)
        following = body(i, *state) or ()
        i.add_incoming(b.add(i, whole(step)), b.block)
        for phi, v in zip(state, following, strict=True):
            phi.add_incoming(v, b.block)
        b.branch(head)
        b.position_at_end(after)
        return state

    def blocks(self, count, width: int, body: Callable[..., Any]) -> None:
        """``body(start)`` for blocks of ``width`` up to ``count >= width``; the last one may overlap its neighbour."""
        last = self.b.sub(count, whole(width))
        self.loop(whole(0), last, width, body)
        body(last)

    def _lane(self, row) -> int:
        """Elements in 128 bits."""
        element = row.type.element
        bits = {"float": 32, "double": 64}.get(str(element)) or element.width
        return int(min(128 // bits, self.lanes))

    def transposed_lanes(self, rows: list[Any]) -> list[Any]:
        """Each 128-bit lane of every group of so many rows as a lane has elements, transposed by itself (unpack)."""
        n, m = self.lanes, self._lane(rows[0])
        halves = [
            [lane + half * m // 2 + k // 2 + (n if k % 2 else 0) for lane in range(0, n, m) for k in range(m)]
            for half in (0, 1)
        ]
        for _ in range(m.bit_length() - 1):
            following = []
            for group in range(0, len(rows), m):
                for i in range(group, group + m // 2):
                    following += [self.shuffle(rows[i], rows[i + m // 2], mask) for mask in halves]
            rows = following
        return rows

    def transposed(self, rows: list[Any]) -> list[Any]:
        """A square of ``lanes`` vectors, transposed; first inside 128-bit lanes (unpack), then whole 128-bit lanes."""
        rows, m = self.transposed_lanes(rows), self._lane(rows[0])
        n = self.lanes
        h = m
        while h < n:
            low = [k if not k & h else n + k - h for k in range(n)]
            high = [k + h if not k & h else n + k for k in range(n)]
            following = list(rows)
            for i in range(n):
                if not i & h:
                    following[i] = self.shuffle(rows[i], rows[i + h], low)
                    following[i + h] = self.shuffle(rows[i], rows[i + h], high)
            rows = following
            h *= 2
        return rows
