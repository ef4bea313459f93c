"""JAX in a forked child: the threads that it computes on are not there, so its first result would never come."""

from __future__ import annotations

import os
import sys

from ctfast.errors import BackendUnavailableError

_lost_threads = False


def _after_fork() -> None:
    global _lost_threads
    bridge = sys.modules.get("jax._src.xla_bridge")
    _lost_threads = _lost_threads or bool(getattr(bridge, "_backends", None))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def refuse_jax_after_fork() -> None:
    """Refuse to compute with JAX where that would hang.

    Raises:
        BackendUnavailableError: this process was forked from one that had computed with JAX.
    """
    if _lost_threads:
        raise BackendUnavailableError(
            "this process was forked from one that had used JAX, where JAX hangs: start it by 'spawn' or 'forkserver' "
            "(multiprocessing.get_context('spawn'), DataLoader(multiprocessing_context='spawn')), or use JAX only in "
            "the children"
        )
