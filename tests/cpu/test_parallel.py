"""The thread pool: from many threads, after fork, without oversubscription, with exceptions and limits."""

import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctkernels.cpu._core import parallel
from ctkernels.cpu._core.job import Job
from ctkernels.cpu._core.parallel import bands, run
from ctkernels.testing import fresh_pool


@pytest.fixture(autouse=True)
def own_pool() -> Iterator[None]:
    """Four threads, whatever the machine has."""
    with fresh_pool(threads=4):
        yield


class Gauge:
    """How many bodies run at once, and the most that did."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = 0
        self.most = 0

    def body(self, _: object) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.002)
        with self.lock:
            self.now -= 1


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Run ``work`` in Python threads; raise what any of them raised."""
    errors: list[BaseException] = []

    def guarded(i: int) -> None:
        try:
            work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("tasks", [0, 1, 2, 3, 100])
def test_every_task_runs_once(tasks: int) -> None:
    done: list[int] = []
    run(range(tasks), done.append)
    assert sorted(done) == list(range(tasks))


def test_a_call_uses_its_threads_and_no_more() -> None:
    gauge = Gauge()
    run(range(40), gauge.body)
    assert gauge.most == 4
    parallel.set_num_threads(2)
    gauge = Gauge()
    run(range(20), gauge.body)
    assert gauge.most == 2
    parallel.set_num_threads(1)
    names = set()
    run(range(5), lambda _: names.add(threading.current_thread().name))
    assert names == {threading.current_thread().name}


def test_more_threads_later() -> None:
    for threads in (2, 6, 3):
        parallel.set_num_threads(threads)
        assert parallel.get_num_threads() == threads
        gauge = Gauge()
        run(range(60), gauge.body)
        assert gauge.most == threads


@pytest.mark.parametrize("callers", [2, 3, 8])
def test_callers_share_the_threads(callers: int) -> None:
    gauge = Gauge()
    start = time.perf_counter()

    def body(task: object) -> None:
        # The first caller's helpers finish the task in hand before they make room for callers that came later.
        if time.perf_counter() - start > 0.1:
            gauge.body(task)
        else:
            time.sleep(0.002)

    in_threads(callers, lambda _: run(range(150), body))
    assert gauge.most == max(4, callers)
    assert parallel.pool.busy == 0


def test_a_body_may_call_run() -> None:
    gauge = Gauge()
    run(range(6), lambda _: run(range(6), gauge.body))
    assert 1 <= gauge.most <= 4 + 3
    assert parallel.pool.busy == 0


def test_growing_while_others_run() -> None:
    done: list[int] = []

    def caller(i: int) -> None:
        for threads in range(2, 12):
            parallel.set_num_threads(threads + i)
            run(range(8), done.append)

    in_threads(6, caller)
    assert len(done) == 6 * 10 * 8


def test_exceptions_reach_the_caller_and_stop_the_rest() -> None:
    for bad in (0, 7, 399):
        done: list[int] = []

        def body(i: int, bad: int = bad, done: list[int] = done) -> None:
            if i == bad:
                raise ZeroDivisionError(f"task {i}")
            time.sleep(0.0005)
            done.append(i)

        with pytest.raises(ZeroDivisionError, match=f"task {bad}"):
            run(range(400), body)
        # Nothing runs on after run() has returned.
        count = len(done)
        time.sleep(0.01)
        assert len(done) == count
        assert parallel.pool.busy == 0
    done = []
    run(range(10), done.append)
    assert len(done) == 10


def test_exception_in_a_helper_only() -> None:
    main = threading.current_thread()

    def body(_: int) -> None:
        time.sleep(0.002)
        if threading.current_thread() is not main:
            raise KeyError("helper")

    with pytest.raises(KeyError, match="helper"):
        run(range(30), body)
    assert parallel.pool.busy == 0


