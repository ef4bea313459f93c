"""The map over threads and processes: bounded, in order or not, and an item that kills its process is named."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from ctfast.batch import workers
from ctfast.batch.workers import DIED, bounded_map, use_processes
from ctfast.errors import MachineError, UsageError


def double(n: int) -> int:
    return 2 * n


def slow_if_even(n: int) -> int:
    time.sleep(0.05 if n % 2 == 0 else 0.0)
    return n


def fatal(n: int) -> int:
    if n % 10 == 3:
        os._exit(139)
    return n


def named(n: int) -> str:
    return f"{n} died"


def raising(n: int) -> int:
    if n == 5:
        raise ValueError("five")
    return n


@pytest.mark.parametrize("processes", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
def test_every_item_gives_its_result(processes: bool, ordered: bool) -> None:
    results = list(bounded_map(double, range(40), 2, processes=processes, ordered=ordered))
    assert (results if ordered else sorted(results)) == [2 * n for n in range(40)]


def test_workers_that_are_gone_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that lacks memory between two items, while it takes the next one, ends without a word."""
    monkeypatch.setattr(workers, "_SECONDS", 0.01)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(double, 1).result()
    with pytest.raises(MemoryError):
        workers._first_of(pool, [Future()])


def test_no_items() -> None:
    assert list(bounded_map(double, [], 3)) == []


def test_in_order_or_as_they_finish() -> None:
    assert list(bounded_map(slow_if_even, range(12), 4)) == list(range(12))
    first_was_seen = threading.Event()

    def work(n: int) -> int:
        if n == 0:
            assert first_was_seen.wait(60), "nothing else was given back before it"
        return n

    seen = []
    for n in bounded_map(work, range(12), 4, ordered=False):
        seen.append(n)
        first_was_seen.set()
    assert (seen[0] != 0, sorted(seen)) == (True, list(range(12)))


@pytest.mark.parametrize("ordered", [False, True])
def test_few_items_are_in_flight_whatever_the_number(ordered: bool) -> None:
    drawn = 0
    lock, now, most = threading.Lock(), 0, 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for n in range(100):
            drawn += 1
            yield n

    def work(n: int) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.001)
        with lock:
            now -= 1
        return n

    for given, _ in enumerate(bounded_map(work, items(), 3, ordered=ordered), 1):
        assert drawn < given + 6
    assert given == drawn == 100
    assert 1 <= most <= 3


def test_nothing_more_is_started_when_nobody_wants_more() -> None:
    started: list[int] = []
    results = bounded_map(started.append, range(100), 2)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert len(started) <= 4
    assert not [t for t in threading.enumerate() if t.name.startswith("ctfast")]


@pytest.mark.parametrize("processes", [False, True])
def test_an_exception_ends_the_map(processes: bool) -> None:
    with pytest.raises(ValueError, match="five"):
        list(bounded_map(raising, range(50), 2, processes=processes))


@pytest.mark.parametrize("ordered", [False, True])
def test_items_that_kill_their_process_are_named_and_the_others_done(ordered: bool) -> None:
    results = list(bounded_map(fatal, range(25), 2, processes=True, ordered=ordered, died=named))
    wanted = [f"{n} died" if n % 10 == 3 else n for n in range(25)]
    assert (results if ordered else sorted(results, key=str)) == (wanted if ordered else sorted(wanted, key=str))


def test_a_death_that_nobody_expects_names_the_item() -> None:
    with pytest.raises(RuntimeError, match=f"3: {DIED}"):
        list(bounded_map(fatal, [3], 1, processes=True))


def test_the_choice_of_a_pool() -> None:
    assert not use_processes(10, 2, "auto")
    assert use_processes(10_000, 2, "auto")
    assert not use_processes(10_000, 1, "auto")
    assert not use_processes(10_000, 2, "auto", "gpu"), "a GPU is fed by threads"
    assert use_processes(3, 2, "processes", "gpu")
    assert not use_processes(10_000, 2, "threads")
    with pytest.raises(UsageError, match="pool='proceses': one of threads, processes, auto is allowed"):
        use_processes(3, 2, "proceses")


