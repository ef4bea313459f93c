"""Memory that goes from one step of a computation to the next, where the C library would give it back in between.

XLA asks for what lies between a program's operations at each call anew, on a thread of its own: 145 MB for a training
step of 16 images. glibc keeps 64 MB at most for any thread but the first, so that each step's were fresh pages: 35,000
page faults, a fifth of the processor's time. With one arena for all threads, which may grow and never shrinks, there
are none from the second step on.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Final

_OF_THE_USER: Final = ("GLIBC_TUNABLES", "MALLOC_")
# M_ARENA_MAX, M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD of <malloc.h>.
_SETTINGS: Final = ((-8, 1), (-4, 0), (-1, 2**31 - 1), (-2, 64 << 20))


def keep_memory() -> None:
    """Let malloc keep what is freed, in this process; for commands, before threads begin.

    Nothing where the C library is another, or the user has settings of malloc's.
    """
    if sys.platform != "linux" or any(name.startswith(_OF_THE_USER) for name in os.environ):
        return
    import ctypes  # which no short command should pay for

    with suppress(OSError, AttributeError):
        for number, value in _SETTINGS:
            ctypes.CDLL(None).mallopt(number, value)
