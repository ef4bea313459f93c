"""Memory that is freed stays with the process, whichever thread asked for it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

CODE = """
import ctypes, resource, threading
from ctfast.batch.kept_memory import keep_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
SIZE = 100 << 20  # more than the arena of any thread but the first can have
faults = []

def use():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    address = libc.malloc(SIZE)
    ctypes.memset(address, 1, SIZE)
    libc.free(address)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

keep_memory()
for _ in range(3):
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
print(*faults)
"""
SETTINGS = ("GLIBC_TUNABLES", "MALLOC_")


def _faults(**settings: str) -> list[int]:
    """Page faults of three threads, one after the other."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)} | settings
    run = subprocess.run([sys.executable, "-c", CODE], check=True, timeout=60, capture_output=True, text=True, env=env)
    return [int(number) for number in run.stdout.split()]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc has these settings")
def test_what_a_thread_freed_is_there_for_the_next_one() -> None:
    first, second, third = _faults()
    assert second < first / 4
    assert third < first / 4


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc has these settings")
def test_settings_of_the_user_stay() -> None:
    first, _, third = _faults(MALLOC_ARENA_TEST="8")
    assert third > first / 4
