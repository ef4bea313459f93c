"""Predictions from files: ``ctfast predict`` and a script with pydicom and Keras, in turns, whole commands.

``python -m bench.predict_job RUN LOW HIGH FOLDER...`` prints a table in Markdown with medians over the rounds: seconds
of either command, and of the script over ours. ``LOW`` and ``HIGH`` are the window that ``RUN`` was trained with; the
script gets the network as ``ctfast export`` writes it for Keras. Folders hold DICOM slices, best on memory-backed
storage. Probabilities are compared before anything is timed.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.whole_job import ROOT, adopt_orphans, machine, spent

MOST = 2e-3
"""Most that probabilities may differ: the script's images are not rounded to 16 bits, its sums go another way."""


def probabilities(table: Path, *, header: bool) -> list[list[float]]:
    """Of each file, in the order of their names."""
    with open(table, newline="", encoding="utf-8") as file:
        if not header:
            return [list(map(float, row[1:])) for row in sorted(csv.reader(file))]
        rows = sorted(csv.DictReader(file), key=lambda row: row["file"])
    return [[float(row[name]) for name in row if name.startswith("p_")] for row in rows]


def row(run: Path, window: tuple[str, str], source: Path, rounds: int) -> str:
    """One line of the table."""
    with tempfile.TemporaryDirectory(dir=source.parent) as name:
        folder = Path(name)
        ctfast = [sys.executable, "-m", "ctfast"]
        subprocess.run([*ctfast, "export", str(run), str(folder / "model.keras")], check=True, stdout=sys.stderr)
        ours, theirs = folder / "ours.csv", folder / "theirs.csv"
        peer = [sys.executable, str(ROOT / "bench" / "predict_job_peer.py"), str(folder / "model.keras"), str(source)]
        every = {"script": [*peer, str(theirs), *window]}
        for precision in ("float32", "bfloat16"):
            options = ["--csv", str(ours), "--overwrite", "--precision", precision]
            every[precision] = [*ctfast, "predict", str(run), str(source), *options]
        for command in every.values():
            spent(command, ROOT, folder)
            if ours.exists():
                pairs = zip(probabilities(ours, header=True), probabilities(theirs, header=False), strict=True)
                difference = max(abs(a - b) for p, q in pairs for a, b in zip(p, q, strict=True))
                if difference > MOST:
                    raise SystemExit(f"probabilities differ by {difference}")
        took: dict[str, list[float]] = {name: [] for name in every}
        for _ in range(rounds):
            for name, command in every.items():
                took[name].append(spent(command, ROOT, folder).wall)
    files = sum(1 for path in source.rglob("*") if path.is_file())
    seconds = [f"{statistics.median(times):.2f}" for times in took.values()]
    ratios = [
        f"{statistics.median(a / b for a, b in zip(took['script'], took[name], strict=True)):.2f}"
        for name in ("float32", "bfloat16")
    ]
    return f"| {files} slices | {' | '.join([*seconds, *ratios])} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("low")
    parser.add_argument("high")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    adopt_orphans()
    print(f"Medians of {options.rounds} rounds in turns; {machine()}. Seconds of a command, start included.\n")
    print("| job | script | ctfast | --precision bfloat16 | script / ctfast | script / bfloat16 |")
    print("|---|---:|---:|---:|---:|---:|")
    for folder in options.folders:
        window = options.low, options.high
        print(row(options.run.resolve(), window, folder.resolve(), options.rounds), flush=True)


if __name__ == "__main__":
    main()