INTERRUPTED = """
import time
from functools import partial
from ctfast.batch.workers import bounded_map

if __name__ == "__main__":
    try:
        for number in bounded_map(partial(time.sleep), [0, 0, *[0.05] * 400], 2, processes=True, ordered=False):
            print("one", flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


@pytest.mark.parametrize("at_once", [False, True])
def test_ctrl_c_is_answered_by_the_parent_alone(tmp_path: Path, at_once: bool) -> None:
    """A terminal sends it to the whole process group, also while the workers start."""
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    env = {**os.environ, "PYTHONPATH": str(Path(workers.__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, str(script)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "one\n"
        if not at_once:
            running.stdout.readline()
        os.killpg(running.pid, signal.SIGINT)
        shown, errors = running.communicate(timeout=60)
    assert errors == ""
    assert shown.endswith("interrupted\n")


OWN_POOL = """
import multiprocessing, signal
from ctfast.batch.workers import bounded_map

def blocked(_):
    return sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ())))

if __name__ == "__main__":
    list(bounded_map(abs, range(4), 2, processes=True))
    with multiprocessing.get_context("forkserver").Pool(2) as pool:
        print(pool.map(blocked, range(2)))
    print("ended")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork server on Windows")
def test_a_users_own_pool_can_still_be_ended(tmp_path: Path) -> None:
    """A process has one fork server; what ours keeps from our workers must not reach the user's."""
    script = tmp_path / "script.py"
    script.write_text(OWN_POOL)
    env = {**os.environ, "PYTHONPATH": str(Path(workers.__file__).parents[2])}
    done = subprocess.run([sys.executable, str(script)], env=env, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[[], []]\nended\n", "")


SENDING = """
import signal, sys
from concurrent.futures.process import _sendback_result
from multiprocessing import SimpleQueue
from ctfast.batch import processes

signal.signal(signal.SIGTERM, processes._end_quietly)
print("ready", flush=True)
_sendback_result(SimpleQueue(), 1, result=bytes(1 << 20))  # more than a pipe holds, and nobody reads
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM on Windows")
def test_a_worker_that_sends_to_nobody_ends_when_it_is_told() -> None:
    """The pool tries again whatever is raised while it sends, and the run then waited for ever."""
    worker = subprocess.Popen([sys.executable, "-c", SENDING], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    time.sleep(0.3)  # so that it is sending
    worker.terminate()
    assert worker.wait(timeout=60) == 128 + signal.SIGTERM
    worker.stdout.close()


def variable_of(name: str) -> str | None:
    return os.environ.get(name)


def test_processes_have_the_environment_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server that forks them may have been started before, when there were no credentials yet."""
    for value in ("before", "after"):
        monkeypatch.setenv("CTFAST_TEST_VARIABLE", value)
        assert list(bounded_map(variable_of, ["CTFAST_TEST_VARIABLE"], 1, processes=True)) == [value]
    monkeypatch.delenv("CTFAST_TEST_VARIABLE")
    assert list(bounded_map(variable_of, ["CTFAST_TEST_VARIABLE"], 1, processes=True)) == [None]


STARTING = """
import os, threading
from ctfast.batch.processes import _start

def refused(*_):
    raise {error}

threading.Thread.start = refused
_start(dict(os.environ))
"""


@pytest.mark.parametrize(
    "error", ['RuntimeError("can\'t start new thread")', "MemoryError", "OSError(12, 'no memory')"]
)
def test_a_worker_that_cannot_start_leaves_the_word_to_the_parent(error: str) -> None:
    words = [sys.executable, "-c", STARTING.format(error=error)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_a_pool_whose_thread_died_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own thread that hands items to processes may find no memory; then nothing would ever come."""

    def refused(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    monkeypatch.setattr("multiprocessing.queues.Queue._start_thread", refused)
    for ordered in (False, True):
        with pytest.raises((MemoryError, MachineError)):  # Python 3.14 ends the pool by itself
            list(bounded_map(double, range(4), 2, processes=True, ordered=ordered))
    assert not multiprocessing.active_children()
