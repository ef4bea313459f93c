"""SHA-256 of sixteen texts at a time, one in each lane of AVX-512's vectors: 1.7 to 2 times as fast as one by one.

A round needs the result of the one before, so that one text alone leaves a processor waiting, whichever library does
it (1.46 GB/s with SHA extensions here; two texts side by side were tried, 1.7). Texts that have nothing to do with each
other don't wait. Blocks that all have go through the vectors; the rest of each, which is little where texts are of
like length, goes through the plain rounds.

Source: FIPS 180-4.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit, jit_inline
from ctkernels.cpu._core.target import has
from ctkernels.cpu._core.vectors import I32, I64, emits, whole

LANES = 16
FITS = has("avx512f") and has("avx512bw")
"""Whether this processor has vectors of sixteen words; with fewer, OpenSSL is as fast."""

_BLOCK = 64
_WORDS = ir.VectorType(I32, LANES)


def _roots(numbers: list[int], power: int) -> list[int]:
    """The first 32 bits of the fractional parts of roots, which are the standard's constants."""
    fractions = []
    for n in numbers:
        low, high = 0, n << 32  # the largest whole r with r ** power <= n * 2 ** (32 * power)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if middle**power <= n << 32 * power else (low, middle - 1)
        fractions.append(low & 0xFFFFFFFF)
    return fractions


_PRIMES = [n for n in range(2, 312) if all(n % k for k in range(2, n))]
_K = np.array(_roots(_PRIMES, 3), np.uint32)
_START = np.array(_roots(_PRIMES[:8], 2), np.uint32)


class _Emitter:
    """Emits a block's rounds on vectors."""

    def __init__(self, b) -> None:
        self.b = b

    def call(self, name: str, *values):
        kind = ir.FunctionType(_WORDS, [_WORDS] * len(values))
        name = f"llvm.{name}.v{LANES}i32"
        return self.b.call(self.b.module.globals.get(name) or ir.Function(self.b.module, kind, name), values)

    def splat(self, number: int):
        return ir.Constant(_WORDS, [number] * LANES)

    def right(self, x, *bits: int):
        """The exclusive or of ``x`` rotated by these numbers of bits; the last, where negative, shifts."""
        parts = [self.call("fshr", x, x, self.splat(n)) if n > 0 else self.b.lshr(x, self.splat(-n)) for n in bits]
        return self.b.xor(self.b.xor(parts[0], parts[1]), parts[2])

    def sum(self, *values):
        total = values[0]
        for value in values[1:]:
            total = self.b.add(total, value)
        return total

    def words(self, addresses, offset):
        """The block of each text at this offset, word by word: rows of sixteen are loaded and turned into columns."""
        rows = []
        for lane in range(LANES):
            address = self.b.load(self.b.gep(addresses, [whole(lane)]))
            place = self.b.inttoptr(self.b.add(address, offset), _WORDS.as_pointer())
            rows.append(self.b.load(place, align=1))
        for step in (1, 2, 4, 8):
            for i in range(LANES):
                if i & step:
                    continue
                pair = rows[i], rows[i + step]
                upper = [j if not j & step else LANES + j - step for j in range(LANES)]
                lower = [j + step if not j & step else LANES + j for j in range(LANES)]
                rows[i], rows[i + step] = (
                    self.b.shuffle_vector(*pair, ir.Constant(_WORDS, order)) for order in (upper, lower)
                )
        return [self.call("bswap", row) for row in rows]

    def rounds(self, state, words):
        b = self.b
        a, bb, c, d, e, f, g, h = state
        for k in range(64):
            if k >= 16:
                words.append(
                    self.sum(
                        words[k - 16],
                        self.right(words[k - 15], 7, 18, -3),
                        words[k - 7],
                        self.right(words[k - 2], 17, 19, -10),
                    )
                )
            choice = b.xor(g, b.and_(e, b.xor(f, g)))
            most = b.or_(b.and_(a, bb), b.and_(c, b.or_(a, bb)))
            first = self.sum(h, self.right(e, 6, 11, 25), choice, self.splat(int(_K[k])), words[k])
            second = b.add(self.right(a, 2, 13, 22), most)
            a, bb, c, d, e, f, g, h = b.add(first, second), a, bb, c, b.add(d, first), e, f, g
        return a, bb, c, d, e, f, g, h


