"""What is left under ``ulimit -v`` and ``-d`` is known, and not reserved for nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ctfast.batch import address_space, limits
from ctfast.batch.address_space import MB, Limit, Need

CODE = """
import os, resource
from ctfast.batch.address_space import has_spare_room, limits, save_room

def allow(bytes):
    resource.setrlimit(resource.RLIMIT_AS, (bytes, resource.RLIM_INFINITY))

save_room()
assert not limits() and "MALLOC_ARENA_MAX" not in os.environ and has_spare_room()
occupied = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
allow(occupied + (200 << 20))
save_room()
assert [limit.there for limit in limits()] == [occupied + (200 << 20)]
assert os.environ["MALLOC_ARENA_MAX"] == "1" and has_spare_room()
allow(occupied + (50 << 20))
assert not has_spare_room()
os.environ["MALLOC_ARENA_MAX"] = "3"
save_room()
assert os.environ["MALLOC_ARENA_MAX"] == "3"
"""


def test_room_is_known_and_saved() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True, timeout=60)


@pytest.mark.parametrize(
    ("counts_code", "least"), [(True, Need.KERNELS.megabytes), (False, Need.KERNELS.data_megabytes)]
)
def test_images_have_what_libraries_leave(monkeypatch: pytest.MonkeyPatch, counts_code: bool, least: int) -> None:
    for more in (0, 100):
        there = Limit("memory", (least + more) * MB, counts_code, "ulimit")
        monkeypatch.setattr(address_space, "limits", lambda there=there: [there])
        assert limits.available_bytes() == more * MB
