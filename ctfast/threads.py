"""How many threads one call may use."""

from __future__ import annotations

from ctfast.errors import ArgumentError


def set_num_threads(n: int) -> None:
    """Use at most ``n`` threads for one call, the caller's own included.

    The default is ``CTFAST_NUM_THREADS``, else the cores that affinity masks and container quotas leave this process.
    Callers on several threads share that number. Small images always run on the caller's thread alone.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ArgumentError(f"n={n!r}: a whole number of at least 1 is allowed")
    from ctkernels import cpu  # with Numba

    cpu.set_num_threads(n)


def get_num_threads() -> int:
    """Threads that one call may use."""
    from ctkernels import cpu

    try:
        return cpu.get_num_threads()
    except ValueError as error:
        raise ArgumentError(str(error)) from error
