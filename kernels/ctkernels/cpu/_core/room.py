"""Memory for compiled code is asked beforehand: what lacks it while it compiles or loads doesn't fail, as Python does.

LLVM ends the process then, and OpenBLAS, which Numba imports before its first compilation, tries again for ever with
the interpreter's lock in its hands. A limited address space (``ulimit -v``), or a system that promises no more memory
than it has, tells it in advance.
"""

from __future__ import annotations

import mmap
import sys
from typing import Final

_MB: Final = 1 << 20
_LOADING: Final = 16 * _MB
"""All kernels of a run take as much."""
_COMPILING: Final = 64 * _MB
"""A kernel takes 25 MB at most."""
_GETTING_READY: Final = 128 * _MB
"""What Numba imports takes 120 MB on two cores."""
_LAST_IMPORTED: Final = "numba.np.arraymath"


def ask_for_loading() -> None:
    """See that there is room for a kernel from the disk.

    Raises:
        MemoryError: there is not.
    """
    _ask(_LOADING)


def ask_for_compiling() -> None:
    """See that there is room to compile a kernel.

    Raises:
        MemoryError: there is not.
    """
    _ask(_COMPILING if _LAST_IMPORTED in sys.modules else _COMPILING + _GETTING_READY)


def _ask(size: int) -> None:
    """Of private memory, which every kind of limit counts; not a page of it is touched."""
    try:
        if sys.platform == "win32":
            mmap.mmap(-1, size).close()
        else:
            mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError as error:
        raise MemoryError(
            f"there is not enough memory for compiled code, which takes {size // _MB} MB: leave it more (ulimit -v)"
        ) from error