def test_interrupts_leave_nobody_counted_and_no_helper_at_work() -> None:
    """Ctrl-C, as a notebook's stop button sends it, at any moment of a call."""
    pause, kicks = random.Random(1), 150
    at_work = Gauge()

    def start_and_run_for_ever(kicker: threading.Thread) -> None:
        kicker.start()
        while True:
            run(range(8), at_work.body)

    def kick(seconds: float) -> None:
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGINT)

    for _ in range(kicks):
        kicker = threading.Thread(target=kick, args=(pause.uniform(0.0, 0.01),))
        with pytest.raises(KeyboardInterrupt):
            start_and_run_for_ever(kicker)
        helpers = at_work.now
        kicker.join()
        assert helpers <= 1, "only the caller's own body can have been cut short"
        at_work.now = 0
        assert parallel.pool.busy == 0
    run(range(40), at_work.body)
    assert at_work.most == 4


def test_an_interrupt_before_a_call_can_say_that_it_is_over() -> None:
    job = Job(range(3), print)
    parallel.pool.claim(job, 2)
    assert parallel.pool.busy == 3
    del job  # as when the frame of ``run`` goes
    assert parallel.pool.busy == 0


def test_a_late_helper_does_not_touch_a_job_that_is_over() -> None:
    done: list[int] = []
    job = Job(range(3), done.append)
    job.finish()
    parallel.pool.help(job)
    assert not done


