"""How much memory one file may take."""

from __future__ import annotations

from pathlib import Path

from ctfast.batch.address_space import room_for_images

_LARGEST = 2 << 30
_COPIES = 4
"""An image exists as decoded, as computed on, as result, and as it is written."""


def available_bytes(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Memory that this machine, container or ``ulimit`` leaves for images; 4 GiB where it does not say."""
    free = 4 << 30
    try:
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        pass
    try:
        allowed = (cgroup / "memory.max").read_text().strip()
        if allowed != "max":
            free = min(free, int(allowed) - int((cgroup / "memory.current").read_text()))
    except (OSError, ValueError):
        pass
    limited = room_for_images()
    if limited is not None:
        free = min(free, limited)
    return max(free, 0)


def bytes_per_file(workers: int) -> int:
    """Decoded bytes above which a file is refused, so that all workers together fit into memory."""
    return max(64 << 20, min(_LARGEST, available_bytes() // (_COPIES * workers)))
