"""CLAHE's blend of uint8 pixels with tables in registers (AVX-512 with VBMI: Ice Lake, Zen 4 and newer).

A table of 256 levels is four registers, four tables are sixteen of the 32: what a pixel's bin is in each of them is
looked up for 64 pixels at once, and no entry is loaded. Weights are whole numbers of a tile's sides (``band.halves``),
so that 16-bit integers hold the sums along rows and 32 bits the rest, as in ``ir._mixed_whole``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from ctkernels.cpu._core.target import has
from ctkernels.cpu._core.vectors import I32, VECTOR_BYTES, Vectors, intrinsic, whole

_SERVES = VECTOR_BYTES == 64 and has("avx512bw") and has("avx512vbmi")
_BIT, _BYTE, _SHORT = ir.IntType(1), ir.IntType(8), ir.IntType(16)
_BITS, _BYTES, _SHORTS, _NUMBERS = (
    ir.VectorType(of, n) for of, n in ((_BIT, 64), (_BYTE, 64), (_SHORT, 32), (I32, 16))
)


@intrinsic
def in_registers(typing, pixel, bin_kind, level):
    """Whether ``look_up`` serves these numbers on this processor: known when compiled."""
    serves = _serves(pixel, bin_kind, level)
    return types.boolean(pixel, bin_kind, level), lambda context, b, signature, args: ir.Constant(_BIT, int(serves))


def _serves(pixel: Any, bin_kind: Any, level: Any) -> bool:
    return _SERVES and pixel == bin_kind == level == types.uint8


class _Bytes(Vectors):
    """Vectors of 64 bytes, and the instructions that LLVM has no plain words for."""

    def __init__(self, b: Any) -> None:
        super().__init__(b, types.float32)

    def call(self, name: str, result: Any, *arguments: Any):
        kind = ir.FunctionType(result, [a.type for a in arguments])
        return self.b.call(cgutils.get_or_insert_function(self.b.module, kind, name), arguments)

    def all_of(self, value: Any, kind: Any):
        one = self.b.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(I32, 0))
        return self.shuffle(one, one, [0] * kind.count)

    def interleaved(self, u: Any, w: Any) -> tuple[Any, Any]:
        """The lower and the upper halves of all 128-bit lanes, an element of ``u``, then one of ``w``."""
        n = u.type.count
        m = n // 4
        lower = [lane + k // 2 + (n if k % 2 else 0) for lane in range(0, n, m) for k in range(m)]
        return self.shuffle(u, w, lower), self.shuffle(u, w, [k + m // 2 for k in lower])

    def masked_load(self, address: Any, mask: Any, kind: Any):
        name = f"llvm.masked.load.v{kind.count}{'f32' if kind.element == self.scalar else 'i8'}.p0"
        pointer = self.b.inttoptr(address, kind.as_pointer())
        return self.call(name, kind, pointer, ir.Constant(I32, 1), mask, ir.Constant(kind, None))

    def masked_store(self, value: Any, address: Any, mask: Any) -> None:
        pointer = self.b.inttoptr(address, value.type.as_pointer())
        self.call("llvm.masked.store.v64i8.p0", ir.VoidType(), value, pointer, ir.Constant(I32, 1), mask)


def _looked_up(v: _Bytes, tables: list[list[Any]], bins: Any) -> list[Any]:
    """The levels of 64 bins in each table, of four registers: the lower six bits say where, the upper two which."""
    b = v.b
    upper, second = (
        b.icmp_unsigned("!=", b.and_(bins, v.all_of(ir.Constant(_BYTE, bit), _BYTES)), ir.Constant(_BYTES, None))
        for bit in (128, 64)
    )
    masks = [None, b.and_(second, b.not_(upper)), b.and_(upper, b.not_(second)), b.and_(second, upper)]
    levels = []
    for table in tables:
        found: Any = None
        for part, mask in zip(table, masks, strict=True):
            here = v.call("llvm.x86.avx512.permvar.qi.512", _BYTES, part, bins)
            found = here if mask is None else b.select(mask, here, found)
        levels.append(found)
    return levels


def _lowest_bytes(v: _Bytes, rows: list[Any]):
    """The lowest byte of each of four vectors' numbers; of every four numbers of a result one vector has them all."""
    halves = []
    for k in (0, 2):
        # Number n of vector m goes to byte 16 * (n // 4) + 4 * m + n % 4.
        where = [0] * 64
        for m in (0, 1):
            for n in range(16):
                where[16 * (n // 4) + 4 * (k + m) + n % 4] = 64 * m + 4 * n
        index = ir.Constant(_BYTES, [ir.Constant(_BYTE, n) for n in where])
        first, second = (v.b.bitcast(row, _BYTES) for row in rows[k : k + 2])
        halves.append(v.b.bitcast(v.call("llvm.x86.avx512.vpermi2var.qi.512", _BYTES, first, index, second), _NUMBERS))
    return v.b.bitcast(v.shuffle(halves[0], halves[1], [n if n % 4 < 2 else 16 + n for n in range(16)]), _BYTES)


@intrinsic
def look_up(typing, pixel, bin_kind, level, low, block):
    """``ir.blend`` of a block whose ``tile`` is not 0 and whose tables have 256 levels.

    ``block`` is that of ``ir.blend``, whose packed table is not read, and the addresses of the four tables.
    """

    def codegen(context, b, signature, args):
        if _serves(pixel, bin_kind, level):
            _emit(b, args[3], [b.extract_value(args[4], k) for k in range(14)])
        return context.get_dummy_value()

    return types.void(pixel, bin_kind, level, low, block), codegen


def _emit(b: Any, low: Any, block: list[Any]) -> None:
    rows, columns, bins, bins_step, out, out_step, _, xa, ya, tile, *tables_at = block
    v = _Bytes(b)
    height, width = (b.trunc(b.and_(b.lshr(tile, whole(shift)), whole(0xFFFF)), I32) for shift in (32, 0))
    tall, broad = (b.sitofp(side, v.scalar) for side in (height, width))
    scale = v.splat(b.fdiv(ir.Constant(v.scalar, 1.0), b.fmul(tall, broad)))
    # Levels are taken as signed numbers, 128 less: a product of bytes takes one unsigned and one signed.
    middle = v.all_of(ir.Constant(_BYTE, 128), _BYTES)
    base = v.all_of(b.add(b.trunc(low, _BYTE), ir.Constant(_BYTE, 128)), _BYTES)
    tables = [[b.xor(v.load(b.add(at, whole(64 * k)), _BYTES), middle) for k in range(4)] for at in tables_at]

    def weights(x: Any, bits: Any) -> tuple[Any, Any]:
        """Those of the left and the right tile, side by side, for the columns from ``x`` on."""
        parts = []
        for k in range(4):
            mask = b.bitcast(b.trunc(b.lshr(bits, whole(16 * k)), _SHORT), ir.VectorType(_BIT, 16))
            some = v.masked_load(v.at(xa, b.add(x, whole(16 * k))), mask, v.type)
            parts.append(b.trunc(b.fptosi(b.fmul(some, v.splat(broad)), _NUMBERS), ir.VectorType(_BYTE, 16)))
        first, second = (v.shuffle(parts[k], parts[k + 1], range(32)) for k in (0, 2))
        right = v.shuffle(first, second, range(64))
        return v.interleaved(b.sub(v.all_of(b.trunc(width, _BYTE), _BYTES), right), right)

    def mixed(bins: Any, y: Any, sides: tuple[Any, Any]):
        weight = b.fptosi(b.fmul(v.load(v.at(ya, y), v.scalar, 4), tall), I32)
        both = b.or_(b.sub(height, weight), b.shl(weight, ir.Constant(I32, 16)))
        down = b.bitcast(v.all_of(both, _NUMBERS), _SHORTS)
        p, q, r, s = _looked_up(v, tables, bins)
        results = []
        for above, below, side in zip(v.interleaved(p, q), v.interleaved(r, s), sides, strict=True):
            lines = [v.call("llvm.x86.avx512.pmaddubs.w.512", _SHORTS, side, line) for line in (above, below)]
            for pair in v.interleaved(*lines):
                total = v.call("llvm.x86.avx512.pmaddw.d.512", _NUMBERS, pair, down)
                # Adding 1.5 * 2**23 rounds half to even and leaves the whole number in the low bits.
                rounded = v.fused(b.sitofp(total, v.type), scale, v.constant(12582912.0))
                results.append(b.bitcast(rounded, _NUMBERS))
        return b.add(_lowest_bytes(v, results), base)

    def each_row(x: Any, sides: tuple[Any, Any], load: Callable[[Any], Any], store: Callable[[Any, Any], None]) -> None:
        def row(y: Any) -> None:
            source = b.add(b.add(bins, x), b.mul(y, bins_step))
            store(mixed(load(source), y, sides), b.add(b.add(out, x), b.mul(y, out_step)))

        v.loop(whole(0), rows, 1, row)

    def chunk(x: Any) -> None:
        left = b.sub(columns, x)
        enough = b.icmp_signed(">=", left, whole(64))
        bits = b.select(enough, whole(-1), b.sub(b.shl(whole(1), b.and_(left, whole(63))), whole(1)))
        sides = weights(x, bits)
        mask = b.bitcast(bits, _BITS)
        with b.if_else(enough) as (full, part):
            with full:
                each_row(x, sides, lambda at: v.load(at, _BYTES), v.store)
            with part:
                each_row(
                    x, sides, lambda at: v.masked_load(at, mask, _BYTES), lambda u, at: v.masked_store(u, at, mask)
                )

    v.loop(whole(0), columns, 64, chunk)
