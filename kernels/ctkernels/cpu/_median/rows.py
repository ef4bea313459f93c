"""Rows of pixels to rows of keys and back, as explicit vector code.

Keys are integers that sort as the pixels do. Integer pixels are their own keys. Floats that hold whole numbers in the
range of int16, as CT values in Hounsfield units do, have int16 keys: half the memory, and twice the pixels in a vector.
Any floats have signed keys of their width: the negative ones turned round, NaN (of any sign) the largest. Lines of
floats hold float32 as they are (``floats``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ctkernels.cpu._core.vectors import ask

PIXELS, FLOAT32, FLOAT64 = 0, 1, 2
"""What the bytes of an image are: pixels of the key type, or floats."""

_INT64 = ir.IntType(64)
_FLOATS = {FLOAT32: (ir.FloatType(), 32), FLOAT64: (ir.DoubleType(), 64)}

FLOAT_LANES = 16

Body = Callable[[Any, Any, int], None]


def sweep(builder, count, lanes: int, body: Body) -> None:
    """``body(builder, x, lanes)`` over ``0 .. count - 1``: in vectors, the last one moved back, or else one by one."""
    zero, one, lane = (ir.Constant(_INT64, n) for n in (0, 1, lanes))
    with builder.if_else(builder.icmp_signed("<", count, lane)) as (short, usual):
        with short, cgutils.for_range_slice(builder, zero, count, one, _INT64) as (x, _):
            body(builder, x, 1)
        with usual, cgutils.for_range_slice(builder, zero, count, lane, _INT64) as (x, _):
            last = builder.sub(count, lane)
            body(builder, builder.select(builder.icmp_signed("<", x, last), x, last), lanes)


def vector_at(builder, base, item, x, lanes: int):
    """Pointer to the ``lanes`` items of type ``item`` from number ``x`` on."""
    pointer = builder.gep(builder.bitcast(base, item.as_pointer()), [x])
    return builder.bitcast(pointer, ir.VectorType(item, lanes).as_pointer())


def _all(item, lanes: int, value: float):
    return ir.Constant(ir.VectorType(item, lanes), [value] * lanes)


def turn(builder, bits, width: int, lanes: int):
    """Negative integers with all bits but the sign flipped: floats' order of bits, and back again."""
    item = ir.IntType(width)
    sign = builder.ashr(bits, _all(item, lanes, width - 1))
    return builder.xor(bits, builder.and_(sign, _all(item, lanes, 2 ** (width - 1) - 1)))


def _ask(builder, row, real, x, count, written: bool) -> None:
    """Ask for what stands at the same place four rows on: the rows that the next group reads or writes."""
    later = builder.add(x, builder.mul(count, ir.Constant(_INT64, 4)))
    address = builder.ptrtoint(builder.gep(builder.bitcast(row, real.as_pointer()), [later]), _INT64)
    ask(builder, address, 64 if real == ir.FloatType() else 128, written)


def _whole_body(line, row, kind: int, wrong, count) -> Body:
    real, width = _FLOATS[kind]
    short, number = ir.IntType(16), ir.IntType(width)
    # Added to a small number, 1.5 times the largest power of two with unit steps rounds it to a whole one, which then
    # stands in the lowest bits: no conversion, which beyond its range would be undefined.
    magic, bits = {32: (1.5 * 2**23, 0x4B400000), 64: (1.5 * 2**52, 0x4338000000000000)}[width]

    def body(builder, x, lanes: int) -> None:
        several = ir.VectorType(number, lanes)
        _ask(builder, row, real, x, count, False)
        value = builder.load(vector_at(builder, row, real, x, lanes), align=4)
        moved = builder.fadd(value, _all(real, lanes, magic))
        back = builder.fsub(moved, _all(real, lanes, magic))
        moved = builder.bitcast(moved, several)
        beyond = builder.add(moved, _all(number, lanes, 32768 - bits))
        other = builder.xor(builder.bitcast(back, several), builder.bitcast(value, several))
        for seen, flaws in zip(wrong[kind], (beyond, other), strict=True):
            if lanes == 1:
                first = ir.Constant(ir.IntType(32), 0)
                nothing = ir.Constant(ir.VectorType(number, FLOAT_LANES), None)
                flaws = builder.insert_element(nothing, builder.extract_element(flaws, first), first)
            builder.store(builder.or_(builder.load(seen), flaws), seen)
        builder.store(
            builder.trunc(moved, ir.VectorType(short, lanes)), vector_at(builder, line, short, x, lanes), align=2
        )

    return body