@emits()
def _compress(b, states, addresses, blocks):
    """Take so many blocks, at least one, of sixteen texts at these addresses into their states (8 x 16)."""
    emit = _Emitter(b)
    states = b.inttoptr(states, _WORDS.as_pointer())
    addresses = b.inttoptr(addresses, I64.as_pointer())
    places = [b.gep(states, [whole(k)]) for k in range(8)]
    before = [b.load(place, align=4) for place in places]
    start, loop, end = b.block, b.append_basic_block("block"), b.append_basic_block("end")
    b.branch(loop)
    b.position_at_end(loop)
    number = b.phi(I64)
    number.add_incoming(whole(0), start)
    state = [b.phi(_WORDS) for _ in range(8)]
    words = emit.words(addresses, b.mul(number, whole(_BLOCK)))
    after = [b.add(old, new) for old, new in zip(state, emit.rounds(state, words), strict=True)]
    following = b.add(number, whole(1))
    number.add_incoming(following, loop)
    for phi, first, result in zip(state, before, after, strict=True):
        phi.add_incoming(first, start)
        phi.add_incoming(result, loop)
    b.cbranch(b.icmp_signed("<", following, blocks), loop, end)
    b.position_at_end(end)
    for place, result in zip(places, after, strict=True):
        b.store(result, place, align=4)


@jit
def _vectors(states, addresses, blocks):
    _compress(states.ctypes.data, addresses.ctypes.data, blocks)


@jit_inline
def _turned(x, bits):
    return np.uint32(x >> np.uint32(bits)) | np.uint32(x << np.uint32(32 - bits))


@jit
def _plain(state, data, at, k, words):
    """Take the block at byte ``at`` into a state of eight numbers: the standard's rounds, word for word."""
    for i in range(16):
        word = np.uint32(0)
        for j in range(4):
            word = np.uint32(word << np.uint32(8)) | np.uint32(data[at + 4 * i + j])
        words[i] = word
    for i in range(16, 64):
        x, y = words[i - 15], words[i - 2]
        x = _turned(x, 7) ^ _turned(x, 18) ^ np.uint32(x >> np.uint32(3))
        y = _turned(y, 17) ^ _turned(y, 19) ^ np.uint32(y >> np.uint32(10))
        words[i] = np.uint32(words[i - 16] + x + words[i - 7] + y)
    a, b, c, d = state[0], state[1], state[2], state[3]
    e, f, g, h = state[4], state[5], state[6], state[7]
    for i in range(64):
        first = np.uint32(
            h + (_turned(e, 6) ^ _turned(e, 11) ^ _turned(e, 25)) + ((e & f) ^ (~e & g)) + k[i] + words[i]
        )
        second = np.uint32((_turned(a, 2) ^ _turned(a, 13) ^ _turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c)))
        a, b, c, d, e, f, g, h = np.uint32(first + second), a, b, c, np.uint32(d + first), e, f, g
    state[0] = np.uint32(state[0] + a)
    state[1] = np.uint32(state[1] + b)
    state[2] = np.uint32(state[2] + c)
    state[3] = np.uint32(state[3] + d)
    state[4] = np.uint32(state[4] + e)
    state[5] = np.uint32(state[5] + f)
    state[6] = np.uint32(state[6] + g)
    state[7] = np.uint32(state[7] + h)


@jit
def _end(state, data, at, k, words, rest):
    """Take what follows byte ``at``, and what the standard puts behind a text, into a state."""
    size = data.size
    while size - at >= _BLOCK:
        _plain(state, data, at, k, words)
        at += _BLOCK
    left = size - at
    for i in range(left):
        rest[i] = data[at + i]
    rest[left] = 128
    blocks = 1 if left < 56 else 2
    for i in range(left + 1, blocks * _BLOCK - 8):
        rest[i] = 0
    for i in range(8):
        rest[blocks * _BLOCK - 1 - i] = ((size * 8) >> (8 * i)) & 255
    for i in range(blocks):
        _plain(state, rest, i * _BLOCK, k, words)


def sha256_of(texts: Sequence[NDArray[np.uint8]]) -> list[str]:
    """SHA-256 of up to sixteen C-contiguous arrays of uint8, in hexadecimal digits; only where ``FITS``."""
    blocks = min(text.size for text in texts) // _BLOCK
    states = np.repeat(_START[:, np.newaxis], LANES, 1)
    if blocks:
        places = [text.ctypes.data for text in texts]
        places += places[:1] * (LANES - len(places))  # lanes that are left do the first again
        _vectors(states, np.array(places), blocks)
    words, rest = np.empty(64, np.uint32), np.empty(2 * _BLOCK, np.uint8)
    each = np.ascontiguousarray(states.T)
    for state, text in zip(each, texts, strict=False):
        _end(state, text, blocks * _BLOCK, _K, words, rest)
    return [state.astype(">u4").tobytes().hex() for state in each[: len(texts)]]
