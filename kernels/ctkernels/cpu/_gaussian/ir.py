"""Vector code of the Gaussian, written as LLVM IR: what Numba's own loops can't express.

Why: a tap loop whose length is known at run time only, with the sums in registers, needs explicit vectors; LLVM's loop
vectoriser keeps them in memory or wants every radius unrolled.

**Lane layout.** A row of ``W`` pixels is cut into ``LANES`` segments of ``S`` pixels; vector ``s`` holds pixel ``s`` of
every segment (element ``s * LANES + l`` is pixel ``l * S + s``). Neighbours along the row are then whole vectors, so
the horizontal pass is the same code as the vertical one: aligned loads, a window of vectors that slides through
registers (2 loads for ``BLOCK`` sums of ``BLOCK`` adds and ``BLOCK`` multiply-adds each). Unaligned loads, two a tap,
cost .058 ns a tap and pixel, the sliding window .013; the two transpositions together cost about .1 ns a pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba.core import cgutils

from ctkernels.cpu._core.vectors import I32, I64, VECTOR_BYTES, Vectors, ask, emits, is_integer, number_type, whole

BLOCK: Final = VECTOR_BYTES // 8
"""Sums kept in registers at a time; the window takes twice as many: 24 of 32 registers, or 12 of 16."""


UNROLLED: Final = (2, 3, 4, 5, 6, 8)
"""Radii with code of their own, sigma .5 to 1.5 and 2: loops over so few taps cost as much again as the sums (sigma 1,
AVX2, a pass: .19 and .14 ns a pixel instead of .39 and .42; sigma 2, the whole filter: four fifths of the time)."""


def _pair(v: Vectors, odd: bool, before, behind):
    """Pixels at equal distances: their sum, or of odd weights their difference.

    Not by a multiply-add with a sign: additions have units of their own beside those that multiply.
    """
    return v.b.fsub(behind, before) if odd else v.b.fadd(before, behind)


def _symmetric_sums(v: Vectors, row: Callable[[Any], Any], weights, radius, odd: bool):
    """``BLOCK`` neighbouring sums ``w[0] row(k) + sum of w[j] (row(k - j) + row(k + j))``, ``k = radius ..``."""
    b = v.b

    def tap(j, *state):
        sums, below, above = state[:BLOCK], state[BLOCK : 2 * BLOCK], state[2 * BLOCK :]
        below = (row(b.sub(radius, j)), *below[:-1])
        above = (*above[1:], row(b.add(b.add(radius, j), whole(BLOCK - 1))))
        w = v.splat(v.load(v.at(weights, j), v.scalar, v.size))
        sums = tuple(v.muladd(w, _pair(v, odd, u, d), s) for u, d, s in zip(below, above, sums, strict=True))
        return (*sums, *below, *above)

    def taps(count: int) -> Callable[..., Any]:
        def several(j, *state):
            for k in range(count):  # unrolled, so that the window's registers rotate by name
                state = tap(b.add(j, whole(k)), *state)
            return state

        return several

    centre = tuple(row(b.add(radius, whole(k))) for k in range(BLOCK))
    w = v.splat(v.load(weights, v.scalar, v.size))
    start = (*(b.fmul(w, c) for c in centre), *centre, *centre)
    state, done = start, whole(1)
    for count in (BLOCK, 1):  # another loop for half a block was slower, 160 against 107 us at sigma 1
        stop = b.add(done, b.mul(b.sdiv(b.sub(b.add(radius, whole(1)), done), whole(count)), whole(count)))
        state = tuple(v.loop(done, stop, count, taps(count), state))
        done = stop
    return state[:BLOCK]


def _unrolled_sums(
    v: Vectors, row: Callable[[int], Any], weight: Callable[[int], Any], radius: int, odd: bool
) -> list[Any]:
    """The same sums, in the same order, with nothing left to run time but the pixels."""
    b = v.b
    window = [row(k) for k in range(2 * radius + BLOCK)]
    sums = [b.fmul(weight(0), window[radius + k]) for k in range(BLOCK)]
    for j in range(1, radius + 1):
        w = weight(j)
        pairs = [_pair(v, odd, window[radius + k - j], window[radius + k + j]) for k in range(BLOCK)]
        sums = [v.muladd(w, pair, s) for pair, s in zip(pairs, sums, strict=True)]
    return sums


def _by_radius(b, radius, unrolled: Callable[[int], None], general: Callable[[], None]) -> None:
    """``unrolled(radius)`` for the radii that are, else ``general()``."""
    end = b.append_basic_block()
    other = b.append_basic_block()
    switch = b.switch(radius, other)
    for number in UNROLLED:
        block = b.append_basic_block()
        switch.add_case(whole(number), block)
        b.position_at_end(block)
        unrolled(number)
        b.branch(end)
    b.position_at_end(other)
    general()
    b.branch(end)
    b.position_at_end(end)


def _to_precision_of(v: Vectors, pixel, value):
    """``value`` rounded to the precision of ``pixel``'s type, if that is a narrower float."""
    if is_integer(pixel) or number_type(pixel) == v.scalar:
        return value
    return v.b.fpext(v.b.fptrunc(value, ir.VectorType(number_type(pixel), v.lanes)), v.type)


