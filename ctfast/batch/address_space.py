"""A limited address space (``ulimit -v``, Slurm, SGE): enough, or a clear line before anything is loaded.

Libraries that run out of it while they load or start their threads don't say so in one way that could be caught: they
print tracebacks, end the process, wait for ever. So what commands need at least, as measured, is asked beforehand
(``tests/runner/test_machine.py`` runs them with exactly that), and malloc is told to do with one arena: it reserves 64
MB a thread otherwise, and of the 1,670 MB that a prediction then takes on two cores, it needs 690.
"""

from __future__ import annotations

import mmap
import os
import sys
from contextlib import suppress
from enum import Enum
from typing import Final

from ctfast.errors import MachineError

if sys.platform != "win32":
    import resource

MB: Final = 1 << 20
_ARENAS: Final = "MALLOC_ARENA_MAX"
_M_ARENA_MAX: Final = -8
_SPARE: Final = 64 * MB


class Need(Enum):
    """Megabytes for what a command loads, and for each core: its threads' stacks are reserved too."""

    ARRAYS = 256, 8
    KERNELS = 640, 16
    NETWORK = 1536, 64

    @property
    def megabytes(self) -> int:
        """On this machine."""
        base, each_core = self.value
        return int(base + each_core * _cores())


def _cores() -> int:
    """Those that this process may use, as a cluster's job gets a part of a machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_room(need: Need) -> None:
    """Refuse to begin what would end badly.

    Raises:
        MachineError: says how much there is and how much to allow.
    """
    there = limit()
    if there is not None and there < need.megabytes * MB:
        raise MachineError(
            f"there is not enough memory: the address space is limited to {there // MB} MB and this takes "
            f"{need.megabytes}, more for large images: allow more (ulimit -v)"
        )


def save_room() -> None:
    """Where the address space is limited, let this process and its children not reserve what they don't need."""
    if limit() is None or _ARENAS in os.environ:
        return
    import ctypes  # which no short command should pay for

    os.environ[_ARENAS] = "1"
    with suppress(OSError, AttributeError):  # another C library, which has no arenas
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def has_spare_room() -> bool:
    """Whether a process that is set up has some left for threads and small objects, at which Python fails badly."""
    try:
        mmap.mmap(-1, _SPARE).close()
    except OSError:
        return False
    return True


def limit() -> int | None:
    """Bytes that a process may map; None where there is no limit."""
    if sys.platform == "win32":
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft
