"""The project's own thread pool: batches and bands of rows over serial kernels that release the GIL.

Why not Numba's ``prange``: its *workqueue* layer aborts the process when two Python threads enter it at once, its *omp*
layer kills a forked child at the first parallel kernel, and *tbb* is not found from a pip install. This pool works
under Python threads (callers share the threads there are instead of multiplying them) and after ``fork``.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakSet

from ctkernels.cpu._core.job import Job

Band = tuple[int, int, int]
"""Image index, first row, one past the last row."""


@dataclass
class Cutting:
    """When work is cut into tasks; ``ctkernels.testing.force_bands`` changes it for a test."""

    band_nanoseconds: float = 150_000.0
    """The least work of a band: a hand-over to a pool thread costs some 30 us."""
    call_nanoseconds: float = 300_000.0
    """Below this much work in all, one thread does everything."""
    bands: Sequence[Band] | None = None
    """These, whatever the image."""


cutting = Cutting()


def _cgroup_cores(root: Path = Path("/sys/fs/cgroup"), self_file: Path = Path("/proc/self/cgroup")) -> float:
    """CPU quota of the container this process runs in (cgroup v2, then v1); infinity where there is none."""
    limit = math.inf
    try:
        groups = self_file.read_text().split()
    except OSError:
        return limit
    path = next((line[3:].lstrip("/") for line in groups if line.startswith("0::")), "")
    folder = root / path
    while True:
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
            quota, period = (folder / "cpu.max").read_text().split()
            if quota != "max":
                limit = min(limit, int(quota) / int(period))
        if folder == root or root not in folder.parents:
            break
        folder = folder.parent
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        quota_v1 = int((root / "cpu" / "cpu.cfs_quota_us").read_text())
        period_v1 = int((root / "cpu" / "cpu.cfs_period_us").read_text())
        if quota_v1 > 0:
            limit = min(limit, quota_v1 / period_v1)
    return limit


def available_cores() -> int:
    """Cores this process may use: the machine's, less what affinity masks and container quotas withhold."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _cgroup_cores())))


def _in_a_worker_process() -> bool:
    """Whether ``multiprocessing`` (or what builds on it: joblib, PyTorch's DataLoader) started this process."""
    multiprocessing = sys.modules.get("multiprocessing")
    return multiprocessing is not None and multiprocessing.parent_process() is not None


def _threads_from_environment() -> int:
    text = os.environ.get("CTFAST_NUM_THREADS", "").strip()
    if not text:
        # Its siblings are at work on the other cores.
        return 1 if _in_a_worker_process() else available_cores()
    if not text.isdigit() or int(text) < 1:
        raise ValueError(
            f"CTFAST_NUM_THREADS={text!r}: a whole number of at least 1 is allowed; unset it for all cores"
        )
    return int(text)


class Pool:
    """The threads there are, and how many of them are at work."""

    def __init__(self) -> None:
        self.threads: int | None = None
        self.chosen = False
        """Whether the caller set the number of threads; else a forked worker finds its own."""
        self.reset()

    def reset(self) -> None:
        """Forget threads and locks: after ``fork`` the child has neither the threads nor a usable lock."""
        self.lock = threading.Lock()
        if not self.chosen:
            self.threads = None
        self.jobs: WeakSet[Job] = WeakSet()
        """Calls at work. One that was interrupted before it could say that it is over goes with its last holder."""
        self.executor: ThreadPoolExecutor | None = None
        self.workers = 0

    @property
    def busy(self) -> int:
        """Threads at work, as far as this pool knows."""
        return sum(job.counted for job in self.jobs)

    def claim(self, job: Job, wanted: int) -> tuple[int, ThreadPoolExecutor | None]:
        """Take up to ``wanted`` helper threads, fewer when other callers are at work: cores are not oversubscribed."""
        with self.lock:
            if self.threads is None:
                self.threads = _threads_from_environment()
            helpers = max(0, min(wanted, self.threads - 1 - self.busy))
            job.counted = 1 + helpers
            self.jobs.add(job)
            if helpers and self.workers < self.threads - 1:
                # An outgrown executor ends with the last caller that holds it; shut down, it would refuse that caller.
                self.workers = self.threads - 1
                self.executor = ThreadPoolExecutor(self.workers, thread_name_prefix="ctkernels")
            return helpers, self.executor

    def release(self, job: Job) -> None:
        """All threads of a job have stopped."""
        with self.lock:
            self.jobs.discard(job)

    def help(self, job: Job) -> None:
        """Work on a job as its helper, until no task is left or callers that came later need the core."""
        if not job.enter():
            return
        retired = False
        try:
            while not retired and job.step():
                retired = self._retire(job)
        except BaseException as error:
            job.error = error
        finally:
            if not retired:
                with self.lock:
                    job.counted -= 1
            job.leave()

    def _retire(self, job: Job) -> bool:
        if self.threads is None or len(self.jobs) < 2:
            return False
        with self.lock:
            if self.busy <= self.threads:
                return False
            job.counted -= 1
            return True


pool = Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: pool.reset())


def set_num_threads(n: int) -> None:
    """Use at most ``n`` threads for one call (the caller's own thread counts)."""
    with pool.lock:
        pool.threads, pool.chosen = n, True


class _Alone(threading.local):
    depth = 0


_alone = _Alone()


@contextlib.contextmanager
def single_thread() -> Iterator[None]:
    """Inside, this thread's calls use no other thread: for tasks that run side by side themselves."""
    _alone.depth += 1
    try:
        yield
    finally:
        _alone.depth -= 1


def get_num_threads() -> int:
    """Threads that one call may use."""
    if _alone.depth:
        return 1
    threads = pool.threads
    if threads is None:
        with pool.lock:
            if pool.threads is None:
                pool.threads = _threads_from_environment()
            threads = pool.threads
    return threads


def run(tasks: Sequence[Any], body: Callable[[Any], None]) -> None:
    """Call ``body`` with each task, on as many threads as are free; return when all are done, raise what any raised."""
    if len(tasks) < 2:
        for task in tasks:
            body(task)
        return
    mine, job = pool, Job(tasks, body)
    helpers, executor = mine.claim(job, len(tasks) - 1)
    try:
        if executor is not None:
            # No thread to be had (a limit, or the interpreter is ending): the caller does what is left.
            with contextlib.suppress(RuntimeError):
                for _ in range(helpers):
                    executor.submit(mine.help, job)
        while job.step():
            pass
    finally:
        try:
            job.finish()
        finally:
            mine.release(job)
    if job.error is not None:
        raise job.error


def undivided(images: int, nanoseconds: float) -> bool:
    """Whether ``bands`` leaves one image of so much work to its caller: one task of all its rows."""
    small = nanoseconds < 2 * cutting.band_nanoseconds
    return images == 1 and cutting.bands is None and (small or get_num_threads() == 1)


def bands(images: int, rows: int, row_nanoseconds: float, *, overlap_rows: int = 0, share: int = 2) -> list[Band]:
    """Cut a batch into tasks: whole images where there are enough of them, bands of rows otherwise.

    ``row_nanoseconds`` is the rough cost of one row on one thread; ``overlap_rows`` the rows that a band computes in
    vain at its start (a filter's reach), which bounds how thin bands may be; ``share`` how many tasks a thread gets:
    with two and more threads end together though one task took longer.
    """
    threads = get_num_threads()
    total = images * rows * row_nanoseconds
    if cutting.bands is not None:
        return list(cutting.bands)
    if threads == 1 or total < 2 * cutting.band_nanoseconds or images >= 2 * threads:
        return [(i, 0, rows) for i in range(images)]
    thinnest = max(math.ceil(cutting.band_nanoseconds / row_nanoseconds), 4 * overlap_rows, 1)
    parts = max(1, min(math.ceil(share * threads / images), rows // thinnest))
    cuts = [rows * p // parts for p in range(parts + 1)]
    return [(i, a, b) for i in range(images) for a, b in itertools.pairwise(cuts)]