def _weigh_rows(odd: bool) -> Any:
    @emits(kinds=2)
    def weigh_rows(b, kind, pixel, rows, weights, radius, width, out, stride):
        """Vertical pass: ``BLOCK`` rows of ``width`` elements (whole vectors) to ``out``, ``stride`` bytes apart.

        ``rows`` is where the addresses of ``2 * radius + BLOCK`` input rows are, ``weights`` where the half kernel is.
        Sums have the precision of ``pixel``'s type, if that is a narrower float.
        """
        v = Vectors(b, kind)
        targets = [b.add(out, b.mul(stride, whole(k))) for k in range(BLOCK)]

        def columns(sums: Callable[[Any], Any]) -> None:
            def at(x):
                offset = b.mul(x, whole(v.size))
                for target, total in zip(targets, sums(offset), strict=True):
                    v.store(_to_precision_of(v, pixel, total), b.add(target, offset), VECTOR_BYTES)

            v.loop(whole(0), width, v.lanes, at)

        def unrolled(number: int) -> None:
            addresses = [v.load(v.at(rows, whole(k), 8), I64, 8) for k in range(2 * number + BLOCK)]

            def sums(offset):
                return _unrolled_sums(
                    v,
                    lambda k: v.load(b.add(addresses[k], offset), align=VECTOR_BYTES),
                    lambda j: v.splat(v.load(v.at(weights, whole(j)), v.scalar, v.size)),
                    number,
                    odd,
                )

            columns(sums)

        def general() -> None:
            def sums(offset):
                def row(k):
                    return v.load(b.add(v.load(v.at(rows, k, 8), I64, 8), offset), align=VECTOR_BYTES)

                return _symmetric_sums(v, row, weights, radius, odd)

            columns(sums)

        _by_radius(b, radius, unrolled, general)

    return weigh_rows


def _weigh_shifts(odd: bool) -> Any:
    @emits(kinds=1)
    def weigh_shifts(b, kind, row, weights, radius, vectors, out):
        """Horizontal pass in lane layout: ``vectors >= BLOCK`` vectors from ``row`` (halo around it) to ``out``."""
        v = Vectors(b, kind)

        def blocks(sums: Callable[[Callable[[Any], Any]], Any]) -> None:
            def block(s):
                first = v.at(row, b.sub(s, radius), VECTOR_BYTES)
                totals = sums(lambda k: v.load(v.at(first, k, VECTOR_BYTES), align=VECTOR_BYTES))
                for k, total in enumerate(totals):
                    v.store(total, v.at(out, b.add(s, whole(k)), VECTOR_BYTES), VECTOR_BYTES)

            v.blocks(vectors, BLOCK, block)

        def unrolled(number: int) -> None:
            half = [v.splat(v.load(v.at(weights, whole(j)), v.scalar, v.size)) for j in range(number + 1)]
            blocks(lambda shifted: _unrolled_sums(v, lambda k: shifted(whole(k)), half.__getitem__, number, odd))

        def general() -> None:
            blocks(lambda shifted: _symmetric_sums(v, shifted, weights, radius, odd))

        _by_radius(b, radius, unrolled, general)

    return weigh_shifts


