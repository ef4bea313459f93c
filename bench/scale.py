"""What a slice costs by format, and what that says for a million and for a thousand million of them.

``python bench/scale.py`` prints tables in Markdown. Runs of one worker over 300 and over 600 phantom slices, in memory-
backed files, differ by 300 slices: the processor's time of the difference, over all processes, is what a slice costs,
without starting Python, loading kernels and closing. ``--s3 http://127.0.0.1:5555`` adds a run from and to a server
that was started with ``moto_server -p 5555`` (whose own time is not counted): what HTTP and signatures cost the client.
Hours follow by division; what a storage must give at that rate stands beside them, as whichever is slower decides.

``--scaling FOLDER`` prints another table instead: slices a second of a folder by cores and worker processes, with start
and closing.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]

import numpy as np  # noqa: E402

from bench.whole_job import adopt_orphans, machine, spent  # noqa: E402
from ctfast.files import write_image  # noqa: E402
from ctfast.tools.synth import phantom  # noqa: E402

_FEW, _MANY, _DIFFERENT = 300, 600, 24
_PRESET: Final = "mediastinum"
_JPEG_LS, _JPEG_2000, _RLE = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"


class Cost(NamedTuple):
    """Of a slice: seconds of a core, bytes read, written as an output, and as records."""

    seconds: float
    read: float
    written: float
    recorded: float


def dicom(pixels: np.ndarray, syntax: str = "") -> bytes:
    """A slice as scanners store it."""
    from tests.files.files_build import data_set

    made = data_set(pixels, RescaleIntercept="0", RescaleSlope="1", RescaleType="HU")
    if syntax:
        made.compress(syntax)
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    """A slice as this package writes it."""
    file = io.BytesIO()
    write_image("slice.tif", pixels, units="hu", spacing=(0.7, 0.7), into=file, **options)
    return file.getvalue()


FORMATS: Final[dict[str, tuple[str, Callable[[np.ndarray], bytes]]]] = {
    "DICOM": (".dcm", dicom),
    "DICOM, JPEG-LS": (".dcm", lambda pixels: dicom(pixels, _JPEG_LS)),
    "DICOM, JPEG 2000": (".dcm", lambda pixels: dicom(pixels, _JPEG_2000)),
    "DICOM, RLE": (".dcm", lambda pixels: dicom(pixels, _RLE)),
    "TIFF": (".tif", tiff),
    "TIFF, zlib": (".tif", lambda pixels: tiff(pixels, compression="zlib")),
    "TIFF, float64 (Kaggle)": (".tif", lambda pixels: tiff(pixels.astype(np.float64))),
}


def fill(folder: Path, name: str) -> None:
    """Slices of a format, in two folders."""
    end, encoded = FORMATS[name]
    images = [encoded(phantom(i).hu) for i in range(_DIFFERENT)]
    for files in (_FEW, _MANY):
        (folder / f"{files}").mkdir(parents=True)
        for i in range(files):
            (folder / f"{files}" / f"{i:04d}{end}").write_bytes(images[i % _DIFFERENT])


def bytes_in(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern))


def measured(source: str, out: str, folder: Path, rounds: int) -> float:
    """Seconds of a core that a slice takes, the least of the rounds: other programs only add to it."""
    words = [sys.executable, "-m", "ctfast", "run", "--preset", _PRESET, "--workers", "1", "--overwrite"]
    environment = {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    took: dict[int, list[float]] = {_FEW: [], _MANY: []}
    for again in range(rounds + 1):
        for files in (_FEW, _MANY) if again else (_FEW,):
            command = [*words, f"{source}/{files}", "--out", f"{out}/{files}"]
            seconds = spent(command, ROOT, folder, environment).processor
            if again:  # the first has its kernels compiled
                took[files].append(seconds)
    return (min(took[_MANY]) - min(took[_FEW])) / (_MANY - _FEW)


def on_disk(folder: Path, name: str, rounds: int) -> Cost:
    """Of a format in memory-backed files."""
    fill(folder / "in", name)
    seconds = measured(f"{folder}/in", f"{folder}/out", folder, rounds)
    out = folder / "out" / f"{_MANY}"
    records = bytes_in(out, "manifest.jsonl") + bytes_in(out, "statistics.jsonl")
    read, written = bytes_in(folder / "in" / f"{_MANY}", "*"), bytes_in(out, "*.tif")
    return Cost(seconds, read / _MANY, written / _MANY, records / _MANY)


def on_s3(folder: Path, url: str, rounds: int) -> float:
    """Seconds of a core for a slice from and to a server."""
    import s3fs

    names = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
    os.environ.update(zip(names, (url, "bench", "bench", "us-east-1"), strict=True))
    files = s3fs.S3FileSystem()
    files.mkdir("bench")
    files.put(f"{folder}/in", "bench/in", recursive=True)
    return measured("s3://bench/in", "s3://bench/out", folder, rounds)


def table(costs: dict[str, Cost]) -> Iterator[str]:
    """What was measured, and what follows."""
    heads = ("slices", "core ms a slice", "slices/s a core", "MB read", "MB written", "kB of records")
    yield f"| {' | '.join(heads)} |\n|---|{'---:|' * (len(heads) - 1)}"
    for name, cost in costs.items():
        yield (
            f"| {name} | {1000 * cost.seconds:.2f} | {1 / cost.seconds:.0f} | {cost.read / 1e6:.3f} | "
            f"{cost.written / 1e6:.3f} | {cost.recorded / 1e3:.1f} |"
        )
    heads = (
        "slices",
        *(f"{slices}, core hours" for slices in ("10^6", "10^9")),
        *("10^6 on 16 cores, minutes", "10^9 on 1,000 cores, days", "GB/s that 1,000 cores read and write"),
        *("10^9: TB read", "TB written", "TB of records"),
    )
    yield f"\n| {' | '.join(heads)} |\n|---|{'---:|' * (len(heads) - 1)}"
    for name, cost in costs.items():
        core_hours = cost.seconds / 3600
        yield (
            f"| {name} | {1e6 * core_hours:.2f} | {1e9 * core_hours:,.0f} | {1e6 * cost.seconds / 16 / 60:.1f} | "
            f"{1e9 * cost.seconds / 1000 / 86400:.2f} | {1000 / cost.seconds * (cost.read + cost.written) / 1e9:.0f} | "
            f"{1e9 * cost.read / 1e12:.0f} | {1e9 * cost.written / 1e12:.0f} | {1e9 * cost.recorded / 1e12:.1f} |"
        )


def scaling(source: Path, rounds: int) -> Iterator[str]:
    """Slices a second of a folder by cores and worker processes, the median of the rounds."""
    cores, workers = sorted(os.sched_getaffinity(0)), (1, 2, 3, 4)
    files = sum(1 for path in source.rglob("*") if path.is_file())
    yield f"| cores | {' | '.join(f'{n} workers' for n in workers)} |\n|---|{'---:|' * len(workers)}"
    cells = [(some, n) for some in range(1, len(cores) + 1) for n in workers]
    took: dict[tuple[int, int], list[float]] = {cell: [] for cell in cells}
    with tempfile.TemporaryDirectory(dir=source.parent) as made:
        for _ in range(rounds):
            for number, (some, n) in enumerate(cells):
                out = Path(made, str(number))
                words = ["taskset", "-c", ",".join(map(str, cores[:some])), sys.executable, "-m", "ctfast", "run"]
                words += [str(source), "--out", str(out), "--preset", _PRESET, "--workers", str(n)]
                took[some, n].append(spent([*words, "--pool", "processes"], ROOT, Path(made)).wall)
                shutil.rmtree(out)
    for some in range(1, len(cores) + 1):
        speeds = (f"{files / statistics.median(took[some, n]):.0f}" for n in workers)
        yield f"| {some} | {' | '.join(speeds)} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--s3", metavar="URL", help="of a server, to measure a storage too")
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), help="names of rows")
    parser.add_argument("--scaling", type=Path, metavar="FOLDER", help="cores and workers instead, over this folder")
    options = parser.parse_args()
    adopt_orphans()
    if options.scaling:
        print(f"{machine()}; preset `{_PRESET}`, TIFF out; medians of {options.rounds} rounds; slices a second.\n")
        print("\n".join(scaling(options.scaling.resolve(), options.rounds)))
        return
    costs: dict[str, Cost] = {}
    with tempfile.TemporaryDirectory(dir="/dev/shm") as made:
        for i, name in enumerate(options.formats):
            costs[name] = on_disk(Path(made, str(i)), name, options.rounds)
        if options.s3 and "DICOM" in costs:
            folder = Path(made, str(options.formats.index("DICOM")))
            costs["DICOM from and to S3"] = costs["DICOM"]._replace(seconds=on_s3(folder, options.s3, options.rounds))
    print(f"{machine()}; preset `{_PRESET}`, TIFF out; phantoms of 512 x 512; least of {options.rounds} rounds.\n")
    print("\n".join(table(costs)))


if __name__ == "__main__":
    main()
