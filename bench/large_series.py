"""A series larger than its run may be in memory: ``ctfast run --series``, a step along three axes, and its memory.

``python bench/large_series.py --slices 2000 --side 1024`` makes a series of DICOM slices (4 GB; as much again and half
of it beside it while it is computed, on a disk, not in memory-backed storage), runs a median of 3 x 3 x 3 and a window
over it in a process of its own, and prints the most memory of its own that all its processes had at a time (anonymous
pages; volumes lie in files that the system may drop from memory at any time) as a row in Markdown. Then slabs of the
output are computed again, in memory, and compared in every bit. Linux alone tells the memory of processes.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

import numpy as np

import ctfast

STEPS: Final = ("median_filter size=3,3,3", "window center=40 width=400 dtype=uint8")
_BLOCKS: Final = 8
"""Of the output that are compared, between both ends."""
_BLOCK_SLICES: Final = 6
_SHIFT: Final = 3
"""Pixels by which a slice is moved from the one before, so that planes differ."""


def plane(number: int, side: int, noise: np.ndarray) -> np.ndarray:
    """Slice ``number``, int16: noise that moves on, and steps of tissue that do, too."""
    shifted = np.roll(noise, number * _SHIFT, axis=1)
    steps = (np.arange(side) + number) // 64 % 4 * 100
    return (shifted + steps[:, np.newaxis]).astype(np.int16)


def write_series(folder: Path, slices: int, side: int) -> np.ndarray:
    """The slices as DICOM; returns the noise that they are made of."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    noise = np.random.default_rng(0).normal(0, 60, (side, side)).astype(np.int16)
    folder.mkdir()
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = CTImageStorage
    data.SeriesInstanceUID, data.StudyInstanceUID = generate_uid(entropy_srcs=["s"]), generate_uid(entropy_srcs=["t"])
    data.Modality, data.Rows, data.Columns, data.SamplesPerPixel = "CT", side, side, 1
    data.PhotometricInterpretation, data.PixelRepresentation = "MONOCHROME2", 1
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    data.RescaleSlope, data.RescaleIntercept, data.RescaleType = "1", "0", "HU"
    data.PixelSpacing, data.ImageOrientationPatient = [0.5, 0.5], [1, 0, 0, 0, 1, 0]
    for number in range(slices):
        uid = generate_uid(entropy_srcs=[str(number)])
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = uid
        data.ImagePositionPatient, data.InstanceNumber = [0, 0, number * 0.5], number + 1
        data.PixelData = plane(number, side, noise).tobytes()
        data["PixelData"].VR = "OW"
        data.save_as(folder / f"{number:05d}.dcm", enforce_file_format=True)
    return noise


def own_bytes(parent: int) -> int:
    """Anonymous memory of a process and all that it started, and theirs."""
    pending, total = [parent], 0
    while pending:
        process = Path("/proc") / str(pending.pop())
        try:
            lines = (process / "status").read_text().splitlines()
            total += next((int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon:")), 0)
            for task in (process / "task").iterdir():
                pending += map(int, (task / "children").read_text().split())
        except OSError:  # it has ended
            continue
    return total


def run(folder: Path, out: Path, format_: str) -> tuple[float, int]:
    """Seconds and most bytes of own memory of the command."""
    steps = [word for step in STEPS for word in ("--step", step)]
    words = ["run", str(folder), "--out", str(out), "--series", "--format", format_, "--backend", "cpu", *steps]
    start, most = time.perf_counter(), 0
    process = subprocess.Popen([sys.executable, "-m", "ctfast", *words], stdout=subprocess.DEVNULL)
    ended = threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.wait(0.05):
            most = max(most, own_bytes(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        if process.wait():
            raise RuntimeError(f"ctfast run ended with {process.returncode}")
    finally:
        ended.set()
        watcher.join()
    return time.perf_counter() - start, most


def compare(output: Path, slices: int, side: int, noise: np.ndarray) -> int:
    """Raises where slabs of the output are not those of the steps in memory; how many slices were compared."""
    result = np.load(output, mmap_mode="r")
    assert result.shape == (slices, side, side), result.shape
    compared = 0
    for first in np.linspace(0, slices - _BLOCK_SLICES, _BLOCKS).astype(int):
        low, high = max(first - 1, 0), min(first + _BLOCK_SLICES + 1, slices)
        x = np.stack([plane(number, side, noise) for number in range(low, high)])
        expected = ctfast.window(ctfast.median_filter(x, (3, 3, 3)), center=40, width=400, dtype="uint8")
        own = slice(first - low, first - low + _BLOCK_SLICES)
        np.testing.assert_array_equal(result[first : first + _BLOCK_SLICES], expected[own])
        compared += _BLOCK_SLICES
    return compared


def main() -> None:
    """Make the series, run over it, compare, print the row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=2000)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--place", type=Path, default=None, help="where there is room; by default the system's")
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp(dir=options.place, prefix="large-series-"))
    try:
        bytes_ = options.slices * options.side**2 * 2
        if (free := shutil.disk_usage(place).free) < 3 * bytes_:
            raise SystemExit(f"{place} has {free >> 20} MB left; {3 * bytes_ >> 20} MB are needed: choose --place")
        noise = write_series(place / "in", options.slices, options.side)
        seconds, most = run(place / "in", place / "out", "npy")
        (output,) = (place / "out").rglob("*.npy")
        compared = compare(output, options.slices, options.side, noise)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    print("| series | bytes | own memory at most | seconds | slices compared, all bits equal |\n|---|---|---|---|---|")
    print(
        f"| {options.slices} x {options.side} x {options.side} int16 | {bytes_ / 1e9:.1f} GB | {most / 1e9:.2f} GB | "
        f"{seconds:.0f} | {compared} |"
    )


if __name__ == "__main__":
    main()
