"""The whole job, files to files: a script of 40 lines, an earlier state of ctfast, and this one, in turns.

``python bench/whole_job.py FOLDER... --before CHECKOUT`` prints a table in Markdown, with medians over the rounds: the
wall's slices a second, and the processor's milliseconds a slice over all processes, which other programs on the machine
disturb less; and how many times as much as this state the others took in the same round. Put the folders on
memory-backed storage (``/dev/shm``), so that no disk is measured; the outputs go beside them and are removed. The
outputs of the earlier state and of this one are compared byte by byte. Linux alone counts the processor's time of
workers' processes.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
_FEATURES: Final = ("sse4_2", "avx2", "avx512f", "avx512_bf16", "sha_ni", "asimd", "sve")
"""What of a processor changes the figures: widths of vectors, and SHA-256 in hardware."""


def machine() -> str:
    """Cores and features of the processor."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        flags = set()
    known = ", ".join(name for name in _FEATURES if name in flags) or "features not known"
    return f"{len(os.sched_getaffinity(0))} cores, {platform.machine()} with {known}"


def commands(
    source: Path, out: Path, workers: int, before: Path | None, bound: Path | None = None, series: bool = False
) -> dict[str, tuple[list[str], Path]]:
    """What is run, and from which checkout."""
    words = ["-m", "ctfast", "run", str(source), "--out", str(out), "--preset", "mediastinum", "--workers"]
    run = [sys.executable, *words, str(workers)]
    peer = [sys.executable, str(ROOT / "bench" / "whole_job_peer.py"), str(source), str(out), str(workers)]
    if series or any(source.glob("*.nii.gz")):
        run += ["--format", "nii", *(["--series"] if series else [])]
        peer += ["series"] if series else []
    every = {"script": (peer, ROOT)}
    if before is not None:
        every["before"] = (run, before)
    if bound is not None:
        every["bound"] = ([sys.executable, *map(str, (bound, source, out, workers, "processes"))], ROOT)
    return {**every, "now": (run, ROOT)}


class Cost(NamedTuple):
    """Of a command: seconds by the clock, and of the processor over all its processes; and a hash of its outputs."""

    wall: float
    processor: float
    outputs: str


def adopt_orphans() -> None:
    """Workers are children of a server that ends after the command: make them ours, so that their time is told."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


class Spent(NamedTuple):
    """Seconds by the clock, and of the processor over all processes."""

    wall: float
    processor: float


def spent(words: list[str], checkout: Path, folder: Path, more: Mapping[str, str] = MappingProxyType({})) -> Spent:
    """What a command takes that runs in a folder, with the sources of a checkout and more in its environment."""
    path = os.pathsep.join([str(checkout), str(checkout / "kernels")])
    # Kept bytecode is what users have.
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "", **more}
    start, processor, wall = time.perf_counter(), 0.0, 0.0
    command = subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    while True:
        try:
            child, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        processor += usage.ru_utime + usage.ru_stime
        if child == command.pid:
            wall = time.perf_counter() - start
            if status:
                raise SystemExit(f"{' '.join(words)} ended with status {status}")
    return Spent(wall, processor)


def cost(words: list[str], checkout: Path, out: Path, files: int) -> Cost:
    """Of a command; all its outputs must be there."""
    wall, processor = spent(words, checkout, out.parent)
    written = sorted([*out.rglob("*.tif"), *out.rglob("*.nii.gz")])
    if len(written) != files:
        raise SystemExit(f"{' '.join(words)}: {len(written)} outputs for {files} files")
    digest = hashlib.sha256()
    for file in written:
        digest.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    shutil.rmtree(out)
    return Cost(wall, processor, digest.hexdigest())


def row(
    source: Path, workers: int, before: Path | None, rounds: int, bound: Path | None = None, series: bool = False
) -> str:
    """One line of the table."""
    files = sum(1 for path in source.rglob("*") if path.is_dir() == series)
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        out = Path(folder, "out")
        every = commands(source, out, workers, before, bound, series)
        for name in every:
            cost(*every[name], out, files)  # compiled code is on the disk, and the files in memory
        took: dict[str, list[Cost]] = {name: [] for name in every}
        for _ in range(rounds):
            for name, (words, checkout) in every.items():
                took[name].append(cost(words, checkout, out, files))
    if "before" in took and {one.outputs for one in took["before"]} != {one.outputs for one in took["now"]}:
        raise SystemExit(f"{source}: outputs of the earlier state and of this one differ")
    speeds = [f"{files / statistics.median(one.wall for one in costs):.0f}" for costs in took.values()]
    spent = [f"{1000 / files * statistics.median(one.processor for one in costs):.2f}" for costs in took.values()]
    ratios = [f"{ratio(took[name], took['now'], what):.2f}" for what in (0, 1) for name in took if name != "now"]
    job = f"{files} {'folders' if series else 'files'} of {source.name}, {workers} workers"
    return f"| {job} | {' | '.join([*speeds, *spent, *ratios])} |"


def ratio(others: list[Cost], now: list[Cost], what: int) -> float:
    """The median over the rounds."""
    pairs = zip(others, now, strict=True)
    return statistics.median(float(other[what]) / float(one[what]) for other, one in pairs)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--before", type=Path, help="a checkout of ctfast to compare with")
    parser.add_argument("--bound", type=Path, help="a program for IN OUT WORKERS processes, to see what can be had")
    parser.add_argument("--series", action="store_true", help="each folder in FOLDER is a series, to become a volume")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    names = list(commands(ROOT, ROOT, 1, options.before, options.bound))
    adopt_orphans()
    heads = [f"{name}, {unit}" for unit in ("slices/s", "processor ms a slice") for name in names]
    heads += [f"{name}'s {what} / now" for what in ("time", "processor time") for name in names[:-1]]
    print(
        f"Medians of {options.rounds} rounds in turns; {machine()}; preset `mediastinum`, TIFF out, NIfTI of volumes.\n"
    )
    print(f"| job | {' | '.join(heads)} |\n|---|{'---:|' * len(heads)}")
    for folder in options.folders:
        print(
            row(folder.resolve(), options.workers, options.before, options.rounds, options.bound, options.series),
            flush=True,
        )


if __name__ == "__main__":
    main()