FORK = """
import os, sys, threading, time
import numpy as np
from ctkernels.cpu._core import parallel
from ctkernels.cpu.standardize import standardize
parallel.set_num_threads(3)
x = np.random.default_rng(0).normal(size=(64, 64, 64)).astype(np.float32)
expected, out = np.empty_like(x), np.empty_like(x)
standardize(x, expected, value_range=None)
stop = threading.Event()
def load():
    while not stop.is_set():
        parallel.run(range(8), lambda _: time.sleep(0.0005))
threads = [threading.Thread(target=load) for _ in range(2)]
for t in threads: t.start()
ok = True
for _ in range(5):
    child = os.fork()
    if child == 0:
        standardize(x, out, value_range=None)
        parallel.run(range(8), lambda _: None)
        os._exit(0 if np.array_equal(out, expected) and parallel.pool.busy == 0 else 3)
    ok &= os.waitpid(child, 0)[1] == 0
stop.set()
for t in threads: t.join()
sys.exit(0 if ok else 1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_works_after_fork_while_other_threads_run() -> None:
    paths = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK],
        env={**os.environ, "PYTHONPATH": paths},
        timeout=120,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_kernels_from_many_threads() -> None:
    from ctkernels.cpu.histogram import histogram

    x = np.random.default_rng(1).integers(-1024, 3072, (9, 64, 64)).astype(np.int16)
    edges = np.histogram_bin_edges(x, 256, (-1024, 3071))
    expected = np.empty((9, 256), np.int64)
    histogram(x, expected, edges=edges)

    def work(_: int) -> None:
        for _ in range(30):
            out = np.empty_like(expected)
            histogram(x, out, edges=edges)
            assert np.array_equal(out, expected)

    in_threads(6, work)


@pytest.mark.parametrize(("text", "threads"), [("3", 3), (" 1 ", 1), ("64", 64)])
def test_environment_variable(monkeypatch: pytest.MonkeyPatch, text: str, threads: int) -> None:
    monkeypatch.setenv("CTFAST_NUM_THREADS", text)
    parallel.pool.threads = None
    assert parallel.get_num_threads() == threads
    parallel.pool.threads = None
    assert parallel.pool.claim(Job((), print), 0)[0] == 0
    assert parallel.pool.threads == threads


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_environment_variable_that_is_no_number(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("CTFAST_NUM_THREADS", text)
    parallel.pool.threads = None
    with pytest.raises(ValueError, match=r"CTFAST_NUM_THREADS=.* at least 1"):
        parallel.get_num_threads()


def test_without_the_variable_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTFAST_NUM_THREADS", "")
    monkeypatch.setattr(parallel, "available_cores", lambda: 5)
    parallel.pool.threads = None
    assert parallel.get_num_threads() == 5


@pytest.mark.parametrize(("quota", "cores"), [(math.inf, 8), (2.0, 2), (1.5, 2), (0.2, 1), (100.0, 8)])
def test_available_cores(monkeypatch: pytest.MonkeyPatch, quota: float, cores: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(parallel, "_cgroup_cores", lambda: quota)
    assert parallel.available_cores() == cores


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_cgroup_v2_takes_the_tightest_level(tmp_path: Path) -> None:
    own = write(tmp_path / "proc", "0::/a/b\n")
    root = tmp_path / "cg"
    write(root / "a" / "b" / "cpu.max", "max 100000\n")
    assert parallel._cgroup_cores(root, own) == math.inf
    write(root / "a" / "cpu.max", "150000 100000\n")
    assert parallel._cgroup_cores(root, own) == 1.5
    write(root / "a" / "b" / "cpu.max", "50000 100000\n")
    assert parallel._cgroup_cores(root, own) == 0.5
    write(root / "cpu.max", "20000 100000\n")
    assert parallel._cgroup_cores(root, own) == 0.2


def test_cgroup_v1(tmp_path: Path) -> None:
    own = write(tmp_path / "proc", "4:cpu,cpuacct:/docker/x\n1:name=systemd:/\n")
    root = tmp_path / "cg"
    write(root / "cpu" / "cpu.cfs_quota_us", "-1\n")
    write(root / "cpu" / "cpu.cfs_period_us", "100000\n")
    assert parallel._cgroup_cores(root, own) == math.inf
    write(root / "cpu" / "cpu.cfs_quota_us", "300000\n")
    assert parallel._cgroup_cores(root, own) == 3.0


@pytest.mark.parametrize("text", ["", "garbage\n", "x 100000\n", "100000\n", "100000 0\n"])
def test_cgroup_files_that_make_no_sense_are_no_limit(tmp_path: Path, text: str) -> None:
    own = write(tmp_path / "proc", "0::/../a\n")
    root = tmp_path / "cg"
    write(root / "cpu.max", text)
    assert parallel._cgroup_cores(root, own) == math.inf
    assert parallel._cgroup_cores(root, tmp_path / "missing") == math.inf


@settings(deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 3000), st.floats(0.01, 1e7), st.integers(0, 50), st.integers(1, 64)
)  # fmt: skip
def test_bands_cover_every_row_once(
    images: int, rows: int, row_nanoseconds: float, overlap_rows: int, threads: int
) -> None:
    before = parallel.pool.threads
    parallel.pool.threads = threads
    tasks = bands(images, rows, row_nanoseconds, overlap_rows=overlap_rows)
    parallel.pool.threads = before
    covered = np.zeros((images, rows), np.int64)
    for image, first, end in tasks:
        assert 0 <= first < end <= rows
        covered[image, first:end] += 1
    assert (covered == 1).all()
    assert tasks == sorted(tasks)
    if threads == 1:
        assert len(tasks) == images
    if len(tasks) > images:
        assert min(end - first for _, first, end in tasks) >= 4 * overlap_rows - 1


def test_small_work_stays_whole() -> None:
    assert bands(1, 512, 100.0) == [(0, 0, 512)]
    assert len(bands(1, 512, 100_000.0)) == 8
    assert len(bands(100, 512, 100_000.0)) == 100


def test_without_a_thread_to_be_had_the_caller_does_the_work() -> None:
    run(range(4), lambda _: None)
    assert parallel.pool.executor is not None
    parallel.pool.executor.shutdown()
    done: list[int] = []
    run(range(10), done.append)
    assert done == list(range(10))
    assert parallel.pool.busy == 0


def _threads_here(_: int) -> int:
    return parallel.get_num_threads()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning", "ignore:.*fork.*:RuntimeWarning")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_worker_processes_leave_the_other_cores_to_their_siblings(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import multiprocessing

    monkeypatch.delenv("CTFAST_NUM_THREADS", raising=False)
    monkeypatch.setattr(parallel.pool, "chosen", False)
    monkeypatch.setattr(parallel.pool, "threads", None)
    assert parallel.get_num_threads() == parallel.available_cores()
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(_threads_here, range(2)) == [1, 1]
    monkeypatch.setenv("CTFAST_NUM_THREADS", "3")
    if method != "forkserver":  # a fork server keeps the environment it was started in
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.map(_threads_here, range(1)) == [3]