def _flaws(builder, seen):
    """Zero where all values that were seen were whole and in the range of int16, so that NaN was not among them.

    Asked once for all of them: that keys have nothing in their upper bits, and that rounding lost nothing but the sign
    of a zero.
    """
    beyond, other = map(builder.load, seen)
    width = beyond.type.element.width
    beyond = builder.lshr(beyond, _all(beyond.type.element, FLOAT_LANES, 16))
    return builder.or_(beyond, builder.and_(other, _all(other.type.element, FLOAT_LANES, 2 ** (width - 1) - 1)))


def _copy_body(target, source, key) -> Body:
    def body(builder, x, lanes: int) -> None:
        value = builder.load(vector_at(builder, source, key, x, lanes), align=key.width // 8)
        builder.store(value, vector_at(builder, target, key, x, lanes), align=key.width // 8)

    return body


def _turn_body(target, source, key, last_nan: bool) -> Body:
    infinite = {32: 0x7F800000, 64: 0x7FF0000000000000}[key.width]
    highest = 2 ** (key.width - 1) - 1

    def body(builder, x, lanes: int) -> None:
        bits = builder.load(vector_at(builder, source, key, x, lanes), align=key.width // 8)
        keys = turn(builder, bits, key.width, lanes)
        if last_nan:
            size = builder.and_(bits, _all(key, lanes, highest))
            nan = builder.icmp_signed(">", size, _all(key, lanes, infinite))
            keys = builder.select(nan, _all(key, lanes, highest), keys)
        builder.store(keys, vector_at(builder, target, key, x, lanes), align=key.width // 8)

    return body


def _whole_back_body(row, line, kind: int, count) -> Body:
    real, _ = _FLOATS[kind]
    short = ir.IntType(16)

    def body(builder, x, lanes: int) -> None:
        _ask(builder, row, real, x, count, True)
        keys = builder.load(vector_at(builder, line, short, x, lanes), align=2)
        value = builder.sitofp(builder.sext(keys, ir.VectorType(ir.IntType(32), lanes)), ir.VectorType(real, lanes))
        builder.store(value, vector_at(builder, row, real, x, lanes), align=4)

    return body


def _pointers(context, builder, kinds, args):
    """Pointers into two 1-D arrays: ``(array, at, array, at)``."""
    return [
        builder.gep(context.make_array(kind)(context, builder, array).data, [at])
        for kind, array, at in ((kinds[0], args[0], args[1]), (kinds[1], args[2], args[3]))
    ]


def _bodies(key, line, row, wrong, back: bool, count) -> dict[int, Body]:
    """What each kind of pixel takes that a key type serves; bits are set in ``wrong`` where pixels have no key."""
    pair = (row, line) if back else (line, row)
    if key == ir.FloatType():
        return {PIXELS: _copy_body(*pair, ir.IntType(32))}
    bodies = {PIXELS: _copy_body(*pair, key)}
    if key.width == 16:
        for kind in _FLOATS:
            bodies[kind] = (
                _whole_back_body(row, line, kind, count) if back else _whole_body(line, row, kind, wrong, count)
            )
    for kind, (_, width) in _FLOATS.items():
        if width == key.width:
            bodies[kind] = _turn_body(*pair, key, not back)
    return bodies


def _make(back: bool):
    def convert(typingctx, line, at, image, byte, count, kind):
        def emit(context, builder, signature, args):
            key, item_bytes = context.get_value_type(line.dtype), line.dtype.bitwidth // 8
            lines, rows = _pointers(context, builder, (line, image), args)
            none = {n: ir.Constant(ir.VectorType(ir.IntType(w), FLOAT_LANES), None) for n, (_, w) in _FLOATS.items()}
            wrong = {n: [cgutils.alloca_once_value(builder, value) for _ in range(2)] for n, value in none.items()}
            for number, body in _bodies(key, lines, rows, wrong, back, args[4]).items():
                with builder.if_then(builder.icmp_signed("==", args[5], ir.Constant(_INT64, number))):
                    sweep(builder, args[4], 64 // item_bytes if number == PIXELS else FLOAT_LANES, body)
            good = ir.Constant(ir.IntType(1), 1)
            for seen in wrong.values():
                flags = _flaws(builder, seen)
                bits = builder.bitcast(flags, ir.IntType(flags.type.element.width * FLOAT_LANES))
                good = builder.and_(good, builder.icmp_unsigned("==", bits, ir.Constant(bits.type, 0)))
            return good

        whole = types.int64
        return types.boolean(line, whole, image, whole, whole, whole), emit

    return intrinsic(convert)


encode_row = _make(back=False)
"""``encode_row(line, at, image, byte, count, kind)``: keys ``line[at:]`` of ``count`` pixels from ``image[byte]`` on.

False if a pixel has no key of this type.
"""

decode_row = _make(back=True)
"""``decode_row(line, at, image, byte, count, kind)``: pixels from ``image[byte]`` on of the keys ``line[at:]``."""
