"""Names that occur more than once, among a million."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np


def repeated(names: Callable[[], Iterator[str]]) -> set[str]:
    """Those that occur more than once where ``names()`` is gone through: by their hashes first, eight bytes a name."""
    hashes = np.sort(np.fromiter(map(hash, names()), np.int64))
    twice = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
    counts = Counter(name for name in names() if hash(name) in twice) if twice else Counter[str]()
    return {name for name, count in counts.items() if count > 1}
