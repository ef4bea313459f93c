"""Vector code of CLAHE, written as LLVM IR.

A block is the set of pixels between the same four tile centres. Its four tables are packed into one, whose entries hold
all four levels of a bin: 4 bytes for uint8 levels, 8 for uint16, 16 for float32. A pixel then costs one load for its
bin and one for its entry, which goes straight into a vector register: nothing is stored but the result.

The blend is in OpenCV's order of float32 operations, without fused multiply-adds, so that every bit agrees. Where tiles
have sides of powers of two, as those of 512 x 512 pixels, weights are whole numbers of a side's part, all of OpenCV's
float32 results are exact, and uint8 levels are blended in 16-bit integers: twice as many at once (AVX2: .50 ns a pixel,
so .30). Processors with AVX-512 VBMI look up the levels of uint8 pixels in registers there (``_clahe/registers``).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types

from ctkernels.cpu._core.vectors import I32, I64, Vectors, emits, intrinsic, is_integer, number_type, whole

_LEVELS = {types.uint8: 8, types.uint16: 16, types.float32: 32}


@intrinsic
def peek(typing, kind, address):
    """The number of ``kind``'s type at an address."""

    def codegen(context, builder, signature, args):
        pointer = builder.inttoptr(args[1], number_type(kind).as_pointer())
        value = builder.load(pointer)
        value.align = 1
        return value

    return kind(kind, types.int64), codegen


