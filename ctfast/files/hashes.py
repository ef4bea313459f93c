"""SHA-256 of several files' bytes, side by side where the processor can do that."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

_FEWEST: Final = 10
"""Texts; for fewer of them OpenSSL one by one takes no longer."""
_SHORTEST: Final = 1 << 15
_ALIKE: Final = 0.8
"""Of the longest text's length: what goes beyond the shortest one is not done side by side."""


def hashes_of(texts: Sequence[NDArray[np.uint8]]) -> list[str]:
    """SHA-256 of each, C-contiguous, in hexadecimal digits."""
    from ctkernels.stored import sha256

    longest = max((text.size for text in texts), default=0)
    alike = [k for k, text in enumerate(texts) if text.size >= max(_ALIKE * longest, _SHORTEST)]
    found: dict[int, str] = {}
    for start in range(0, len(alike) if sha256.FITS else 0, sha256.LANES):
        some = alike[start : start + sha256.LANES]
        if len(some) >= _FEWEST:
            found.update(zip(some, sha256.sha256_of([texts[k] for k in some]), strict=True))
    return [found.get(k) or hashlib.sha256(text.data).hexdigest() for k, text in enumerate(texts)]


def compile_hashes() -> None:
    """Compile, or load, what ``hashes_of`` takes on this processor."""
    hashes_of([np.zeros(_SHORTEST, np.uint8)] * _FEWEST)
