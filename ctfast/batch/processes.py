"""The old place of ``ctfast.batch.workers``, until every room uses the new one."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from typing import Any

from ctfast.batch.workers import DIED, _new_pool, use_processes

__all__ = ["DIED", "new_pool", "use_processes"]


def new_pool(workers: int, preload: str, *args: Any) -> ProcessPoolExecutor:
    """As before."""
    return _new_pool(workers, new_pool)
