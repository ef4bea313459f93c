"""Signals that strike where Python shows errors and goes on, and those of a command that is over."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

COMMAND = """
import atexit, gc, os, sys, time, weakref
from ctfast import cli

place, number = sys.argv[1], int(sys.argv[2])

class Kept:
    def __del__(self):
        if place == "finalizer":
            strike()

def strike(*_):
    gc.callbacks.clear()
    os.kill(os.getpid(), number)
    for _ in range(1000):  # in which Python looks for signals
        pass

@cli.app.command()
def stricken():
    if place == "end":
        atexit.register(strike)
        return
    kept = Kept()
    reference = weakref.ref(kept, strike if place == "reference" else None)
    if place == "collector":
        gc.callbacks.append(strike)
        gc.collect()
    del kept
    time.sleep(20)
    print("went on")

sys.argv = ["ctfast", "stricken"]
cli.main()
"""


def ended(place: str, number: signal.Signals) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", COMMAND, place, str(int(number))]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM on Windows")
@pytest.mark.parametrize("place", ["finalizer", "reference", "collector"])
@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]
)
def test_a_signal_is_not_lost(place: str, number: signal.Signals, code: int, said: str) -> None:
    done = ended(place, number)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", f"ctfast: {said}\n")


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM on Windows")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_a_command_that_is_over_shows_no_traceback(number: signal.Signals) -> None:
    done = ended("end", number)
    assert (done.returncode, done.stdout, done.stderr) == (-number, "", "")


WHILE_LOADING = """
import os, signal, sys
from ctfast import __main__

class Striking:
    def find_spec(self, name, *_):
        if name == "ctfast.cli":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Striking())
__main__.main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="another way of interrupting on Windows")
def test_ctrl_c_before_the_command_line_is_loaded_shows_no_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WHILE_LOADING], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