def _gathered(v: Vectors, bits: int, table, bins: list[Any]) -> list[Any]:
    """The table's entries for several bins: one vector of packed levels, or four vectors of float levels."""
    b, n = v.b, v.lanes
    if bits < 32:
        entry = ir.IntType(4 * bits)
        packed: Any = ir.Constant(ir.VectorType(entry, n), ir.Undefined)
        for lane, k in enumerate(bins):
            one = v.load(v.at(table, k, bits // 2), entry, bits // 2)
            packed = b.insert_element(packed, one, ir.Constant(I32, lane))
        return [packed]
    quads = [v.load(v.at(table, k, 16), ir.VectorType(v.scalar, 4), 4) for k in bins]
    if n == 1:
        return [v.shuffle(quads[0], quads[0], [k]) for k in range(4)]
    # Pixel p goes to vector p % 4, 128-bit lane p // 4, so that transposing inside lanes gives the natural order.
    rows = []
    for k in range(4):
        parts = quads[k::4]
        while len(parts) > 1:
            size = parts[0].type.count
            parts = [v.shuffle(u, w, range(2 * size)) for u, w in zip(parts[::2], parts[1::2], strict=True)]
        rows.append(parts[0])
    halves = [
        [lane + 2 * half + k // 2 + (n if k % 2 else 0) for lane in range(0, n, 4) for k in range(4)] for half in (0, 1)
    ]
    for _ in range(2):
        rows = [v.shuffle(rows[i], rows[i + 2], mask) for i in (0, 1) for mask in halves]
    return rows


def _repeated(v: Vectors, bits: int, table, k) -> list[Any]:
    """As ``_gathered`` where all bins are ``k``."""
    if bits < 32:
        entry = ir.IntType(4 * bits)
        one = v.b.bitcast(v.load(v.at(table, k, bits // 2), entry, bits // 2), ir.VectorType(entry, 1))
        return [v.shuffle(one, one, [0] * v.lanes)]
    quad = v.load(v.at(table, k, 16), ir.VectorType(v.scalar, 4), 4)
    return [v.shuffle(quad, quad, [i] * v.lanes) for i in range(4)]


def entries_of(v: Vectors, bits: int, table, source, index, share: bool) -> list[Any]:
    """Entries of the bins at address ``source``; uint8 neighbours with one bin (air, saturated bone) may share a load.

    On windowed CT that takes a fifth off the blend of floats, nothing off that of integers, and on twelve bits cut to
    eight it costs. 16-bit bins are equal too irregularly: mispredicted branches cost a tenth there.
    """
    b = v.b
    size = index.width // 8

    def gathered() -> list[Any]:
        pixels = [b.add(source, whole(k * size)) for k in range(v.lanes)]
        return _gathered(v, bits, table, [b.zext(v.load(p, index, size), I64) for p in pixels])

    if v.lanes == 1 or index.width == 16 or not share:
        return gathered()
    first = v.load(source, index, size)
    bins = v.load(source, ir.VectorType(index, v.lanes), size)
    ones = v.shuffle(bins, bins, [0] * v.lanes)
    equal = b.bitcast(b.icmp_unsigned("==", bins, ones), ir.IntType(v.lanes))
    with b.if_else(b.icmp_unsigned("==", equal, ir.Constant(ir.IntType(v.lanes), -1))) as (then, otherwise):
        with then:
            same = _repeated(v, bits, table, b.zext(first, I64))
            same_end = b.block
        with otherwise:
            different = gathered()
            different_end = b.block
    entries = []
    for u, w in zip(same, different, strict=True):
        phi = b.phi(u.type)
        phi.add_incoming(u, same_end)
        phi.add_incoming(w, different_end)
        entries.append(phi)
    return entries


def _levels(v: Vectors, bits: int, entries: list[Any]) -> list[Any]:
    """The four levels of each entry as float vectors."""
    if bits == 32:
        return entries
    b, n = v.b, v.lanes
    numbers = ir.VectorType(I32, n)
    words = entries
    if bits == 16:
        pairs = b.bitcast(entries[0], ir.VectorType(I32, 2 * n))
        words = [v.shuffle(pairs, pairs, range(half, 2 * n, 2)) for half in (0, 1)]
    mask = ir.Constant(numbers, [ir.Constant(I32, 2**bits - 1)] * n)
    levels = []
    for word in words:
        for shift in range(0, 32, bits):
            level = b.lshr(word, ir.Constant(numbers, [ir.Constant(I32, shift)] * n)) if shift else word
            levels.append(b.sitofp(b.and_(level, mask) if shift + bits < 32 else level, v.type))
    return levels


def _mixed(v: Vectors, levels, right, up, down):
    """The blend of four levels."""
    b = v.b
    p, q, r, s = levels
    left = b.fsub(v.constant(1.0), right)
    above = b.fadd(b.fmul(p, left), b.fmul(q, right))
    below = b.fadd(b.fmul(r, left), b.fmul(s, right))
    return b.fadd(b.fmul(above, up), b.fmul(below, down))


def _mixed_whole(v: Vectors, entries, right, sides, down):
    """The same of packed uint8 levels whose weights are ``right`` and ``down`` of tiles' ``sides`` (float vectors)."""
    b, n = v.b, v.lanes
    numbers, shorts = ir.VectorType(I32, n), ir.VectorType(ir.IntType(16), 2 * n)
    products = ir.VectorType(I32, 2 * n)

    def twice(weight, side, other: bool):
        """A weight of at most 128, or what is left of the side, in both halves of 32 bits: below 2**24, thus exact."""
        both = b.fmul(side, v.constant(65537.0))
        ours = b.fptosi(b.fmul(weight, both), numbers)
        return b.bitcast(b.sub(b.fptosi(both, numbers), ours) if other else ours, shorts)

    height, width = sides
    words = b.bitcast(entries, shorts)
    eight = ir.Constant(shorts, [ir.Constant(ir.IntType(16), 8)] * (2 * n))
    low = ir.Constant(shorts, [ir.Constant(ir.IntType(16), 255)] * (2 * n))
    first = b.mul(b.and_(words, low), twice(right, width, True))
    rows = b.add(first, b.mul(b.lshr(words, eight), twice(right, width, False)))  # above, below; 128 * 255 at most
    turns = [k if k % 2 == 0 else 2 * n + k for k in range(2 * n)]
    weights = v.shuffle(twice(down, height, True), twice(down, height, False), turns)
    both = b.mul(b.sext(rows, products), b.sext(weights, products))
    total = b.add(*(v.shuffle(both, both, range(k, 2 * n, 2)) for k in (0, 1)))
    return b.fmul(b.sitofp(total, v.type), b.fdiv(v.constant(1.0), b.fmul(height, width)))


def _result(v: Vectors, pixel, low, high, mixed):
    """Blended levels as pixels: whole levels count from ``low``, shares of 1 go from ``low`` to ``high``."""
    b = v.b
    if is_integer(pixel):
        # Adding 1.5 * 2**23 rounds half to even and leaves the whole number in the low bits.
        numbers = ir.VectorType(I32, v.lanes)
        value = b.bitcast(b.fadd(mixed, v.constant(12582912.0)), numbers)
        base = b.insert_element(ir.Constant(numbers, ir.Undefined), low, ir.Constant(I32, 0))
        value = b.add(value, v.shuffle(base, base, [0] * v.lanes))
        return b.trunc(value, ir.VectorType(ir.IntType(pixel.bitwidth), v.lanes))
    d = Vectors(b, pixel, v.lanes)
    share = mixed if pixel == types.float32 else b.fpext(mixed, d.type)
    first, last = d.splat(low), d.splat(high)
    # Not low + (high - low) * share: the difference of two huge ends would overflow.
    return b.fadd(b.fmul(first, b.fsub(d.constant(1.0), share)), b.fmul(last, share))


@intrinsic
def blend(typing, pixel, bin_kind, level, low, high, block):
    """One block. ``low`` and ``high`` are the ends of the range in the type of a pixel (integers: ``low`` as int32).

    ``block`` is ten int64: rows, columns, address of the first bin, bytes to the next row's, address of the first
    result, bytes to the next row's, address of the table entry of bin 0, of the first column's and row's weights; a
    tile's height and width as ``height << 32 | width`` where these weights are whole numbers of them, else 0.
    """

    def codegen(context, builder, signature, args):
        b = builder
        rows, columns, bins, bins_step, out, out_step, table, xa, ya, tile = (
            b.extract_value(args[5], k) for k in range(10)
        )
        bits = _LEVELS[level]
        index = number_type(bin_kind)
        size, out_size = bin_kind.bitwidth // 8, pixel.bitwidth // 8

        def row(y):
            source, target = b.add(bins, b.mul(y, bins_step)), b.add(out, b.mul(y, out_step))
            full = Vectors(b, types.float32)
            weight = full.load(full.at(ya, y), full.scalar, 4)

            def blended(v, in_integers=False):
                down = v.splat(weight)
                up = b.fsub(v.constant(1.0), down)
                sides = [
                    v.splat(b.sitofp(b.and_(b.lshr(tile, whole(shift)), whole(0xFFFFFFFF)), v.scalar))
                    for shift in (32, 0)
                ]

                def body(x):
                    entries = entries_of(v, bits, table, v.at(source, x, size), index, not in_integers)
                    right = v.load(v.at(xa, x), align=4)
                    if in_integers:
                        mixed = _mixed_whole(v, entries[0], right, sides, down)
                    else:
                        mixed = _mixed(v, _levels(v, bits, entries), right, up, down)
                    v.store(_result(v, pixel, args[3], args[4], mixed), v.at(target, x, out_size), out_size)

                return body

            def usual():
                full.blocks(columns, full.lanes, blended(full))

            # Blocks narrower than a vector (many tiles, small images) go pixel by pixel.
            with b.if_else(b.icmp_signed("<", columns, whole(full.lanes))) as (narrow, wide):
                with narrow:
                    full.loop(whole(0), columns, 1, blended(Vectors(b, types.float32, 1)))
                with wide:
                    if bits > 8:
                        usual()
                    else:
                        with b.if_else(b.icmp_signed("!=", tile, whole(0))) as (exact, rounded):
                            with exact:
                                full.blocks(columns, full.lanes, blended(full, in_integers=True))
                            with rounded:
                                usual()

        Vectors(b, types.float32).loop(whole(0), rows, 1, row)
        return context.get_dummy_value()

    return types.void(pixel, bin_kind, level, low, high, block), codegen


@emits(types.int64)
def extremes(b, start, rows, columns, sources, step):
    """Lowest and highest of a rectangle of uint16 (``high << 32 | low``): ``rows`` rows, ``step`` bytes apart.

    Row ``y`` is number ``sources[y]`` (an address of int64).
    """
    v = Vectors(b, types.float32)
    n = 2 * v.lanes
    short = ir.IntType(16)
    many = ir.VectorType(short, n)

    def smaller(sign, u, w):
        return b.select(b.icmp_unsigned(sign, u, w), u, w)

    def row(y, *state):
        source = b.add(start, b.mul(v.load(v.at(sources, y, 8), I64, 8), step))

        def wide(x, low, high):
            value = v.load(v.at(source, x, 2), many, 2)
            return smaller("<", value, low), smaller(">", value, high)

        def narrow(x, low, high):
            value = v.load(v.at(source, x, 2), short, 2)
            value = b.insert_element(ir.Constant(many, ir.Undefined), value, ir.Constant(I32, 0))
            value = v.shuffle(value, value, [0] * n)
            return smaller("<", value, low), smaller(">", value, high)

        # The remainder one by one, each spread over a whole vector: the same two vectors collect everything.
        whole_part = b.mul(b.sdiv(columns, whole(n)), whole(n))
        inner = v.loop(whole(0), whole_part, n, wide, state)
        return v.loop(whole_part, columns, 1, narrow, inner)

    start_low = ir.Constant(many, [ir.Constant(short, 65535)] * n)
    low, high = v.loop(whole(0), rows, 1, row, (start_low, ir.Constant(many, None)))
    while n > 1:
        n //= 2
        low = smaller("<", v.shuffle(low, low, range(n)), v.shuffle(low, low, range(n, 2 * n)))
        high = smaller(">", v.shuffle(high, high, range(n)), v.shuffle(high, high, range(n, 2 * n)))
    first = [b.zext(b.extract_element(u, ir.Constant(I32, 0)), I64) for u in (low, high)]
    return b.or_(first[0], b.shl(first[1], whole(32)))
