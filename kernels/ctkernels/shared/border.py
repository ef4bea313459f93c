"""Which pixel stands where a filter reaches over the edge, for all five modes of ``scipy.ndimage``.

One table an axis serves every filter: ``border_index(n, before, after, mode)[i]`` is the row (or column) of the image
that extended position ``i - before`` shows, or -1 where ``mode="constant"`` puts ``cval``. The tables are right for
images smaller than the reach too: reflections and repetitions go on for as long as it takes.

==========  =========================  ==============================
mode        extension of ``a b c d``   period
==========  =========================  ==============================
reflect     ``d c b a|a b c d|d c b``  2n
mirror      ``d c b|a b c d|c b a``    2n - 2 (OpenCV's REFLECT_101)
nearest     ``a a a|a b c d|d d d``    -
wrap        ``b c d|a b c d|a b c``    n
constant    ``k k k|a b c d|k k k``    -
==========  =========================  ==============================
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@lru_cache(maxsize=256)
def border_index(n: int, before: int, after: int, mode: str) -> NDArray[np.int64]:
    """Source index for extended positions ``-before .. n + after - 1``, shape ``(before + n + after,)``."""
    i = np.arange(-before, n + after, dtype=np.int64)
    if mode == "nearest":
        source = np.clip(i, 0, n - 1)
    elif mode == "wrap":
        source = i % n
    elif mode == "reflect":
        source = i % (2 * n)
        source = np.minimum(source, 2 * n - 1 - source)
    elif mode == "mirror":
        period = max(2 * n - 2, 1)
        source = i % period
        source = np.minimum(source, period - source) if n > 1 else np.zeros_like(i)
    else:
        source = np.where((i >= 0) & (i < n), i, -1)
    source.flags.writeable = False
    return source