weigh_rows, weigh_shifts = _weigh_rows(False), _weigh_shifts(False)
weigh_rows_odd, weigh_shifts_odd = _weigh_rows(True), _weigh_shifts(True)
"""Of weights that are the opposite before the pixel: derivatives of odd order."""


class _Words:
    """A square of pixels as words, of several small integers or of one float, which are transposed in their place.

    Words at one place of all rows make a vector, which integers leave and enter by shifts. Lanes of 128 bits that
    belong together are put together as they are loaded, which is no work for the one unit that shuffles: of 64 floats
    in vectors of 256 bits, 16 shuffles instead of 24. Integers by themselves took 64 shuffles and 16 to widen them for
    256 bytes, words take 8 to 14; of the filter's time with sigma 1 (Emerald Rapids) uint8 took .78 so with AVX2 and
    .92 with AVX-512, int16 .84 with AVX2.
    """

    def __init__(self, v: Vectors, pixel) -> None:
        self.v, self.bits, self.signed = v, pixel.bitwidth, not str(pixel).startswith("u")
        self.word = I32 if is_integer(pixel) else v.scalar
        self.pixels = 8 * v.size // self.bits
        """Of a word."""
        self.count = v.lanes // self.pixels
        """Words of a row."""
        self.part = min(16 // v.size, self.count)
        """Words of a row that are loaded and stored together."""
        self.lane = 16 // v.size

    @staticmethod
    def suit(v: Vectors, pixel) -> bool:
        """Integers in rows of up to 128 bits, and floats in vectors of 256: others took no less so, or longer."""
        if is_integer(pixel):
            return v.size == 4 and pixel.bitwidth * v.lanes <= 128
        return number_type(pixel) == v.scalar and v.lanes * v.size == 32

    def _all(self, value: int):
        return ir.Constant(ir.VectorType(self.word, self.v.lanes), [value] * self.v.lanes)

    def _rows(self, k: int) -> list[int]:
        """The rows of which vector ``k`` of a part holds words, lane after lane."""
        together = self.lane // self.part
        return [lane + k * together + i for lane in range(0, self.v.lanes, self.lane) for i in range(together)]

    def load(self, rows: list[Any], part: int) -> list[Any]:
        """Vectors of words ``part * self.part ...``, one a word, of the rows at these addresses."""
        v, kind = self.v, ir.VectorType(self.word, self.part)
        vectors = []
        for k in range(self.part):
            pieces = [v.load(v.b.add(rows[r], whole(16 * part)), kind) for r in self._rows(k)]
            while len(pieces) > 1:
                both = range(2 * pieces[0].type.count)
                pieces = [v.shuffle(x, y, both) for x, y in zip(pieces[::2], pieces[1::2], strict=True)]
            vectors += pieces
        if self.part == self.lane:
            return v.transposed_lanes(vectors)
        first, second = vectors
        return [v.shuffle(first, second, [k + i for k in _IN_PAIRS]) for i in (0, 1)]

    def store(self, words: list[Any], rows: list[Any], part: int) -> None:
        """The opposite."""
        v = self.v
        if self.part == self.lane:
            vectors = v.transposed_lanes(words)
        else:
            first, second = words
            pairs = [n for k in (0, 1, 4, 5) for n in (k, k + v.lanes)]
            vectors = [v.shuffle(first, second, [n + 2 * i for n in pairs]) for i in (0, 1)]
        for k, vector in enumerate(vectors):
            for i, r in enumerate(self._rows(k)):
                piece = v.shuffle(vector, vector, range(i * self.part, (i + 1) * self.part))
                v.store(piece, v.b.add(rows[r], whole(16 * part)))

    def apart(self, word) -> list[Any]:
        """The pixels of a vector of words, as numbers of ``v``."""
        b = self.v.b
        if self.pixels == 1:
            return [word]
        found = []
        for k in range(self.pixels):
            if self.signed:
                up = b.shl(word, self._all(32 - self.bits * (k + 1)))
                whole_numbers = b.ashr(up, self._all(32 - self.bits))
            else:
                whole_numbers = b.and_(b.lshr(word, self._all(self.bits * k)), self._all(2**self.bits - 1))
            found.append(b.sitofp(whole_numbers, self.v.type))
        return found

    def together(self, pixels: list[Any]) -> Any:
        """A vector of words of vectors of pixels: floats, or integers of 32 bits of which the lowest count."""
        if self.pixels == 1:
            return pixels[0]
        b, word = self.v.b, self._all(0)
        for k, pixel in enumerate(pixels):
            word = b.or_(word, b.shl(b.and_(pixel, self._all(2**self.bits - 1)), self._all(self.bits * k)))
        return word


_IN_PAIRS: Final = (0, 2, 8, 10, 4, 6, 12, 14)
"""Of two vectors of eight words, two of a row each: the first words, in the rows' order."""


def _ask_for_next_row(v: Vectors, row, vectors, s, size: int, written: bool) -> None:
    """Ask for as much of the row after the one at ``row`` as a square of vectors holds.

    Eight short streams are more than a processor foresees (Zen 3, sigma 1, slices in turns: int16 .80 ns a pixel so,
    .67 with this; float32 .87 and .73).
    """
    b = v.b
    ask(b, v.at(row, b.mul(b.add(vectors, s), whole(v.lanes)), size), v.lanes * v.lanes * size, written)


@emits(kinds=2)
def to_lanes(b, kind, pixel, source, vectors, out):
    """``LANES * vectors`` pixels at ``source``, of ``pixel``'s type, to lane layout at ``out``."""
    v = Vectors(b, kind)
    row_type = ir.VectorType(number_type(pixel), v.lanes)
    size = pixel.bitwidth // 8

    def loaded(s):
        rows = [v.at(source, b.add(b.mul(vectors, whole(k)), s), size) for k in range(v.lanes)]
        if _Words.suit(v, pixel):
            words = _Words(v, pixel)
            parts = [words.load(rows, part) for part in range(words.count // words.part)]
            return [row for part in parts for word in part for row in words.apart(word)]
        return v.transposed([v.load(row, row_type) for row in rows])

    def square(s):
        _ask_for_next_row(v, source, vectors, s, size, False)
        for k, row in enumerate(loaded(s)):
            if row.type == v.type:
                pass
            elif is_integer(pixel):
                row = (b.uitofp if str(pixel).startswith("u") else b.sitofp)(row, v.type)
            else:
                row = b.fpext(row, v.type)
            v.store(row, v.at(out, b.add(s, whole(k)), VECTOR_BYTES), VECTOR_BYTES)

    v.blocks(vectors, v.lanes, square)


@emits(kinds=2)
def saturate(b, kind, pixel, row, vectors):
    """Bring a row in lane layout into the range of ``pixel``'s type, if that is an integer."""
    if is_integer(pixel):
        v = Vectors(b, kind)
        low, high = v.constant(float(pixel.minval)), v.constant(float(pixel.maxval))

        def vector(s):
            address = v.at(row, s, VECTOR_BYTES)
            value = v.load(address, align=VECTOR_BYTES)
            value = b.select(b.fcmp_ordered(">", value, low), value, low)
            value = b.select(b.fcmp_ordered("<", value, high), value, high)
            v.store(value, address, VECTOR_BYTES)

        v.loop(whole(0), vectors, 1, vector)


@emits(kinds=2)
def from_lanes(b, kind, pixel, source, vectors, out):
    """Lane layout at ``source`` to pixels at ``out``; integers are rounded half to even and must fit their type."""
    v = Vectors(b, kind)
    size = pixel.bitwidth // 8

    def rounded(row):
        # Adding 1.5 * 2**23 rounds half to even and leaves the whole number in the low bits.
        return b.bitcast(b.fadd(row, v.constant(12582912.0)), ir.VectorType(I32, v.lanes))

    def square(s):
        _ask_for_next_row(v, out, vectors, s, size, True)
        columns = [v.load(v.at(source, b.add(s, whole(k)), VECTOR_BYTES), align=VECTOR_BYTES) for k in range(v.lanes)]
        rows = [v.at(out, b.add(b.mul(vectors, whole(k)), s), size) for k in range(v.lanes)]
        if is_integer(pixel):
            columns = [rounded(column) for column in columns]
        if _Words.suit(v, pixel):
            w = _Words(v, pixel)
            words = [w.together(columns[k : k + w.pixels]) for k in range(0, v.lanes, w.pixels)]
            for part in range(w.count // w.part):
                w.store(words[part * w.part : (part + 1) * w.part], rows, part)
            return
        if is_integer(pixel):
            columns = [b.trunc(column, ir.VectorType(ir.IntType(8 * size), v.lanes)) for column in columns]
        elif number_type(pixel) != v.scalar:
            columns = [b.fptrunc(column, ir.VectorType(number_type(pixel), v.lanes)) for column in columns]
        for row, pixels in zip(rows, v.transposed(columns), strict=True):
            v.store(pixels, row, size)

    v.blocks(vectors, v.lanes, square)


@emits(kinds=1)
def extend_row(b, kind, row, vectors, radius, inner, border, fill):
    """Put the halo around a row in lane layout at ``row``: ``radius`` vectors before and after it.

    ``border`` lists the elements that the positions ``-1, -2 .. -radius`` show, then those from the image's end on,
    -1 for the value at ``fill``, then the elements where the first ``inner`` of the latter stand: the last segment's
    rest. A halo vector is the vector one segment away, moved by one lane, with an extended pixel let in at the end.
    """
    v = Vectors(b, kind)
    last = v.lanes - 1

    def extended(k):
        element = v.load(v.at(border, k, 8), I64, 8)
        outside = b.icmp_signed("<", element, whole(0))
        return v.load(b.select(outside, fill, v.at(row, element)), v.scalar, v.size)

    def moved(source, target, picks, lane, k):
        mask = ir.Constant(ir.VectorType(I32, v.lanes), [ir.Constant(I32, p) for p in picks])
        vector = v.load(v.at(row, source, VECTOR_BYTES), align=VECTOR_BYTES)
        vector = b.shuffle_vector(vector, ir.Constant(v.type, ir.Undefined), mask)
        vector = b.insert_element(vector, extended(k), ir.Constant(I32, lane))
        v.store(vector, v.at(row, target, VECTOR_BYTES), VECTOR_BYTES)

    def fill_rest(k):
        target = v.load(v.at(border, b.add(b.add(radius, radius), b.add(inner, k)), 8), I64, 8)
        v.store(extended(b.add(radius, k)), v.at(row, target), v.size)

    def before(j):
        source = b.sub(b.sub(vectors, whole(1)), j)
        moved(source, b.sub(whole(-1), j), [0, *range(last)], 0, j)

    def after(j):
        k = b.add(b.add(radius, inner), j)
        moved(j, b.add(vectors, j), [*range(1, v.lanes), last], last, k)

    # The last segment's rest first: the halo after the row is made of vectors that hold it.
    v.loop(whole(0), inner, 1, fill_rest)
    v.loop(whole(0), radius, 1, before)
    v.loop(whole(0), radius, 1, after)


@emits()
def copy_bytes(b, source, out, count):
    """``count`` bytes from address to address."""
    pointer = ir.IntType(8).as_pointer()
    start, target = (b.inttoptr(a, pointer) for a in (source, out))
    cgutils.raw_memcpy(b, target, start, count, 1)
