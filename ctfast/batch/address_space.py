"""Limited memory of a process (``ulimit -v`` or ``-d``, SGE, Slurm): enough, or a clear line before anything is loaded.

Libraries that run out of it while they load or start their threads don't say so in one way that could be caught: they
print tracebacks, end the process, wait for ever. So what commands need at least, as measured, is asked beforehand
(``tests/runner/test_machine.py`` runs them with exactly that), and malloc is told to do with one arena: it reserves 64
MB a thread otherwise, and of the 1,670 MB that a prediction then takes on two cores, it needs 690. Compiled code asks
for itself, as far as it is compiled or loaded later (``ctkernels/cpu/_core/room.py``).
"""

from __future__ import annotations

import mmap
import os
import sys
from contextlib import suppress
from enum import Enum
from typing import Final, NamedTuple

from ctfast.errors import MachineError

if sys.platform != "win32":
    import resource

MB: Final = 1 << 20
_ARENAS: Final = "MALLOC_ARENA_MAX"
_M_ARENA_MAX: Final = -8
_SPARE: Final = 64 * MB


class Need(Enum):
    """Megabytes for what a command loads, how many of them are code of libraries, and what each core adds: its
    threads' stacks are reserved too."""

    ARRAYS = 256, 64, 8
    KERNELS = 640, 240, 16
    NETWORK = 1536, 512, 64

    @property
    def megabytes(self) -> int:
        """Of address space, on this machine."""
        base, _, each_core = self.value
        return int(base + each_core * _cores())

    @property
    def data_megabytes(self) -> int:
        """Of memory that can be written to."""
        return self.megabytes - int(self.value[1])


class Limit(NamedTuple):
    """One that this process has.

    Attributes:
        what: is limited.
        there: bytes of it.
        counts_code: whether code of libraries counts.
        command: what allows more.
    """

    what: str
    there: int
    counts_code: bool
    command: str

    def megabytes(self, need: Need) -> int:
        """What ``need`` takes of it."""
        return need.megabytes if self.counts_code else need.data_megabytes


def _cores() -> int:
    """Those that this process may use, as a cluster's job gets a part of a machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_room(need: Need) -> None:
    """Refuse to begin what would end badly.

    Raises:
        MachineError: says how much there is and how much to allow.
    """
    for limit in limits():
        takes = limit.megabytes(need)
        if limit.there < takes * MB:
            raise MachineError(
                f"there is not enough memory: {limit.what} is limited to {limit.there // MB} MB and this takes "
                f"{takes}, more for large images: allow more ({limit.command})"
            )


def room_for_images() -> int | None:
    """Bytes that the limits leave to images where kernels are loaded; None where there is no limit."""
    return min((limit.there - limit.megabytes(Need.KERNELS) * MB for limit in limits()), default=None)


def save_room() -> None:
    """Where memory is limited, let this process and its children not reserve what they don't need."""
    if not limits() or _ARENAS in os.environ:
        return
    import ctypes  # which no short command should pay for

    os.environ[_ARENAS] = "1"
    with suppress(OSError, AttributeError):  # another C library, which has no arenas
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def has_spare_room() -> bool:
    """Whether a process that is set up has some left for threads and small objects, at which Python fails badly."""
    private = () if sys.platform == "win32" else (mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS,)  # which every limit counts
    try:
        mmap.mmap(-1, _SPARE, *private).close()
    except OSError:
        return False
    return True


def limits() -> list[Limit]:
    """Those of this process; none on most machines."""
    if sys.platform == "win32":
        return []
    there = [
        Limit("the address space", resource.getrlimit(resource.RLIMIT_AS)[0], True, "ulimit -v"),
        Limit("memory for data", resource.getrlimit(resource.RLIMIT_DATA)[0], False, "ulimit -d"),
    ]
    return [limit for limit in there if limit.there != resource.RLIM_INFINITY]
