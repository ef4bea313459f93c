"""Hashes of files side by side are those of hashlib, whatever their number and lengths."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from ctfast.files.hashes import hashes_of
from ctkernels.stored import sha256


@pytest.mark.parametrize("lengths", [(), (0,), (40_000,) * 9, (33_000, 1), range(40_000, 40_064), (1 << 16,) * 33])
def test_hashes_of_files(lengths: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(lengths))
    texts = [rng.integers(0, 256, size).astype(np.uint8) for size in lengths]
    texts += [text[1:] for text in texts[::5]]  # begin anywhere
    assert hashes_of(texts) == [hashlib.sha256(text.data).hexdigest() for text in texts]


@pytest.mark.skipif(not sha256.FITS, reason="these processors have no vectors of sixteen words")
@pytest.mark.parametrize("shortest", [0, 1, 55, 56, 63, 64, 119, 128, 1000])
def test_the_end_of_a_text_lies_anywhere_in_a_block(shortest: int) -> None:
    rng = np.random.default_rng(shortest)
    for some in (1, 2, 16):
        sizes = shortest + rng.integers(0, 200, some)
        texts = [rng.integers(0, 256, int(size)).astype(np.uint8) for size in sizes]
        assert sha256.sha256_of(texts) == [hashlib.sha256(text.data).hexdigest() for text in texts]


def test_the_constants_are_the_standard_s() -> None:
    assert [hex(number) for number in (sha256._START[0], sha256._K[0], sha256._K[63])] == [
        *("0x6a09e667", "0x428a2f98", "0xc67178f2")
    ]
