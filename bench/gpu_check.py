"""Everything about the GPU backend that only a GPU can show, in about ten minutes.

    PYTHONPATH=kernels:. python bench/gpu_check.py

Needs numpy, numba, tifffile and CuPy with NVRTC; compute-sanitizer, cuCIM, torch and kornia are used where they are.
Writes ``bench/results/gpu-<day>-<device>.json`` after every section, so that a run that is cut short leaves something.
``bench/report.py`` makes the GPU table of ``docs/measured.md`` from it. ``--small`` runs all code with tiny sizes.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "kernels"), str(ROOT)]

import cupy  # noqa: E402
import numpy as np  # noqa: E402

import ctfast  # noqa: E402
from bench import gpu_timing as timing  # noqa: E402
from bench.gpu_peers import ABSENT, peers  # noqa: E402
from bench.gpu_work import PIPELINE, TIMED, Work, ideal_bytes, kernel, large_batches, parity, result_like, values_of  # noqa: E402
from ctfast.files import read_image, write_image  # noqa: E402
from ctfast.runner import run as run_files  # noqa: E402
from ctkernels.contract import IMAGE_DTYPES, OPERATIONS  # noqa: E402

Section = dict[str, Any]


class Sizes:
    """How much is run."""

    def __init__(self, small: bool) -> None:
        self.checked = 24 if small else 203
        self.dtypes = ("uint16",) if small else IMAGE_DTYPES
        self.image = 32 if small else 512
        self.batches = (1, 3) if small else (1, 16, 256, 2048)
        self.small_batches = (1, 2) if small else (1, 4, 16, 64)
        self.peer_batch = 3 if small else 256
        self.copied = 1 << 12 if small else 1 << 30
        self.files = 5 if small else 600
        self.large = ((20, 16),) if small else ((70_000, 5), (17_000, 512))
        self.rounds = 1 if small else timing.ROUNDS
        self.tools = () if small else ("memcheck", "racecheck", "initcheck")


def facts() -> Section:
    """Device, driver, versions."""
    device = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.runtime.getDevice())
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "device": device["name"].decode(),
        "compute_capability": f"{device['major']}.{device['minor']}",
        "memory_bytes": int(device["totalGlobalMem"]),
        "multiprocessors": int(device["multiProcessorCount"]),
        "driver_cuda": int(cupy.cuda.runtime.driverGetVersion()),
        "nvrtc": ".".join(map(str, cupy.cuda.nvrtc.getVersion())),
        "cupy": cupy.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
    }


def speed_of_copies(sizes: Sizes) -> Section:
    """The roofs."""
    moved = timing.transfer_bandwidth(min(sizes.copied, 1 << 28))
    return {"device_bytes_per_second": timing.copy_bandwidth(sizes.copied), **moved}


def sanitizer(sizes: Sizes) -> Section:
    """compute-sanitizer over one small call of everything."""
    tool = shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path="/usr/local/cuda/bin")
    if tool is None:
        return {"absent": "compute-sanitizer is not installed"}
    results = {}
    for name in sizes.tools:
        command = [tool, "--tool", name, "--print-limit", "20", sys.executable, __file__, "--only-parity", "48"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=75)
            said = (done.stdout + done.stderr).splitlines()
            results[name] = {"summary": [s for s in said if "SUMMARY" in s], "head": said[:40], "code": done.returncode}
        except subprocess.TimeoutExpired:
            results[name] = {"summary": [], "cut": "took longer than 75 s"}
    return results


def time_work(work: Work, images: int, size: int, bandwidth: float, rounds: int) -> Section:
    """One operation at one batch size."""
    x = timing.batch(work.dtype, images, size)
    values = values_of(work.operation, x.dtype, work.given)
    shape, dtype = result_like(work.operation, x, values, work.out_dtype)
    out = cupy.empty(shape, dtype)
    ideal = ideal_bytes(work, x, out)
    sets = [(x, out)] + [(x.copy(), cupy.empty(shape, dtype)) for _ in range(timing.rotations(ideal) - 1)]
    call = kernel(work.operation, "gpu")
    pool = cupy.get_default_memory_pool()
    taken = timing.seconds(lambda pair: call(*pair, **values), sets, rounds=rounds)
    return {
        "row": work.row,
        "dtype": work.dtype,
        "batch": images,
        "seconds": taken,
        "images_per_second": images / taken,
        "roofline": ideal / taken / bandwidth,
        "pool_bytes": int(pool.total_bytes()),
        "arrays_bytes": ideal * len(sets),
    }


def throughput(sizes: Sizes, bandwidth: float) -> list[Section]:
    """All operations at all batch sizes that fit in half of the memory."""
    results = []
    for work in TIMED:
        for images in sizes.batches:
            needed = images * sizes.image**2 * (np.dtype(work.dtype).itemsize + np.dtype(work.out_dtype).itemsize)
            if needed > timing.free_bytes() // 2:
                results.append({"row": work.row, "batch": images, "left_out": "more than half of the free memory"})
                continue
            results.append(time_work(work, images, sizes.image, bandwidth, sizes.rounds))
    return results


def against_peers(sizes: Sizes) -> Section:
    """The peers at one batch size; a peer that takes over 5 s is timed once."""
    results = []
    for row, name, dtype, call in peers():
        x = timing.batch(dtype, sizes.peer_batch, sizes.image)
        try:
            start = time.perf_counter()
            call(x)
            timing.synchronize()
            first = time.perf_counter() - start
            taken = timing.seconds(call, [x], 0.1, sizes.rounds) if first < 20 else first
            results.append({"row": row, "peer": name, "batch": sizes.peer_batch, "seconds": taken, "first_call": first})
        except Exception as error:  # a peer that can't is a finding
            results.append({"row": row, "peer": name, "error": f"{type(error).__name__}: {error}"[:300]})
    return {"timed": results, "absent": ABSENT}


def fused(sizes: Sizes) -> Section:
    """The pipeline in one go against its steps one by one, results compared."""
    pipeline = ctfast.Pipeline(PIPELINE)
    images = max(b for b in sizes.batches if b <= 256)
    x = timing.batch("uint16", images, sizes.image)

    def stepwise(image: Any) -> tuple[Any, Any]:
        y = ctfast.window(image, center=1064, width=400, dtype="uint8")
        y = ctfast.clahe(ctfast.gaussian_filter(ctfast.median_filter(y, 3), 1.0))
        return y, ctfast.histogram(y, 256, value_range=(0, 256))[0]

    result, (image, counts) = pipeline.run(x), stepwise(x)
    together = timing.seconds(pipeline.run, [x], rounds=sizes.rounds)
    apart = timing.seconds(stepwise, [x], rounds=sizes.rounds)
    return {
        "batch": images,
        "equal_image": bool((result.image.get() == image.get()).all()),
        "equal_counts": bool((_host(result.histogram.counts) == _host(counts)).all()),
        "seconds": together,
        "stepwise_seconds": apart,
        "images_per_second": images / together,
    }


def captured(sizes: Sizes) -> list[Section]:
    """The pipeline recorded as a graph against the same asked for call by call, where Python may be what takes time."""
    results = []
    pipeline = ctfast.Pipeline(PIPELINE)
    for images in sizes.small_batches:
        x = timing.batch("uint16", images, sizes.image)
        recorded, plain = pipeline.capture(x), pipeline.run(x)
        result = recorded.launch()
        results.append(
            {
                "batch": images,
                "equal_image": bool((result.image.get() == plain.image.get()).all()),
                "equal_counts": bool((_host(result.histogram.counts) == _host(plain.histogram.counts)).all()),
                "seconds": timing.seconds(lambda _, r=recorded: r.launch(), [x], rounds=sizes.rounds),
                "plain_seconds": timing.seconds(pipeline.run, [x], rounds=sizes.rounds),
            }
        )
    return results


def _host(x: Any) -> np.ndarray:
    return np.asarray(x.get() if hasattr(x, "get") else x)


def end_to_end(sizes: Sizes) -> Section:
    """Files to files through the runner, on both backends, and from host memory to host memory."""
    results: Section = {"files": sizes.files}
    pipeline = ctfast.Pipeline(PIPELINE)
    host = timing.batch("uint16", sizes.files, sizes.image).get()
    results["host_arrays_seconds"] = _wall(lambda: pipeline.run(host, backend="gpu"))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in"
        source.mkdir()
        for number, image in enumerate(host):
            write_image(source / f"{number:05d}.tif", image)
        results["read_seconds"] = _wall(lambda: [read_image(path) for path in sorted(source.iterdir())])
        for backend in ("gpu", "cpu"):
            start = time.perf_counter()
            report = run_files(source, Path(folder) / backend, pipeline, backend=backend)
            results[f"{backend}_seconds"] = time.perf_counter() - start
            results[f"{backend}_failed"] = report.failed
    return results


def _wall(call: Callable[[], Any]) -> float:
    call()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def summarize(results: Section) -> str:
    """What to look at first."""
    checks = results.get("parity", {}).get("result") or []
    wrong = [c for c in checks if not c["right"]]
    failed = [name for name, section in results.items() if isinstance(section, dict) and "error" in section]
    return f"parity: {len(checks) - len(wrong)} of {len(checks)} right; sections that failed: {failed or 'none'}"


def main(arguments: list[str] | None = None) -> int:
    """Run all sections; 1 where a result was wrong or a section failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--small", action="store_true", help="tiny sizes: does the code run?")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    parser.add_argument("--only-parity", type=int, metavar="SIZE", help="compare images of this size and stop")
    options = parser.parse_args(arguments)
    if options.only_parity:
        # The sanitizers are slow: one call of each kernel is enough for them.
        cases = parity(options.only_parity, IMAGE_DTYPES, lambda name: OPERATIONS[name].examples)
        return int(not all(case["right"] for case in cases))
    sizes = Sizes(options.small)
    started = datetime.now(UTC)
    results: Section = {"date": started.isoformat(timespec="seconds"), "small": options.small, **facts()}
    name = f"gpu-{started:%Y-%m-%d}-{results['device'].replace(' ', '-').replace('/', '-')}.json"
    options.out.mkdir(parents=True, exist_ok=True)

    def section(key: str, do: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        try:
            results[key] = {"result": do()}
        except Exception as error:  # the other sections are worth having
            results[key] = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()[-2000:]}
        results[key]["took"] = time.perf_counter() - start
        (options.out / name).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        print(f"{key}: {results[key].get('error', 'done')} ({results[key]['took']:.1f} s)", flush=True)
        return results[key].get("result")

    section("parity", lambda: parity(sizes.checked, sizes.dtypes))
    copies = section("copies", lambda: speed_of_copies(sizes))
    bandwidth = copies["device_bytes_per_second"] if copies else float("nan")
    section("throughput", lambda: throughput(sizes, bandwidth))
    section("fused", lambda: fused(sizes))
    section("captured", lambda: captured(sizes))
    section("peers", lambda: against_peers(sizes))
    section("end_to_end", lambda: end_to_end(sizes))
    section("large_batches", lambda: large_batches(sizes.large))
    section("sanitizer", lambda: sanitizer(sizes))
    results["seconds"] = (datetime.now(UTC) - started).total_seconds()
    (options.out / name).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    message = summarize(results)
    print(f"{message}\n{options.out / name}")
    return int("sections that failed: none" not in message or not _all_right(results))


def _all_right(results: Section) -> bool:
    every = [*(results["parity"].get("result") or []), *(results["large_batches"].get("result") or [])]
    return all(case["right"] for case in every)


if __name__ == "__main__":
    raise SystemExit(main())
