"""The whole job, files to files: a script of 40 lines, an earlier state of ctfast, and this one, in turns.

``python bench/whole_job.py FOLDER... --before CHECKOUT`` prints a table in Markdown, with medians over the rounds and
how many times as long as this state the others took in the same round. Put the folders on memory-backed storage
(``/dev/shm``), so that no disk is measured; the outputs go beside them and are removed.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

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


def commands(source: Path, out: Path, workers: int, before: Path | None) -> dict[str, tuple[list[str], Path]]:
    """What is run, and from which checkout."""
    words = ["-m", "ctfast", "run", str(source), "--out", str(out), "--preset", "mediastinum", "--workers"]
    run = [sys.executable, *words, str(workers)]
    peer = [sys.executable, str(ROOT / "bench" / "whole_job_peer.py"), str(source), str(out), str(workers)]
    every = {"script": (peer, ROOT), "now": (run, ROOT)}
    return every if before is None else {"script": (peer, ROOT), "before": (run, before), "now": (run, ROOT)}


def seconds(words: list[str], checkout: Path, out: Path, files: int) -> float:
    """How long a command takes; all its outputs must be there."""
    path = os.pathsep.join([str(checkout), str(checkout / "kernels")])
    start = time.perf_counter()
    subprocess.run(words, check=True, cwd=out.parent, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.DEVNULL)
    took = time.perf_counter() - start
    written = sum(1 for _ in out.rglob("*.tif"))
    if written != files:
        raise SystemExit(f"{' '.join(words)}: {written} outputs for {files} files")
    shutil.rmtree(out)
    return took


def row(source: Path, workers: int, before: Path | None, rounds: int) -> str:
    """One line of the table."""
    files = sum(1 for path in source.rglob("*") if path.is_file())
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        out = Path(folder, "out")
        every = commands(source, out, workers, before)
        seconds(*every["now"], out, files)  # compiled code is on the disk, and the files in memory
        took: dict[str, list[float]] = {name: [] for name in every}
        for _ in range(rounds):
            for name, (words, checkout) in every.items():
                took[name].append(seconds(words, checkout, out, files))
    cells = [f"{files / statistics.median(times):.0f}" for times in took.values()]
    ratios = [
        f"{statistics.median(a / b for a, b in zip(took[name], took['now'], strict=True)):.2f}"
        for name in took
        if name != "now"
    ]
    return f"| {files} files of {source.name}, {workers} workers | {' | '.join([*cells, *ratios])} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--before", type=Path, help="a checkout of ctfast to compare with")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    names = ["script", *(["before"] if options.before else []), "now"]
    heads = [*(f"{name}, slices/s" for name in names), *(f"{name}'s time / now" for name in names[:-1])]
    print(f"Medians of {options.rounds} rounds in turns; {machine()}; preset `mediastinum`, TIFF out.\n")
    print(f"| job | {' | '.join(heads)} |\n|---|{'---:|' * len(heads)}")
    for folder in options.folders:
        print(row(folder.resolve(), options.workers, options.before, options.rounds), flush=True)


if __name__ == "__main__":
    main()
