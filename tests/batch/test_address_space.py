"""What is left under ``ulimit -v`` is known, and not reserved for nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ctfast.batch import limits
from ctfast.batch.address_space import MB, Need

CODE = """
import os, resource
from ctfast.batch.address_space import has_spare_room, limit, save_room

def allow(bytes):
    resource.setrlimit(resource.RLIMIT_AS, (bytes, resource.RLIM_INFINITY))

save_room()
assert limit() is None and "MALLOC_ARENA_MAX" not in os.environ and has_spare_room()
occupied = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
allow(occupied + (200 << 20))
save_room()
assert limit() == occupied + (200 << 20) and os.environ["MALLOC_ARENA_MAX"] == "1" and has_spare_room()
allow(occupied + (50 << 20))
assert not has_spare_room()
os.environ["MALLOC_ARENA_MAX"] = "3"
save_room()
assert os.environ["MALLOC_ARENA_MAX"] == "3"
"""


def test_room_is_known_and_saved() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True, timeout=60)


def test_images_have_what_libraries_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    for more in (0, 100):
        allowed = (Need.KERNELS.megabytes + more) * MB
        monkeypatch.setattr(limits, "limit", lambda allowed=allowed: allowed)
        assert limits.available_bytes() == more * MB
